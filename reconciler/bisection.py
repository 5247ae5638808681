"""Bisection: the first of a row of commits that is other than those before it.

Core. The law: what is found is other, and the one before it is not, whatever the rest of the row is like.
"""

from __future__ import annotations

from collections.abc import Callable


def first_other(count: int, is_other: Callable[[int], bool]) -> int:
    """Of `count` things, of which the first is not other and the last is, the index of one that is and comes after one that
    is not. Asks about log2(count) of them.
    """
    same, other = 0, count - 1
    while other - same > 1:
        middle = (same + other) // 2
        if is_other(middle):
            other = middle
        else:
            same = middle
    return other
