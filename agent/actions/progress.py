"""How far a long copy is, in few lines: a log of thousands of lines hides the one that matters.

Core, handed `now`. Law: at most one line in `interval` seconds, and one at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MB = 1 << 20


@dataclass(slots=True)
class Progress:
    name: str
    total: int = 0
    """Bytes; 0: nobody knows."""
    interval: float = 10.0
    """Seconds."""
    _told: float | None = field(default=None, init=False)

    def line(self, done: int, now: float) -> str:
        """After `done` bytes in all; "" when it is too early for another line."""
        if self._told is None:
            self._told = now
        if now - self._told < self.interval:
            return ""
        self._told = now
        return self.last(done)

    def last(self, done: int) -> str:
        of = f" of {-(-self.total // MB)}" if self.total else ""
        return f"{self.name}: {-(-done // MB)}{of} MB"
