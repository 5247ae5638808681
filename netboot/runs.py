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

from agent.workflow import from_json, to_json
from netboot.events import (
    ActionEnded,
    BootAdvanced,
    BootClosed,
    Event,
    Repeat,
    RunEnded,
    RunStarted,
    RunTakenOver,
    TaskInterrupted,
    TaskRestarted,
)
from netboot.observed import Observed
from netboot.records import ActionStatus, BootStatus, RunStatus
from netboot.reports import Report, from_event, handler_due, objection, to_event, unfinished_task, verdict

Then = Literal["reboot", "wait"]

NO_DOCUMENT: Mapping[str, Any] = MappingProxyType({})
END_OF_WORK = "end of work"
"""How the reason begins with which a boot closes whose agent was told to restart its machine."""


class Work(msgspec.Struct, frozen=True, omit_defaults=True):
    """One workflow that the plan asks of one machine. `document` is `agent.workflow.to_json(Workflow)`, rendered."""

    workflow: str
    run: int
    document: dict[str, Any]
    profile: str = ""
    """Name of the profile that the machine boots in to do it."""
    repeat: Repeat = "once"
    resets: int = 0
    """How often each task may be restarted after the machine was reset during it."""
    overwrites: tuple[str, ...] = ()
    """Workflows whose installations this one may replace; `*`: any."""


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
    then: Then = "reboot",
) -> Claimed | Nothing:
    """An agent asks for work.

    `work` is what the boot's plan asks for next (`boot.next_step`), `run_id` the id that a new run would get, `machine` the
    machine document that it would keep to, `hold` a sentence why no new run may start now (frozen, suspended), `then` what a
    machine without work does.
    """
    boot = observed.boots.get(boot_id)
    if boot is None:
        return Nothing(f"boot {boot_id} is not known here", "reboot")
    decision = _claim(observed, boot, system, now, work, run_id, machine, hold, then)
    if boot.closed is not None or boot.phase == "agent":
        return decision
    advanced = BootAdvanced(at=now, boot=boot.id, phase="agent", reason="its agent asked for work")
    return replace(decision, events=(advanced, *decision.events))


def _claim(
    observed: Observed,
    boot: BootStatus,
    system: str,
    now: float,
    work: Work | None,
    run_id: str,
    machine: Mapping[str, Any],
    hold: str,
    then: Then,
) -> Claimed | Nothing:
    run = _find(observed, boot.machine, boot.macs, boot.id, work) if work else None
    if run is not None and run.active:
        return _reclaim(observed, run, boot, system, now, then)
    if boot.closed is not None:
        return Nothing(f"boot {boot.id} is closed: {boot.reason}", "reboot")
    stale = superseded(observed, boot.machine, boot.macs, boot.id, boot.plan, work, now)
    if work is None:
        return _end_of_work("the plan asks nothing more of this machine", boot, now, then, stale)
    if run is not None:
        reason = f"workflow {work.workflow} run {work.run} has already ended: {run.state}"
        return _end_of_work(reason, boot, now, then, stale)
    if boot.profile not in ("", work.profile):
        reason = f"workflow {work.workflow} runs in profile {work.profile}, and this system is profile {boot.profile}"
        return _end_of_work(reason, boot, now, "reboot", stale)
    if not observed.journal:
        hold = "this state directory is new and knows no history: `gitboot init STATE` says that this is a new site"
    if hold:
        return Nothing(hold, "wait", stale)
    started = _start(work, boot, system, now, run_id, machine)
    return Claimed(run_id, (*stale, started), _answer(run_id, started.document, started.machine_document, started=0.0))


def report(
    observed: Observed, boot_id: str, run_id: str, sequence: int, event: Report, now: float
) -> Accepted | Duplicate | Refused:
    """An agent reports what it did. `sequence` counts the reports of the run from 1."""
    run = observed.runs.get(run_id)
    if run is None:
        return Refused(404, f"run {run_id} is not known here")
    if run.boot != boot_id:
        return Refused(410, f"run {run_id} was taken over by boot {run.boot}", run.sequence)
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


def cancelled(observed: Observed, boot_id: str, run_id: str) -> bool:
    """Whether the agent behind a heartbeat should stop: the run has ended, is not known, or belongs to another boot."""
    run = observed.runs.get(run_id)
    return run is None or not run.active or run.boot != boot_id


def cancel(observed: Observed, run_id: str, reason: str, now: float) -> tuple[Event, ...]:
    """Empty when there is nothing to cancel."""
    run = observed.runs.get(run_id)
    return (RunEnded(at=now, run=run_id, state="CANCELLED", reason=reason),) if run and run.active else ()


