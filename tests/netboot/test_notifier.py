"""What happens to machines of a real server comes to real receivers, once, whatever happens to either."""

from __future__ import annotations

import asyncio
import io
import json
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from netboot import notifier as module
from netboot.log import Log
from netboot.notice_sending import Undelivered
from netboot.notice_targets import BadNotify, Notify, Slack, Target
from netboot.notice_text import Notice
from netboot.notifier import FILE, Notifier, Send, pause, read_notify
from netboot.plans import PlanStore
from netboot.server import Netboot
from netboot.settings import Settings
from netboot.story import PATIENCE
from netboot.world import World
from tests.netboot.live_machine import DASHED, served
from tests.netboot.receivers import http_receiver
from tests.netboot.site import logged, machine, plan, world

pytestmark = pytest.mark.shell
HELD = ["begun runs-held"]


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)


def told(notice: Notice) -> list[str]:
    return [f"{each.what} {each.name}" for group in notice.groups for each in group.happenings]


def targets(*names: str) -> tuple[Target, ...]:
    return tuple(Slack(name=name, url="https://chat.example/x", gather=0.0) for name in names)


@asynccontextmanager
async def notifying(here: World, send: Send, *names: str) -> AsyncIterator[None]:
    task = asyncio.create_task(Notifier(here, Notify(targets(*(names or ("chat",)))), send).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(met: Callable[[], bool]) -> None:
    while not met():
        await asyncio.sleep(0.005)


def run(scenario: Awaitable[None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario, 60)

    asyncio.run(bounded())


def test_what_was_told_is_not_told_again_after_a_restart(tmp_path: Path) -> None:
    heard: list[list[str]] = []

    async def scenario() -> None:
        async with world(tmp_path, plan(machine(1)), new_site=False) as here:
            for _ in range(2):
                async with notifying(here, lambda _, notice: heard.append(told(notice))):
                    await until(lambda: bool(heard) and not waiting(tmp_path))
                    await asyncio.sleep(0.05)  # some looks more
        assert [HELD] == heard

    run(scenario())


def test_that_it_has_looked_is_kept_though_nothing_has_happened(tmp_path: Path) -> None:
    """So that what ends before a crash is told after it."""

    async def scenario() -> None:
        async with world(tmp_path, plan(machine(1))) as here, notifying(here, lambda *_: None):
            await until(lambda: (tmp_path / FILE).exists())
            assert {} == waiting(tmp_path)

    run(scenario())


def waiting(state: Path) -> dict[str, Any]:
    """As it is on disk."""
    found: dict[str, Any] = json.loads((state / FILE).read_bytes())["waiting"] if (state / FILE).exists() else {"not": "yet"}
    return found


def test_what_could_not_be_delivered_before_the_end_is_delivered_after_the_next_start(tmp_path: Path) -> None:
    heard: list[list[str]] = []

    def down(target: Target, notice: Notice) -> None:
        raise Undelivered("it is down")

    async def scenario() -> None:
        async with world(tmp_path, plan(machine(1)), new_site=False) as here:
            async with notifying(here, down):
                await until(lambda: here.counts["notice", "failed"] > 2)
            assert 1 == sum(line["event"] == "notice-failed" for line in logged(here.log))
            async with notifying(here, lambda _, notice: heard.append(told(notice))):
                await until(lambda: bool(heard))
        assert [HELD] == heard

    run(scenario())


def test_one_that_hangs_delays_nobody_else_and_has_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.5)
    heard: list[str] = []
    released = threading.Event()

    def send(target: Target, notice: Notice) -> None:
        heard.append(target.name)
        if target.name == "slow" and not released.wait(30):
            raise AssertionError("nobody released it")

    async def scenario() -> None:
        async with world(tmp_path, plan(machine(1)), new_site=False) as here, notifying(here, send, "slow", "quick"):
            await until(lambda: here.counts["notice", "failed"] > 3 and here.counts["notice", "sent"] > 0)
            assert (True, 1) == ("quick" in heard, heard.count("slow"))
            released.set()
            await until(lambda: any(line["event"] == "notice-works-again" for line in logged(here.log)))
            assert "slow" in {line["target"] for line in logged(here.log) if line["event"] == "notice-works-again"}

    run(scenario())


def test_a_message_that_will_never_be_taken_is_given_up_and_a_defect_of_ours_costs_one_try(tmp_path: Path) -> None:
    tries: list[int] = []

    def send(target: Target, notice: Notice) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ZeroDivisionError
        raise Undelivered("it is not wanted", final=True)

    async def scenario() -> None:
        async with world(tmp_path, plan(machine(1)), new_site=False) as here, notifying(here, send):
            await until(lambda: here.counts["notice", "refused"] == 1 and waiting(tmp_path) == {})
            assert ["gitboot has a defect: ZeroDivisionError", "it is not wanted"] == [
                line["reason"] for line in logged(here.log) if line["event"] == "notice-failed"
            ]

    run(scenario())


def test_a_memory_that_cannot_be_read_or_written_costs_the_memory(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"{")
    (tmp_path / "notices.new").mkdir()
    heard: list[list[str]] = []

    async def scenario() -> None:
        async with world(tmp_path, plan(machine(1)), new_site=False) as here:
            async with notifying(here, lambda _, notice: heard.append(told(notice))):
                await until(lambda: bool(heard))
            assert {"notices-forgotten", "notices-not-kept"} <= {line["event"] for line in logged(here.log)}
        assert [HELD] == heard

    run(scenario())


def test_the_memory_is_on_disk_before_it_takes_the_place_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, synced = tmp_path / FILE, []
    file.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_size, file.read_bytes())))
    module._replace(file, b"newer")
    assert [(5, b"old")] == synced
    assert b"newer" == file.read_bytes()


