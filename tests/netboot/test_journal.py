"""The journal on disk: group commit, crashes, damage, full disks."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from netboot.events import Event, LeaseBound
from netboot.journal import Journal, write_and_sync
from netboot.store import Conflict, Corrupt, Unavailable


def lease(number: int) -> Event:
    return LeaseBound(at=float(number), mac=f"mac-{number}", address=f"address-{number}")


def leases(first: int, last: int) -> list[Event]:
    return [lease(number) for number in range(first, last + 1)]


def opened(directory: Path, **more: object) -> tuple[Journal, list[Event]]:
    journal = Journal(directory, **more)  # type: ignore[arg-type] # handed through by name
    found: list[Event] = []
    journal.open(found.append)
    return journal, found


def write(directory: Path, *batches: list[Event], **more: object) -> None:
    async def scenario() -> None:
        journal, _ = opened(directory, **more)
        for batch in batches:
            await journal.append(None, batch)
        await journal.close()

    asyncio.run(scenario())


async def until(true: Callable[[], bool]) -> None:
    """Lets the loop run; pytest's timeout is the deadline."""
    while not true():
        await asyncio.sleep(0)


class FaultyDisk:
    """Counts writes; while `broken` it writes half of what it is given and says so."""

    def __init__(self) -> None:
        self.writes = 0
        self.broken = False

    def __call__(self, file: int, data: bytes) -> None:
        self.writes += 1
        if self.broken:
            os.write(file, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        write_and_sync(file, data)


def test_what_was_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    write(tmp_path, leases(1, 3), leases(4, 4))
    journal, found = opened(tmp_path)
    assert (leases(1, 4), 4, []) == (found, journal.last, journal.notes)


def test_a_journal_goes_on_where_the_one_before_stopped(tmp_path: Path) -> None:
    write(tmp_path, leases(1, 2))
    write(tmp_path, leases(3, 4))
    assert leases(1, 4) == opened(tmp_path)[1]


def test_appends_of_one_turn_and_of_the_time_of_a_write_share_a_sync(tmp_path: Path) -> None:
    async def scenario() -> int:
        disk = FaultyDisk()
        journal, _ = opened(tmp_path, sync=disk)
        await asyncio.gather(*(journal.append(None, [lease(number)]) for number in range(1, 101)))
        await journal.close()
        return disk.writes

    assert asyncio.run(scenario()) == 1
    assert len(opened(tmp_path)[1]) == 100


def test_done_is_called_only_after_the_sync_and_never_from_within_submit(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        heard: list[str] = []

        def sync(file: int, data: bytes) -> None:
            write_and_sync(file, data)
            heard.append("synced")

        journal, _ = opened(tmp_path, sync=sync)
        journal.submit([lease(1)], lambda error: heard.append(f"done {error}"))
        journal.submit([], lambda error: heard.append("barrier"))
        assert heard == []
        await until(lambda: len(heard) == 3)
        await journal.close()
        return heard

    assert asyncio.run(scenario()) == ["synced", "done None", "barrier"]


def test_a_barrier_with_nothing_before_it_costs_no_write(tmp_path: Path) -> None:
    async def scenario() -> int:
        disk = FaultyDisk()
        journal, _ = opened(tmp_path, sync=disk)
        heard: list[object] = []
        journal.submit([], heard.append)
        assert heard == []
        await until(lambda: heard == [None])
        await journal.close()
        return disk.writes

    assert asyncio.run(scenario()) == 0


def test_of_two_writers_who_decided_on_the_same_state_one_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal, _ = opened(tmp_path)
        assert await journal.append(0, leases(1, 2)) == 2
        with pytest.raises(Conflict):
            await journal.append(0, [lease(3)])
        assert await journal.append(2, [lease(3)]) == 3
        await journal.close()

    asyncio.run(scenario())
    assert leases(1, 3) == opened(tmp_path)[1]


def test_segments_rotate_by_size_and_are_read_in_order(tmp_path: Path) -> None:
    write(tmp_path, *([lease(number)] for number in range(1, 21)), segment_bytes=300)
    assert len(list(tmp_path.glob("*.jsonl"))) > 3
    journal, found = opened(tmp_path)
    assert leases(1, 20) == found
    assert [(number, lease(number)) for number in (19, 20)] == list(journal.read(after=18))


def test_a_last_line_that_a_crash_left_unfinished_is_cut_off_with_a_note_and_kept(tmp_path: Path) -> None:
    write(tmp_path, leases(1, 3))
    (segment,) = tmp_path.glob("*.jsonl")
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-10])
    journal, found = opened(tmp_path)
    assert leases(1, 2) == found
    assert "cut off" in journal.notes[0]
    (kept,) = tmp_path.glob("*.torn-*")
    assert whole[:-10] == segment.read_bytes() + kept.read_bytes()
    write(tmp_path, leases(3, 4))
    assert leases(1, 4) == opened(tmp_path)[1]


