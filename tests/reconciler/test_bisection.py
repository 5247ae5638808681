"""Bisection finds a thing that is other after one that is not, in few looks."""

from __future__ import annotations

from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from reconciler.bisection import first_other


@given(st.lists(st.booleans(), max_size=200))
def test_what_is_found_is_other_and_the_one_before_it_is_not(middle: list[bool]) -> None:
    row = [False, *middle, True]
    looks: list[int] = []

    def is_other(index: int) -> bool:
        looks.append(index)
        return row[index]

    found = first_other(len(row), is_other)
    assert (False, True) == (row[found - 1], row[found])
    assert len(looks) <= ceil(log2(len(row)))
    assert len(looks) == len(set(looks))


@given(st.integers(1, 500), st.data())
def test_where_everything_after_one_is_other_it_is_that_one(count: int, data: st.DataObject) -> None:
    culprit = data.draw(st.integers(1, count))
    assert culprit == first_other(count + 1, lambda index: index >= culprit)
