"""How often things happen now: the counts of a minute ago beside those of this moment.

Core. The law: so many samples are kept as a minute has, whatever happens and however often it is asked to look.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

SPAN, EVERY = 60.0, 5.0
"""Seconds that are looked back over, and between two samples."""

Key = tuple[str, str]
Counts = Mapping[Key, int]
"""Kind and outcome → how often since the start."""


class Pace:
    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[Key, int]]] = deque()

    def look(self, counts: Counts, now: float) -> None:
        """`now` never goes back."""
        if self._samples and now < self._samples[-1][0] + EVERY:
            return
        self._samples.append((now, dict(counts)))
        while len(self._samples) > 1 and self._samples[1][0] <= now - SPAN:
            self._samples.popleft()

    def rates(self, counts: Counts, now: float) -> dict[Key, float]:
        """Of each count, how much it grows in a second; nothing before there is anything to compare to."""
        if not self._samples or now <= self._samples[0][0]:
            return {}
        at, before = self._samples[0]
        return {key: (count - before.get(key, 0)) / (now - at) for key, count in counts.items()}
