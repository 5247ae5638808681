"""The journal's bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.events import BootClosed, Event, LeaseBound
from netboot.journal_format import Scan, lines, scan

EVENTS: tuple[Event, ...] = (
    BootClosed(at=1.0, boot="b", reason='a "reason"\nwith a newline and ü'),
    LeaseBound(at=2.0, mac="52:54:00:12:34:01", address="10.1.0.11"),
    LeaseBound(at=3.0, mac="52:54:00:12:34:02", address="10.1.0.12"),
)


def test_what_was_written_is_read() -> None:
    data = lines(7, EVENTS)
    assert Scan(EVENTS, len(data)) == scan(data, 7)


def test_an_event_is_one_line_with_number_and_checksum() -> None:
    expected = b'{"seq":1,"crc32":"dac07232","event":{"type":"boot-closed","at":1.0,"boot":"b","reason":"done"}}\n'
    assert expected == lines(1, [BootClosed(at=1.0, boot="b", reason="done")])


@given(st.integers(0, len(lines(1, EVENTS))))
def test_a_write_cut_short_anywhere_is_torn_and_keeps_what_came_before(cut: int) -> None:
    data = lines(1, EVENTS)[:cut]
    found = scan(data, 1)
    assert EVENTS[: data.count(b"\n")] == found.events
    assert data[: found.size].count(b"\n") == len(found.events)
    assert (found.torn, bool(found.problem)) == (found.size < cut, found.size < cut)


@given(st.integers(0, len(lines(1, EVENTS)) - 1), st.integers(1, 255))
def test_a_byte_changed_anywhere_is_noticed(place: int, difference: int) -> None:
    data = bytearray(lines(1, EVENTS))
    data[place] ^= difference
    found = scan(bytes(data), 1)
    assert found.events == EVENTS[: data[: found.size].count(b"\n")]
    assert found.problem


def test_pages_the_power_cut_left_zero_are_torn() -> None:
    whole = lines(1, EVENTS)
    found = scan(whole[:-40] + bytes(39) + b"\n", 1)
    assert (EVENTS[:2], True) == (found.events, found.torn)


@given(st.integers(0, len(lines(1, EVENTS[:2])) - 1))
def test_a_zero_with_whole_events_after_it_is_damage(place: int) -> None:
    data = bytearray(lines(1, EVENTS))
    data[place] = 0
    found = scan(bytes(data), 1)
    assert (True, False) == (bool(found.problem), found.torn)


def test_a_last_line_whose_end_was_changed_is_damage() -> None:
    assert not scan(lines(1, EVENTS)[:-1] + b"x", 1).torn
    assert scan(lines(1, EVENTS)[:-1], 1).torn


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(b"hello\n", "not a journal line", id="text"),
        pytest.param(b"\xff\xfe\n", "not a journal line", id="no UTF-8"),
        pytest.param(b"[" * 5000 + b"\n", "not a journal line", id="deep"),
        pytest.param(lines(2, EVENTS[:1]), "event 1 is due and event 2 is there", id="a missing line"),
        pytest.param(lines(1, EVENTS[:1]).replace(b'"seq":1', b'"seq":2'), "checksum", id="renumbered"),
        pytest.param(b'{"seq":1,"crc32":"88030caa","event":{"type":"no-such"}}\n', "no-such", id="an event of a newer version"),
    ],
)
def test_a_complete_line_that_is_wrong_is_damage_and_not_a_torn_write(data: bytes, problem: str) -> None:
    found = scan(data, 1)
    assert ((), 0, False) == (found.events, found.size, found.torn)
    assert problem in found.problem
