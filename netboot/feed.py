"""The feed: which status documents changed, in order, for whoever listens.

Core. The law: a listener that says what it heard last is told all that came since, once, or that some of it is gone. However
many listen and however slow they are, what is kept is the same few thousand notices: each asks for what it lacks when it can
take it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

MOST = 4096
"""Notices that are kept."""


@dataclass(frozen=True, slots=True)
class News:
    """All that a listener lacks. `last` is what it says the next time."""

    paths: tuple[str, ...]
    """Each once, the one that changed first first."""
    last: int
    gap: bool = False
    """Something before it is gone, or was never here: everything may have changed."""


class Feed:
    """Numbers its notices from 1; `epoch` tells them from those of the server's last start."""

    def __init__(self, epoch: str, most: int = MOST) -> None:
        self.epoch = epoch
        self.last = 0
        self.listeners = 0
        self._notices: deque[tuple[int, str]] = deque(maxlen=most)
        self._waiting: dict[object, Callable[[], None]] = {}

    def add(self, paths: Iterable[str]) -> None:
        """Wakes whoever waits, once: who still takes in what was before costs nothing."""
        before = self.last
        for path in paths:
            self.last += 1
            self._notices.append((self.last, path))
        if self.last != before:
            waiting, self._waiting = self._waiting, {}
            for wake in waiting.values():
                wake()

    def since(self, last: int) -> News | None:
        """None: there is nothing new. O(what is new)."""
        if last == self.last:
            return None
        oldest = self._notices[0][0] if self._notices else self.last + 1
        gap = last > self.last or last < oldest - 1
        new = [] if gap else self._newer(last)
        return News(tuple(dict.fromkeys(reversed(new))), self.last, gap)

    def _newer(self, last: int) -> list[str]:
        """The newest first."""
        found = []
        for number, path in reversed(self._notices):
            if number <= last:
                break
            found.append(path)
        return found

    def wait(self, listener: object, wake: Callable[[], None]) -> None:
        """The next `add` calls `wake`, unless the listener leaves before."""
        self._waiting[listener] = wake

    def leave(self, listener: object) -> None:
        self._waiting.pop(listener, None)
