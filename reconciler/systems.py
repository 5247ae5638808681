"""Systems: what a machine boots that is not its own disk's, and what such a system is told to do.

Core. The law: what a machine boots is known when it was sent the same before, byte for byte, its loader and what cloud-init is
given included. What another system does to a disk, nobody knows. What it boots no more is none: that leaves it to its disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netboot.plan import BootPlan, Machine
from reconciler.consequences import writes


def others(served: BootPlan | None, after: BootPlan, protected: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Machines that are or were protected → the first thing that they would boot and have not booted.

    `protected`: those that are so though the plan does not say it, with their MACs. Of one that is not served nothing is known.
    """
    was = {name: (served.machines.get(name) if served else None, tuple(macs)) for name, macs in protected.items()}
    for machine in served.machines.values() if served else ():
        if machine.protect:
            was[machine.name] = machine, (*was.get(machine.name, (None, ()))[1], *machine.macs)
    found: dict[str, str] = {}
    for name, (old, macs) in was.items():
        before = _systems(served, old) if served and old else {}
        for machine in counterparts(after, name, macs):
            other = (what for what, value in _systems(after, machine).items() if before.get(what) != value)
            if what := next(other, ""):
                found.setdefault(machine.name, what)
    return dict(sorted(found.items()))


def counterparts(plan: BootPlan, name: str, macs: Iterable[str]) -> list[Machine]:
    """Whoever bears the name or any of the MACs now: runs are known by each of them."""
    found = [plan.by_mac[mac].machine for mac in macs if mac in plan.by_mac]
    if name in plan.machines:
        found.insert(0, plan.machines[name])
    return list({machine.name: machine for machine in found}.values())


def _systems(plan: BootPlan, machine: Machine) -> dict[str, object]:
    """By what they are called. Work boots one also when it is over, for its next run would; but not what is cancelled, nor what
    may write, which starts on no protected machine: the one or the other may be another in the next commit.
    """
    found: dict[str, object] = {}
    named = dict.fromkeys(work.profile for work in machine.work if not work.cancel and not writes(work.document))
    if machine.idle.startswith("profile:"):
        found["idle"] = machine.idle
        named[machine.idle.removeprefix("profile:")] = None
    found |= {f"profile {name}": system(plan, name) for name in named}
    if machine.loader:
        found["loader"] = machine.loader, plan.artifacts.get(machine.loader)
    if machine.rpi:
        folder = f"{machine.rpi.firmware}/"
        found["Raspberry Pi firmware"] = machine.rpi, [file for path, file in plan.artifacts.items() if path.startswith(folder)]
    if plan.site.server:
        found["server"] = plan.site.server
    return found | _told(plan, machine)


def system(plan: BootPlan, name: str) -> object:
    """All that is handed out for a profile; None if there is none."""
    profile = plan.profiles.get(name)
    return profile and (profile, [plan.artifacts.get(path) for path in (profile.kernel, *profile.initrd, profile.chain)])


def _told(plan: BootPlan, machine: Machine) -> dict[str, object]:
    """An instance id matters where there is something that is done anew for another one."""
    own = machine.metadata
    vendor = own.vendor_data if own and own.vendor_data is not None else plan.site.vendor_data
    said = {"user data": own.user_data if own else "", "vendor data": vendor}
    found: dict[str, object] = {name: text for name, text in said.items() if text}
    return found | {"instance id": (own and own.instance_id) or machine.name} if found else found