def overdue(observed: Observed, now: float, grace: float = 60.0) -> tuple[Event, ...]:
    """Ends the runs whose global timeout passed without a word of their agent, which has `grace` seconds to say it itself,
    and as long to reach a server that was away.
    """
    if now - observed.listening <= grace:
        return ()
    return tuple(
        RunEnded(at=now, run=run.id, state="TIMEOUT", reason=f"no end within {run.document.global_timeout} s")
        for run in observed.active_runs()
        if run.document.global_timeout and now - run.started > run.document.global_timeout + grace
    )


def _find(observed: Observed, machine: str, macs: Iterable[str], boot: str, work: Work) -> RunStatus | None:
    return observed.run_of(work.workflow, machine, macs, work.run, boot if work.repeat == "everyBoot" else None)


def _same(accepted: Event, again: Event) -> bool:
    return accepted == msgspec.structs.replace(again, at=accepted.at)


def _start(work: Work, boot: BootStatus, system: str, now: float, run_id: str, machine: Mapping[str, Any]) -> RunStarted:
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
    )


def _reclaim(observed: Observed, run: RunStatus, boot: BootStatus, system: str, now: float, then: Then) -> Claimed | Nothing:
    """The run is in progress: the agent restarted, the machine was reset, or somebody else is at it."""
    if (run.boot, run.system) == (boot.id, system):
        failed = verdict(run)
        if failed and not run.in_flight and not handler_due(run, failed):
            return _failed(run, _why(failed), boot, now, then)
        return Claimed(run.id, (), _resumption(run, now))
    if boot.closed is not None:
        return Nothing(f"boot {boot.id} is closed: {boot.reason}", "reboot")
    owner = observed.boots.get(run.boot)
    if owner and owner.id != boot.id and owner.closed is None:
        return Nothing(f"run {run.id} is in progress on {owner.machine}, which has a MAC of this machine", "wait")
    return _after_reset(run, boot, system, now, then)


def _after_reset(run: RunStatus, boot: BootStatus, system: str, now: float, then: Then) -> Claimed | Nothing:
    if failed := verdict(run):
        return _failed(run, _why(failed), boot, now, then)
    task = unfinished_task(run)
    if task is None:
        taken = RunTakenOver(at=now, run=run.id, boot=boot.id, system=system)
        return Claimed(run.id, (taken,), _resumption(run, now))
    used = run.restarts.get(task, 0)
    interrupted = TaskInterrupted(at=now, run=run.id, task=task, reason="the machine was reset", boot=boot.id)
    if used >= run.resets:
        reason = f"the machine was reset during task {task} (reset {used + 1}; {run.resets} allowed)"
        return _failed(run, reason, boot, now, then, interrupted)
    restarted = TaskRestarted(at=now, run=run.id, task=task, boot=boot.id, system=system, reset=used + 1)
    return Claimed(run.id, (interrupted, restarted), _resumption(run, now, again=task))


def _why(failed: ActionStatus) -> str:
    return f"{failed.task}/{failed.action} ended {failed.state}" + (f": {failed.reason}" if failed.reason else "")


def _failed(run: RunStatus, reason: str, boot: BootStatus, now: float, then: Then, *before: Event) -> Nothing:
    ended = RunEnded(at=now, run=run.id, state="FAILED", reason=reason)
    return _end_of_work(f"run {run.id} has failed: {reason}", boot, now, then, (*before, ended))


def _end_of_work(reason: str, boot: BootStatus, now: float, then: Then, before: tuple[Event, ...]) -> Nothing:
    """A boot that is told to reboot is over; one that waits stays open, so that it is seen."""
    if then == "reboot" and boot.closed is None:
        before = (*before, BootClosed(at=now, boot=boot.id, reason=f"{END_OF_WORK}: {reason}"))
    return Nothing(reason, then, before)


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
    return _answer(
        run.id,
        to_json(run.document),
        run.machine_document,
        started=now - run.started,
        sequence=run.sequence,
        resume={"task": flying.task, "action": flying.action, "attempt": flying.attempt} if flying else None,
        done=[[task, action] for task, action in run.done() if task != again],
        last=msgspec.to_builtins(from_event(last)) if isinstance(last, ActionEnded) else None,
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
) -> dict[str, Any]:
    """`last`: the last accepted report, if an action ended with it: a restarted agent sees which attempt or handler is due."""
    return {
        "id": run_id,
        "workflow": document,
        "machine": dict(machine),
        "sequence": sequence,
        "resume": resume,
        "done": done or [],
        "last": last,
        "started": started,
    }
