"""Sticky addresses for machines that git does not know: where the hash of the MAC falls in the range, or the next free one.

Core. The law: an address is given to one MAC at a time; a MAC that was given one keeps it; an address that is reserved,
leased, or was found in use by somebody else (DHCPDECLINE) is passed over. The same MAC is offered the same address again
before anything is journalled, so an offer needs no memory.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Address

from netboot.observed import Observed
from netboot.plan import BootPlan, Subnet

DECLINED_SECONDS = 3600
"""How long an address that a client declined is left alone."""
PROBES = 4096
"""Addresses tried one after the other: bounds what a flood of invented MACs costs in a full range."""


def sticky_address(plan: BootPlan, subnet: Subnet, mac: str, observed: Observed, now: float, lease: int) -> str | None:
    """The address of `mac` in the subnet's range, or None when the subnet has no range or the range is full.

    `lease`: seconds after which an address not renewed may go to another MAC when no other is left.
    """
    if subnet.range is None:
        return None
    first, last = (int(IPv4Address(end)) for end in subnet.range)
    held = observed.address_of.get(mac, "")
    if held and first <= int(IPv4Address(held)) <= last and _free(plan, held, mac, observed, now):
        return held
    size = last - first + 1
    start = int.from_bytes(hashlib.sha256(mac.encode()).digest()[:8], "big") % size
    stale = None
    for step in range(min(size, PROBES)):
        address = str(IPv4Address(first + (start + step) % size))
        if _free(plan, address, mac, observed, now):
            return address
        owner = observed.mac_of.get(address)
        if stale is None and owner and address not in plan.by_address and now - observed.bound_at.get(owner, now) > lease:
            stale = address
    return stale


def _free(plan: BootPlan, address: str, mac: str, observed: Observed, now: float) -> bool:
    if address in plan.by_address or observed.mac_of.get(address, mac) != mac:
        return False
    return now - observed.declined.get(address, -DECLINED_SECONDS) >= DECLINED_SECONDS
