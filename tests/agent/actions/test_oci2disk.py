"""Disk images from registries: a real one, and some that lie."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from agent.actions.oci2disk import ACTION
from agent.actions.registry import Reference, Registry, for_architecture, token_server
from agent.actions.settings import Failed
from tests.agent.actions.badweb import Answer, Request, Web, file
from tests.agent.actions.devices import MB, Loop, environment, machine, needs_loop_devices

IMAGE = random.Random(3).randbytes(3 * MB)
PACKED = gzip.compress(IMAGE)


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def document(content: Any) -> bytes:
    return json.dumps(content).encode()


MANIFEST = document({"schemaVersion": 2, "layers": [{"digest": sha256(PACKED), "size": len(PACKED), "mediaType": "a/b"}]})
INDEX = document(
    {
        "schemaVersion": 2,
        "manifests": [
            {"digest": sha256(b"arm"), "platform": {"architecture": "arm64"}},
            {"digest": sha256(MANIFEST), "platform": {"architecture": "amd64"}},
        ],
    }
)


def registry(changes: dict[str, bytes] | None = None) -> dict[str, bytes]:
    """What is at each path."""
    paths = {
        "/v2/os/debian/manifests/12": INDEX,
        f"/v2/os/debian/manifests/{sha256(MANIFEST)}": MANIFEST,
        f"/v2/os/debian/blobs/{sha256(PACKED)}": PACKED,
    }
    return {**paths, **(changes or {})}


def answers(paths: dict[str, bytes], request: Request) -> Answer:
    return file(paths[request.path], request) if request.path in paths else Answer(status=404)


def write(tmp_path: Path, web: Web, disk: str, name: str = "os/debian:12", **settings: str) -> int:
    given = {"IMG_URL": f"{web.url}/{name}", "DEST_DISK": disk, "RETRY_ENABLED": "false", **settings}
    return ACTION.run(environment(tmp_path / "run", machine(), **given))


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("registry.example/os/debian:12", "https://registry.example/v2/os/debian/manifests/12"),
        ("http://10.0.0.1:5000/debian", "http://10.0.0.1:5000/v2/debian/manifests/latest"),
        ("oci://localhost/debian", "https://localhost/v2/debian/manifests/latest"),
        ("debian:12", "https://registry-1.docker.io/v2/library/debian/manifests/12"),
        ("someone/debian", "https://registry-1.docker.io/v2/someone/debian/manifests/latest"),
        (f"r.example/a:1@sha256:{'0' * 64}", f"https://r.example/v2/a/manifests/sha256:{'0' * 64}"),
    ],
)
def test_a_reference_is_read_by_dockers_rule(text: str, url: str) -> None:
    found = Reference.parse(text)
    assert url == found.url("manifests", found.tag)


@pytest.mark.parametrize("text", ["", "r.example/Debian", "r.example/a@sha256:0", "ftp://r.example/a", "r.example/a b"])
def test_what_is_no_reference_is_a_sentence(text: str) -> None:
    with pytest.raises(Failed, match="is not the name of an image"):
        Reference.parse(text)


def test_the_image_is_the_one_for_the_machines_architecture() -> None:
    manifests = json.loads(INDEX)["manifests"]
    assert sha256(b"arm") == for_architecture(manifests, "aarch64")
    with pytest.raises(Failed, match="there are 2 images for riscv64"):
        for_architecture(manifests, "riscv64")
    assert sha256(b"arm") == for_architecture(manifests[:1], "riscv64")


@pytest.mark.shell
@needs_loop_devices
def test_an_image_comes_from_a_registry_to_its_disk(tmp_path: Path, loop: Loop) -> None:
    disk = loop(8 * MB)
    with Web(lambda request, number: answers(registry(), request)) as web:
        assert 0 == write(tmp_path, web, disk)
    assert IMAGE == Path(disk).read_bytes()[: len(IMAGE)]


@pytest.mark.shell
@needs_loop_devices
@pytest.mark.parametrize("kind", ["Bearer", "Basic"])
def test_a_registry_is_told_who_asks_in_the_way_it_wants(tmp_path: Path, loop: Loop, kind: str) -> None:
    disk = loop(8 * MB)
    basic = f"Basic {base64.b64encode(b'me:secret').decode()}"
    wanted = "Bearer abc" if kind == "Bearer" else basic

    def answer(request: Request, number: int) -> Answer:
        if request.path.startswith("/token"):
            right = request.headers["Authorization"] == basic and "scope=repository%3Aos%2Fdebian%3Apull" in request.path
            return Answer(document({"token": "abc"}) if right else b"{}")
        if request.headers["Authorization"] == wanted:
            return answers(registry(), request)
        parts = f'realm="{web.url}/token",service="r",scope="repository:os/debian:pull"'
        return Answer(status=401, headers={"WWW-Authenticate": f"{kind} {parts}"})

    with Web(answer) as web:
        assert 0 == write(tmp_path, web, disk, REGISTRY_USERNAME="me", REGISTRY_PASSWORD="secret")
        assert 1 == write(tmp_path, web, disk)
    assert IMAGE == Path(disk).read_bytes()[: len(IMAGE)]


HTTPS, HTTP = Reference.parse("r.example/os:1"), Reference.parse("http://r.example:5000/os:1")


@pytest.mark.parametrize(
    ("registry", "realm"),
    [(HTTPS, "https://tokens.example/t"), (HTTP, "https://tokens.example/t"), (HTTP, "http://R.example:5000/t")],
)
def test_a_login_goes_to_any_token_server_with_tls_and_to_an_insecure_registry_itself(registry: Reference, realm: str) -> None:
    assert realm == token_server(registry, realm)


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        (HTTPS, "http://r.example/t"),
        (HTTPS, "HTTP://tokens.example/t"),
        (HTTP, "http://tokens.example/t"),
        (HTTP, "http://r.example/t"),
        (HTTP, "http://r.example:5000@tokens.example/t"),
        (HTTP, "//r.example:5000/t"),
        (HTTPS, "file:///etc/passwd"),
        (HTTPS, "/t"),
        (HTTPS, "https://[/t"),
    ],
)
def test_a_login_goes_to_no_other_token_server(registry: Reference, realm: str) -> None:
    with pytest.raises(Failed, match=r"everybody on the way reads it|is no URL"):
        token_server(registry, realm)


@pytest.mark.shell
def test_a_registry_that_sends_the_login_elsewhere_in_clear_is_refused_before_anything_is_sent() -> None:
    heard: list[str] = []

    def listen(request: Request, number: int) -> Answer:
        heard.append(request.path)
        return Answer(b'{"token": "abc"}')

    with Web(listen) as thief:
        challenge = {"WWW-Authenticate": f'Bearer realm="{thief.url}/token",service="r"'}
        with Web(lambda request, number: Answer(status=401, headers=challenge)) as web:
            here = Registry(Reference.parse(f"{web.url}/os/debian:12"), "me", "secret", options={"patience": 0.0})
            with pytest.raises(Failed, match="wants the login to be shown to http://"):
                here.layer("x86_64")
    assert [] == heard


@pytest.mark.shell
@needs_loop_devices
@pytest.mark.parametrize(
    ("changes", "name", "reason"),
    [
        (
            {f"/v2/os/debian/blobs/{sha256(PACKED)}": gzip.compress(b"evil" * MB)},
            "os/debian:12",
            "nothing boots from this disk",
        ),
        ({f"/v2/os/debian/manifests/{sha256(MANIFEST)}": b"{}"}, "os/debian:12", "another manifest than sha256:"),
        ({}, "os/debian:13", "HTTP 404"),
        ({"/v2/os/debian/manifests/12": b"<html>"}, "os/debian:12", "not like a registry"),
        ({"/v2/os/debian/manifests/12": b"[]"}, "os/debian:12", "not like a registry"),
        ({"/v2/os/debian/manifests/12": bytes(5 * MB)}, "os/debian:12", "is longer than 4194304 bytes"),
        (
            {"/v2/os/debian/manifests/12": document({"layers": [{}, {}]})},
            "os/debian:12",
            "has 2 layers, and a disk image is one",
        ),
        (
            {"/v2/os/debian/manifests/12": document({"layers": [{"digest": "md5:1"}]})},
            "os/debian:12",
            "of the layer is ",
        ),
    ],
)
def test_a_registry_that_lies_or_has_no_such_image_is_a_sentence(
    tmp_path: Path, loop: Loop, changes: dict[str, bytes], name: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = loop(8 * MB)
    with Web(lambda request, number: answers(registry(changes), request)) as web:
        assert 1 == write(tmp_path, web, disk, name)
    assert reason in capsys.readouterr().err
    assert not Path(disk).read_bytes()[:MB].strip(b"\0")
