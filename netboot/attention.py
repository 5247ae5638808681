"""Since when the server has listened without a break.

Core. Law: silence counts only while somebody listens. A server that was down, was stopped, slept with its host, or had its
clock put on has heard nothing of agents that were at work all the while: it first listens, and only then says who is gone.
"""

from __future__ import annotations

from dataclasses import dataclass

BREAK = 5.0
"""Seconds without a look, or between the two clocks, that are a break. A server that runs looks a few times a second."""


@dataclass(slots=True)
class Attention:
    """`look` at every decision."""

    since: float
    """Seconds since the epoch."""
    wall: float
    steady: float
    """Both clocks at the last look."""

    def look(self, wall: float, steady: float) -> float:
        """`since`, at these times of the epoch's clock and of one that is never put on. A clock put back leaves no break:
        then everybody has been heard of in the future."""
        passed = steady - self.steady
        if passed > BREAK or wall - self.wall > passed + BREAK:
            self.since = wall
        self.since = min(self.since, wall)
        self.wall, self.steady = wall, steady
        return self.since
