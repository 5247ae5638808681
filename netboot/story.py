"""The story of one machine: where its boot is on its way from firmware to disk, what is expected next, and until when.

Core. The law: it is told from the journal alone, so that it is the same after a restart, and it knows no "now": a phase that
goes on has no end, and whoever reads it sees by `Next.by` whether it takes too long. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, NamedTuple

from netboot.endings import END_OF_WORK, FELL_SILENT, LOST
from netboot.expectations import Expectations, Expected, patience
from netboot.observed import Observed
from netboot.records import MOST_STAGES, ActionStatus, BootStatus, PastBoot, RunStatus, Stage
from netboot.run_documents import Document, rfc3339, time_of
from netboot.status_documents import EXPECTED, DesiredHardware

PhaseName = Stage | Literal["actions"]
NAMES: tuple[PhaseName, ...] = ("firmware", "ipxe", "script", "kernel", "agent", "actions", "restart", "disk")
"""In the order in which a boot mostly goes through them. `actions`: one run; `script`: it was given, and nothing loaded yet."""
PATIENCE: Mapping[PhaseName, float] = {"firmware": 90.0, "ipxe": 90.0, "script": 180.0, "kernel": 300.0, "restart": 900.0}
"""Seconds of silence in which a machine ought to come further, while nothing is known of others like it."""
OVERDUE = 60.0
"""Seconds that an agent has, beyond an action's time limit, to say that it stopped it."""
NOTHING_KNOWN = Expectations()


@dataclass(frozen=True, slots=True)
class Part:
    attempt: ActionStatus
    expected: Expected | None


@dataclass(frozen=True, slots=True)
class Phase:
    name: PhaseName
    since: float
    until: float | None
    """None: it goes on."""
    what: str = ""
    """Why it is in this phase, for the last one; of `actions` the run."""
    expected: Expected | None = None
    run: RunStatus | None = None
    parts: tuple[Part, ...] = ()
    """Of `actions`: every attempt, in order."""


@dataclass(frozen=True, slots=True)
class Next:
    what: str
    """What is expected, as a clause: `iPXE fetches the boot script`."""
    by: float | None
    """When that is overdue; None: nobody waits for it."""
    why: str
    """Why it is this that is expected."""


@dataclass(frozen=True, slots=True)
class Story:
    boot: BootStatus | None
    phases: tuple[Phase, ...]
    next: Next


def story_of(
    machine: DesiredHardware, observed: Observed, due: float = 0.0, expectations: Expectations = NOTHING_KNOWN
) -> Story:
    """Of the machine's last boot. `due`: since when what git asks for is served; 0: not known. O(its runs)."""
    boot = observed.last_boot_of(machine.name)
    if boot is None:
        return Story(None, (), _coming(machine, "it has never been seen", _by(machine, None, observed, due, expectations)))
    phases = phases_of(boot, boot.machine, observed.runs_of(boot.machine, boot.macs), expectations)
    if boot.closed is None:
        return Story(boot, phases, _awaited(machine, boot, phases[-1], observed, expectations))
    by = _by(machine, boot, observed, due, expectations)
    if phases[-1].name == "restart" and boot.closed >= due and machine.step.action == "run":
        return Story(boot, phases, Next("its firmware asks for an address", by, f"it was told to restart: {boot.reason}"))
    return Story(boot, phases, _coming(machine, boot.reason, by))


def phases_of(boot: BootStatus | PastBoot, machine: str, runs: Iterable[RunStatus], known: Expectations) -> tuple[Phase, ...]:
    """Of `machine` and its `runs`, of which there may be those of other boots."""
    mine = [run for run in runs if run.boot == boot.id]
    if len(boot.way) == MOST_STAGES:  # what came before is gone, and its runs with it
        mine = [run for run in mine if run.ended is None or run.ended >= boot.way[0][1]]
    return tuple(_phases(boot, machine, mine, known))


class _Mark(NamedTuple):
    """That a phase began: in which stage of the boot's way, when, and its rank among those of one instant."""

    stage: int
    at: float
    rank: int
    name: PhaseName
    run: RunStatus | None


def _phases(boot: BootStatus | PastBoot, machine: str, runs: Sequence[RunStatus], known: Expectations) -> Iterator[Phase]:
    """Each lasts until the next."""
    marks = sorted(_marks(boot, runs), key=lambda mark: mark[:3])
    times = list(accumulate((mark.at for mark in marks), max))  # the clock may have been set back
    ends = [*times[1:], None if _restarts(boot) else boot.closed]
    for mark, since, until in zip(marks, times, ends, strict=True):
        if mark.name != "actions":
            why = boot.reason if mark is marks[-1] else ""
            yield Phase(mark.name, since, until, why, known.of_stage(machine, mark.name, boot.profile))
        elif (run := mark.run) is not None:
            said = f"workflow {run.workflow} run {run.number}: {run.state}{f' ({run.reason})' if run.reason else ''}"
            here = (each for each in run.attempts if mark.at == run.started or each.started >= mark.at)
            parts = tuple(Part(each, known.of_action(run, each)) for each in here)
            yield Phase(mark.name, since, until, said, known.of_run(run), run, parts)


