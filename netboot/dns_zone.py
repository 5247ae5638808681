"""The names of a plan: what DNS knows of its machines and of the server, ready to be looked up.

Core. The law: every A has its PTR and every PTR its A, and every name lies in a zone of ours. Zones are the site's domain and
the reverse of its subnets, cut at octets so that no address of others is claimed; a name outside of them (a machine whose
domain is not the site's) is a zone by itself, so its neighbours stay whose they are. Only the plan is published: addresses
lent to strangers have no names.

Names are wire bytes in lower case (RFC 1035 section 3.1, RFC 4343); what answers show is spelt as the inventory spells it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple, TypeAlias

from dnslib.label import DNSBuffer, DNSLabelError

from netboot.dhcp_options import unpack
from netboot.plan import BootPlan, Interface, Machine, Shard, Site

A, NS, SOA, PTR = 1, 2, 6, 12
TTL = 60
"""Seconds that a name may be remembered: what a commit changes is seen everywhere a minute later."""
NEGATIVE_TTL = 10
"""Seconds that the absence of a name may be remembered (RFC 2308): a machine that git has just added is asked for at once."""
SERVER = "gitboot"
"""The server's own name in the site's domain, besides the site's."""

Records: TypeAlias = Mapping[int, tuple[bytes, ...]]
"""Type → the data of each record."""
Names: TypeAlias = Mapping[bytes, Records]

_NONE: Records = {}
_ROOT = b"\0"
_ARPA = b"\7in-addr\4arpa\0"
_OCTETS = tuple(bytes((len(str(octet)),)) + str(octet).encode() for octet in range(256))
_DOMAIN_NAME = 15
_SOA_TIMES = struct.Struct(">5I")
_REFRESH, _RETRY, _EXPIRE = 3600, 600, 86400


class Part(NamedTuple):
    """What one shard adds."""

    names: Names
    parents: frozenset[bytes]
    """The name above each, of which there are few."""


@dataclass(frozen=True, slots=True)
class Zone:
    """All the names there are, for those who reach the server at one of its addresses."""

    plan: str
    """Id of the plan the names are from."""
    names: Names
    """Of the machines and the zones."""
    own: Names
    """Of the server; they come first, and repeat what `names` says of them."""
    parts: Mapping[tuple[str, str], Part]
    """(digest of a shard, the site's domain) → its machines' names: shared by the next plan."""

    def find(self, name: bytes) -> Records | None:
        """What is known of a name in lower case. Empty: it exists because a longer one does. None: there is no such name."""
        records = self.own.get(name)
        return self.names.get(name) if records is None else records

    def apex(self, name: bytes) -> bytes | None:
        """The top of the zone that the name lies in, whether it exists or not; None for the names of others."""
        while SOA not in (self.find(name) or _NONE):
            if name == _ROOT:
                return None
            name = _parent(name)
        return name


def zone_of(plan: BootPlan, server: str = "", previous: Zone | None = None) -> Zone:
    """`server`: our address where the site does not say it. What did not change since `previous` is taken over from it."""
    site, apex = plan.site, _apex(plan)
    if previous is not None and previous.plan == plan.id:
        names, parts = previous.names, previous.parts
    else:
        known = previous.parts if previous else {}
        keys = {(shard.digest, site.domain): shard for shard in plan.shards.values()}
        parts = {key: known[key] if key in known else _part(shard, site.domain) for key, shard in keys.items()}
        names = _merged(plan, parts.values(), apex)
    return Zone(plan.id, names, _own(names, site, site.server or server, apex), parts)


def wire(name: str) -> bytes | None:
    """A name as it is sent, or None when it cannot be one (RFC 1035 section 2.3.4) or is the root."""
    buffer = DNSBuffer()
    try:
        buffer.encode_name_nocompress(name)
    except (DNSLabelError, UnicodeError):
        return None
    return bytes(buffer.data) if len(buffer.data) > 1 else None


def reverse(octets: bytes) -> bytes:
    """The name of an address, or of a network by its first octets (RFC 1035 section 3.5)."""
    return b"".join(_OCTETS[octet] for octet in reversed(octets)) + _ARPA


def _parent(name: bytes) -> bytes:
    return name[1 + name[0] :]


def _qualified(host: str, domain: str) -> str:
    return host if not domain or host.lower().endswith(f".{domain.lower()}") else f"{host}.{domain}"


def names_of(machine: Machine, domain: str) -> Iterator[tuple[str, str]]:
    """Name and address of each reserved interface that has both. `domain`: of those whose options do not say it."""
    for interface in machine.interfaces:
        if interface.address and interface.hostname:
            yield _qualified(interface.hostname, _domain(interface) or domain), interface.address


