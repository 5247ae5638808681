"""The story of a boot, and the actions of a run, as bars on a line of time.

Core. The law: a bar is as long as what it shows took, on the one scale of its picture, and what goes on lasts until now. A
phase that has gone on for longer than all before it is drawn no longer than those, for it would hide them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

WIDTH = 1000
"""Of a picture, in its own units."""
LEAST = 3
"""Units of a bar, so that it can be seen."""


FAR_APART = 5
"""Times the longest run, from which on runs are better seen side by side than by the clock."""


@dataclass(frozen=True, slots=True)
class Bar:
    kind: str
    """A phase, or the state of an attempt in lower case."""
    title: str
    began: float
    """Seconds since the epoch."""
    seconds: float
    goes_on: bool
    left: float
    """In units of the picture, as `width` and `expected`."""
    width: float
    expected: float = 0.0
    """How wide it is on most machines like this; 0: not known."""
    usual: Mapping[str, Any] | None = None
    """`median`, `high`: seconds; `of`: how many were looked at."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From one moment to another, in seconds since the epoch."""

    first: float
    last: float

    @property
    def length(self) -> float:
        return self.last - self.first

    def bar(self, kind: str, title: str, told: Mapping[str, Any], now: float) -> Bar:
        """`told`: `began`, `ended` and, maybe, `expected` of a status document."""
        began, ended = instant(told["began"]), told["ended"]
        until = max(instant(ended) if ended else now, began)
        left, usual = self._at(began), told.get("expected")
        width = max(self._at(until) - left, LEAST)
        expected = self._at(began + usual["median"]) - left if usual else 0.0
        return Bar(kind, title, began, until - began, not ended, left, round(width, 1), round(expected, 1), usual)

    def _at(self, moment: float) -> float:
        part = (moment - self.first) / max(self.last - self.first, 0.001)
        return round(min(max(part, 0.0), 1.0) * (WIDTH - LEAST), 1)


def instant(text: str) -> float:
    """Of a status document's time, in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


@dataclass(frozen=True, slots=True)
class Timeline:
    phases: Sequence[Bar]
    parts: Sequence[Bar]
    """Every attempt of an action that was begun in it."""

    @property
    def text(self) -> str:
        """What the picture shows, for who does not see it: a clause."""
        return ", ".join(f"{bar.title} {_about(bar.seconds)}{' so far' if bar.goes_on else ''}" for bar in self.phases)


def timeline(story: Mapping[str, Any], now: float) -> Timeline | None:
    """Of `story` in a machine's status; None: there is nothing to be shown."""
    phases = story["phases"]
    if not phases:
        return None
    scale = _scale_of(phases, now)
    parts = [(f"{part['task']}/{part['action']}", part) for phase in phases for part in phase["parts"]]
    return Timeline(
        tuple(scale.bar(phase["name"], _title(phase), phase, now) for phase in phases),
        tuple(scale.bar(part["state"].lower(), title, part, now) for title, part in parts),
    )


def _title(phase: Mapping[str, Any]) -> str:
    return f"{phase['workflow']} run {phase['run']}" if phase["workflow"] else str(phase["name"])


def _scale_of(phases: Sequence[Mapping[str, Any]], now: float) -> Scale:
    first, last = instant(phases[0]["began"]), phases[-1]
    began = instant(last["began"])
    if last["ended"]:
        return Scale(first, instant(last["ended"]))
    usual = last["expected"]["high"] if last["expected"] else 0.0
    return Scale(first, began + min(max(now - began, usual, 1.0), max(began - first, usual, 10.0)))


def run_bars(run: Mapping[str, Any], scale: Scale, now: float, usual: Mapping[tuple[str, str], Any]) -> list[Bar]:
    """Every attempt of a run's document, action by action. `usual`: task and action → `expected` in a story."""
    return [
        scale.bar(
            attempt["state"].lower(),
            f"{task['name']}/{action['name']}",
            {"began": attempt["started"], "ended": attempt["ended"], "expected": usual.get((task["name"], action["name"]))},
            now,
        )
        for task in run["tasks"]
        for action in task["actions"]
        for attempt in action["attempts"]
    ]


def scale_of_run(run: Mapping[str, Any], now: float, usual: Mapping[tuple[str, str], Any]) -> Scale:
    """With room for as long as what goes on may still take."""
    scale = scale_of_runs([run], now)
    ends = [bar.began + bar.usual["high"] for bar in run_bars(run, scale, now, usual) if bar.goes_on and bar.usual]
    return Scale(scale.first, max(scale.last, *ends)) if ends else scale


def scale_of_runs(runs: Iterable[Mapping[str, Any]], now: float) -> Scale:
    """From the first of their starts to the last of their ends."""
    told = [(instant(run["started"]), instant(run["ended"]) if run["ended"] else now) for run in runs]
    return Scale(min((first for first, _ in told), default=now), max((last for _, last in told), default=now))


@dataclass(frozen=True, slots=True)
class Gantt:
    rows: Sequence[Sequence[Bar]]
    """Of each run, its attempts."""
    scale: Scale
    by_clock: bool
    """All on that scale; else each begins at its own start, and the scale is as long as the longest."""


def gantt(runs: Sequence[Mapping[str, Any] | None], axis: str, now: float) -> Gantt:
    """`axis`: `clock`, `own`, or "" for what shows more: by the clock, unless the runs lie far apart. None: not begun."""
    begun = [run for run in runs if run]
    whole = scale_of_runs(begun, now)
    own = {run["id"]: scale_of_runs([run], now) for run in begun}
    longest = max((each.length for each in own.values()), default=0.0)
    by_clock = axis == "clock" or (axis != "own" and whole.length <= FAR_APART * longest)
    rows = []
    for run in runs:
        first = own[run["id"]].first if run else 0.0
        scale = whole if by_clock else Scale(first, first + longest)
        rows.append(run_bars(run, scale, now, {}) if run else [])
    return Gantt(rows, whole if by_clock else Scale(0.0, longest), by_clock)


def usual_of(story: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """Task and action → how long it takes on machines like this."""
    return {(part["task"], part["action"]): part["expected"] for phase in story["phases"] for part in phase["parts"]}


def _about(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
