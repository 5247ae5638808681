"""Decisions about runs: who may work on what, and which reports count.

Core. Law: a decision is a value with a reason and the events that make it true; it changes nothing itself. The caller journals
`events` and answers only after they are durable (also when there are none: `Ledger.commit` is the barrier), so a start is on
disk before it is executed and an answer never rests on what could be lost. docs/decisions/0002-runs-and-journal.md has the
semantics in prose.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from agent.workflow import Then, from_json, to_json
from netboot.endings import afterwards, boot_ends, last_ended
from netboot.events import (
    ActionEnded,
    BootAdvanced,
    Event,
    RunEnded,
    RunStarted,
    RunTakenOver,
    TaskInterrupted,
    TaskRestarted,
)
from netboot.observed import Observed
from netboot.records import ActionStatus, BootStatus, RunStatus
from netboot.reports import Report, Started, anything_left, ended, objection, to_event, unfinished_task, verdict
from netboot.work import Work, readiness

NO_DOCUMENT: Mapping[str, Any] = MappingProxyType({})
NEW_STATE = "this state directory is new and knows no history: `gitboot init STATE` says that this is a new site"


@dataclass(frozen=True, slots=True)
class Claimed:
    """`answer` is the `run` of the answer to POST /agent/claim; it is true once `events` are journalled."""

    run: str
    events: tuple[Event, ...]
    answer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Nothing:
    """No work for this boot: journal `events`, then tell the agent `then` and why."""

    reason: str
    then: Then
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """This very report was accepted before: accept it again, without effect, once all that was journalled is durable."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Refused:
    """`sequence` is the run's last accepted report (0 for an unknown run)."""

    status: Literal[404, 409, 410]
    error: str
    sequence: int = 0


def claim(
    observed: Observed,
    boot_id: str,
    system: str,
    now: float,
    work: Work | None,
    *,
    run_id: str,
    machine: Mapping[str, Any] = NO_DOCUMENT,
    hold: str = "",
    stays: bool = False,
    news: str = "",
) -> Claimed | Nothing:
    """An agent asks for work.

    `work` is what the boot's plan asks for next (`boot.next_step`), `run_id` the id that a new run would get, `machine` the
    machine document that it would keep to, `hold` a sentence why no new run may start now (frozen, suspended). `stays`: the
    system that runs is what the machine idles in, so a restart would lead to it again. `news`: why a machine that waits should
    restart all the same, or "".
    """
    boot = observed.boots.get(boot_id)
    if boot is None:
        return Nothing(f"boot {boot_id} is not known here", "reboot")
    decision = _Claim(observed, boot, system, now, work, run_id, machine, hold, stays, news).decide()
    if boot.closed is not None or boot.phase == "agent":
        return decision
    advanced = BootAdvanced(at=now, boot=boot.id, phase="agent", reason="its agent asked for work")
    return replace(decision, events=(advanced, *decision.events))


