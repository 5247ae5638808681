"""Rates: what grows how fast, over the last minute and in bounded memory."""

from __future__ import annotations

from netboot.pace import EVERY, SPAN, Pace

DHCP, TFTP = ("dhcp", "ok"), ("tftp", "ok")


def test_a_rate_is_what_was_counted_in_the_last_minute() -> None:
    pace = Pace()
    for second in range(200):
        pace.look({DHCP: min(second, 100) * 3}, float(second))
    assert {DHCP: 0.0} == pace.rates({DHCP: 300}, 200.0)
    assert {DHCP: 1.0} == pace.rates({DHCP: 300 + 65}, 200.0), "the oldest sample is a minute old, and at most a step more"


def test_what_was_never_counted_before_counts_from_nothing() -> None:
    pace = Pace()
    pace.look({}, 10.0)
    assert {TFTP: 0.5} == pace.rates({TFTP: 5}, 20.0)


def test_before_there_is_a_moment_to_compare_to_there_is_no_rate() -> None:
    pace = Pace()
    assert {} == pace.rates({DHCP: 5}, 1.0)
    pace.look({DHCP: 5}, 1.0)
    assert {} == pace.rates({DHCP: 5}, 1.0)


def test_however_often_it_looks_it_keeps_a_minute() -> None:
    pace = Pace()
    for tick in range(100_000):
        pace.look({DHCP: tick}, tick / 4)
    assert len(pace._samples) <= SPAN / EVERY + 2
