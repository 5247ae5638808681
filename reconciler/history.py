"""History: the commits that changed what one machine is sent, newest first.

Core. The law: a commit is told of when the machine is sent something else after it than after each of its parents, as `git log`
tells of a file; a merge that took one parent's machine as it was leads to that parent alone. A commit that cannot be served
changes nothing. The machine is the same one while it keeps its name, or one of its MACs under a name that is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from netboot.plan import BootPlan, Machine
from reconciler.changes import Setting
from reconciler.diff import changed
from reconciler.facts import Facts, raw_facts

Kind = Literal["added", "removed", "renamed", "changed"]
Served = Callable[[str], BootPlan | None]
"""Commit → the plan that was served once it was pushed: its own, or when it cannot be served that of the last one before it
that can. None: there was none.
"""


@dataclass(frozen=True, slots=True)
class Changed:
    """What one commit did to the machine."""

    commit: str
    kind: Kind
    machine: str
    """Its name after the commit; of one that was removed, before it."""
    was: str
    """Its name before, or ""."""
    settings: tuple[Setting, ...]
    """Against the first parent; what may be shown of them."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The machine as one commit has it, or as a later one had it while it is not there."""

    machine: Machine
    plan: BootPlan
    here: bool = True

    @property
    def facts(self) -> Facts:
        return raw_facts(self.plan, self.machine) if self.here else {}


def history(head: str, name: str, parents: Mapping[str, Sequence[str]], served: Served) -> Iterator[Changed]:
    """`name`: the machine's in the plan of `head`; `parents`: of each commit that is known, children before their parents."""
    plan = served(head)
    if plan is None:
        return
    following = {head: _Known(plan.machines[name], plan)}
    for commit, before in parents.items():
        if commit not in following:
            continue
        known = following.pop(commit)
        found = {parent: _before(known, served(parent)) for parent in before}
        same = next((parent for parent, each in found.items() if _is_same(each, known)), None)
        for parent, each in found.items() if same is None else [(same, found[same])]:
            following.setdefault(parent, each)
        if same is None and (known.here or any(each.here for each in found.values())):
            yield _changed(commit, next(iter(found.values()), None), known)


def _before(known: _Known, plan: BootPlan | None) -> _Known:
    """The same machine in an earlier plan."""
    if plan is None:
        return _Known(known.machine, known.plan, here=False)
    bound = (plan.by_mac[mac].machine for mac in known.machine.macs if mac in plan.by_mac)
    other = next((each for each in bound if each.name not in known.plan.machines), None)
    machine = plan.machines.get(known.machine.name) or other
    return _Known(machine, plan) if machine else _Known(known.machine, known.plan, here=False)


def _is_same(one: _Known, other: _Known) -> bool:
    if one.here is other.here and one.plan == other.plan and one.machine.name == other.machine.name:
        return True
    return one.facts == other.facts and (one.machine.name == other.machine.name or not one.here)


def _changed(commit: str, before: _Known | None, after: _Known) -> Changed:
    was = before.machine.name if before and before.here else ""
    kind: Kind = "removed" if not after.here else "added" if not was else "renamed" if was != after.machine.name else "changed"
    return Changed(commit, kind, after.machine.name, was, changed(before.facts if before else {}, after.facts))
