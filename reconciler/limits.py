"""Limits: of what a commit does to machines, what is more than a limit allows.

Core. The law: machines are counted by what becomes of them and not by how it is written, in the groups that they were in before
the commit. Those that are in no group are one together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from netboot.plan import BootPlan, Machine
from netboot.policy import Deed, Limit, Policy
from reconciler.changes import Change

_DEEDS: Mapping[Deed, str] = {"destructive": "has {} start destructive runs", "remove": "removes {}", "move": "moves {}"}
_LIMITED: Mapping[Deed, str] = {
    "destructive": "destructive runs on at most {} per {}",
    "remove": "to remove at most {} per {}",
    "move": "to move at most {} per {}",
}


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom a commit reaches."""

    served: BootPlan | None
    after: BootPlan
    changes: tuple[Change, ...]

    def of(self, deed: Deed) -> list[Change]:
        return [change for change in self.changes if self._does(change, deed)]

    def _does(self, change: Change, deed: Deed) -> bool:
        if deed == "destructive":
            return any(each.destructive for each in change.starts)
        return self._is_removed(change) if deed == "remove" else any(port.before for port in change.moved)

    def _is_removed(self, change: Change) -> bool:
        """A machine none of whose MACs is known as its own any more is a stranger, whoever bears its name now."""
        was = self._former(change)
        bound = [self.after.by_mac.get(mac) for mac in was.macs] if was else []
        strange = bool(bound) and not any(each and each.machine.name == change.machine for each in bound)
        return change.kind == "removed" or strange

    def exceeded(self, policies: Iterable[Policy], deed: Deed) -> Iterator[tuple[Limit, str, list[Change]]]:
        """Each limit with a group that is beyond it, and what counts there."""
        yield from self.beyond(policies, deed, self.of(deed))

    def beyond(
        self, policies: Iterable[Policy], deed: Deed, changes: Iterable[Change]
    ) -> Iterator[tuple[Limit, str, list[Change]]]:
        changes = tuple(changes)
        for limit in dict.fromkeys(limit for policy in policies for limit in policy.limits if limit.change == deed):
            groups: dict[str, list[Change]] = {}
            for change in changes:
                machine = self._former(change) or self.after.machines[change.machine]
                for group in _groups(limit.per, machine):
                    groups.setdefault(group, []).append(change)
            for group, members in sorted(groups.items()):
                there = [change for change in members if self._former(change)]
                too_many = limit.machines is not None and len(members) > limit.machines
                if too_many or (limit.share is not None and 100 * len(there) > limit.share * self._size(limit.per, group)):
                    yield limit, group, members

    def _former(self, change: Change) -> Machine | None:
        return self.served.machines.get(change.was) if self.served and change.was else None

    def _size(self, per: str, group: str) -> int:
        """Machines of the group before the commit: it cannot dilute its share."""
        return sum(group in _groups(per, machine) for machine in self.served.machines.values()) if self.served else 0


def too_many(served: BootPlan, machines: Iterable[Machine], policies: Iterable[Policy]) -> str:
    """The rule that forbids to write on the disks of all of these, each as it is to be; "": none does."""
    those = {machine.name: machine for machine in machines}
    changes = [Change(name, name if name in served.machines else "", "changed", "destructive", (), ()) for name in those]
    reach = Reach(served, replace(served, machines=those), ())
    return next((rule(limit) for limit, _, _ in reach.beyond(policies, "destructive", changes)), "")


def _groups(per: str, machine: Machine) -> tuple[str, ...]:
    """ "": those of no subnet, or without the label; or the whole site."""
    if per == "site":
        return ("",)
    if per == "subnet":
        return tuple(dict.fromkeys(interface.subnet for interface in machine.interfaces if interface.subnet)) or ("",)
    return (machine.labels.get(per.removeprefix("label:"), ""),)


# What is said about it ---------------------------------------------------------------------------------------------------


def number(count: int) -> str:
    return "1 machine" if count == 1 else f"{count} machines"


def rule(limit: Limit) -> str:
    most = f"{limit.share}% of the machines" if limit.machines is None else number(limit.machines)
    return _LIMITED[limit.change].format(most, limit.per.replace("label:", "value of the label "))


def why(limit: Limit, group: str, count: int) -> str:
    where = f" of {limit.per.removeprefix('label:')} {group}" if group else ""
    if not group and limit.per != "site":
        where = " of no subnet" if limit.per == "subnet" else f" without the label {limit.per.removeprefix('label:')}"
    return f"this commit {_DEEDS[limit.change].format(number(count) + where)}"
