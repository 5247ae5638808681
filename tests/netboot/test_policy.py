"""Policy: windows in UTC, and what several policies come to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from netboot.policy import DAYS, NO_POLICY, Policy, Rolling, Window, open_minutes, outside_windows, strictest

NIGHTS = Policy(windows=(Window(("sat", "sun"), 22 * 60, 5 * 60),))
NOON = Policy(windows=(Window(DAYS, 12 * 60, 13 * 60),))


def at(text: str) -> float:
    """Of the week in which 21 November 2026 is a Saturday."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("when", "opens"),
    [
        ("2026-11-21T21:59:59", "2026-11-21 22:00"),
        ("2026-11-21T22:00:00", ""),
        ("2026-11-22T04:59:59", ""),
        ("2026-11-22T05:00:00", "2026-11-22 22:00"),
        ("2026-11-23T04:59:59", ""),
        ("2026-11-23T05:00:00", "2026-11-28 22:00"),
        ("2026-11-21T04:00:00", "2026-11-21 22:00"),
    ],
)
def test_a_window_past_midnight_belongs_to_the_day_it_begins_on(when: str, opens: str) -> None:
    said = outside_windows((NIGHTS,), at(when))
    assert bool(opens) == bool(said)
    assert said.endswith(f"opens {opens} UTC" if opens else "")


def test_without_windows_runs_may_always_start() -> None:
    assert "" == outside_windows((), 0.0) == outside_windows((NO_POLICY,), 0.0)


def test_of_several_policies_each_must_have_a_window_open() -> None:
    late = Policy(windows=(Window(("sat",), 23 * 60, 24 * 60),))
    assert outside_windows((NIGHTS, late), at("2026-11-21T22:30:00")).endswith("opens 2026-11-21 23:00 UTC")
    assert "" == outside_windows((NIGHTS, late, NO_POLICY), at("2026-11-21T23:59:59"))
    assert "never overlap" in outside_windows((NIGHTS, NOON), at("2026-11-21T22:30:00"))


def test_a_window_that_ends_when_it_begins_is_a_whole_day() -> None:
    assert frozenset(range(24 * 60)) == open_minutes((Window(("mon",), 0, 0),)) == open_minutes((Window(("mon",), 0, 24 * 60),))


def test_rolling_is_the_strictest_that_anybody_says() -> None:
    assert Rolling() == strictest(())
    said = (Policy(rolling=Rolling(4, 0)), Policy(rolling=Rolling(0, 2)), Policy(rolling=Rolling(3, 5)))
    assert Rolling(3, 2) == strictest(said)
