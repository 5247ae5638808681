"""Sticky addresses for machines that git gives none: where the hash of the MAC falls in the range, or the next free one.

Core. The law: an address is given to one MAC at a time; a MAC that was given one keeps it; an address that is reserved,
leased, or was found in use by somebody else (DHCPDECLINE) is passed over. The same MAC is offered the same address again
before anything is journalled, so an offer needs no memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address

from netboot.observed import Observed

DECLINED_SECONDS = 3600
"""How long an address that a client declined is left alone."""
PROBES = 4096
"""Addresses tried one after the other: bounds what a flood of invented MACs costs in a full range."""
RENEWAL = 0.5
"""Share of a lease's life within which a renewal is not journalled again: a client's first renewal comes at half of it."""


@dataclass(frozen=True, slots=True)
class Pool:
    """One range, and what is never given from it."""

    first: str
    last: str
    """Both included."""
    reserved: tuple[Container[str], ...]
    """Addresses that are others' to have: the reservations of every plan that may answer, this server's own."""
    lifetime: int
    """Seconds of a lease."""


def sticky_address(pool: Pool, mac: str, observed: Observed, now: float) -> str | None:
    """The address of `mac`, or None when the range is full. A lease that ran out is given away only when nothing is free."""
    first, size, start = _walk(pool.first, pool.last, mac)
    held = observed.address_of.get(mac)
    if held is not None and 0 <= int(IPv4Address(held)) - first < size and _free(pool, held, mac, observed, now):
        return held
    expired = None
    for step in range(min(size, PROBES)):
        address = _dotted(first + (start + step) % size)
        if _free(pool, address, mac, observed, now):
            return address
        if expired is None and _expired(pool, address, observed, now):
            expired = address
    return expired


@lru_cache(maxsize=4096)
def _walk(first: str, last: str, mac: str) -> tuple[int, int, int]:
    """The range's first address and size, and the offset at which the search for this MAC begins."""
    low, high = int(IPv4Address(first)), int(IPv4Address(last))
    size = high - low + 1
    return low, size, int.from_bytes(hashlib.sha256(mac.encode()).digest()[:8], "big") % size


def _dotted(address: int) -> str:
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


def _free(pool: Pool, address: str, mac: str, observed: Observed, now: float) -> bool:
    if _reserved(pool, address) or observed.mac_of.get(address, mac) != mac:
        return False
    return now - observed.declined.get(address, -DECLINED_SECONDS) >= DECLINED_SECONDS


def _expired(pool: Pool, address: str, observed: Observed, now: float) -> bool:
    """Whether its lease has certainly run out: the last renewal may be younger than the last one journalled."""
    owner = observed.mac_of.get(address)
    if owner is None or _reserved(pool, address):
        return False
    return now - observed.bound_at[owner] > pool.lifetime * (1 + RENEWAL)


def _reserved(pool: Pool, address: str) -> bool:
    return any(address in taken for taken in pool.reserved)