@dataclass(frozen=True, slots=True)
class _Claim:
    """One claim of one boot that is known, and what there is to be known about it; see `claim`."""

    observed: Observed
    boot: BootStatus
    system: str
    now: float
    work: Work | None
    run_id: str
    machine: Mapping[str, Any]
    hold: str
    stays: bool
    news: str

    def decide(self) -> Claimed | Nothing:
        boot, work = self.boot, self.work
        run = _find(self.observed, boot.machine, boot.macs, boot.id, work) if work else None
        if work and run and run.active:
            return self._reclaim(run, work)
        if boot.closed is not None:
            return self._nothing(f"boot {boot.id} is closed: {boot.reason}")
        stale = superseded(self.observed, boot.machine, boot.macs, boot.id, boot.plan, work, self.now)
        if work is None:
            return self._nothing("the plan asks nothing more of this machine", *stale)
        if run is not None and not run.may_be_tried_again:
            return self._nothing(f"workflow {work.workflow} run {work.run} has already ended: {run.state}", *stale)
        if work.cancel:
            return self._nothing(f"git cancels workflow {work.workflow}", *stale)
        if run is not None and (run.boot, run.system) == (boot.id, self.system):
            return self._end(_once_more(run), "reboot", *stale)
        if boot.profile not in ("", work.profile):
            reason = f"workflow {work.workflow} runs in profile {work.profile}, and this system is profile {boot.profile}"
            return self._end(reason, "reboot", *stale)
        if hold := self.hold or ("" if self.observed.journal else NEW_STATE):
            return Nothing(hold, "wait", stale)
        if why := readiness(self.observed, work.workflow, work.run, work.before).why:
            return self._end(why, "wait", *stale)
        started = _start(work, boot, self.system, self.now, self.run_id, self.machine, run)
        return Claimed(
            self.run_id, (*stale, started), _answer(self.run_id, started.document, started.machine_document, started=0.0)
        )

    def _reclaim(self, run: RunStatus, work: Work) -> Claimed | Nothing:
        """The run is in progress: the agent restarted, the machine was reset, or somebody else is at it."""
        ours = (run.boot, run.system) == (self.boot.id, self.system)
        if not ours and self.boot.closed is not None:
            return self._nothing(f"boot {self.boot.id} is closed: {self.boot.reason}")
        owner = self.observed.boots.get(run.boot)
        if owner and owner.id != self.boot.id and owner.closed is None:
            return Nothing(f"run {run.id} is in progress on {owner.machine}, which has a MAC of this machine", "wait")
        if work.cancel:
            return self._ended(run, "CANCELLED", f"git cancels workflow {work.workflow}")
        failed = verdict(run)
        if failed and not (ours and anything_left(run, failed)):
            return self._ended(run, "TIMEOUT" if failed.state == "TIMEOUT" else "FAILED", _why(failed))
        return Claimed(run.id, (), _resumption(run, self.now)) if ours else self._after_reset(run)

    def _after_reset(self, run: RunStatus) -> Claimed | Nothing:
        boot, task = self.boot, unfinished_task(run)
        if task is None:
            return Claimed(run.id, (self._taken_over(run),), _resumption(run, self.now))
        used = run.restarts.get(task, 0)
        interrupted = TaskInterrupted(at=self.now, run=run.id, task=task, reason="the machine was reset", boot=boot.id)
        if used >= run.resets:
            reason = f"the machine was reset during task {task} (reset {used + 1}; {run.resets} allowed)"
            return self._ended(run, "FAILED", reason, interrupted)
        restarted = TaskRestarted(at=self.now, run=run.id, task=task, boot=boot.id, system=self.system, reset=used + 1)
        return Claimed(run.id, (interrupted, restarted), _resumption(run, self.now, again=task))

    def _taken_over(self, run: RunStatus) -> RunTakenOver:
        return RunTakenOver(at=self.now, run=run.id, boot=self.boot.id, system=self.system)

    def _ended(self, run: RunStatus, state: Literal["FAILED", "TIMEOUT", "CANCELLED"], reason: str, *before: Event) -> Nothing:
        """The run ends here and becomes this system's own, which therefore does what the run says is done after its end."""
        taken = () if (run.boot, run.system) == (self.boot.id, self.system) else (self._taken_over(run),)
        ended = RunEnded(at=self.now, run=run.id, state=state, reason=reason)
        again = state != "CANCELLED" and run.number_of_try <= run.retry
        then = "reboot" if again else afterwards(run, state)
        return self._end(f"run {run.id} has ended {state}: {reason}", then, *before, *taken, ended)

    def _nothing(self, reason: str, *events: Event) -> Nothing:
        """No work: the machine does what its last run says, or what a machine without work does."""
        last = last_ended(self.observed, self.boot, self.system)
        then = afterwards(last, last.state) if last and last.state != "RUNNING" else "reboot"
        idles = then == "reboot" and (last is None or last.state == "SUCCESS") and self.boot.closed is None
        return self._end(reason, "wait" if idles and self.stays else then, *events)

    def _end(self, reason: str, then: Then, *events: Event) -> Nothing:
        if then == "wait" and self.news:
            reason, then = self.news, "reboot"
        return Nothing(reason, then, (*events, *boot_ends(self.boot, then, reason, self.now)))


def report(
    observed: Observed, boot_id: str, run_id: str, sequence: int, event: Report, now: float
) -> Accepted | Duplicate | Refused:
    """An agent reports what it did. `sequence` counts the reports of the run from 1."""
    run = observed.runs.get(run_id)
    if run is None:
        return Refused(404, f"run {run_id} is not known here")
    if run.boot != boot_id:
        return Refused(410, f"run {run_id} was taken over by boot {run.boot}", run.sequence)
    if not run.active and isinstance(event, Started):  # accepted before or not: nothing is started any more
        return Refused(410, f"run {run_id} has ended: {run.state}", run.sequence)
    if 1 <= sequence <= run.sequence:
        if _same(run.reports[sequence - 1], to_event(event, run_id, sequence, now)):
            return Duplicate(sequence)
        return Refused(409, f"report {sequence} was already accepted and said something else", run.sequence)
    if not run.active:
        return Refused(410, f"run {run_id} has ended: {run.state}", run.sequence)
    if sequence != run.sequence + 1:
        return Refused(409, f"the next report is {run.sequence + 1}, not {sequence}", run.sequence)
    if error := objection(run, event):
        return Refused(409, error, run.sequence)
    return Accepted((to_event(event, run_id, sequence, now),))


