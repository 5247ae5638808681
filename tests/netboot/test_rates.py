"""Token buckets: what a peer may at once and later, and how much is remembered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.rates import Rates


def test_a_burst_is_free_and_then_it_is_one_at_a_time() -> None:
    rates = Rates(rate=2, burst=3)
    assert [0, 0, 0, 0.5] == [rates.wait("a", 100) for _ in range(4)]
    assert 0.25 == pytest.approx(rates.wait("a", 100.25))
    assert 0 == rates.wait("a", 100.5)
    assert 0 < rates.wait("a", 100.5)


def test_what_costs_more_takes_more_of_the_share() -> None:
    rates = Rates(rate=2, burst=10)
    assert [0, 1.5, 0] == [rates.wait("a", 100, cost) for cost in (8, 5, 2)]
    assert 0 == rates.wait("a", 105, 10)


def test_who_waits_long_has_a_whole_burst_again_and_no_more() -> None:
    rates = Rates(rate=2, burst=3)
    for _ in range(3):
        rates.wait("a", 100)
    assert [0, 0, 0] == [rates.wait("a", 1000) for _ in range(3)]
    assert 0 < rates.wait("a", 1000)


def test_one_peer_does_not_pay_for_another() -> None:
    rates = Rates(rate=1, burst=1)
    assert [0, 0] == [rates.wait("a", 1), rates.wait("b", 1)]
    assert 0 < rates.wait("a", 1)


def test_a_refusal_costs_nothing() -> None:
    rates = Rates(rate=1, burst=1)
    rates.wait("a", 1)
    for _ in range(1000):
        rates.wait("a", 1.5)
    assert 0 == rates.wait("a", 2)


def test_a_million_peers_are_not_remembered_and_who_asked_last_is() -> None:
    rates = Rates(rate=1, burst=1, most=100)
    for number in range(10_000):
        rates.wait(str(number), 1)
    assert 100 == len(rates)
    assert 0 < rates.wait("9999", 1)
    assert 0 == rates.wait("0", 1)


@given(st.integers(1, 20), st.floats(0.1, 100), st.lists(st.floats(0, 5), max_size=200))
def test_in_any_span_nobody_gets_more_than_a_burst_and_the_rate(burst: int, rate: float, pauses: list[float]) -> None:
    rates, now, taken = Rates(rate, burst), 0.0, list[float]()
    for pause in pauses:
        now += pause
        if not rates.wait("a", now):
            taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + (taken[last] - taken[first]) * rate + 1e-6
