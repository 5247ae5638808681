"""`/hooks/git`: who is believed, what follows, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from netboot.hooks import read_secret
from netboot.markers import LOOK_NOW
from netboot.webhook import LONGEST, BadSecret
from netboot.world import World
from tests.netboot.forges import FORGES, SECRET, deliver
from tests.netboot.site import browser, logged, plan, world

Visit = Callable[[World, httpx.AsyncClient], Awaitable[None]]


def visit(folder: Path, story: Visit, secret: bytes | None = SECRET) -> None:
    file = folder / "secret"
    if secret is not None:
        file.write_bytes(secret + b"\n")

    async def run() -> None:
        given = file if secret is not None else None
        served = world(folder / "state", plan(), webhook_secret_file=given, open_status=False)
        async with served as here, browser(here, "192.0.2.7") as client:
            await story(here, client)

    asyncio.run(run())


def asked_to_look(here: World) -> bool:
    return (here.settings.state / LOOK_NOW).exists()


@pytest.mark.parametrize("forge", FORGES)
def test_a_push_at_any_forge_is_a_look_and_needs_no_token_of_ours(tmp_path: Path, forge: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        sent = deliver(forge)
        answer = await client.post("/hooks/git", content=sent.body, headers=sent.headers)
        assert (202, "The repository is looked at now.\n") == (answer.status_code, answer.text)
        assert asked_to_look(here)
        assert ("hook", "accepted", FORGES[forge].way) == tuple(logged(here.log)[-1][key] for key in ("event", "outcome", "by"))

    visit(tmp_path, story, FORGES[forge].secret)


@pytest.mark.parametrize("forge", FORGES)
def test_a_wrong_signature_is_401_and_nothing_happens(tmp_path: Path, forge: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        sent = deliver(forge)
        answer = await client.post("/hooks/git", content=sent.body, headers=sent.headers)
        assert (401, True) == (answer.status_code, "It is not signed with the secret of this server" in answer.text)
        answer = await client.post("/hooks/git", content=sent.body)
        assert (401, True) == (answer.status_code, "It is not signed:" in answer.text)
        assert not asked_to_look(here)
        assert 2 == here.counts["hook", "refused"]

    visit(tmp_path, story, b"another secret")


def test_without_a_secret_there_is_no_webhook_and_that_is_said(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        sent = deliver("GitHub")
        answer = await client.post("/hooks/git", content=sent.body, headers=sent.headers)
        assert (404, True) == (answer.status_code, "--webhook-secret-file" in answer.text)
        assert not asked_to_look(here)

    visit(tmp_path, story, None)


def test_a_message_has_a_megabyte_and_not_a_byte_more(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        for size, status in ((LONGEST, 202), (LONGEST + 1, 413)):
            sent = deliver("GitHub", b"x" * size)
            assert status == (await client.post("/hooks/git", content=sent.body, headers=sent.headers)).status_code

    visit(tmp_path, story)


def test_a_replay_is_a_look_and_nothing_else(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        sent = deliver("GitHub")
        await client.post("/hooks/git", content=sent.body, headers=sent.headers)
        before = {path.name for path in here.settings.state.iterdir()}
        first = (here.settings.state / LOOK_NOW).read_text()
        for _ in range(10):
            assert 202 == (await client.post("/hooks/git", content=sent.body, headers=sent.headers)).status_code
        assert first != (here.settings.state / LOOK_NOW).read_text()
        assert before == {path.name for path in here.settings.state.iterdir()}
        assert 1 == len(list(here.directory.read()))  # nothing is journalled but the site's opening

    visit(tmp_path, story)


def test_a_full_disk_is_told_so_that_the_forge_tries_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        def full(state: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("netboot.hooks.look_now", full)
        sent = deliver("GitHub")
        answer = await client.post("/hooks/git", content=sent.body, headers=sent.headers)
        assert (503, "5") == (answer.status_code, answer.headers["retry-after"])
        assert "No space left on device" in answer.text

    visit(tmp_path, story)


def test_a_secret_that_is_none_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"\n")
    with pytest.raises(BadSecret, match="cannot be read"):
        read_secret(tmp_path / "none")
    with pytest.raises(BadSecret, match="holds no secret"):
        read_secret(tmp_path / "empty")
    assert b"" == read_secret(None)