def _marks(boot: BootStatus | PastBoot, runs: Sequence[RunStatus]) -> Iterator[_Mark]:
    """In no order. A run belongs to the last time that an agent was there before it."""
    agents = [(index, at) for index, (stage, at) in enumerate(boot.way) if stage == "agent"] or [(0, boot.way[0][1])]
    for index, (stage, at) in enumerate(boot.way):
        yield _Mark(index, at, 0, stage, None)
    for run in runs:
        index, at = next((each for each in reversed(agents) if each[1] <= run.started), agents[0])
        yield _Mark(index, max(run.started, at), 1, "actions", run)
        if run.ended is not None:
            yield _Mark(index, max(run.ended, run.started, at), 2, "agent", None)
    if _restarts(boot) and boot.closed is not None:
        yield _Mark(len(boot.way), boot.closed, 0, "restart", None)


def _restarts(boot: BootStatus | PastBoot) -> bool:
    """It was told to, and has not come back; it would go on with this boot."""
    return isinstance(boot, BootStatus) and boot.closed is not None and boot.reason.startswith(END_OF_WORK)


def _awaited(machine: DesiredHardware, boot: BootStatus, now_in: Phase, observed: Observed, known: Expectations) -> Next:
    """Of an open boot."""
    heard = max(boot.last_seen, observed.listening)
    given_up = heard + machine.boot_timeout
    if now_in.run is not None:
        return _of_run(now_in.run, heard, known)
    if boot.phase in ("script", "kernel") and not boot.profile:  # nothing of ours for it to come to
        return Next("it asks for its script again", given_up, boot.reason)
    seconds = patience(now_in.expected, PATIENCE.get(boot.phase))
    by = given_up if seconds is None else min(given_up, heard + seconds)
    if machine.pending_timeout and boot.phase != "agent":
        by = min(by, boot.opened + machine.pending_timeout)
    return Next(EXPECTED[boot.phase], by, boot.reason)


def _of_run(run: RunStatus, heard: float, known: Expectations) -> Next:
    flying, what = run.in_flight, f"workflow {run.workflow} run {run.number}"
    if flying is None:
        return Next("its agent begins the next action, or ends the run", heard + LOST, f"{what} is between two actions")
    named = f"{flying.task}/{flying.action}"
    tries = f", try {flying.attempt}" if flying.attempt > 1 else ""
    return Next(f"{named} ends", action_due(run, known), f"{what} is at {named}{tries}")


def action_due(run: RunStatus, known: Expectations) -> float | None:
    """When the action that is in flight ought to have ended; None: there is none, or it may take for ever."""
    flying = run.in_flight
    if flying is None:
        return None
    limit = limit_of(run, flying)
    seconds = patience(known.of_action(run, flying), limit + OVERDUE if limit else None)
    return None if seconds is None else flying.started + (min(seconds, limit + OVERDUE) if limit else seconds)


def limit_of(run: RunStatus, attempt: ActionStatus) -> int:
    """Seconds that the workflow gives an action; 0: no limit, as for what is called after a failure."""
    actions = (action for task in run.document.tasks if task.name == attempt.task for action in task.actions)
    return next((action.timeout for action in actions if action.name == attempt.action), 0)


def absence(last: BootStatus | None, due: float, boot_timeout: float, known: Expectations) -> tuple[float, float]:
    """Since when a machine with work, whose `last` boot is over, is waited for, and for how many seconds.

    One that fell silent was waited for before its boot was taken to be over, and is overdue at once.
    """
    if last is None or last.closed is None or last.closed < due:
        return due, boot_timeout
    if last.reason.startswith(END_OF_WORK):
        return last.closed, patience(known.of_stage(last.machine, "restart"), PATIENCE["restart"]) or boot_timeout
    return last.closed, 0.0 if last.reason.startswith(FELL_SILENT) else boot_timeout


def _by(machine: DesiredHardware, last: BootStatus | None, observed: Observed, due: float, known: Expectations) -> float | None:
    """When a machine that does not boot ought to have come for its work."""
    since, seconds = absence(last, due, machine.boot_timeout, known)
    restarts = last is not None and last.reason.startswith(END_OF_WORK)
    return max(since, observed.listening) + seconds if due or restarts else None


def _coming(machine: DesiredHardware, why: str, by: float | None) -> Next:
    """Of a machine that does not boot. Nobody here powers it on."""
    if machine.step.action == "run":
        return Next(f"it boots from the network: {machine.next}", by, why)
    return Next(f"nothing; if it boots from the network: {machine.next}", None, why)


def stories_path(name: str) -> str:
    """Where all that is known of its last boots is."""
    return f"stories/{name}.json"


def story_document(name: str, story: Story) -> Document:
    """`story` in a machine's status: `schemas/status-hardware.json`."""
    return {
        "document": f"/status/{stories_path(name)}",
        "boot": story.boot.id if story.boot else None,
        "phases": [phase_document(phase) for phase in story.phases],
        "next": {"what": story.next.what, "by": time_of(story.next.by), "why": story.next.why},
    }


def phase_document(phase: Phase) -> Document:
    run = phase.run
    return {
        "name": phase.name,
        **_span(phase.since, phase.until, phase.expected),
        "what": phase.what,
        "workflow": run.workflow if run else None,
        "run": run.number if run else None,
        "state": run.state if run else None,
        "parts": [_part(part) for part in phase.parts],
    }


def _part(part: Part) -> Document:
    said = part.attempt
    told: dict[str, Any] = {"task": said.task, "action": said.action, "attempt": said.attempt, "reset": said.reset}
    return {**told, "state": said.state, **_span(said.started, said.ended, part.expected), "reason": said.reason}


def _span(since: float, until: float | None, expected: Expected | None) -> Document:
    return {
        "began": rfc3339(since),
        "ended": time_of(until),
        "seconds": None if until is None else round(max(until - since, 0.0), 3),
        "expected": {"median": expected.median, "high": expected.high, "of": expected.of} if expected else None,
    }
