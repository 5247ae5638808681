"""Metadata over HTTP: as cloud-init, the AWS SDKs and Tinkerbell's rootio ask, and as nobody should."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netboot.events import BootClosed
from netboot.metadata import EC2_VERSIONS
from netboot.plan import Metadata
from netboot.world import World
from tests.netboot.site import Signed, browser, logged, mac, machine, plan, signed
from tests.netboot.test_http import visit

TTL, TOKEN = "X-aws-ec2-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token"
ONE = Metadata(public_keys=("ssh-ed25519 AAAA one",), user_data="#cloud-config\none: 1\n")
TWO = Metadata(public_keys=("ssh-ed25519 BBBB two",), user_data="#cloud-config\ntwo: 2\n", instance_id="i-two")
PATHS = ["/latest/", "/latest/user-data", "/2009-04-04/meta-data/instance-id", "/nocloud/user-data", "/metadata"]


def at(tmp_path: Path, peer: str, story: Callable[[World, httpx.AsyncClient], Awaitable[None]], **site: Any) -> None:
    """node-01 is at 10.1.0.1, node-02 at 10.1.0.2, node-03 says nothing of itself."""
    machines = (machine(1, "look", metadata=ONE), machine(2, metadata=TWO), machine(3))
    visit(tmp_path, story, plan(*machines, **site), peer)


def test_each_machine_is_told_of_itself_by_every_form(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        for version in EC2_VERSIONS:
            assert "i-two" == (await client.get(f"/{version}/meta-data/instance-id")).text
            assert "0=key-0" == (await client.get(f"/{version}/meta-data/public-keys/")).text
            assert TWO.user_data == (await client.get(f"/{version}/user-data")).text
        for base in ("/nocloud", "/nocloud/node-02"):
            assert TWO.user_data == (await client.get(f"{base}/user-data")).text
            assert "i-two" == yaml.safe_load((await client.get(f"{base}/meta-data")).text)["instance-id"]
            assert 2 == yaml.safe_load((await client.get(f"{base}/network-config")).text)["version"]
        answer = await client.get("/metadata")
        assert "application/json" == answer.headers["content-type"]
        assert "i-two" == answer.json()["metadata"]["instance"]["id"]
        assert "no-store" == answer.headers["cache-control"]

    at(tmp_path, "10.1.0.2", story)


# By session


async def session_of_one(here: World) -> Signed:
    """Of node-01, whose boot is open."""
    async with browser(here, "10.1.0.1") as client:
        await client.get(f"/ipxe/{mac(1)}/boot.ipxe")
        boot = here.observed.open_boot(mac(1))
        assert boot is not None
        return await signed(here, client, boot.id)


@pytest.mark.parametrize("peer", ["10.1.0.1", "10.1.0.99"])
def test_a_session_is_told_of_its_machine_at_its_address_and_at_one_that_git_does_not_know(tmp_path: Path, peer: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        one = await session_of_one(here)
        for path in ("/latest/user-data", "/nocloud/user-data", "/nocloud/node-01/user-data"):
            answer = await client.get(path, auth=one)
            assert (200, ONE.user_data) == (answer.status_code, answer.text)
        assert peer == (await client.get("/latest/meta-data/local-ipv4", auth=one)).text
        assert "node-01" == (await client.get("/metadata", auth=one)).json()["metadata"]["instance"]["id"]
        token = (await client.put("/latest/api/token", headers={TTL: "60"}, auth=one)).text
        assert 200 == (await client.get("/latest/user-data", headers={TOKEN: token}, auth=one)).status_code
        assert 403 == (await client.get("/nocloud/node-02/user-data", auth=one)).status_code

    at(tmp_path, peer, story, mode="proxy")


def test_a_session_of_another_machine_than_the_address_is_refused(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        one = await session_of_one(here)
        for path in PATHS:
            answer = await client.get(path, auth=one)
            assert 403 == answer.status_code
            assert "This session speaks for another machine than the one that has the address 10.1.0.2.\n" == answer.text
        assert 403 == (await client.put("/latest/api/token", headers={TTL: "60"}, auth=one)).status_code

    at(tmp_path, "10.1.0.2", story)


@pytest.mark.parametrize("peer", ["10.1.0.1", "10.1.0.99"])
def test_a_session_that_does_not_prove_itself_is_refused_at_any_address(tmp_path: Path, peer: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        one = await session_of_one(here)
        good = str(one.signer.sign("GET", "/metadata", b""))
        bad = {
            "of another path": str(one.signer.sign("GET", "/latest/", b"")),
            "of another method": str(one.signer.sign("PUT", "/metadata", b"")),
            "of a body": str(one.signer.sign("GET", "/metadata", b"x")),
            "none": "Gitboot nonsense",
            "changed": good[:-1] + ("0" if good[-1] != "0" else "1"),
        }
        for name, header in bad.items():
            assert 401 == (await client.get("/metadata", headers={"Authorization": header})).status_code, name
        assert 200 == (await client.get("/metadata", headers={"Authorization": good})).status_code
        again = await client.get("/metadata", headers={"Authorization": good})
        assert (401, here.sessions.nonce) == (again.status_code, again.json()["nonce"])
        boot = here.observed.open_boot(mac(1))
        assert boot is not None
        await here.ledger.commit((BootClosed(at=here.now(), boot=boot.id, reason="over"),))
        assert 410 == (await client.get("/metadata", auth=one)).status_code

    at(tmp_path, peer, story)


def test_who_shows_any_other_authorization_is_known_by_its_address(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        assert 200 == (await client.get("/metadata", headers={"Authorization": "Basic YTpi"})).status_code

    at(tmp_path, "10.1.0.1", story)


def test_where_there_is_no_user_data_ec2_says_404_and_nocloud_is_empty(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        for path in ("/latest/user-data", "/latest/vendor-data", "/latest/meta-data/public-keys/", "/latest/dynamic/fws/"):
            assert 404 == (await client.get(path)).status_code
        answer = await client.get("/nocloud/user-data")
        assert (200, "") == (answer.status_code, answer.text)

    at(tmp_path, "10.1.0.3", story)


def test_an_address_that_is_no_machines_gets_a_sentence_and_a_line_in_the_log(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        for path in PATHS:
            answer = await client.get(path)
            assert 403 == answer.status_code
            assert (
                "No machine in git has the address 10.1.0.99, and metadata is given by address, or to a machine's session.\n"
                == answer.text
            )
        assert 403 == (await client.put("/latest/api/token", headers={TTL: "60"})).status_code
        line = next(each for each in logged(here.log) if each["event"] == "metadata")
        assert ("10.1.0.99", "403") == (line["peer"], line["outcome"])

    at(tmp_path, "10.1.0.99", story)


def test_another_machines_name_in_the_path_gets_a_sentence_that_does_not_say_whether_it_exists(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        said = {(await client.get(f"/nocloud/{name}/user-data")).text for name in ("node-02", "node-99", "NODE-01", "%2e%2e")}
        assert {"This is node-01's address, and a machine is told of itself only.\n"} == said

    at(tmp_path, "10.1.0.1", story)


def test_before_there_is_a_plan_it_is_to_be_asked_again(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        for path in PATHS:
            answer = await client.get(path)
            assert (503, "5") == (answer.status_code, answer.headers["retry-after"])

    visit(tmp_path, story, empty=True)


# IMDSv2, in the words of the AWS documentation: "Use the Instance Metadata Service to access instance metadata"


def test_step_1_a_put_request_starts_a_session_and_step_2_the_token_is_included_in_all_get_requests(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        answer = await client.put("/latest/api/token", headers={TTL: "21600"})
        assert (200, "21600") == (answer.status_code, answer.headers[TTL])
        token = {TOKEN: answer.text}
        for path in ("/latest/meta-data/", "/latest/user-data", "/2021-03-23/meta-data/instance-id"):
            assert 200 == (await client.get(path, headers=token)).status_code
            assert 401 == (await client.get(path)).status_code
            assert 401 == (await client.get(path, headers={TOKEN: "0" * 80})).status_code

    at(tmp_path, "10.1.0.1", story, metadata_tokens="required")


def test_optional_means_with_or_without_a_token_but_not_with_a_wrong_one(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        token = (await client.put("/latest/api/token", headers={TTL: "60"})).text
        assert 200 == (await client.get("/latest/meta-data/hostname")).status_code
        assert 200 == (await client.get("/latest/meta-data/hostname", headers={TOKEN: token})).status_code
        assert 401 == (await client.get("/latest/meta-data/hostname", headers={TOKEN: token[:-1]})).status_code

    at(tmp_path, "10.1.0.1", story)


def test_a_token_of_one_machine_is_invalid_on_another(tmp_path: Path) -> None:
    tokens = list[str]()

    async def first(here: World, client: httpx.AsyncClient) -> None:
        tokens.append((await client.put("/latest/api/token", headers={TTL: "60"})).text)

    async def second(here: World, client: httpx.AsyncClient) -> None:
        assert 401 == (await client.get("/latest/user-data", headers={TOKEN: tokens[0]})).status_code

    at(tmp_path, "10.1.0.1", first)
    at(tmp_path, "10.1.0.2", second)  # on the same state directory, so with the same key


def test_a_put_that_was_forwarded_is_refused_and_so_is_one_without_a_ttl(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        forwarded = await client.put("/latest/api/token", headers={TTL: "60", "X-Forwarded-For": "10.1.0.1"})
        assert 403 == forwarded.status_code
        assert 400 == (await client.put("/latest/api/token")).status_code
        assert 404 == (await client.get("/latest/api/token")).status_code
        assert 405 == (await client.put("/2009-04-04/api/token", headers={TTL: "60"})).status_code

    at(tmp_path, "10.1.0.1", story)


# No machine reads another's


HOSTILE = [
    "/nocloud/node-02/user-data", "/nocloud/node-02%2fuser-data", "/nocloud//node-02/user-data", "/nocloud/./node-02/user-data",
    "/nocloud/node-01/../node-02/user-data", "/nocloud/node-01%2f..%2fnode-02/user-data", "/nocloud/node-02/user-data%00",
    "/latest/../nocloud/node-02/user-data", "/latest/user-data/../../nocloud/node-02/user-data", "/latest//user-data/x",
    "/latest/meta-data/../../2009-04-04", "/latest/meta-data/%2e%2e/%2e%2e/key", "/latest/" + "../" * 50 + "etc/passwd",
    "/latest/meta-data/public-keys/9/openssh-key", "/latest/%ff%fe", "/latest/" + "x/" * 4000, "/nocloud/%ff/%ff",
    "/metadata/", "/metadata?machine=node-02", "/metadata?address=10.1.0.2", "/nocloud/node-02", "/nocloud/", "/1.0/user-data",
]  # fmt: skip


def of_two(text: str) -> bool:
    return any(word in text for word in ("two", "BBBB", "i-two", "10.1.0.2\n", "34:02"))


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_path_says_nothing_of_another_machine(tmp_path: Path, path: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        raw = httpx.URL(scheme="http", host="10.1.0.1", raw_path=path.encode())
        for headers in ({}, {"X-Forwarded-For": "10.1.0.2", "X-Real-IP": "10.1.0.2", "Forwarded": "for=10.1.0.2"}):
            answer = await client.get(raw, headers=headers)
            assert not of_two(answer.text)
            assert answer.status_code in (200, 307, 403, 404, 414)
        assert 0 == here.counts["http", "defect"]

    at(tmp_path, "10.1.0.1", story)


WORDS = st.sampled_from(
    ["node-01", "node-02", "nocloud", "latest", "2009-04-04", "meta-data", "user-data", "metadata", "10.1.0.2", "..", ".",
     "%2f", "%2e%2e", "", "public-keys", "0", "openssh-key", "?", "i-two", "%00", "%c3%a9", "api", "token", "tags", "instance"]
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=10)
@given(paths=st.lists(st.lists(WORDS, min_size=1, max_size=6).map("/".join), min_size=50, max_size=80))
def test_no_path_of_any_words_says_anything_of_another_machine(tmp_path: Path, paths: list[str]) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        for path in paths:
            raw = httpx.URL(scheme="http", host="10.1.0.1", raw_path=b"/" + path.lstrip("/").encode())
            answer = await client.get(raw, headers={"X-Forwarded-For": "10.1.0.2"})
            assert not of_two(answer.text), path
            assert answer.status_code < 500, path

    at(tmp_path, "10.1.0.1", story)


def test_behind_a_proxy_that_the_site_trusts_it_is_who_asked_the_proxy(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        assert "i-two" == (await client.get("/latest/meta-data/instance-id", headers={"X-Forwarded-For": "10.1.0.2"})).text
        assert 403 == (await client.get("/latest/meta-data/instance-id", headers={"X-Forwarded-For": "unknown"})).status_code
        assert 403 == (await client.get("/latest/meta-data/instance-id")).status_code

    at(tmp_path, "10.9.9.9", story, trusted_proxies=("10.9.9.9/32",))
