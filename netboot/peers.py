"""Who is really asking: the address of a connection's other end or, behind proxies that the site trusts, the one they name.

Core. Law: `X-Forwarded-For` counts only as far as each hop that wrote it is trusted, from the nearest outwards, so nobody can
be another by a header; where a trusted proxy names what is no address, nobody is asking, who is allowed nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

NOBODY = ""
"""Equals no machine's address and is in no subnet."""


def peer_of(client: str, forwarded: Sequence[str], trusted: tuple[str, ...]) -> str:
    """`client`: the connection's other end; `forwarded`: each X-Forwarded-For header, in order; `trusted`: CIDRs.

    Every proxy appends who asked it, so the last hop that is not itself a trusted proxy is who asks.
    """
    if not trusted or not is_within(client, trusted):
        return client
    hops = [hop.strip() for header in forwarded for hop in header.split(",")]
    for hop in reversed(hops):
        address = _address(hop)
        if address == NOBODY or not is_within(address, trusted):
            return address
        client = address
    return client


def is_within(address: str, networks: tuple[str, ...]) -> bool:
    """Whether `address` is in one of the CIDRs; what is no IPv4 address is in none."""
    try:
        number = IPv4Address(address)
    except ValueError:
        return False
    return any(number in network for network in _networks(networks))


def _address(hop: str) -> str:
    """Without the port that some proxies put behind it; NOBODY for `unknown` and whatever else is no address."""
    host, _, port = hop.partition(":")
    try:
        return str(IPv4Address(host)) if not port or port.isdigit() else NOBODY
    except ValueError:
        return NOBODY


@lru_cache(maxsize=64)
def _networks(networks: tuple[str, ...]) -> tuple[IPv4Network, ...]:
    return tuple(map(IPv4Network, networks))
