"""How long to wait before a repository is asked again.

Core. Pure arithmetic: the caller brings the random fraction and does the waiting.
"""

from __future__ import annotations

SLOWEST = 600.0
"""Seconds no wait is longer than, unless the poll interval itself is."""

_FASTEST = 1.0
_JITTER = 0.2


def next_delay(failures: int, poll: float, random_fraction: float) -> float:
    """Seconds until the next attempt after `failures` failures in a row, with `poll` seconds between successes.

    The first retry comes soon (a second, or the poll interval if that is shorter), each further one twice as late, up to
    the poll interval or ten minutes, whichever is longer. `random_fraction` in [0, 1) spreads the result by a fifth either
    way, so that sites that lost one server do not come back to it all at once.
    """
    if failures <= 0:
        delay = poll
    else:
        first = min(_FASTEST, poll)
        delay = min(first * 2.0 ** min(failures - 1, 64), max(SLOWEST, poll))
    return delay * (1 - _JITTER + 2 * _JITTER * random_fraction)
