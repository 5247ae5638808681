"""How long things take, as histograms: answers of this server, phases of boots, actions and runs.

Core. The laws: what is kept is a handful of numbers for each kind, however much happens, and the kinds are those named here;
and nothing is decided by any of it. It counts from the start of the server, as who scrapes it expects. Times are seconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal, get_args

from netboot.events import ActionEnded, BootAdvanced, BootClosed, Event, RunEnd, RunEnded
from netboot.observed import Observed
from netboot.records import Stage

AnswerKind = Literal["dhcp", "dns", "tftp", "script", "artifact", "agent", "metadata", "reading"]
"""What is answered. Of `tftp` it is a whole transfer, of HTTP until the head of the answer is sent."""
ANSWERS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WORK = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0)
"""Upper bounds of the buckets, inclusive."""
PATHS: dict[str, AnswerKind] = {
    "auto.ipxe": "script",
    "ipxe": "script",
    "grub": "script",
    "pxelinux.cfg": "script",
    "artifacts": "artifact",
    "agent": "agent",
    "latest": "metadata",
    "nocloud": "metadata",
    "metadata": "metadata",
}
"""The first part of a path → what is asked for there; what is not here is read by people, or is another version of metadata."""


def asked_for(path: str) -> AnswerKind:
    first = path.lstrip("/").partition("/")[0]
    return PATHS.get(first, "metadata" if first[:4].isdigit() else "reading")


class Histogram:
    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Of each bucket alone; the last one has no bound."""
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """A clock that was set back is none of its business: less than nothing is nothing."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += max(seconds, 0.0)


class Durations:
    def __init__(self) -> None:
        self.answers: dict[AnswerKind, Histogram] = {}
        self.phases: dict[Stage, Histogram] = {}
        self.actions: dict[str, Histogram] = {}
        """By the state that it ended in, as `runs`."""
        self.runs: dict[RunEnd, Histogram] = {state: Histogram(WORK) for state in get_args(RunEnd)}
        """Each from the start: of a count that begins with 1 Prometheus sees no increase."""

    def answered(self, kind: AnswerKind, seconds: float) -> None:
        self.answers.setdefault(kind, Histogram(ANSWERS)).add(seconds)

    def apply(self, event: Event, observed: Observed) -> None:
        """`event` is among what was observed."""
        match event:
            case BootAdvanced() if boot := observed.boots.get(event.boot):
                came = next((number for number, step in enumerate(boot.way) if step == (event.phase, event.at)), 0)
                if came:
                    self._passed(*boot.way[came - 1], event.at)
            case BootClosed() if (boot := observed.boots.get(event.boot)) and boot.way:
                self._passed(*boot.way[-1], event.at)
            case ActionEnded() if run := observed.runs.get(event.run):
                began = next((each.started for each in reversed(run.attempts) if each.ended == event.at), event.at)
                self.actions.setdefault(event.state, Histogram(WORK)).add(event.at - began)
            case RunEnded() if run := observed.runs.get(event.run):
                self.runs[event.state].add(event.at - run.started)

    def _passed(self, stage: Stage, since: float, until: float) -> None:
        self.phases.setdefault(stage, Histogram(WORK)).add(until - since)
