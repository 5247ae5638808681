"""The door: which routes it stands before, and what is said there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from netboot.reader_tokens import NAME, add_token
from netboot.readers import MOST_WRONG
from netboot.world import World
from tests.netboot.site import browser, logged, plan, world

OPEN = {
    "/healthz": 200,
    "/readyz": 200,
    "/auto.ipxe": 200,
    "/ipxe/52-54-00-12-34-02/boot.ipxe": 200,
    "/ipxe/undionly.kpxe": 200,
}
CLOSED = ["/", "/status/index.json", "/status/nothing.json", "/logs/x.log", "/metrics"]

Visit = Callable[[World, httpx.AsyncClient], Awaitable[None]]


def visit(state: Path, story: Visit, peer: str = "10.1.0.77") -> None:
    async def run() -> None:
        async with world(state, plan(), open_status=False) as here, browser(here, peer) as client:
            await story(here, client)

    asyncio.run(run())


def test_people_need_a_token_and_machines_do_not(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        assert OPEN == {path: (await client.get(path)).status_code for path in OPEN}
        for path in CLOSED:
            for method in ("GET", "HEAD"):
                assert 401 == (await client.request(method, path)).status_code

    visit(tmp_path, story)


def test_a_browser_and_a_program_are_told_how_to_get_in(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        answer = await client.get("/status/index.json")
        challenges = answer.headers.get_list("www-authenticate")
        assert ['Basic realm="gitboot", charset="UTF-8"', 'Bearer realm="gitboot"'] == challenges
        assert "no-store" == answer.headers["cache-control"]
        assert "gitboot token add NAME --state DIR" in answer.text
        line = logged(here.log)[-1]
        assert ("read", "no-token", "10.1.0.77") == (line["event"], line["outcome"], line["peer"])

    visit(tmp_path, story)


def test_a_token_opens_everything_at_once_and_void_nothing(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        token = add_token(tmp_path, "ada")
        for authorization in ({"headers": {"Authorization": f"Bearer {token}"}}, {"auth": ("ada", token)}):
            assert 200 == (await client.get("/status/index.json", **authorization)).status_code
        (tmp_path / NAME).unlink()
        assert 401 == (await client.get("/", auth=("ada", token))).status_code

    visit(tmp_path, story)


def test_guessing_ends_in_429_and_leaves_a_bounded_log(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        answers = [await client.get("/metrics", auth=("x", str(number))) for number in range(MOST_WRONG + 40)]
        assert [401] * MOST_WRONG + [429] * 40 == [answer.status_code for answer in answers]
        assert 0 < int(answers[-1].headers["retry-after"]) <= 10
        assert "www-authenticate" not in answers[-1].headers  # or a browser would ask again
        assert MOST_WRONG == sum(line["event"] == "read" for line in logged(here.log))
        assert (MOST_WRONG, 40) == (here.counts["read", "wrong-token"], here.counts["read", "too-many"])

    visit(tmp_path, story)


def test_no_wrong_token_is_written_to_the_log(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        await client.get("/metrics", headers={"Authorization": "Bearer almost-the-right-one"})
        assert "almost-the-right-one" not in str(logged(here.log))

    visit(tmp_path, story)


def test_a_damaged_list_is_told_once(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        (tmp_path / NAME).write_text("{")
        for _ in range(3):
            assert 401 == (await client.get("/", auth=("ada", "x"))).status_code
        assert 1 == sum(line["event"] == "tokens-unusable" for line in logged(here.log))

    visit(tmp_path, story)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "X-Forwarded-Host"])
def test_a_proxy_on_this_host_is_not_this_host(tmp_path: Path, header: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        url = "http://127.0.0.1/status/index.json"
        assert 200 == (await client.get(url)).status_code
        assert 401 == (await client.get(url, headers={header: "127.0.0.1"})).status_code
        assert 401 == (await client.get(url, headers={"Host": "evil.example"})).status_code

    visit(tmp_path, story, peer="127.0.0.1")


def test_saying_that_one_is_here_does_not_help(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        said = {"Host": "127.0.0.1", "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
        assert 401 == (await client.get("/status/index.json", headers=said)).status_code

    visit(tmp_path, story)
