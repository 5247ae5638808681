"""The page of the server itself: figures of this moment, from wherever they are, and none where there is nothing yet."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
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
