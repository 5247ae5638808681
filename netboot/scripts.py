"""Which script a machine gets: `boot` decides what it does next, `ipxe` says it, and here the two are put together.

Core. A machine that is not in git is never told to boot anything; with `unknown: wait` it is told to wait and ask again. A
script that holds a token is for the machine's own address alone, where addresses are ours to give; elsewhere for the site's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from netboot import grub, ipxe, pxelinux
from netboot.boot import Diskless, Plans, RunWork, Stay, Step, ToDisk, Turn, next_step, script_asked, step_served
from netboot.events import BootOpened, Event
from netboot.ipxe import Capability, Console, Secure
from netboot.kernel_network import bond_of, network_words
from netboot.observed import Observed
from netboot.peers import is_within
from netboot.plan import Artifact, BootPlan, Handover, Machine, Profile
from netboot.tokens import LIFETIME, token

Language = Literal["ipxe", "grub", "pxelinux"]


@dataclass(frozen=True, slots=True)
class Writer:
    """How one loader is told each step."""

    boot: Callable[[Console, Profile, Mapping[str, Artifact], Capability | None, str], str]
    disk: Callable[[Console, Handover, str], str]
    wait: Callable[[Console, str], str]


WRITERS: Mapping[Language, Writer] = {
    "ipxe": Writer(ipxe.boot_script, ipxe.disk_script, ipxe.wait_script),
    "grub": Writer(grub.boot_config, grub.disk_config, grub.wait_config),
    "pxelinux": Writer(pxelinux.boot_config, pxelinux.disk_config, pxelinux.wait_config),
}


@dataclass(frozen=True, slots=True)
class House:
    """What does not change while the server runs, and which language the loader that asks understands."""

    base: str
    """`http://10.1.0.1` or with a port: where machines reach us."""
    key: bytes
    """The secret that boot tokens are made with."""
    language: Language = "ipxe"
    secure: Secure | None = None
    """Where the booted system reaches us, when that is not `base`."""


@dataclass(frozen=True, slots=True)
class Script:
    """`events` are journalled before `text` is sent."""

    text: str
    machine: str
    boot: str
    why: str
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class NoScript:
    reason: str
    status: Literal[403, 404] = 404
    """403: there is one, and it is not for this address."""


def mac_at(plan: BootPlan, address: str) -> str:
    """The MAC of the machine that asks from this address, or "". Where another server gives the addresses, what git says of
    them is a wish, and the wrong machine may have come to one: there only a MAC tells who asks.
    """
    binding = plan.by_address.get(address) if plan.site.mode == "reservation" else None
    if binding is None or bond_of(binding.machine, binding.interface.mac):  # any port of the bond may ask
        return ""
    return binding.interface.mac


@dataclass(frozen=True, slots=True)
class Asked:
    """A script fetch in the name of `mac`, from the address `peer`."""

    mac: str
    peer: str
    known_only: bool = False
    """404 for a stranger."""


def script_for(
    house: House, plans: Plans, observed: Observed, asked: Asked, hold: str, now: float, fresh: str
) -> Script | NoScript:
    """The answer to a script fetch. `fresh`: the id a new boot gets."""
    mac = asked.mac
    before = plans.of(observed.open_boot(mac))
    turn = script_asked(plans, observed, mac, hold, now, fresh)
    if turn.binding is None:
        return _stranger(house, plans.current, asked, turn.events)
    machine = turn.binding.machine
    if not turn.binding.interface.netboot:
        return NoScript(f"git says that {mac} of {machine.name} does not boot from the network")
    step = next_step(turn.plan, machine, observed, turn.hold(hold), turn.boot)
    if isinstance(step, RunWork) and (why := withheld("script", (turn.plan, before), observed, (mac,), asked.peer)):
        return NoScript(why, 403)
    console = Console(house.base, machine.name, mac, turn.plan.id, secure=house.secure)
    text = script_text(house, turn.plan, console, step, _capability(house, turn, observed, now))
    return Script(text, machine.name, turn.boot, step.why, (*turn.events, *step_served(turn, step, observed, now)))


def withheld(what: str, plans: Iterable[BootPlan], observed: Observed, macs: Iterable[str], peer: str) -> str:
    """Why the script or boot (`what`) of the machine with these MACs, which holds a token, is not for who asks from `peer`;
    "": it is.

    `plans`: the one that answers, and the one that gave the machine the address it has.
    """
    why = ""
    for plan, mac in product(plans, macs):
        binding = plan.by_mac.get(mac)
        if binding is None:
            continue
        mine = _addresses(binding.machine, observed)
        theirs = tuple(subnet.cidr for subnet in plan.subnets.values())
        ours = plan.site.mode == "reservation" and all(each.dhcp or each.address for each in binding.machine.interfaces)
        if peer in mine or (not ours and (not theirs or is_within(peer, theirs))):
            return ""
        whom = (" and ".join(mine) or "an address that we gave it") if ours else "addresses of the site's subnets"
        why = (
            f"the {what} of {binding.machine.name} holds a token, so it is for {whom} only and not for {peer or 'nobody'}; "
            "a proxy in between has to be named in the Site's trustedProxies"
        )
    return why


def _addresses(machine: Machine, observed: Observed) -> tuple[str, ...]:
    """Those that git gives it, and where it gives none those that it has from us."""
    given = [each.address or observed.address_of.get(each.mac, "") for each in machine.interfaces]
    return tuple(dict.fromkeys(filter(None, given)))


def _capability(house: House, turn: Turn, observed: Observed, now: float) -> Capability:
    """For the boot as it will be once the turn's events have happened."""
    opened = next((event for event in turn.events if isinstance(event, BootOpened)), None)
    boot = opened or observed.boots.get(turn.boot)
    machine, plan = (boot.machine, boot.plan) if boot else ("", "")
    return Capability(turn.boot, token(house.key, machine, plan, turn.boot, now + LIFETIME))


def script_text(house: House, plan: BootPlan, console: Console, step: Step, capability: Capability) -> str:
    """The script for one step; also what `gitboot render` shows."""
    write = WRITERS[house.language]
    match step:
        case RunWork(profile=profile, why=why):
            return write.boot(_networked(plan, console, profile), profile, plan.artifacts, capability, why)
        case Diskless(profile=profile, why=why):
            return write.boot(_networked(plan, console, profile), profile, plan.artifacts, None, why)
        case ToDisk(handover=handover, why=why):
            return write.disk(console, handover, why)
        case Stay(why=why):
            return write.wait(console, why)


def _networked(plan: BootPlan, console: Console, profile: Profile) -> Console:
    binding = plan.by_mac.get(console.mac)
    return replace(console, network=network_words(binding.machine, console.mac, profile.cmdline)) if binding else console


def _stranger(house: House, plan: BootPlan, asked: Asked, events: tuple[Event, ...]) -> Script | NoScript:
    """`events`: those of a machine that git named when its boot began."""
    mac = asked.mac
    if plan.site.unknown != "wait" or asked.known_only:
        return NoScript(f"no machine in git has the MAC {mac}")
    why = f"no machine in git has the MAC {mac}; add it to the inventory and push"
    return Script(WRITERS[house.language].wait(Console(house.base, "", mac, plan.id), why), "", "", why, events)
