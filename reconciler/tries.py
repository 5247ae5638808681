"""Whether one machine may boot another commit's plan once: judged by what is served, never by that commit.

Core. Law: a try takes nothing from another machine, neither a MAC nor an address; what may not begin by what is served does not
begin by what is tried; and a rehearsal counts as something that writes as soon as what it boots is not, byte for byte, what is
served: what another system does, nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from netboot.holds import Holds
from netboot.plan import BootPlan, Machine
from reconciler.limits import too_many
from reconciler.policy import in_force
from reconciler.systems import system
from reconciler.trust import Floor, destructive


def refusal(served: BootPlan, tried: BootPlan, name: str) -> str:
    """Why this machine cannot boot by `tried` beside everybody else, as a sentence; "": it can."""
    machine = tried.machines.get(name)
    if machine is None:
        return f"that commit has no machine {name}: correct --on, or add it there"
    for each in machine.interfaces:
        for found, what in ((served.by_mac.get(each.mac), each.mac), (served.by_address.get(each.address), each.address)):
            if found is not None and found.machine.name != name:
                return f"that commit gives {name} the {what} that {found.machine.name} has in what is served: merge that first"
    return ""


def may_write(served: BootPlan, tried: BootPlan, name: str, rehearse: bool) -> tuple[str, ...]:
    """What of the try may write to a disk, or do what nobody knows, as ends of a sentence that begins with "it"."""
    machine = tried.machines[name]
    if not rehearse:
        return destructive(served, replace(tried, machines={name: machine})) + _foreign(served, tried, machine)
    return _foreign(served, tried, machine)


def forbidden(
    served: BootPlan,
    holds: Holds,
    floor: Floor,
    tried: BootPlan,
    name: str,
    writes: tuple[str, ...],
    others: Iterable[Machine] = (),
) -> str:
    """Why the policy of what is served forbids it, as a sentence; "": it does not.

    `others`: what the other tries that may write make of their machines, for the limits are for all of them together.
    """
    if not writes:
        return ""
    macs = set(tried.machines[name].macs)
    protected = {each.name: each.macs for each in served.machines.values() if each.protect}
    protected |= holds.kept.protected if holds.kept else {}
    if any(name == each or macs & set(known) for each, known in protected.items()):
        return f"{name} is protected, and the try {writes[0]}: rehearse it, or merge first that it is not protected any more"
    if holds.everything:
        return f"every run is held ({holds.everything}), and the try {writes[0]}: rehearse it"
    held = next((hold for hold in holds.held if name in hold.runs), None)
    if held:
        return f"runs of {name} are held ({held.why}), and the try {writes[0]}: have them released first, or rehearse it"
    policies = (in_force(served, holds).policy, served.site.policy, *holds.policies, floor.policy)
    if rule := too_many(served, (*others, tried.machines[name]), policies):
        together = "with what is tried elsewhere it would be more" if others else "this would be more"
        return f"policy allows {rule}, {together}, and the try {writes[0]}: wait until another is over, or rehearse it"
    return ""


def holds_of(served: Holds, plan: str) -> Holds:
    """Those of a plan that is tried: what may not begin by what is served does not begin by it either."""
    return Holds(plan, held=served.held, policies=served.policies, everything=served.everything)


def _foreign(served: BootPlan, tried: BootPlan, machine: Machine) -> tuple[str, ...]:
    """Systems that the machine would boot and that are not those that are served."""
    before = served.machines.get(machine.name)
    found = [
        f"boots {machine.name} in profile {each}, which is not as it is served"
        for each in _new_profiles(served, tried, machine)
    ]
    if machine.rpi and (before is None or before.rpi != machine.rpi):
        found.append(f"gives {machine.name} other firmware files")
    said = {} if before is None else _told(served, before)
    found += [
        f"gives {machine.name} another {what}" for what, text in _told(tried, machine).items() if said.get(what, "") != text
    ]
    return tuple(found)


def _told(plan: BootPlan, machine: Machine) -> dict[str, object]:
    """What else decides what the machine runs: where it loads from, and what cloud-init is given to do."""
    own = machine.metadata
    vendor = own.vendor_data if own and own.vendor_data is not None else plan.site.vendor_data
    loader = machine.loader and (machine.loader, plan.artifacts.get(machine.loader))
    return {"loader": loader, "server": plan.site.server, "user data": own.user_data if own else "", "vendor data": vendor}


def _new_profiles(served: BootPlan, tried: BootPlan, machine: Machine) -> list[str]:
    """A kernel that is served is known; a script or a chain only where this machine boots it."""
    own = _named(served.machines.get(machine.name))
    return [
        name
        for name in _named(machine)
        if system(served, name) != system(tried, name) or not (name in own or tried.profiles[name].kernel)
    ]


def _named(machine: Machine | None) -> list[str]:
    """The profiles that it boots."""
    if machine is None:
        return []
    idle = [machine.idle.removeprefix("profile:")] if machine.idle.startswith("profile:") else []
    return list(dict.fromkeys([*(work.profile for work in machine.work), *idle]))
