"""What is known about one boot, one attempt of an action, and one run.

Core. Law: these records hold what the journal's events said and nothing that could not be folded from them again, telemetry
(`last_seen`) apart. Only `observed.Observed` changes them; for everybody else they are for reading. Times are seconds since the
epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from agent.workflow import Workflow
from netboot.events import (
    ActionEnded,
    ActionStarted,
    ActionState,
    OnFailure,
    Phase,
    Repeat,
    RunEnded,
    RunEvent,
    RunState,
    RunTakenOver,
    TaskInterrupted,
    TaskRestarted,
    Trying,
    Via,
)

Stage: TypeAlias = Phase | Literal["restart"]
"""`restart`: its work is done, it was told to restart, and has not been heard of since."""
Way: TypeAlias = tuple[tuple[Stage, float], ...]
"""Stages in the order in which a boot came to them, each with when."""
MOST_STAGES = 32
KEPT_BOOTS = 10
"""The last ones of each machine are those whose consoles are kept."""


@dataclass(frozen=True, slots=True)
class PastBoot:
    """What is still known of a boot when another one of the machine has begun."""

    id: str
    plan: str
    opened: float
    closed: float
    phase: Phase
    reason: str
    """Why it closed."""
    profile: str
    way: Way


@dataclass(slots=True)
class BootStatus:
    """One boot of one machine. Times are seconds since the epoch."""

    id: str
    machine: str
    macs: tuple[str, ...]
    mac: str
    plan: str
    via: Via
    opened: float
    phase: Phase
    reason: str = ""
    """Why the phase is what it is, or why the boot closed."""
    client: dict[str, str] = field(default_factory=dict)
    phases: dict[Phase, float] = field(default_factory=dict)
    """When each phase was reached, for those that were."""
    way: Way = ()
    """Every stage in the order in which it came to them, with when; the last `MOST_STAGES`. A boot that goes on with the same
    id after a restart has also those before it; one that waited in `script` comes to it again when it is handed a profile."""
    profile: str = ""
    """Name of the profile that the machine was handed last; work of another one is not for the system it runs."""
    closed: float | None = None
    returns: int = 0
    """How many boots in a row, this one included, began soon after the machine was handed over to its disk."""
    earlier: tuple[PastBoot, ...] = ()
    """The machine's boots before this one, the newest first: those whose consoles are kept."""
    trying: Trying | None = None
    """The try that this boot is; None: it boots what everybody is served."""
    last_seen: float = field(default=0.0, compare=False)
    """Telemetry, not journalled: no part of equality."""

    def come_to(self, phase: Phase, at: float, profile: str) -> None:
        self.phase = phase
        self.phases.setdefault(phase, at)
        last, since = self.way[-1] if self.way else (phase, at)
        waited = bool(profile) and not self.profile and at > since  # what it was handed now begins, not its waiting for it
        if last != phase or waited:
            self.way = (*self.way, (phase, at))[-MOST_STAGES:]
        self.profile = profile or self.profile

    def past(self) -> PastBoot:
        closed = self.opened if self.closed is None else self.closed
        return PastBoot(self.id, self.plan, self.opened, closed, self.phase, self.reason, self.profile, self.way)

    @property
    def rehearses(self) -> bool:
        return self.trying is not None and self.trying.rehearse


@dataclass(slots=True)
class SessionStatus:
    """Who speaks for a machine: one start of its OS, in one boot."""

    id: str
    boot: str
    system: str
    machine: str
    macs: tuple[str, ...]
    opened: float
    over: bool = False
    """Its boot has closed, though a boot with the same id may have opened since. Its agent may still say what it has to."""
    last_seen: float = field(default=0.0, compare=False)
    """When it last signed a request. Telemetry, as that of a boot."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Somebody else came with a good token while a session lived. Telemetry."""

    session: str
    """The one that lived."""
    peer: str
    """Where the last one asked from."""
    since: float
    last: float
    times: int


