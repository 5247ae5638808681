"""The ledger: observed state together with the journal that makes it true.

Shell. Law: observed state changes here and nowhere else. Events are *applied at submission*, so that the next decision sees
them and no run is given out twice, and *answered at commit*, so that nobody is told what a crash could undo. When a write
fails, observed state is folded again from what is durable before any waiter hears of it, and until the disk can be trusted
every submission raises Unavailable with nothing applied. An answer without events waits for the barrier all the same: what it
rests on may have been submitted and not yet committed.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from netboot.events import Event
from netboot.journal import Journal
from netboot.observed import Observed, fold
from netboot.store import Conflict, Corrupt, Done, Unavailable


class Ledger:
    """Decide on `observed`, then `await commit(decision.events)`, then answer. No `await` between deciding and committing."""

    def __init__(self, journal: Journal) -> None:
        """`journal` is not opened yet. Raises Corrupt or OSError."""
        self.observed = Observed()
        self.on_commit: Callable[[Sequence[Event]], None] = lambda events: None
        """Called with events that have become durable; for what is derived from them, as status files."""
        self._journal = journal
        self._stale = False
        with _without_collector():
            journal.open(self.observed.apply)
        journal.on_failure = self._roll_back

    @property
    def failure(self) -> Unavailable | None:
        """Why nothing can be recorded now; None when all is well."""
        return self._journal.failure

    @property
    def position(self) -> int:
        """Number of the last event in `observed`, durable or not yet."""
        return self._journal.last

    def submit(self, events: Sequence[Event], done: Done) -> None:
        """Applies `events` now; `done` is called in the loop once they are durable, or lost. Raises Unavailable."""
        if self._journal.failure:
            raise self._journal.failure
        if self._stale:
            self._roll_back()
        self._apply(events)
        self._journal.submit(events, lambda error: self._committed(events, error, done))

    async def commit(self, events: Sequence[Event] = ()) -> None:
        """Returns when `events`, and everything submitted before, are durable. Raises Unavailable, and then they never were."""
        future: asyncio.Future[Unavailable | None] = asyncio.get_running_loop().create_future()
        self.submit(events, lambda error: None if future.done() else future.set_result(error))
        if error := await future:
            raise error

    async def append(self, expected: int | None, events: Sequence[Event]) -> int:
        """`commit` for a writer elsewhere, who names the event it follows. Raises Conflict too, and then nothing happened."""
        if expected is not None and expected != self._journal.last:
            raise Conflict(f"event {self._journal.last} was appended since event {expected}")
        last = self._journal.last + len(events)
        await self.commit(events)
        return last

    async def close(self) -> None:
        await self._journal.close()

    def _apply(self, events: Sequence[Event]) -> None:
        try:
            for event in events:
                self.observed.apply(event)
        except Exception:  # our own defect: whatever was half applied is in no journal
            self._roll_back()
            raise

    def _committed(self, events: Sequence[Event], error: Unavailable | None, done: Done) -> None:
        if error is None and events:
            self.on_commit(events)
        done(error)

    def _roll_back(self) -> None:
        """Folds again what is durable. If even reading fails, the next submission tries again first."""
        before = self.observed
        try:
            with _without_collector():
                self.observed = fold(event for _, event in self._journal.read())
        except (OSError, Corrupt) as error:
            self._stale = True
            self._journal.failure = self._journal.failure or Unavailable(f"the journal cannot be read: {error}")
            return
        self._stale = False
        self.observed.listening = before.listening
        for boot in before.boots.values():
            self.observed.touch(boot.id, boot.last_seen)
        self.observed.patience = before.patience
        for session in before.sessions.values():
            if kept := self.observed.sessions.get(session.id):
                kept.last_seen = session.last_seen


@contextmanager
def _without_collector() -> Iterator[None]:
    """Folding makes objects that all stay: looking for garbage among them again and again doubles the time to start."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