def _find(observed: Observed, machine: str, macs: Iterable[str], boot: str, work: Work) -> RunStatus | None:
    return observed.run_of(work.workflow, machine, macs, work.run, boot if work.repeat == "everyBoot" else None, work.part)


def _start(
    work: Work, boot: BootStatus, system: str, now: float, run_id: str, machine: Mapping[str, Any], before: RunStatus | None
) -> RunStarted:
    return RunStarted(
        at=now,
        run=run_id,
        workflow=work.workflow,
        machine=boot.machine,
        macs=boot.macs,
        number=work.run,
        boot=boot.id,
        system=system,
        plan=boot.plan,
        document=to_json(from_json(work.document)),  # raises here, before anything is journalled, if it is no workflow
        resets=work.resets,
        repeat=work.repeat,
        machine_document=dict(machine),
        on_failure=work.on_failure,
        retry=work.retry,
        after=before.id if before else "",
        part=work.part,
    )


def missed(work: Work, boot: BootStatus, before: RunStatus | None, now: float, run_id: str) -> tuple[Event, Event]:
    """A run that ended before it began: its machine booted for it, and no agent claimed it in time. `before`: the failed try
    that it was to follow.
    """
    reason = f"did not start within {work.pending_timeout} s: the machine booted, and came no further than phase {boot.phase}"
    started = _start(work, boot, "", now, run_id, NO_DOCUMENT, before)
    return started, RunEnded(at=now, run=run_id, state="TIMEOUT", reason=reason)


def _same(accepted: Event, again: Event) -> bool:
    return accepted == msgspec.structs.replace(again, at=accepted.at)


def _why(failed: ActionStatus) -> str:
    return f"{failed.task}/{failed.action} ended {failed.state}" + (f": {failed.reason}" if failed.reason else "")


def _once_more(run: RunStatus) -> str:
    return f"try {run.number_of_try} of {run.retry + 1} ended {run.state}; the next begins in a fresh start of the machine"


def superseded(
    observed: Observed,
    machine: str,
    macs: tuple[str, ...],
    boot: str,
    plan: str,
    work: Work | None,
    now: float,
    *,
    left: Container[str] = (),
) -> tuple[Event, ...]:
    """Ends a machine's runs in progress other than `work`, which is all that the plan of `boot` asks for now: nobody will
    ever finish them. What another open boot is at is spared, unless that boot is among those `left` just now.
    """
    going_on = _find(observed, machine, macs, boot, work) if work else None
    ended: list[Event] = []
    for run in observed.runs_of(machine, macs):
        owner = observed.boots.get(run.boot)
        elsewhere = owner is not None and owner.closed is None and owner.id != boot and owner.id not in left
        if not run.active or run is going_on or elsewhere:
            continue
        if work and run.repeat == "everyBoot" and run.workflow == work.workflow:
            end: tuple[Literal["FAILED", "CANCELLED"], str] = ("FAILED", "the machine was reset during this run")
        else:
            end = ("CANCELLED", f"the machine booted again and plan {plan} does not ask for this run any more")
        ended.append(RunEnded(at=now, run=run.id, state=end[0], reason=end[1]))
    return tuple(ended)


def _resumption(run: RunStatus, now: float, again: str | None = None) -> dict[str, Any]:
    """What the agent has to know to go on; the task `again` is as if it never began."""
    flying = run.in_flight if again is None else None
    last = run.reports[-1] if run.reports and again is None else None
    if isinstance(last, ActionEnded) and run.attempts[-1].reset != run.restarts.get(last.task, 0):
        last = None  # its task was begun anew since
    return _answer(
        run.id,
        to_json(run.document),
        run.machine_document,
        started=now - run.started,
        sequence=run.sequence,
        resume={"task": flying.task, "action": flying.action, "attempt": flying.attempt} if flying else None,
        done=[[task, action] for task, action in run.done() if task != again],
        last=ended(last) if isinstance(last, ActionEnded) else None,
        failed=ended(failed) if again is None and (failed := verdict(run)) else None,
    )


def _answer(
    run_id: str,
    document: dict[str, Any],
    machine: Mapping[str, Any],
    *,
    started: float,
    sequence: int = 0,
    resume: dict[str, Any] | None = None,
    done: list[list[str]] | None = None,
    last: dict[str, Any] | None = None,
    failed: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """`last`: the last accepted report, if an action ended with it: a restarted agent sees which attempt or handler is due.
    `failed`: the end that has decided that the run fails.
    """
    return {
        "id": run_id,
        "workflow": document,
        "machine": dict(machine),
        "sequence": sequence,
        "resume": resume,
        "done": done or [],
        "last": last,
        "failed": failed,
        "started": started,
    }
