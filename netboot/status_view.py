"""The status as it is now: each path under `/status/` rendered from the served plan and what is observed.

Core. The files in the state directory and the answers over HTTP are the same bytes, made here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from netboot.boot import Diskless, Plans, RunWork, Stay, Step, ToDisk, next_step, sentence_of
from netboot.fleet import FLEET_PATH
from netboot.heard import Heard
from netboot.holds import OPEN
from netboot.inventory_document import inventory_document, inventory_link, inventory_path
from netboot.issue_document import ISSUES_PATH
from netboot.log_names import path as log_path
from netboot.log_names import syslog_log
from netboot.observed import Observed
from netboot.plan import BootPlan, Machine
from netboot.reconcile_document import Reconciliation, reconcile_document
from netboot.served_document import SERVED_PATH, Program, served_document
from netboot.status_documents import (
    RECONCILE_PATH,
    Carrier,
    DesiredHardware,
    DesiredWorkflow,
    NextStep,
    hardware_document,
    hardware_path,
    to_bytes,
    workflow_document,
    workflow_path,
)
from netboot.stories import stories_document
from netboot.story import stories_path, story_document, story_of
from netboot.try_status import TRIES_PATH, summary, tries_document, try_document

INDEX_PATH = "index.json"


class View:
    """Renders one moment. `previous` holds the last reconcile document, whose transition times are carried on."""

    def __init__(self, programs: Iterable[Program] = ()) -> None:
        """`programs`: the boot programs that are served."""
        self._programs = tuple(programs)
        self._previous: dict[str, Any] | None = None

    def render(
        self,
        path: str,
        plans: Plans | None,
        observed: Observed,
        word: Reconciliation,
        heard: Heard,
        now: float,
    ) -> bytes | None:
        """The document's bytes, or None when there is no such path. O(1) but for the index and a workflow."""
        if path == RECONCILE_PATH:
            named = plans.current.by_mac if plans else {}
            unknown = [stranger for stranger in heard.strangers() if stranger.mac not in named]
            self._previous = reconcile_document(word, observed, unknown, now, self._previous, heard.rivals())
            return to_bytes(self._previous)
        if plans is None:
            return None
        plan = plans.current
        if path == INDEX_PATH:
            return to_bytes(_index(plan, observed, heard.inventories()))
        if path == SERVED_PATH:
            return to_bytes(served_document(plans, self._programs))
        if path == TRIES_PATH:
            return to_bytes(tries_document(heard.tries(), observed))
        return _of_one(path, plans, observed, word, heard, now)


def _of_one(path: str, plans: Plans, observed: Observed, word: Reconciliation, heard: Heard, now: float) -> bytes | None:
    """The document of one machine or workflow."""
    plan = plans.current
    kind, _, name = path.removesuffix(".json").partition("/")
    if kind == "hardware" and path == hardware_path(name) and name in plan.machines:
        return to_bytes(_machine(plans, plan.machines[name], observed, word.hold, heard, now))
    if kind == "inventory" and path == inventory_path(name) and name in plan.machines:
        return to_bytes(inventory_document(name, kept)) if (kept := heard.inventory_of(name)) else None
    if kind == "stories" and path == stories_path(name) and (machine := plan.machines.get(name)):
        return to_bytes(stories_document(name, machine.macs, observed, heard))
    if kind == "workflows" and path == workflow_path(name):
        work = desired_workflow(plan, name, observed)
        if work is not None or observed.runs_of_workflow(name):
            return to_bytes(workflow_document(name, observed, work, now))
    return None


def all_paths(plan: BootPlan, observed: Observed, inventories: Collection[str] = ()) -> list[str]:
    """Every document there is for this plan that is written to a file."""
    return [
        RECONCILE_PATH,
        INDEX_PATH,
        SERVED_PATH,
        TRIES_PATH,
        *(hardware_path(name) for name in plan.machines),
        *(workflow_path(name) for name in workflow_names(plan, observed)),
        *(inventory_path(name) for name in plan.machines if name in inventories),
    ]


