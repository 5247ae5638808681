"""Foreseeing: what policy will say of a change, told before anybody merges it.

Core. The law: it is what the reconciler itself will judge; what was held already, or has nothing to do with it, is left out.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from netboot.holds import Holds
from netboot.observed import Observed
from netboot.plan import BootPlan
from netboot.policy import KINDS
from reconciler.changes import Difference
from reconciler.policy import approvers, how_to_release, in_force, judge, said, with_release
from reconciler.trust import Floor


def foreseen(
    difference: Difference,
    before: BootPlan | None,
    after: BootPlan,
    floor: Floor,
    observed: Observed | None,
    looked: bool = False,
) -> Difference:
    """The difference with what policy will say of it. What is held already, or has nothing to do with it, is left out.

    `looked`: whether both were compiled with the server's artefact folder.
    """
    holds = Holds(before.id) if before else None
    verdict = judge(before, after, holds, floor, observed)
    rules = in_force(before, holds or Holds(""))
    plan = after.id if looked or not _has_files(after) else ""
    how = {kind: how_to_release(plan, kind, approvers(rules, floor, kind, after.site)) for kind in KINDS}
    starts = {change.machine: {(each.workflow, each.run) for each in change.starts} for change in difference.machines}
    begun = [
        hold for hold in verdict.holds.held if any(starts.get(name, set()) & set(runs) for name, runs in hold.runs.items())
    ]
    verdict = replace(verdict, holds=msgspec.structs.replace(verdict.holds, held=tuple(begun)))
    held = said(with_release(verdict, how), how)
    stopped = {name for each in held if each.whole or each.kind in ("destructive", "protect") for name in each.machines}
    machines = tuple(
        msgspec.structs.replace(change, consequence="blocked") if change.machine in stopped else change
        for change in difference.machines
    )
    return msgspec.structs.replace(difference, machines=machines, held=held)


def _has_files(plan: BootPlan) -> bool:
    """Whether its id depends on what is in an artefact folder."""
    firmware = any(machine.rpi.firmware for machine in plan.machines.values() if machine.rpi)
    return firmware or any(not artifact.url for artifact in plan.artifacts.values())
