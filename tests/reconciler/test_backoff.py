"""Retries come soon at first and never all at once."""

from __future__ import annotations

import pytest

from reconciler.backoff import next_delay


@pytest.mark.parametrize(
    ("failures", "poll", "expected"),
    [(0, 30, 30), (1, 30, 1), (2, 30, 2), (6, 30, 32), (11, 30, 600), (10_000, 30, 600), (10_000, 3600, 3600), (1, 0.2, 0.2)],
)
def test_the_delay_doubles_up_to_ten_minutes_or_the_poll_interval(failures: int, poll: float, expected: float) -> None:
    assert expected == pytest.approx(next_delay(failures, poll, 0.5))


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 24.0), (0.5, 30.0), (1.0, 36.0)])
def test_every_delay_is_spread_by_a_fifth_either_way(fraction: float, expected: float) -> None:
    assert expected == pytest.approx(next_delay(0, 30, fraction))