def test_a_crash_right_after_rotation_is_harmless(tmp_path: Path) -> None:
    write(tmp_path, leases(1, 3))
    (tmp_path / f"{4:020d}.jsonl").touch()
    assert leases(1, 3) == opened(tmp_path)[1]


def test_damage_in_the_middle_is_an_error_that_says_where_and_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, leases(1, 3))
    (segment,) = tmp_path.glob("*.jsonl")
    data = segment.read_bytes()
    place = data.index(b"\n") + 1
    damaged = data.replace(b"address-2", b"address-9")
    segment.write_bytes(damaged)
    with pytest.raises(Corrupt) as caught:
        opened(tmp_path)
    for expected in (str(segment), f"byte {place}", "event 2", "checksum", f"truncate -s {place}"):
        assert expected in str(caught.value)
    assert damaged == segment.read_bytes()


def test_an_unfinished_line_in_a_segment_that_is_not_the_last_is_damage(tmp_path: Path) -> None:
    write(tmp_path, *([lease(number)] for number in range(1, 9)), segment_bytes=300)
    first = min(tmp_path.glob("*.jsonl"))
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(Corrupt, match=first.name):
        opened(tmp_path)


def test_a_missing_segment_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, *([lease(number)] for number in range(1, 21)), segment_bytes=300)
    sorted(tmp_path.glob("*.jsonl"))[1].unlink()
    with pytest.raises(Corrupt, match="a segment before it is missing"):
        opened(tmp_path)


@pytest.mark.parametrize("name", ["copy.jsonl", "1 (copy).jsonl", "-1.jsonl", "\u0661.jsonl"])
def test_a_file_that_is_no_segment_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, leases(1, 3))
    (tmp_path / name).touch()
    with pytest.raises(Corrupt, match="is no segment of the journal: move it away"):
        opened(tmp_path)


def test_a_full_disk_acknowledges_nothing_and_recovers_without_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        disk = FaultyDisk()
        journal, _ = opened(tmp_path, sync=disk, retry=0.001)
        failures: list[int] = []
        journal.on_failure = lambda: failures.append(journal.last)
        await journal.append(None, [lease(1)])
        disk.broken = True
        with pytest.raises(Unavailable, match="No space left on device"):
            await journal.append(None, leases(2, 3))
        assert failures == [1]
        with pytest.raises(Unavailable):
            journal.submit([lease(2)], lambda error: None)
        assert [(1, lease(1))] == list(journal.read())
        disk.broken = False
        await until(lambda: journal.failure is None)
        await journal.append(1, [lease(2)])
        await journal.close()

    asyncio.run(scenario())
    assert leases(1, 2) == opened(tmp_path)[1]


def test_what_is_written_to_a_file_that_was_removed_is_not_acknowledged(tmp_path: Path) -> None:
    async def scenario() -> None:
        disk = FaultyDisk()
        journal, _ = opened(tmp_path, sync=disk, retry=0.001)
        await journal.append(None, [lease(1)])
        next(tmp_path.glob("*.jsonl")).unlink()
        with pytest.raises(Unavailable, match=f"its file was removed from {tmp_path}; stop gitboot"):
            await journal.append(None, [lease(2)])
        await asyncio.sleep(0.02)  # nor does it come back by itself
        with pytest.raises(Unavailable):
            journal.submit([lease(2)], lambda error: None)
        await journal.close()

    asyncio.run(scenario())


def test_while_the_disk_stays_full_the_journal_stays_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        disk = FaultyDisk()
        journal, _ = opened(tmp_path, sync=disk, retry=0.001)
        tries: list[int] = []

        def no_room(file: int, size: int) -> None:
            tries.append(size)
            raise OSError(errno.EIO, "Input/output error")

        disk.broken = True
        with monkeypatch.context() as patched:
            patched.setattr(os, "ftruncate", no_room)
            with pytest.raises(Unavailable):
                await journal.append(None, [lease(1)])
            await until(lambda: len(tries) > 3)
            assert journal.failure is not None
        disk.broken = False
        await until(lambda: journal.failure is None)
        await journal.append(0, [lease(1)])
        await journal.close()

    asyncio.run(scenario())
    assert leases(1, 1) == opened(tmp_path)[1]


def test_whoever_stops_waiting_does_not_stop_the_journal(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal, _ = opened(tmp_path)
        waiting = asyncio.ensure_future(journal.append(None, [lease(1)]))
        await asyncio.sleep(0)
        waiting.cancel()
        await journal.append(None, [lease(2)])
        await journal.close()

    asyncio.run(scenario())
    assert leases(1, 2) == opened(tmp_path)[1]
