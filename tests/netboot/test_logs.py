"""Logs as files: in order, once, and bounded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.logs import Logs
from netboot.store import LogName, Misplaced, Unavailable

LOG = LogName("run-1", "disk", "wipe", 1)


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    assert (5, 11) == (logs.append(LOG, 0, b"hello"), logs.append(LOG, 5, b" world"))
    assert (b"hello world", b"wor") == (logs.read(LOG), logs.read(LOG, 6, 3))
    assert (tmp_path / "run-1" / "disk" / "wipe.1.log").read_bytes() == b"hello world"


def test_a_log_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert Logs(tmp_path).read(LOG) == b""


@pytest.mark.parametrize("offset", [0, 4, 6, 1000])
def test_an_append_at_any_other_place_is_told_where_the_end_is(tmp_path: Path, offset: int) -> None:
    logs = Logs(tmp_path)
    logs.append(LOG, 0, b"hello")
    with pytest.raises(Misplaced) as caught:
        logs.append(LOG, offset, b"x")
    assert (5, b"hello") == (caught.value.size, logs.read(LOG))


@given(st.lists(st.binary(max_size=9), max_size=9), st.data())
def test_lost_answers_lose_and_double_nothing(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], data: st.DataObject
) -> None:
    logs, output, offset = Logs(tmp_path_factory.mktemp("logs")), b"".join(chunks), 0
    for chunk in chunks:
        held = logs.append(LOG, offset, chunk)
        if data.draw(st.booleans(), "the answer is lost") and chunk:
            with pytest.raises(Misplaced) as caught:
                logs.append(LOG, offset, chunk)
            held = caught.value.size
        offset = held
    assert output == logs.read(LOG)


def test_a_run_that_prints_without_end_is_bounded_and_says_so_once(tmp_path: Path) -> None:
    logs = Logs(tmp_path, limit=10)
    assert logs.append(LOG, 0, b"12345678") == 8
    other = LogName("run-1", "disk", "write", 1)
    assert logs.append(other, 0, b"abcdef") == 6
    assert logs.append(other, 6, b"ghi") == 9
    assert logs.append(LOG, 8, b"9") == 9
    assert b"12345678" == logs.read(LOG)
    assert logs.read(other).startswith(b"ab\n[gitboot: this run has printed more than 10 bytes")
    assert Logs(tmp_path, limit=10).append(LOG, 9, b"!") == 10
    assert Logs(tmp_path, limit=10).append(LogName("run-2", "disk", "wipe", 1), 0, b"x") == 1


def test_a_log_that_cannot_be_written_is_the_worlds_fault(tmp_path: Path) -> None:
    (tmp_path / "run-1").write_text("in the way")
    with pytest.raises(Unavailable):
        Logs(tmp_path).append(LOG, 0, b"x")
