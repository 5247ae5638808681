"""The page of the server itself: figures of this moment, from wherever they are, and none where there is nothing yet."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from netboot.dashboard import system
from netboot.store import Unavailable
from netboot.world import World
from tests.netboot.site import browser, plan, world


def shown(tmp_path: Path, prepare: Callable[[World], None] = lambda here: None) -> str:
    """What a person reads."""

    async def get() -> str:
        async with world(tmp_path / "state", plan()) as here:
            prepare(here)
            async with browser(here) as client:
                return (await client.get("/system")).text

    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", asyncio.run(get()))))


def test_ports_are_those_that_are_bound(tmp_path: Path) -> None:
    text = shown(tmp_path, lambda here: here.ports.update({"dhcp": 67, "dns": 0}))
    assert "DHCP port 67 DNS off" in text


def test_what_is_asked_now_is_a_rate_and_what_was_never_asked_is_not_there(tmp_path: Path) -> None:
    def prepare(here: World) -> None:
        here.pace.look({}, time.monotonic() - 50.0)
        here.counts["dhcp", "offer"] = 100
        here.counts["http", "turned-away"] = 0

    text = shown(tmp_path, prepare)
    assert re.search(r"dhcp offer 100 (2\.00|1\.9\d)", text)
    assert "turned-away" not in text


def test_the_state_directory_is_counted_up_to_a_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "MOST_FILES", 3)
    folder = tmp_path / "state/inventory"
    folder.mkdir(parents=True)
    for number in range(4):
        (folder / f"{number}.json").write_bytes(b"x" * 1024)
    text = shown(tmp_path)
    assert "inventory 3 or more 3.0 KiB or more" in text
    assert re.search(r"journal 1 \d+ Bytes", text)
    assert "plans/shards 0 0 Bytes" in text
    assert re.search(r"Free on its disk [\d.]+ .iB", text)


def test_logs_and_artefacts_are_counted_with_all_below_them_and_no_link_is_followed(tmp_path: Path) -> None:
    for path in ("state/logs/run-1/os/wipe.1.log", "state/logs/run-1/os/image.1.log", "state/logs/boot-1/console.log"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x" * 1024)
    (tmp_path / "state/logs/again").symlink_to(tmp_path / "state/logs")
    artifacts = tmp_path / "artifacts"
    (artifacts / "os").mkdir(parents=True)
    (artifacts / "os/vmlinuz").write_bytes(b"x" * 2048)

    def prepare(here: World) -> None:
        here.settings = replace(here.settings, artifacts=artifacts)

    text = shown(tmp_path, prepare)
    assert re.search(r"logs 4 3\.\d KiB", text)
    assert f"{artifacts} 1 2.0 KiB" in text


@pytest.mark.parametrize(("share", "looks"), [(1e9, 1), (0, 2)])
def test_folders_are_looked_at_for_a_share_of_the_time_however_many_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, looks: int
) -> None:
    looked: list[Path] = []

    def look(state: Path, artifacts: Path | None) -> tuple[list[system.Folder], int]:
        looked.append(state)
        return [], 1

    monkeypatch.setattr(system, "SHARE", share)
    monkeypatch.setattr(system, "_look", look)

    async def ask_twice() -> None:
        async with world(tmp_path / "state", plan()) as here, browser(here) as client:
            await client.get("/system")
            await client.get("/system")

    asyncio.run(ask_twice())
    assert looks == len(looked)


def test_a_journal_that_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    def fail(here: World) -> None:
        here.directory.journal.failure = Unavailable("the disk is full")

    assert "The journal cannot be written: the disk is full" in shown(tmp_path, fail)


def test_the_served_plan_is_there_and_so_are_versions(tmp_path: Path) -> None:
    text = shown(tmp_path)
    assert f"{plan().plan.id[:12]} served 0" in text
    assert re.search(r"Python 3\.\d+\.\d+ Linux \S+", text)
    assert "Reads git no" in text


def test_how_long_answers_take_is_a_mean_and_what_most_are_within(tmp_path: Path) -> None:
    def prepare(here: World) -> None:
        for seconds in (*[0.002] * 98, 0.2, 100.0):
            here.durations.answered("dhcp", seconds)
        here.durations.answered("tftp", 60.0)

    text = shown(tmp_path, prepare)
    assert "dhcp 100 1004.0 ms 2.5 ms 250 ms" in text
    assert "tftp 1 60000.0 ms more than 30 s more than 30 s" in text
