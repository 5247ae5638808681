"""The recorder: a bounded ring that survives kills and full disks, and that nobody waits for."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from netboot import recorder
from netboot.recorder import Recorder, read
from netboot.recording import Exchange


def exchange(number: int) -> Exchange:
    return Exchange(at=float(number), kind="tftp", boot=f"b{number}", said="x" * 100)


def kept(folder: Path) -> list[float]:
    return [each.at for each in read(folder)]


def test_what_is_noted_is_read_in_order_after_a_restart_too(tmp_path: Path) -> None:
    for numbers in ((1, 2), (3,)):
        here = Recorder(tmp_path / "recordings")
        for number in numbers:
            here.note(exchange(number))
        here.close()
    assert [1.0, 2.0, 3.0] == kept(tmp_path / "recordings")


def test_the_ring_keeps_the_last_segments_and_no_more(tmp_path: Path) -> None:
    here = Recorder(tmp_path, segment_bytes=400, segments=3)
    for number in range(50):
        here.note(exchange(number))
        here.flush()
    files = list(tmp_path.glob("*.jsonl"))
    assert len(files) == 3
    assert sum(path.stat().st_size for path in files) <= 3 * 600
    assert kept(tmp_path) == [float(number) for number in range(50)][-len(kept(tmp_path)) :]
    assert len(kept(tmp_path)) > 5


@pytest.mark.parametrize("left", [b'{"at":3.0,"kind":"tf', b'{"at":3.0,"kind":"tftp"', b"\0\0\0\0", b"\xff\xfe"])
def test_what_a_kill_left_of_a_line_is_passed_over_and_spoils_no_other(tmp_path: Path, left: bytes) -> None:
    here = Recorder(tmp_path)
    here.note(exchange(1))
    here.close()
    [path] = tmp_path.glob("*.jsonl")
    path.write_bytes(path.read_bytes() + left)
    again = Recorder(tmp_path)
    again.note(exchange(2))
    again.close()
    assert [1.0, 2.0] == kept(tmp_path)


def test_on_a_full_disk_exchanges_are_counted_the_oldest_segment_goes_and_later_ones_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Recorder(tmp_path, segment_bytes=100, segments=5)
    for number in range(4):
        here.note(exchange(number))
        here.flush()
    before = sorted(tmp_path.glob("*.jsonl"))
    write = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) > 20:
            return write(file, data[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    here.note(exchange(4))
    here.flush()
    monkeypatch.undo()
    assert 1 == here.dropped
    assert before[1:] == sorted(tmp_path.glob("*.jsonl"))[:-1]
    here.note(exchange(5))
    here.close()
    assert kept(tmp_path)[-1] == 5.0
    assert 4.0 not in kept(tmp_path)


def test_who_notes_never_waits_for_a_disk_that_hangs_and_what_is_too_much_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, entered = threading.Event(), threading.Event()
    write = os.write

    def hangs(file: int, data: bytes) -> int:
        entered.set()
        released.wait(30)
        return write(file, data)

    monkeypatch.setattr(os, "write", hangs)
    monkeypatch.setattr(recorder, "MOST_WAITING", 3)
    here = Recorder(tmp_path)
    here.note(exchange(0))
    here.flush_soon()
    assert entered.wait(30)
    for number in range(1, 6):
        here.note(exchange(number))
        here.flush_soon()
    assert 2 == here.dropped
    here.close(seconds=0)
    released.set()
    here.close(seconds=30)
    assert [0.0, 1.0, 2.0, 3.0] == kept(tmp_path)


def test_a_folder_that_cannot_be_made_is_nobodys_trouble(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("a file in its place")
    here = Recorder(tmp_path / "recordings")
    here.note(exchange(1))
    here.close()
    assert 1 == here.dropped


def test_segments_that_somebody_removed_are_begun_again(tmp_path: Path) -> None:
    here = Recorder(tmp_path)
    here.note(exchange(1))
    here.flush()
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()
    here.note(exchange(2))
    here.close()
    assert [2.0] == kept(tmp_path)


def test_a_path_that_is_no_utf_8_is_kept_escaped(tmp_path: Path) -> None:
    here = Recorder(tmp_path)
    here.note(Exchange(at=1.0, kind="tftp", said="pxelinux\udcff"))
    here.close()
    assert ["pxelinux\\udcff"] == [each.said for each in read(tmp_path)]


def test_recordings_are_for_the_server_s_user_and_group(tmp_path: Path) -> None:
    here = Recorder(tmp_path / "recordings")
    here.note(exchange(1))
    here.close()
    paths = [tmp_path / "recordings", *(tmp_path / "recordings").iterdir()]
    assert [0, 0] == [path.stat().st_mode & 0o007 for path in paths]


def test_the_chronicle_remembers_what_was_said_before_a_restart_and_nothing_twice(tmp_path: Path) -> None:
    first = Recorder(tmp_path, {"p1": "c0ffee"}.__getitem__)
    first.note(Exchange(at=1.0, kind="tftp", boot="b", said="a", plan="p1"))
    first.close()
    again = Recorder(tmp_path)
    again.note(Exchange(at=2.0, kind="tftp", boot="b", said="b"))
    again.flush()
    again.remember(since=2.0).join(20)
    assert [("a", "c0ffee"), ("b", "")] == [(each.said, each.commit) for each in again.chronicle.of("b")]
    again.close()


def test_what_is_remembered_over_a_restart_holds_each_plan_once(tmp_path: Path) -> None:
    first = Recorder(tmp_path, {"p1": "c0ffee"}.__getitem__)
    for number in range(2):
        first.note(Exchange(at=1.0, kind="tftp", boot="b", said=f"file-{number}", plan="p1"))
    first.close()
    again = Recorder(tmp_path)
    again.remember(since=2.0).join(20)
    one, other = again.chronicle.of("b")
    assert all(getattr(one, name) is getattr(other, name) for name in ("kind", "outcome", "plan", "commit"))
