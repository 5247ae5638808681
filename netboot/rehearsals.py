"""Rehearsals: what an agent is told to look at, and what it found.

Core. Law: in a boot that rehearses no run begins, whatever is asked; its agent gets a document that is no run, and nothing
secret but the logins of registries. What the agent says is bounded, and kept once; then the boot is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec

from agent.workflow import from_json
from netboot.boot import all_due
from netboot.delivery import Entitled, SecretsRequest
from netboot.errors import Malformed
from netboot.events import BootAdvanced, BootClosed, Event, Finding, Installed, Rehearsed
from netboot.machine_document import machine_document
from netboot.observed import Observed
from netboot.plan import BootPlan
from netboot.records import BootStatus
from netboot.run_documents import rfc3339
from netboot.runs import Accepted, Nothing, Refused
from netboot.work import Work

MOST_FINDINGS = 300
NOT_ABLE = "this is a rehearsal, and the agent of this system is too old for it: build the OS anew"


class RehearsalRequest(msgspec.Struct, frozen=True):
    """Body of POST /agent/rehearsal."""

    boot: str
    findings: Annotated[tuple[Finding, ...], msgspec.Meta(max_length=MOST_FINDINGS)]


@dataclass(frozen=True, slots=True)
class Rehearse:
    """`answer` is the `rehearsal` of the answer to POST /agent/claim, once `events` are journalled."""

    answer: Mapping[str, Any]
    events: tuple[Event, ...]
    reason: str = NOT_ABLE


def decode_rehearsal(body: bytes) -> RehearsalRequest:
    """Raises Malformed, and nothing else, for any bytes."""
    try:
        return msgspec.json.decode(body, type=RehearsalRequest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not a RehearsalRequest: {error}") from error


def claim_rehearsal(plan: BootPlan, boot: BootStatus, observed: Observed, now: float) -> Rehearse | Nothing:
    """The answer to a claim in a boot that rehearses."""
    if boot.closed is not None:
        return Nothing(f"boot {boot.id} is closed: {boot.reason}", "reboot")
    status = observed.tries.last.get(boot.machine)
    if status is not None and status.boot == boot.id and status.findings is not None:
        return Nothing("the rehearsal is over", "reboot", (BootClosed(at=now, boot=boot.id, reason="its rehearsal is over"),))
    begins = BootAdvanced(at=now, boot=boot.id, phase="agent", reason="its agent rehearses")
    works = [_told(plan, boot, work) for work in _works(plan, boot, observed)]
    return Rehearse({"works": works}, () if boot.phase == "agent" else (begins,))


def report_rehearsal(plan: BootPlan, observed: Observed, said: RehearsalRequest, now: float) -> Accepted | Refused:
    boot = observed.boots.get(said.boot)
    status = observed.tries.last.get(boot.machine) if boot else None
    if boot is None or not boot.rehearses or status is None or status.boot != boot.id:
        return Refused(409, f"boot {said.boot} rehearses nothing")
    findings = tuple(_dated(each, plan, observed) for each in said.findings)
    if status.findings is not None:
        return Accepted(()) if status.findings == findings else Refused(409, "the rehearsal was reported, and not so")
    if boot.closed is not None:
        return Refused(410, f"boot {boot.id} is closed: {boot.reason}")
    return Accepted((Rehearsed(at=now, boot=boot.id, findings=findings),))


def entitled_to_login(plan: BootPlan, observed: Observed, asked: SecretsRequest) -> Entitled | Refused:
    """Of an action that is rehearsed its agent may open the registry, and have nothing that the action is given."""
    boot = observed.boots.get(asked.boot)
    if boot is None or boot.closed is not None or not boot.rehearses:
        return Refused(410, f"boot {asked.boot} rehearses nothing")
    for work in _works(plan, boot, observed):
        for task in from_json(work.document).tasks:
            for action in task.actions:
                if (task.name, action.name) == (asked.task, asked.action):
                    return Entitled(replace(action, secrets=()))
    return Refused(409, f"{asked.task}/{asked.action} is not what is rehearsed")


def _works(plan: BootPlan, boot: BootStatus, observed: Observed) -> Iterable[Work]:
    machine = plan.machines.get(boot.machine)
    return all_due(plan, machine, observed, boot.id) if machine else ()


def _told(plan: BootPlan, boot: BootStatus, work: Work) -> dict[str, Any]:
    document = machine_document(plan, plan.machines[boot.machine], "", work)
    return {"number": work.run, "workflow": work.document, "machine": document}


def _dated(finding: Finding, plan: BootPlan, observed: Observed) -> Finding:
    """With when the run ended that a disk's marker names, if we were there: markers have no date."""
    marker = finding.installed
    if marker is None:
        return finding
    run = observed.run_of(marker.workflow, marker.machine, (), marker.run, part=marker.part)
    when = f" {rfc3339(run.ended)[:10]}" if run and run.ended and marker.site == plan.site.name else ""
    return msgspec.structs.replace(finding, said=f"{finding.said}, last installed{when} by {_run(marker)}"[:1000])


def _run(marker: Installed) -> str:
    part = f", part {marker.part}," if marker.part else ""
    return f"run {marker.run}{part} of workflow {marker.workflow} on machine {marker.machine} of site {marker.site}"
