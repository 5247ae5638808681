"""Status documents: what a person or a script reads about a machine, a workflow, and the site.

Core. Law: a document is a function of what is desired (small values given by the caller) and what was observed; it holds no
token, no environment, no command and no password of a URL. Times are RFC 3339 in UTC. Every state has a reason, and one that
waits also says for what and until when. The shapes are `schemas/status-*.json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from netboot.conditions import (
    contested_condition,
    hardware_conditions,
    loop_condition,
    lost_condition,
    outcome_conditions,
)
from netboot.endings import lost_since
from netboot.events import Event, Phase
from netboot.log_names import console_log
from netboot.log_names import path as log_path
from netboot.observed import Observed
from netboot.records import BootStatus, Contest, RunStatus
from netboot.run_documents import Document, rfc3339, run_document, run_summary, time_of
from netboot.work import Before, readiness

MOST_RUNS = 100
"""Runs shown in full in one workflow's document; each machine's document has its own in any case."""

EXPECTED: Mapping[Phase, str] = {
    "firmware": "its firmware loads iPXE",
    "ipxe": "iPXE fetches the boot script",
    "script": "it loads its kernel, or asks for the script again",
    "kernel": "the agent in its in-memory OS asks for work",
    "agent": "the agent reports, or says that it is alive",
    "disk": "nothing: it boots its own disk",
}
"""What an open boot waits for next."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """What a machine would do if it booted now, for programs."""

    action: Literal["run", "diskless", "disk", "wait"]
    workflow: str = ""
    """With `run` only, as `number`."""
    number: int = 0


@dataclass(frozen=True, slots=True)
class DesiredHardware:
    """What git says of a machine. `next`: what it would do if it booted now, and why, for people (`boot.next_step`)."""

    name: str
    macs: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    arch: str = ""
    plan: str = ""
    next: str = ""
    step: NextStep = NextStep("wait")
    labels: Mapping[str, str] = field(default_factory=dict)
    boot_timeout: float = 1800.0
    pending_timeout: float = 0.0
    """Seconds from the opening of its boot within which its agent must have claimed the work; 0: no limit."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """A machine and its part in a workflow: the whole, unless several machines share it."""

    name: str
    macs: tuple[str, ...]
    part: int = 0
    before: Before | None = None


@dataclass(frozen=True, slots=True)
class DesiredWorkflow:
    """What git says of a workflow: the machines that are to carry it out, each with the part that is its own."""

    number: int
    repeat: str
    machines: tuple[Carrier, ...]
    cancel: bool = False
    held: Mapping[str, str] = field(default_factory=dict)
    """Machine → why no run of it may start there now."""


def to_bytes(document: Document) -> bytes:
    """What is written to the file and sent over HTTP: the same bytes."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def hardware_path(name: str) -> str:
    return f"hardware/{name}.json"


def workflow_path(name: str) -> str:
    return f"workflows/{name}.json"


RECONCILE_PATH = "reconcile.json"


def paths_of(event: Event, observed: Observed) -> set[str]:
    """The documents that `event`, already applied, changes."""
    boot = observed.boots.get(getattr(event, "boot", ""))
    paths = {hardware_path(boot.machine)} if boot else set()
    if run := observed.runs.get(getattr(event, "run", "")):
        paths |= run_paths(run, observed)
    return paths


def run_paths(run: RunStatus, observed: Observed) -> set[str]:
    """The documents that tell of a run."""
    owner = observed.boots.get(run.boot)
    return {workflow_path(run.workflow), hardware_path(owner.machine if owner else run.machine)}