@dataclass(slots=True)
class ActionStatus:
    """One attempt of one action. `reset` counts the task's restarts before it; 0 is the first time through."""

    task: str
    action: str
    attempt: int
    reset: int
    started: float
    state: ActionState = "RUNNING"
    ended: float | None = None
    exit_code: int | None = None
    reason: str = ""


@dataclass(slots=True)
class RunStatus:
    """One run of one workflow on one machine. It belongs to the boot (and OS start, `system`) that claimed it last."""

    id: str
    workflow: str
    machine: str
    macs: tuple[str, ...]
    number: int
    boot: str
    system: str
    plan: str
    document: Workflow
    resets: int
    repeat: Repeat
    started: float
    machine_document: Mapping[str, Any]
    """What its agent was told about the machine when it began."""
    boot_scope: str
    """Part of the identity: the id of the boot that started an `everyBoot` run; empty for `once`."""
    part: int = 0
    """Part of the identity: which part of a workflow that several machines carry out."""
    on_failure: OnFailure = "rescue"
    """What its machine does when it ends in anything but SUCCESS."""
    retry: int = 0
    """How many further tries there are when it fails."""
    number_of_try: int = 1
    tried_again: str = ""
    """Id of the run that is the next try; "": none yet."""
    state: RunState = "RUNNING"
    reason: str = ""
    ended: float | None = None
    sequence: int = 0
    """Number of the agent's last accepted report."""
    reports: list[ActionStarted | ActionEnded | RunEnded] = field(default_factory=list)
    """The accepted reports in order: report n is `reports[n - 1]`."""
    attempts: list[ActionStatus] = field(default_factory=list)
    """Every attempt ever started, in order."""
    restarts: dict[str, int] = field(default_factory=dict)
    """Task name → how often it was restarted after a reset."""

    @property
    def active(self) -> bool:
        return self.state == "RUNNING"

    @property
    def may_be_tried_again(self) -> bool:
        return self.state in ("FAILED", "TIMEOUT") and not self.tried_again and self.number_of_try <= self.retry

    @property
    def in_flight(self) -> ActionStatus | None:
        """The attempt whose start was accepted and whose end was not: at most one."""
        return self.attempts[-1] if self.attempts and self.attempts[-1].state == "RUNNING" else None

    def current(self, task: str) -> list[ActionStatus]:
        """The attempts of `task` since it was last restarted."""
        reset = self.restarts.get(task, 0)
        return [attempt for attempt in self.attempts if attempt.task == task and attempt.reset == reset]

    def done(self) -> list[tuple[str, str]]:
        """(task, action) of what succeeded and need not be done again, in order."""
        return [(a.task, a.action) for a in self.attempts if a.state == "SUCCESS" and a.reset == self.restarts.get(a.task, 0)]


def apply_run(run: RunStatus, event: RunEvent) -> None:
    """What a run in progress has become with `event`. For `observed.Observed` alone."""
    match event:
        case ActionStarted():
            reset = run.restarts.get(event.task, 0)
            run.attempts.append(ActionStatus(event.task, event.action, event.attempt, reset, event.at))
            _reported(run, event)
        case ActionEnded():
            if attempt := run.in_flight:
                attempt.state, attempt.ended = event.state, event.at
                attempt.exit_code, attempt.reason = event.exit_code, event.reason
            _reported(run, event)
        case TaskInterrupted():
            _interrupt(run, event.at, event.reason)
        case TaskRestarted():
            run.restarts[event.task] = event.reset
            run.boot, run.system = event.boot, event.system
        case RunTakenOver():
            run.boot, run.system = event.boot, event.system
        case RunEnded():
            _interrupt(run, event.at, event.reason)
            run.state, run.ended, run.reason = event.state, event.at, event.reason
            if event.sequence:
                _reported(run, event)


def _reported(run: RunStatus, event: ActionStarted | ActionEnded | RunEnded) -> None:
    run.sequence = event.sequence
    run.reports.append(event)


def _interrupt(run: RunStatus, at: float, reason: str) -> None:
    if attempt := run.in_flight:
        attempt.state, attempt.ended, attempt.reason = "INTERRUPTED", at, reason
