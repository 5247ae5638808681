"""Bonds: several ports of a machine that act as one.

Core. The law: a bond is one port with several MACs. Whichever of them asks is told the same, all that the first member says
and the bond's address, so that the machine is known by one address before and after its system makes the bond.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.inventory import Bond, Hardware, Interface
from reconciler.shape import Complaints


def acting(hardware: Hardware) -> tuple[Interface, ...]:
    """The interfaces as they act, in the order written. The first answers to the machine's name unless it was given another."""
    first, *others = hardware.interfaces
    ports = {port.mac: port for port in (replace(first, hostname=first.hostname or hardware.name), *others)}
    for bond in hardware.bonds:
        whole = _whole(ports, bond)
        ports |= {mac: replace(whole, mac=mac, netboot=ports[mac].netboot) for mac in bond.interfaces}
    return tuple(ports[port.mac] for port in hardware.interfaces)


def of_bond(hardware: Hardware, bond: Bond) -> Interface:
    """The bond as the one port that it acts as."""
    return _whole({port.mac: port for port in hardware.interfaces}, bond)


def _whole(ports: dict[str, Interface], bond: Bond) -> Interface:
    """A name that any member bears is the bond's: the machine's own may be on another than the bond's first."""
    first = ports[bond.interfaces[0]]
    hostname = next((ports[mac].hostname for mac in bond.interfaces if ports[mac].hostname), None)
    return replace(first, address=bond.address, hostname=hostname)


def bonded(hardware: Hardware) -> frozenset[str]:
    """The MACs of all ports that are in a bond."""
    return frozenset(mac for bond in hardware.bonds for mac in bond.interfaces)


def check_bonds(hardware: Hardware, complaints: Complaints) -> None:
    """Whether every member is a port of the machine, in one bond once, and has no address beside the bond's."""
    known = {port.mac: index for index, port in enumerate(hardware.interfaces)}
    taken: dict[str, str] = {}
    for number, bond in enumerate(hardware.bonds):
        for index, mac in enumerate(bond.interfaces):
            path = ("spec", "bonds", number, "interfaces", index)
            if mac not in known:
                message = f"No interface of this machine has the MAC {mac}: add it to 'interfaces', or correct it."
                complaints.at(path, "unknown-reference", message)
            elif mac in taken:
                message = f"{mac} is in the bond {taken[mac]!r} already: a port is in one bond, once."
                complaints.at(path, "bonded-twice", message)
            elif hardware.interfaces[known[mac]].address is not None:
                message = f"This port is in the bond {bond.name!r}, whose address is its own too: move the address there."
                complaints.at(("spec", "interfaces", known[mac], "address"), "bonded-address", message)
            taken.setdefault(mac, bond.name)
