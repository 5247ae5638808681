"""Workflows whose tasks are for several machines: each machine's part, in the order of the tasks.

Core. Law: tasks that follow one another on one machine are one part; a part begins when the one before it has succeeded; what
no machine of git would carry out is an error of the template's line. The first part may be another machine's: the machine that
the workflow names lends the template its values and need not have a task at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import msgspec

from netboot.plan import Machine
from netboot.work import Before, Work
from reconciler import values
from reconciler.inventory import Hardware, Inventory, TemplateDoc, WorkflowDoc
from reconciler.places import Path, path_text
from reconciler.problems import Problem


@dataclass(frozen=True, slots=True)
class Relay:
    """A workflow with tasks for other machines than `hardware`, which it is for, as it was rendered for that one."""

    workflow: WorkflowDoc
    hardware: Hardware
    template: TemplateDoc
    document: Mapping[str, Any]


MakeWork = Callable[[WorkflowDoc, Hardware, dict[str, Any]], Work]


def is_relay(document: Mapping[str, Any], hardware: Hardware) -> bool:
    return any(not _is(hardware, task["worker"]) for task in document["tasks"])


def hand_out(
    relays: Iterable[Relay], inventory: Inventory, make_work: MakeWork
) -> tuple[dict[str, tuple[Work, ...]], tuple[Problem, ...]]:
    """The parts of each machine by its name, and what is wrong with them. O(machines) when there is any."""
    parts: dict[str, tuple[Work, ...]] = {}
    problems: list[Problem] = []
    known: dict[str, Hardware] = {}
    for relay in relays:
        known = known or {key: each for each in inventory.hardware.values() for key in (each.name, *_macs(each))}
        if found := _objections(relay, known):
            problems += found
            continue
        for name, work in _parts(relay, known, make_work):
            parts[name] = (*parts.get(name, ()), work)
    return parts, tuple(problems)


def with_parts(machine: Machine, parts: tuple[Work, ...]) -> Machine:
    """Work runs in order of workflow, and then of part."""
    work = sorted((*machine.work, *parts), key=lambda each: (each.workflow, each.part))
    return msgspec.structs.replace(machine, work=tuple(work))


def _parts(relay: Relay, known: Mapping[str, Hardware], make_work: MakeWork) -> Iterable[tuple[str, Work]]:
    before: Before | None = None
    tasks = relay.document["tasks"]
    for number, (name, own) in enumerate(groupby(tasks, key=lambda task: known[_worker(task["worker"])].name)):
        hardware, mine = known[name], list(own)
        work = make_work(relay.workflow, hardware, {**relay.document, "tasks": mine})
        yield name, msgspec.structs.replace(work, part=number, before=before)
        before = Before(name, _macs(hardware), number, mine[-1]["name"])


def _objections(relay: Relay, known: Mapping[str, Hardware]) -> list[Problem]:
    """Why this is no relay: the workflow is for many machines or for every boot, or a worker is unknown or has no profile."""
    problems = []
    for index, task in enumerate(relay.document["tasks"]):
        worker = task["worker"]
        if _is(relay.hardware, worker):
            continue
        hardware = known.get(_worker(worker))
        if relay.workflow.match_labels is not None:
            why = f"which is not {relay.hardware.name}; {_own_worker(worker, relay.workflow)}"
            problems.append(_problem(relay, index, task, why))
        elif hardware is None:
            problems.append(_problem(relay, index, task, "which no Hardware is; write its name or one of its MACs, or add it"))
        elif relay.workflow.repeat == "everyBoot":
            problems.append(_problem(relay, index, task, "and `repeat: everyBoot` is for one machine alone; leave it away"))
        elif not (relay.workflow.profile or hardware.profile):
            problems.append(_problem(relay, index, task, "which has no profile to boot in; give it one, or the workflow"))
    return problems


def _problem(relay: Relay, index: int, task: Mapping[str, Any], why: str) -> Problem:
    template, path = relay.template, ("spec", "tasks", index, "worker")
    at: Path = path if template.text is None else ("spec", "data") if "spec" in template.source else ()
    message = f"The task {task['name']!r} of workflow {relay.workflow.name} is for the worker {task['worker']!r}, {why}."
    return Problem(*template.where(at), path_text(at), "foreign-worker", "error", message)


def _own_worker(written: str, workflow: WorkflowDoc) -> str:
    """The next step: one `device_1` for all machines of a selector is a slip that the template is innocent of."""
    if written == workflow.hardware_map.get("device_1"):
        return "take device_1 out of the workflow's hardwareMap: without it, it is the MAC of each machine"
    return 'leave the worker away, or write "{{ .device_1 }}"; a workflow for one machine may have tasks for others'


def _is(hardware: Hardware, worker: str) -> bool:
    return _worker(worker) in (hardware.name, *_macs(hardware))


def _macs(hardware: Hardware) -> tuple[str, ...]:
    return tuple(each.mac for each in hardware.interfaces)


def _worker(written: str) -> str:
    try:
        return values.mac(written)
    except ValueError:
        return written