def hardware_document(
    machine: DesiredHardware,
    observed: Observed,
    seen_at: Mapping[str, str] | None = None,
    now: float = 0.0,
    inventory: Document | None = None,
    contest: Contest | None = None,
) -> Document:
    """`seen_at`: MAC → the address its last script fetch came from. `now` is for whose agent is lost; 0: nobody's.
    `inventory`: where it is told what the machine is made of, as `inventory_document.inventory_link` has it.
    """
    boot = observed.last_boot_of(machine.name)
    runs = observed.runs_of(machine.name, machine.macs)
    run = next((run for run in reversed(runs) if run.active), runs[-1] if runs else None)
    lost = lost_since(observed, run, now) if run else None
    session = observed.session_of(machine.name, machine.macs)
    contested = contest if session and not session.over and contest and contest.session == session.id else None
    leases = {mac: observed.address_of[mac] for mac in machine.macs if mac in observed.address_of}
    return {
        "apiVersion": "gitboot/v1",
        "kind": "HardwareStatus",
        "name": machine.name,
        "arch": machine.arch,
        "labels": dict(machine.labels),
        "macs": list(machine.macs),
        "addresses": list(machine.addresses),
        "leases": leases,
        "seenAt": dict(seen_at or {}),
        "plan": machine.plan,
        "next": machine.next,
        "step": _step(machine.step),
        "lastSeen": rfc3339(boot.last_seen) if boot else None,
        "inventory": inventory,
        "boot": _boot(boot, machine) if boot else None,
        "run": run_document(run, lost) if run else None,
        "conditions": [
            *hardware_conditions(boot, run),
            lost_condition(run, lost),
            loop_condition(boot),
            contested_condition(contested),
        ],
    }


def workflow_document(name: str, observed: Observed, desired: DesiredWorkflow | None, now: float = 0.0) -> Document:
    """`desired` is None for a workflow that git does not name any more: its past stays readable. `now` as above."""
    runs = observed.runs_of_workflow(name)
    machines = [standing(name, desired, each, observed, now) for each in desired.machines] if desired else []
    states = Counter(machine["state"] for machine in machines)
    state = worst(states)
    return {
        "apiVersion": "gitboot/v1",
        "kind": "WorkflowStatus",
        "name": name,
        "run": desired.number if desired else None,
        "repeat": desired.repeat if desired else None,
        "state": state,
        "counts": dict(states),
        "machines": machines,
        "runs": [run_document(run, lost_since(observed, run, now)) for run in reversed(runs[-MOST_RUNS:])],
        "conditions": outcome_conditions(state, _sum(states), _latest(runs)),
    }


def _step(step: NextStep) -> Document:
    work = step.action == "run"
    return {"action": step.action, "workflow": step.workflow if work else None, "run": step.number if work else None}


def _boot(boot: BootStatus, machine: DesiredHardware) -> Document:
    open_, deadline = boot.closed is None, boot.last_seen + machine.boot_timeout
    if machine.pending_timeout and boot.phase != "agent":
        deadline = min(deadline, boot.opened + machine.pending_timeout)
    return {
        "id": boot.id,
        "plan": boot.plan,
        "mac": boot.mac,
        "via": boot.via,
        "phase": boot.phase,
        "reason": boot.reason,
        "opened": rfc3339(boot.opened),
        "closed": time_of(boot.closed),
        "lastSeen": rfc3339(boot.last_seen),
        "phases": {phase: rfc3339(at) for phase, at in boot.phases.items()},
        "expected": EXPECTED[boot.phase] if open_ else "",
        "deadline": rfc3339(deadline) if open_ else None,
        "client": boot.client,
        "console": f"/logs/{log_path(console_log(boot.id))}" if "agent" in boot.phases else None,
    }


def standing(name: str, desired: DesiredWorkflow, carrier: Carrier, observed: Observed, now: float) -> Document:
    """How a workflow stands on one of its machines."""
    machine, boot = carrier.name, None
    if desired.repeat == "everyBoot":
        last = observed.last_boot_of(machine)
        boot = last.id if last else "none"
    run = observed.run_of(name, machine, carrier.macs, desired.number, boot, carrier.part)
    if run is not None:
        return run_summary(run, machine, lost_since(observed, run, now))
    ready = readiness(observed, name, desired.number, carrier.before)
    held = desired.held.get(machine)
    waits = f"is held: {held}" if held else "the machine has not booted for this run"
    state, reason = "PENDING", ready.why or waits
    if desired.cancel or ready.never:
        state, reason = "CANCELLED", "git cancels it before it began" if desired.cancel else ready.why
    return {"machine": machine, "state": state, "reason": reason, "run": None}


def worst(states: Mapping[str, int]) -> str:
    """The worst that is true of any machine; work in progress before work not begun."""
    for state in ("FAILED", "TIMEOUT", "CANCELLED", "RUNNING", "PENDING", "SUCCESS"):
        if states.get(state):
            return state
    return "PENDING"


def _sum(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no machine is to run it"


def _latest(runs: Sequence[RunStatus]) -> float | None:
    return max((run.ended or run.started for run in runs), default=None)
