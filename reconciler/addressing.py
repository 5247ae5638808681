"""Addressing: whether subnets, ranges and addresses fit together.

Core. The law: an address that is given out belongs to one machine and one subnet, and is nobody's router, network or
broadcast address and not in a range that strangers get theirs from.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import pairwise

from reconciler.bonding import bonded, of_bond
from reconciler.inventory import Hardware, Interface, Site, Subnet
from reconciler.shape import Suggestions, shown

Complain = Callable[[str, str, str], None]
"""Path, code and message of one problem of the object at hand."""


@dataclass(frozen=True, slots=True)
class Span:
    """A subnet as numbers: comparing ten thousand addresses as objects takes too long."""

    subnet: Subnet
    first: int
    last: int
    gateway: int
    """-1 when there is none."""
    range: tuple[int, int]
    """(0, -1) when there is none."""
    reserved: tuple[int, ...]
    """Network and broadcast address; none in networks of one or two addresses (RFC 3021)."""

    @classmethod
    def of(cls, subnet: Subnet) -> Span:
        first, last = int(subnet.cidr.network_address), int(subnet.cidr.broadcast_address)
        low, high = subnet.range or (IPv4Address(1), IPv4Address(0))
        gateway = int(subnet.gateway) if subnet.gateway else -1
        return cls(subnet, first, last, gateway, (int(low), int(high)), (first, last) if last - first > 1 else ())


# Site ------------------------------------------------------------------------------------------------------------------


def check_site(site: Site, complain: Complain) -> None:
    """The subnets by themselves and among each other."""
    for index, subnet in enumerate(site.subnets):
        _check_gateway(subnet, f"spec.subnets[{index}]", complain)
        _check_range(site, subnet, f"spec.subnets[{index}]", complain)
    _check_overlaps(site.subnets, complain)
    _check_upstreams(site, complain)
    ranged = any(subnet.range for subnet in site.subnets)
    if site.unknown == "wait" and site.dhcp_mode == "reservation" and not ranged:
        message = "'wait' needs addresses for unknown machines: give a subnet a 'range'."
        complain("spec.unknown", "wait-without-range", message)


def _check_upstreams(site: Site, complain: Complain) -> None:
    for index, upstream in enumerate(site.upstreams):
        if upstream == site.server:
            message = f"{upstream} is this server itself, which would ask itself in a circle: name another resolver."
            complain(f"spec.dns.upstreams[{index}]", "bad-upstream", message)


def _check_gateway(subnet: Subnet, path: str, complain: Complain) -> None:
    span = Span.of(subnet)
    if subnet.gateway and not span.first <= span.gateway <= span.last:
        message = f"The gateway {subnet.gateway} is not in {subnet.cidr}: machines could not reach it; correct one of the two."
        complain(f"{path}.gateway", "gateway-outside-subnet", message)
    elif span.gateway in span.reserved:
        message = f"{subnet.gateway} is the network or broadcast address of {subnet.cidr}: name the router's own address."
        complain(f"{path}.gateway", "address-reserved", message)


def _check_range(site: Site, subnet: Subnet, path: str, complain: Complain) -> None:
    if subnet.range is None:
        return
    span = Span.of(subnet)
    low, high = span.range
    text = f"{subnet.range[0]} to {subnet.range[1]}"
    if low > high:
        complain(f"{path}.range", "bad-range", f"The range {text} ends before it begins: swap its addresses.")
    elif not span.first <= low <= high <= span.last:
        message = f"The range {text} is not within {subnet.cidr}: correct one of the two."
        complain(f"{path}.range", "range-outside-subnet", message)
    else:
        _check_taken(site, span, text, path, complain)


def _check_taken(site: Site, span: Span, text: str, path: str, complain: Complain) -> None:
    """Whether a range holds an address that no machine can have."""
    taken = {"the network address": span.first, "the broadcast address": span.last} if span.reserved else {}
    taken |= {"the gateway": span.gateway, "this server": int(site.server) if site.server else -1}
    for what, address in taken.items():
        if span.range[0] <= address <= span.range[1]:
            message = f"The range {text} holds {IPv4Address(address)}, {what}: make it smaller."
            complain(f"{path}.range", "address-in-range", message)


def _check_overlaps(subnets: Sequence[Subnet], complain: Complain) -> None:
    """Each subnet against the one before it in order of address that reaches furthest."""
    order = sorted(range(len(subnets)), key=lambda index: (int(subnets[index].cidr.network_address), index))
    widest = order[:1]
    for before, index in pairwise(order):
        widest = [max(widest[0], before, key=lambda each: int(subnets[each].cidr.broadcast_address))]
        one, other = subnets[index], subnets[widest[0]]
        if one.cidr.network_address <= other.cidr.broadcast_address:
            message = f"{one.cidr} ({one.name}) and {other.cidr} ({other.name}) overlap: every address belongs to one subnet."
            complain(f"spec.subnets[{index}].cidr", "overlapping-subnets", message)


# Machines --------------------------------------------------------------------------------------------------------------


class Networks:
    """The subnets of a site, ready for many questions."""

    def __init__(self, site: Site) -> None:
        self._reserving = site.dhcp_mode == "reservation"
        self._spans = sorted((Span.of(subnet) for subnet in site.subnets), key=lambda span: span.first)
        self._firsts = [span.first for span in self._spans]
        self._suggest = Suggestions([subnet.name for subnet in site.subnets])
        self._by_name = {span.subnet.name: span for span in self._spans}

    def check(self, hardware: Hardware, complain: Complain) -> None:
        """Whether every port of a machine has a subnet and an address that can be its."""
        inside = bonded(hardware)
        ports = [
            (interface, f"spec.interfaces[{index}]")
            for index, interface in enumerate(hardware.interfaces)
            if interface.mac not in inside
        ]
        ports += [(of_bond(hardware, bond), f"spec.bonds[{index}]") for index, bond in enumerate(hardware.bonds)]
        for interface, path in ports:
            span = self._span(interface, path, complain)
            if span is not None:
                self._check_address(interface, span, path, complain)

    def _span(self, interface: Interface, path: str, complain: Complain) -> Span | None:
        if interface.subnet is not None:
            if interface.subnet not in self._by_name:
                message = f"There is no subnet {shown(interface.subnet)}{self._suggest(interface.subnet) or self._there_are()}"
                complain(f"{path}.subnet", "unknown-reference", message)
            return self._by_name.get(interface.subnet)
        if interface.address is not None:
            return self._around(interface.address, path, complain)
        if len(self._spans) == 1:
            return self._spans[0]
        if self._spans and self._reserving and interface.dhcp:
            message = f"Nothing tells which subnet this port is in{self._there_are()} Give it an 'address' or a 'subnet'."
            complain(path, "ambiguous-subnet", message)
        return None

    def _there_are(self) -> str:
        return f": there are {', '.join(self._by_name)}." if self._by_name else ": the Site has none."

    def _around(self, address: IPv4Address, path: str, complain: Complain) -> Span | None:
        number = int(address)
        index = bisect_right(self._firsts, number) - 1
        if index >= 0 and number <= self._spans[index].last:
            return self._spans[index]
        if self._reserving and self._spans:
            message = f"{address} is in no subnet of the Site: correct it, or add its subnet."
            complain(f"{path}.address", "address-outside-subnet", message)
        return None

    def _check_address(self, interface: Interface, span: Span, path: str, complain: Complain) -> None:
        if interface.gateway is not None and not span.first <= int(interface.gateway) <= span.last:
            message = (
                f"The gateway {interface.gateway} is not in {span.subnet.cidr}: the machine could not reach it; correct it."
            )
            complain(f"{path}.gateway", "gateway-outside-subnet", message)
        if interface.address is None:
            if self._reserving and interface.dhcp and not span.subnet.range:
                message = f"There is no address for this port: give it one, or give the subnet {span.subnet.name!r} a 'range'."
                complain(path, "no-address", message)
            return
        number = int(interface.address)
        if not span.first <= number <= span.last:
            message = (
                f"{interface.address} is not in {span.subnet.cidr}, the subnet {span.subnet.name!r}: correct one of the two."
            )
            complain(f"{path}.address", "address-outside-subnet", message)
        elif number == span.gateway or number in span.reserved:
            what = "the gateway" if number == span.gateway else "the network or broadcast address"
            message = f"{interface.address} is {what} of the subnet {span.subnet.name!r}: choose another."
            complain(f"{path}.address", "address-reserved", message)
        elif span.range[0] <= number <= span.range[1]:
            message = (
                f"{interface.address} is in the range of the subnet {span.subnet.name!r}, which strangers get: choose another."
            )
            complain(f"{path}.address", "address-in-range", message)
