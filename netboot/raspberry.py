"""A Raspberry Pi's firmware, and files by their path: what a machine is sent that asks for a name and no digest.

Core. The law: a name means something for one machine only, by the plan its boot is pinned to. A Pi's ROM asks for every file
below its serial number or its MAC address, and where that is not found, without either: then its address tells who it is.
(Raspberry Pi's documentation: "Raspberry Pi bootloader configuration", TFTP_PREFIX.)
"""

from __future__ import annotations

from netboot.boot import Plans, in_progress
from netboot.observed import Observed
from netboot.plan import Artifact

CONFIG = "config.txt"


def mac_of(plans: Plans, owner: str) -> str:
    """The MAC of the machine with this serial number, or this MAC; "" when git names none."""
    if ":" in owner:
        return owner
    known = (plan.by_serial.get(owner) for plan in (plans.current, *plans.pinned.values()))
    return next((machine.macs[0] for machine in known if machine), "")


def file_for(plans: Plans, observed: Observed, mac: str, name: str) -> Artifact | str | None:
    """An artefact, or the text of `config.txt` as git has it; None when nothing has this name for the machine."""
    turn = in_progress(plans, observed, mac)
    if turn.binding is None or not turn.binding.interface.netboot:
        return None
    pi = turn.binding.machine.rpi
    if pi and name == CONFIG and pi.config:
        return pi.config
    firmware = turn.plan.artifacts.get(f"{pi.firmware}/{name}") if pi and pi.firmware else None
    return firmware or turn.plan.artifacts.get(name)
