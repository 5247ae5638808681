"""The state directory: one owner, one key, five verbs."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from netboot.events import JournalOpened
from netboot.state_directory import Locked, StateDirectory
from netboot.store import Corrupt, LogName, Store

SITE = JournalOpened(at=1.0, journal="j1")


def test_it_is_a_store(tmp_path: Path) -> None:
    async def scenario() -> None:
        directory = StateDirectory(tmp_path / "state")
        store: Store = directory
        assert await store.append(0, [SITE]) == 1
        assert [(1, SITE)] == list(store.read())
        store.put_status("hardware/node-01.json", b"{}\n")
        log = LogName("run-1", "disk", "wipe", 1)
        assert (5, b"hello") == (store.append_log(log, 0, b"hello"), store.read_log(log))
        await directory.close()

    asyncio.run(scenario())
    assert (tmp_path / "state" / "status" / "hardware" / "node-01.json").read_bytes() == b"{}\n"


def test_two_servers_on_one_directory_fail_with_a_sentence(tmp_path: Path) -> None:
    first = StateDirectory(tmp_path)
    with pytest.raises(Locked) as caught:
        StateDirectory(tmp_path)
    expected = (
        f"{tmp_path} is in use by another gitboot (process {os.getpid()}). "
        "Stop that one, or give this one another directory with --state"
    )
    assert expected == str(caught.value)
    asyncio.run(first.close())
    asyncio.run(StateDirectory(tmp_path).close())


def test_a_directory_that_could_not_be_opened_is_not_left_locked(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    damaged = tmp_path / "journal" / f"{1:020d}.jsonl"
    damaged.write_bytes(b"hello\n")
    with pytest.raises(Corrupt):
        StateDirectory(tmp_path)
    damaged.unlink()
    asyncio.run(StateDirectory(tmp_path).close())


@pytest.mark.parametrize("content", [b"", b"x", bytes(33)])
def test_a_key_that_was_cut_off_is_not_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(Corrupt, match=f"key holds {len(content)} bytes where a key has 32.*remove it"):
        StateDirectory(tmp_path)
    assert content == (tmp_path / "key").read_bytes()


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    async def key() -> bytes:
        directory = StateDirectory(tmp_path)
        await directory.close()
        return directory.key

    first = asyncio.run(key())
    assert (32, first) == (len(first), asyncio.run(key()))
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
