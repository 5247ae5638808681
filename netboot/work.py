"""Work: what the plan asks of one machine, and whether it may begin.

Core. Law: a workflow that several machines carry out is divided into parts, each the work of one machine with runs of its own;
a part begins when a run of the one before it has succeeded, and never when that has failed for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from netboot.events import OnFailure, Repeat
from netboot.observed import Observed


class Before(msgspec.Struct, frozen=True, omit_defaults=True):
    """The part of a workflow that another machine, or this one, must have carried out first. `task` is the last of it."""

    machine: str
    macs: tuple[str, ...]
    part: int
    task: str


class Work(msgspec.Struct, frozen=True, omit_defaults=True):
    """One workflow that the plan asks of one machine, or the part of it that is this machine's. `document` is
    `agent.workflow.to_json(Workflow)`, rendered, with the tasks of this part alone.
    """

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
    cancel: bool = False
    """Nothing of it runs: neither a run in progress nor one to come."""
    on_failure: OnFailure = "rescue"
    retry: int = 0
    """How many further tries there are when a run fails."""
    pending_timeout: int = 0
    """Seconds from the opening of a boot within which its agent must have claimed the run; 0: unlimited."""
    part: int = 0
    before: Before | None = None
    """None: the work begins with this part."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether it is a part's turn. `never`: it will not be any more."""

    why: str = ""
    """Why it is not; "": it is."""
    never: bool = False


def readiness(observed: Observed, workflow: str, number: int, before: Before | None) -> Readiness:
    """Of the part that follows on `before`."""
    if before is None:
        return Readiness()
    run = observed.run_of(workflow, before.machine, before.macs, number, part=before.part)
    if run is not None and run.state == "SUCCESS":
        return Readiness()
    if run is None or run.active or run.may_be_tried_again:
        return Readiness(f"waits for task {before.task} of workflow {workflow} run {number} on {before.machine}")
    return Readiness(
        f"task {before.task} of workflow {workflow} run {number} on {before.machine} ended {run.state}", never=True
    )
