"""Which images a tar holds: what Docker, skopeo and podman write is read, and anything else ends in a sentence."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tarfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.errors import Malformed
from netboot.image_archive import LONGEST_READ, image_names


def archive(**files: Any) -> bytes:
    """A tar with these files as JSON, an underscore for each dot, after a layer."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in [("blobs/sha256/layer", "x" * 9000), *((each.replace("_", "."), files[each]) for each in files)]:
            member = tarfile.TarInfo(name)
            raw = json.dumps(content).encode()
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    return data.getvalue()


def docker_archive(*names: str) -> bytes:
    return archive(manifest_json=[{"Config": "c.json", "RepoTags": [name], "Layers": []} for name in names])


def oci(*annotations: dict[str, str]) -> dict[str, Any]:
    return {"schemaVersion": 2, "manifests": [{"digest": "sha256:0", "annotations": each} for each in annotations]}


REF, NAME = "org.opencontainers.image.ref.name", "io.containerd.image.name"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (docker_archive("disk-wipe:v3", "slurp:v1"), ("disk-wipe:v3", "slurp:v1")),
        (archive(index_json=oci({REF: "tools:v1"}, {})), ("tools:v1",)),
        (archive(index_json=oci({REF: "v1", NAME: "docker.io/library/tools:v1"})), ("docker.io/library/tools:v1",)),
        (archive(index_json=oci({NAME: "a:1"}), manifest_json=[{"RepoTags": ["a:1", "b:1"]}]), ("a:1", "b:1")),
        (archive(manifest_json=[{"RepoTags": None}]), ()),
        (archive(manifest_json={"not": "a list"}, index_json=[]), ()),
    ],
)
def test_the_names_are_those_of_the_index(data: bytes, expected: tuple[str, ...]) -> None:
    assert expected == image_names(io.BytesIO(data))


def header_of(size: bytes, kind: bytes) -> bytes:
    block = bytearray(tarfile.TarInfo("x").tobuf()[:512])
    block[124:136], block[156:157], block[148:156] = size, kind, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def nested(depth: int) -> bytes:
    """An archive whose index is nothing but arrays in arrays."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        member = tarfile.TarInfo("manifest.json")
        member.size = depth
        tar.addfile(member, io.BytesIO(b"[" * depth))
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no tar file"),
        (b"x" * 5000, "no tar file"),
        (gzip.compress(docker_archive("a:1")), "it is compressed"),
        (archive(readme_json={}), "neither manifest.json nor index.json"),
        (header_of(b"%011o\0" % (LONGEST_READ * 2), b"x") + bytes(5000), "longer than any image's"),
        (header_of(b"\xff" * 12, b"0") + bytes(5000), "neither manifest.json nor index.json"),
        (docker_archive("a:1").replace(b'"RepoTags"', b'"RepoTags\x00'), "no tar file"),
        (nested(200_000), "no tar file"),
        *(
            ((header_of(b"%011o\0" % 12, kind) + b"12 path=abc\n".ljust(512, b"\0")) * 2000, "no tar file")
            for kind in (b"x", b"L")
        ),
    ],
)
def test_what_is_no_archive_of_images_is_refused_with_a_sentence(data: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        image_names(io.BytesIO(data))


@given(st.integers(0, 20_000), st.binary(min_size=1, max_size=64))
def test_a_damaged_archive_is_read_or_refused_and_nothing_else(at: int, damage: bytes) -> None:
    data = bytearray(docker_archive("a:1", "b:2"))
    data[at % len(data) : at % len(data) + len(damage)] = damage
    with contextlib.suppress(Malformed):
        image_names(io.BytesIO(bytes(data)))
