"""Where observed state is kept, as five verbs: append, read, put status, append log, read log.

Core: the contract and its errors. Law: what `append` has returned for is never lost, and an append names the event it follows,
so that of two writers who decided on the same state one is told (`Conflict`), wherever the events are kept. The store on local
disk is `state_directory.StateDirectory`; another one (etcd, a database) needs these verbs and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from netboot.events import Event


class Unavailable(Exception):
    """The world's fault: nothing was kept, nothing may be acknowledged, trying again later makes sense (HTTP 503)."""


class Conflict(Exception):
    """Somebody appended since `expected`: decide again on the newer state."""


class Corrupt(Exception):
    """What was kept is not what was written. Says where and what a person can do; nothing is repaired by guessing."""


class Misplaced(Exception):
    """A log's next byte is at `size`, not where the writer thought (HTTP 409): go on from there."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the log holds {size} bytes")
        self.size = size


@dataclass(frozen=True, slots=True)
class LogName:
    """One attempt's output. `reset`: how often the task had been restarted after a reset of the machine."""

    run: str
    task: str
    action: str
    attempt: int
    reset: int = 0


class Store(Protocol):
    async def append(self, expected: int | None, events: Sequence[Event]) -> int:
        """Returns the number of the last event once all are durable. `expected`: number of the last event so far, or None
        for whatever it is. Raises Conflict, or Unavailable when none of them is kept."""

    def read(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """(number, event) of every durable event after number `after`. Raises Corrupt."""

    def put_status(self, path: str, document: bytes) -> None:
        """Readers of `path` see the old document or the new one, whole. Raises Unavailable."""

    def append_log(self, log: LogName, offset: int, data: bytes) -> int:
        """Returns the bytes now held. Raises Misplaced when `offset` is not what was held, or Unavailable."""

    def read_log(self, log: LogName, offset: int = 0, size: int = -1) -> bytes:
        """Up to `size` bytes from `offset`; empty when there are none."""


Done = Callable[[Unavailable | None], None]
"""Called once when a submission is durable (None) or is known to be lost (the error)."""
