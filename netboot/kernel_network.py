"""What a kernel is told of its network: the words on its command line for the interface it was booted from.

Core. The law: the words say only what DHCP would not, so a machine with one untagged port and DHCP gets none. The interface is
the one of `BOOTIF`, which every command line has: no kernel's name for a card can be known here. A static `ip=` therefore
names no device, as the kernel's own documentation allows (Documentation/admin-guide/nfs/nfsroot.rst); only what does not
exist until the system makes it, a VLAN or a bond, has a name, with `ifname=` for the ports below (dracut.cmdline(7)).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from netboot.dhcp_options import unpack
from netboot.plan import Bond, Interface, Machine

_NETMASK, _ROUTERS, _SERVERS = 1, 3, 6
_OURS = ("ip", "vlan", "bond", "ifname")


def network_words(machine: Machine, mac: str, cmdline: str = "") -> tuple[str, ...]:
    """`mac`: the interface that the machine boots from. A `cmdline` that says one of these words itself configures the network
    by itself: then only `gitboot.vlan`, which is nobody else's, is added.
    """
    interface = next((each for each in machine.interfaces if each.mac == mac), None)
    if interface is None:
        return ()
    tag = (f"gitboot.vlan={interface.vlan}",) if interface.vlan else ()
    if any(word.partition("=")[0] in _OURS for word in cmdline.split()):
        return tag
    device, words = _device(interface, bond_of(machine, mac))
    if address := static_address(interface):
        return (*tag, *words, address.word(interface.hostname, device))
    return (*tag, *words, f"ip=:::::{device}:dhcp") if device else ()


def bond_of(machine: Machine, mac: str) -> Bond | None:
    """The bond that a port is in."""
    return next((bond for bond in machine.bonds if mac in bond.interfaces), None)


class StaticAddress:
    """What DHCP would have said, for an interface that is to do without it; addresses as text, "" for none."""

    def __init__(self, interface: Interface) -> None:
        options = unpack(interface.options)
        self.address = interface.address
        self.netmask = next(iter(_addresses(options.get(_NETMASK, b""))), "")
        self.gateway = next(iter(_addresses(options.get(_ROUTERS, b""))), "")
        self.servers = _addresses(options.get(_SERVERS, b""))

    def word(self, hostname: str, device: str) -> str:
        """The server's field stays empty: dracut reads it as the other end of a point-to-point link."""
        fields = (self.address, "", self.gateway, self.netmask, hostname, device, "none", *self.servers[:2])
        return f"ip={':'.join(fields)}"


def static_address(interface: Interface) -> StaticAddress | None:
    """None where the system asks DHCP: ours, or, of a port that we do not answer, somebody else's. An address without a subnet
    has no netmask, and is of no use without DHCP.
    """
    if interface.dhcp or not interface.address:
        return None
    static = StaticAddress(interface)
    return static if static.netmask else None


def _device(interface: Interface, bond: Bond | None) -> tuple[str, tuple[str, ...]]:
    """The name of what the system makes of its ports, and the words that make it; "" for a port as it is."""
    device, words = "", list[str]()
    if bond is not None:
        ports = [f"bootnet{number}" for number in range(len(bond.interfaces))]
        words += [f"ifname={port}:{mac}" for port, mac in zip(ports, bond.interfaces, strict=True)]
        # Without miimon a bond does not notice that a cable was pulled (Documentation/networking/bonding.rst).
        words.append(f"bond={bond.name}:{','.join(ports)}:mode={bond.mode},miimon=100")
        device = bond.name
    if interface.vlan:
        if not device:
            device = "bootnet"
            words.append(f"ifname={device}:{interface.mac}")
        words.append(f"vlan=vlan{interface.vlan}:{device}")
        device = f"vlan{interface.vlan}"
    return device, tuple(words)


def _addresses(data: bytes) -> list[str]:
    return [str(IPv4Address(data[at : at + 4])) for at in range(0, len(data) - 3, 4)]