def _part(shard: Shard, domain: str) -> Part:
    """Both ways, from name to address and back."""
    names: dict[bytes, dict[int, tuple[bytes, ...]]] = {}
    for host, at in (each for machine in shard.machines for each in names_of(machine, domain)):
        name = wire(host)
        if name is not None:
            address = IPv4Address(at).packed
            _add(names, name.lower(), A, address)
            _add(names, reverse(address), PTR, name)
    return Part(names, frozenset(map(_parent, names)))


def _domain(interface: Interface) -> str:
    """What DHCP tells the machine its domain is, so that both say the same."""
    return unpack(interface.options).get(_DOMAIN_NAME, b"").decode("ascii", "replace").rstrip(".")


def _add(names: dict[bytes, dict[int, tuple[bytes, ...]]], name: bytes, rtype: int, data: bytes) -> None:
    records = names.setdefault(name, {})
    if data not in records.get(rtype, ()):  # the ports of a bond say the same
        records[rtype] = (*records.get(rtype, ()), data)


def _merged(plan: BootPlan, parts: Iterable[Part], apex: Records) -> Names:
    names: dict[bytes, Records] = dict.fromkeys(_zones(plan), apex)
    parents = set[bytes]()
    for part in parts:
        parents |= part.parents
        if names.keys().isdisjoint(part.names):
            names.update(part.names)
        else:
            for name, records in part.names.items():
                names[name] = _union(names.get(name, _NONE), records)
    _root(names, parents, names, apex)
    return names


def _union(some: Records, more: Records) -> Records:
    return {**some, **{rtype: (*some.get(rtype, ()), *data) for rtype, data in more.items()}}


def _zones(plan: BootPlan) -> Iterator[bytes]:
    """The site's domain and, for each subnet, the fewest networks of whole octets that are exactly its addresses."""
    domain = wire(plan.site.domain)
    if domain is not None:
        yield domain.lower()
    for subnet in plan.subnets.values():
        cidr = IPv4Network(subnet.cidr)
        octets = -(-cidr.prefixlen // 8)
        for network in cidr.subnets(new_prefix=octets * 8):
            yield reverse(network.network_address.packed[:octets])


def _root(names: dict[bytes, Records], parents: Iterable[bytes], known: Names, apex: Records) -> None:
    """Give each of `names` a way up to a zone in `known`: what lies between exists too (RFC 8020). Without a zone it is one."""
    orphaned = set[bytes]()
    for parent in parents:
        between = _below_zone(parent, known)
        if between is None:
            orphaned.add(parent)
        else:
            names.update({name: _NONE for name in between if name not in known})
    if orphaned:
        alone = [name for name, records in names.items() if _parent(name) in orphaned and SOA not in records]
        names.update({name: _union(apex, names[name]) for name in alone})


def _below_zone(name: bytes, known: Names) -> list[bytes] | None:
    """The name and those above it, up to the zone's own; None when it lies in no zone."""
    between: list[bytes] = []
    while SOA not in known.get(name, _NONE):
        if name == _ROOT:
            return None
        between.append(name)
        name = _parent(name)
    return between


def _own(names: Names, site: Site, server: str, apex: Records) -> Names:
    """`gitboot` and the site's name, in the site's domain. A machine that git gave one of these names keeps it."""
    if not server:
        return {}
    address, own = IPv4Address(server).packed, dict[bytes, Records]()
    for host in (SERVER, site.name):
        name = wire(_qualified(host, site.domain))
        if name is None or name.lower() in own or A in names.get(name.lower(), _NONE):
            continue
        own[name.lower()] = _union(names.get(name.lower(), _NONE), {A: (address,)})
        back = reverse(address)
        own[back] = _union(own.get(back, names.get(back, _NONE)), {PTR: (name,)})
    _root(own, {_parent(name) for name in own}, names, apex)
    return own


def _apex(plan: BootPlan) -> Records:
    """SOA and NS, the same for every zone. The serial only differs from plan to plan: zones are not transferred."""
    server, contact = (_known(_qualified(host, plan.site.domain)) for host in (SERVER, "hostmaster"))
    times = _SOA_TIMES.pack(int(plan.id[:8], 16), _REFRESH, _RETRY, _EXPIRE, NEGATIVE_TTL)
    return {SOA: (server + contact + times,), NS: (server,)}


@lru_cache(maxsize=8)
def _known(name: str) -> bytes:
    return wire(name) or _ROOT