def workflow_names(plan: BootPlan, observed: Observed) -> list[str]:
    """Those of git, and those of which there is a past; in order."""
    return sorted(_workflows(plan).keys() | observed.workflows())


def desired_workflow(plan: BootPlan, name: str, observed: Observed) -> DesiredWorkflow | None:
    """None: git does not name it. O(its machines) where runs are held, else O(1)."""
    work = _workflows(plan).get(name)
    if work is not None and (plan.locked or plan.gate is not OPEN):
        return replace(work, held=_held(plan, name, observed))
    return work


def _index(plan: BootPlan, observed: Observed, inventories: Collection[str]) -> dict[str, Any]:
    paths = all_paths(plan, observed, inventories)
    documents = [f"/status/{path}" for path in (*paths, FLEET_PATH, ISSUES_PATH)]
    return {"apiVersion": "gitboot/v1", "kind": "Index", "plan": plan.id, "documents": documents}


def _machine(plans: Plans, machine: Machine, observed: Observed, hold: str, heard: Heard, now: float) -> dict[str, Any]:
    name = machine.name
    seen_at = {mac: address for mac in machine.macs if (address := heard.address_of(mac))}
    kept = heard.inventory_of(name)
    desired = _hardware(plans, machine, observed, hold)
    inventory = inventory_link(name, kept) if kept else None
    told = hardware_document(desired, observed, seen_at, now, inventory, heard.contest_of(name))
    judged = next((each for each in heard.tries() if each.asked.machine == name), None)
    story = story_of(desired, observed, heard.asked_since(name), heard.expectations)
    trying = summary(try_document(name, judged, observed))
    return {**told, "story": story_document(name, story), "syslog": _syslog(machine, observed, heard), "trying": trying}


def _syslog(machine: Machine, observed: Observed, heard: Heard) -> str | None:
    boot = observed.last_boot_of(machine.name)
    return f"/logs/{log_path(syslog_log(boot.id))}" if boot and heard.has_syslog(boot.id) else None


def _hardware(plans: Plans, machine: Machine, observed: Observed, hold: str) -> DesiredHardware:
    plan = plans.current
    boot = observed.open_boot_of(machine.name)
    step = next_step(plan, machine, observed, hold, boot.id if boot else "")
    return DesiredHardware(
        name=machine.name,
        macs=machine.macs,
        addresses=tuple(interface.address for interface in machine.interfaces if interface.address),
        arch=machine.arch,
        labels=machine.labels,
        plan=plan.id,
        next=sentence_of(step),
        step=_step(step),
        boot_timeout=float(plan.site.boot_timeout),
        pending_timeout=float(step.work.pending_timeout) if isinstance(step, RunWork) else 0.0,
    )


def _step(step: Step) -> NextStep:
    match step:
        case RunWork(work=work):
            return NextStep("run", work.workflow, work.run)
        case Diskless():
            return NextStep("diskless")
        case ToDisk():
            return NextStep("disk")
        case Stay():
            return NextStep("wait")


def _held(plan: BootPlan, name: str, observed: Observed) -> dict[str, str]:
    """Machine → why no run of the workflow may start there now."""
    works = ((machine.name, work) for machine in plan.machines.values() for work in machine.work if work.workflow == name)
    return {machine: why for machine, work in works if (why := plan.holds(machine, work, observed))}


def _in_order(carrier: Carrier) -> tuple[int, str]:
    return carrier.part, carrier.name


@lru_cache(maxsize=2)
def _workflows(plan: BootPlan) -> dict[str, DesiredWorkflow]:
    """By name; worked out once per plan."""
    members: dict[str, list[Carrier]] = {}
    facts: dict[str, tuple[int, str, bool]] = {}
    for machine in plan.machines.values():
        for work in machine.work:
            carrier = Carrier(machine.name, machine.macs, work.part, work.before)
            members.setdefault(work.workflow, []).append(carrier)
            facts[work.workflow] = (work.run, work.repeat, work.cancel)
    return {
        name: DesiredWorkflow(number, repeat, tuple(sorted(members[name], key=_in_order)), cancel)
        for name, (number, repeat, cancel) in facts.items()
    }
