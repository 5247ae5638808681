"""Which script a machine gets: `boot` decides what it does next, `ipxe` says it, and here the two are put together.

Core. A machine that is not in git is never told to boot anything; with `unknown: wait` it is told to wait and ask again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from netboot import grub, ipxe, pxelinux
from netboot.boot import Diskless, Plans, RunWork, Stay, Step, ToDisk, next_step, script_asked, step_served
from netboot.events import Event
from netboot.ipxe import Capability, Console, Secure
from netboot.kernel_network import bond_of, network_words
from netboot.observed import Observed
from netboot.plan import Artifact, BootPlan, Handover, Profile
from netboot.tokens import token

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


def mac_at(plan: BootPlan, address: str) -> str:
    """The MAC of the machine that asks from this address, or "". Where another server gives the addresses, what git says of
    them is a wish, and the wrong machine may have come to one: there only a MAC tells who asks.
    """
    binding = plan.by_address.get(address) if plan.site.mode == "reservation" else None
    if binding is None or bond_of(binding.machine, binding.interface.mac):  # any port of the bond may ask
        return ""
    return binding.interface.mac


def script_for(
    house: House, plans: Plans, observed: Observed, mac: str, hold: str, now: float, fresh: str, known_only: bool = False
) -> Script | NoScript:
    """The answer to a script fetch in the name of `mac`. `fresh`: the id a new boot gets. `known_only`: 404 for a stranger."""
    turn = script_asked(plans, observed, mac, hold, now, fresh)
    if turn.binding is None:
        return _stranger(house, plans.current, mac, known_only, turn.events)
    machine = turn.binding.machine
    if not turn.binding.interface.netboot:
        return NoScript(f"git says that {mac} of {machine.name} does not boot from the network")
    step = next_step(turn.plan, machine, observed, hold, turn.boot)
    console = Console(house.base, machine.name, mac, turn.plan.id, secure=house.secure)
    text = script_text(house, turn.plan, console, step, turn.boot)
    return Script(text, machine.name, turn.boot, step.why, (*turn.events, *step_served(turn, step, observed, now)))


def script_text(house: House, plan: BootPlan, console: Console, step: Step, boot: str) -> str:
    """The script for one step; also what `gitboot render` shows."""
    write = WRITERS[house.language]
    match step:
        case RunWork(profile=profile, why=why):
            capability = Capability(boot, token(house.key, boot))
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


def _stranger(house: House, plan: BootPlan, mac: str, known_only: bool, events: tuple[Event, ...]) -> Script | NoScript:
    """`events`: those of a machine that git named when its boot began."""
    if plan.site.unknown != "wait" or known_only:
        return NoScript(f"no machine in git has the MAC {mac}")
    why = f"no machine in git has the MAC {mac}; add it to the inventory and push"
    return Script(WRITERS[house.language].wait(Console(house.base, "", mac, plan.id), why), "", "", why, events)
