"""How long each phase and each action takes on machines like this one, as it did lately.

Core. The law: nothing is decided by it, and it is no truth of its own: it is learned from what is observed at start and from
each event afterwards, and of no phase or action are more than the last `MOST_VALUES` kept. Learned is only what went well; a
machine that waits for work, or that failed, says nothing of how long anything takes. Times are seconds.

Alike are machines of one model, as their own inventories have it; a model that is not known, or of which little is, is judged
by all machines together, and then nothing is overdue sooner for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import NamedTuple, TypeAlias

from netboot.events import ActionEnded, BootAdvanced, BootOpened, Event, RunEnded
from netboot.observed import Observed
from netboot.records import ActionStatus, BootStatus, RunStatus, Stage

MOST_VALUES = 64
MOST_KEYS = 4096
MOST_LEARNED_AT_START = 5000
"""Boots and runs, the newest."""
ENOUGH = 5
"""Values from which on a model is judged by itself, and a deadline by what was learned."""
LEAST = 60.0
"""Seconds within which nothing is overdue by what was learned."""
LONGEST = 3600.0
"""Seconds: a phase that took longer was waited in, as by a machine that was told to restart and was off for days."""
ONWARD: Mapping[Stage, tuple[Stage, ...]] = {
    "firmware": ("ipxe", "script", "disk"),
    "ipxe": ("script", "disk"),
    "script": ("kernel", "agent"),
    "kernel": ("agent",),
    "restart": ("firmware", "ipxe", "script"),
}
"""What a phase that went well leads to. How long an agent waits for work says nothing."""

Key: TypeAlias = tuple[str, ...]


class Expected(NamedTuple):
    median: float
    high: float
    """What nine of ten do not exceed."""
    of: int
    """How many were looked at."""
    own: bool = False
    """All of them of the machine's own model."""


def patience(expected: Expected | None, otherwise: float | None) -> float | None:
    """Seconds after which it is overdue: `otherwise`, until enough is known; never sooner by what others take that may be quite
    unlike it. None: never.
    """
    if expected is None or expected.of < ENOUGH:
        return otherwise
    usual = max(LEAST, 2 * expected.high)
    if expected.own:
        return usual
    return None if otherwise is None else max(otherwise, usual)


class Expectations:
    def __init__(self, model_of: Callable[[str], str] = lambda machine: "") -> None:
        """`model_of`: what a machine, by name, is; "": not known."""
        self._model_of = model_of
        self._values: dict[Key, deque[float]] = {}
        """The one learned last at the end."""
        self._known: dict[Key, Expected] = {}
        """What was worked out of `_values` since it changed."""

    # Questions

    def of_stage(self, machine: str, stage: Stage, profile: str = "") -> Expected | None:
        """`profile`: that was booted."""
        return self._of(machine, _of_stage(stage, profile))

    def of_action(self, run: RunStatus, attempt: ActionStatus) -> Expected | None:
        return self._of(run.machine, _of_action(run, attempt))

    def of_run(self, run: RunStatus) -> Expected | None:
        return self._of(run.machine, ("run", run.workflow))

    def _of(self, machine: str, key: Key) -> Expected | None:
        model = self._model_of(machine)
        own = self._quantiles((*key, model)) if model else None
        return own._replace(own=True) if own and own.of >= ENOUGH else self._quantiles(key)

    def _quantiles(self, key: Key) -> Expected | None:
        if key not in self._known and (values := sorted(self._values.get(key, ()))):
            many = len(values)
            median, high = values[(many - 1) // 2], values[-(-many * 9 // 10) - 1]
            self._known[key] = Expected(round(median, 3), round(high, 3), many)
        return self._known.get(key)

    # Learning

    def learn_all(self, observed: Observed) -> None:
        """From what there is at start, the oldest first."""
        for boot in reversed(list(islice(reversed(observed.boots.values()), MOST_LEARNED_AT_START))):
            for past in reversed(boot.earlier):
                self._learn_way(boot.machine, past.profile, past.way)
            self._learn_way(boot.machine, boot.profile, boot.way)
        for run in reversed(list(islice(reversed(observed.runs.values()), MOST_LEARNED_AT_START))):
            for attempt in run.attempts:
                self._learn_action(run, attempt)
            self._learn_run(run)

    def apply(self, event: Event, observed: Observed) -> None:
        """`event` is among what was observed."""
        match event:
            case BootOpened() if boot := observed.boots.get(event.boot):
                self._learn_last(boot, "firmware" if event.via == "dhcp" else "script", event.at)
            case BootAdvanced() if boot := observed.boots.get(event.boot):
                self._learn_last(boot, event.phase, event.at)
            case ActionEnded() if run := observed.runs.get(event.run):
                for attempt in reversed(run.attempts):
                    if attempt.ended == event.at:
                        self._learn_action(run, attempt)
                        break
            case RunEnded() if run := observed.runs.get(event.run):
                self._learn_run(run)

    def _learn_last(self, boot: BootStatus, stage: Stage, at: float) -> None:
        """What led to this stage; more may have happened since."""
        if (stage, at) in boot.way:
            came = boot.way.index((stage, at))
            self._learn_way(boot.machine, boot.profile, boot.way[max(came - 1, 0) : came + 1])

    def _learn_way(self, machine: str, profile: str, way: Sequence[tuple[Stage, float]]) -> None:
        for (stage, since), (following, until) in pairwise(way):
            if following in ONWARD.get(stage, ()) and until - since <= LONGEST:
                self._learn(machine, _of_stage(stage, profile), until - since)

    def _learn_action(self, run: RunStatus, attempt: ActionStatus) -> None:
        if attempt.state == "SUCCESS" and attempt.ended is not None:
            self._learn(run.machine, _of_action(run, attempt), attempt.ended - attempt.started)

    def _learn_run(self, run: RunStatus) -> None:
        if run.state == "SUCCESS" and run.ended is not None and not run.restarts:
            self._learn(run.machine, ("run", run.workflow), run.ended - run.started)

    def _learn(self, machine: str, key: Key, seconds: float) -> None:
        if seconds <= 0:  # an iPXE that was there from the beginning; a clock that was set back
            return
        for each in _keys(key, self._model_of(machine)):
            values = self._values.pop(each, None) or deque(maxlen=MOST_VALUES)
            values.append(seconds)
            self._values[each] = values
            self._known.pop(each, None)
        while len(self._values) > MOST_KEYS:
            oldest = next(iter(self._values))
            del self._values[oldest]
            self._known.pop(oldest, None)


def _keys(key: Key, model: str) -> Iterator[Key]:
    yield key
    if model:
        yield (*key, model)


def _of_stage(stage: Stage, profile: str) -> Key:
    """A kernel and its system take as long as they are large."""
    return ("phase", stage, profile) if stage in ("script", "kernel") else ("phase", stage)


def _of_action(run: RunStatus, attempt: ActionStatus) -> Key:
    """One image does what it is told: what it writes in another workflow may be a hundred times as large."""
    image = next((action.image for task in run.document.tasks if task.name == attempt.task
                  for action in task.actions if action.name == attempt.action), "")  # fmt: skip
    return "action", run.workflow, attempt.task, attempt.action, image