def test_without_a_plan_nothing_is_begun_or_over(tmp_path: Path) -> None:
    heard: list[list[str]] = []

    async def scenario() -> None:
        async with (
            world(tmp_path, new_site=False) as here,
            notifying(here, lambda _, notice: heard.append(told(notice))),
        ):
            await asyncio.sleep(0.05)
        assert [] == heard

    run(scenario())


def test_tries_come_ever_later_and_never_later_than_ten_minutes() -> None:
    assert [0.01, 0.02, 0.04] == [pause(failures) for failures in (1, 2, 3)]
    assert 600.0 == pause(1000)


def test_a_file_that_cannot_be_used_is_a_sentence_that_holds_no_secret(tmp_path: Path) -> None:
    with pytest.raises(BadNotify, match=r"--notify .*none.toml cannot be read .*correct the path"):
        read_notify(tmp_path / "none.toml")
    (tmp_path / "some.toml").write_text('secret = "hidden"')
    with pytest.raises(BadNotify, match=r"cannot be used: .*docs/notifications.md") as refused:
        read_notify(tmp_path / "some.toml")
    assert "hidden" not in str(refused.value)
    assert None is read_notify(None)


def test_a_live_server_tells_of_a_machine_that_comes_no_further_and_of_many_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PATIENCE, "script", -1.0)
    PlanStore(tmp_path / "state/plans").publish(served())

    async def scenario(url: str) -> None:
        (tmp_path / "notify.toml").write_text(f'[[target]]\nname = "chat"\nkind = "slack"\ngather = 0\nurl = "{url}"\n')
        settings = Settings(
            tmp_path / "state", listen="127.0.0.1", dhcp_port=-1, tftp_port=-1, http_port=0, https_port=-1, new_site=True,
            notify=tmp_path / "notify.toml",
        )  # fmt: skip
        async with Netboot(settings, Log(io.StringIO())).running() as server:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.http_port}") as client:
                assert 200 == (await client.get(f"/ipxe/{DASHED}/boot.ipxe")).status_code
            assert await asyncio.to_thread(posted.came.acquire, timeout=30)

    with http_receiver() as posted:
        asyncio.run(scenario(posted.url))
    (body,) = posted.bodies
    assert json.loads(body)["text"].startswith("gitboot home: node-01: kernel-not-fetched: it was handed a script to boot")
