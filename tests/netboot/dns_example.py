"""A site with names, as every DNS test knows it, and queries as clients send them; dnslib reads what comes back."""

from __future__ import annotations

from collections.abc import Sequence

from dnslib import EDNS0, QTYPE, DNSQuestion, DNSRecord

from netboot.dhcp_options import encode as option
from netboot.dhcp_options import pack
from netboot.dns import Reply, respond
from netboot.dns_zone import Zone, zone_of
from netboot.plan import BootPlan, Interface, Machine, Site, Subnet, dump

SITE = Site("home", "lab.example", "10.1.0.1")
RACK = Subnet("rack1", "10.1.0.0/16")


def port(address: str, hostname: str = "", domain: str = "") -> Interface:
    """`domain`: as DHCP tells it."""
    options = pack(dict([option("domain-name", domain), option("lease-time", 600)])) if domain else b""
    octets = (address or "0.0.0.0").split(".")
    return Interface("02:00:" + ":".join(f"{int(octet):02x}" for octet in octets), address, hostname, "rack1", options)


def machine(name: str, *ports: Interface) -> Machine:
    return Machine(name, "x86_64", ports)


def plan(
    *machines: Machine, site: Site = SITE, subnets: Sequence[Subnet] = (RACK,), previous: BootPlan | None = None
) -> BootPlan:
    return dump(site, subnets, [], [], machines, previous).plan


PLAN = plan(
    machine("node-01", port("10.1.0.11", "node-01", "lab.example"), port("10.1.9.11")),
    machine("node-02", port("10.1.0.12", "Node-02", "lab.example")),
    machine("guest", port("10.1.0.13", "guest", "elsewhere.example")),
)
ZONE: Zone = zone_of(PLAN)


def ask(name: str, qtype: str = "A", edns: int = 0, **edns_more: object) -> DNSRecord:
    """`edns`: payload size; 0 asks without."""
    query = DNSRecord(q=DNSQuestion(name, getattr(QTYPE, qtype)))
    query.header.id = 4711
    if edns:
        query.add_ar(EDNS0(udp_len=edns, **edns_more))
    return query


def told(query: DNSRecord | bytes, zone: Zone | None = ZONE, *, tcp: bool = False) -> DNSRecord:
    """What a client reads in the reply."""
    return DNSRecord.parse(replied(query, zone, tcp=tcp).data)


def replied(query: DNSRecord | bytes, zone: Zone | None = ZONE, *, tcp: bool = False) -> Reply:
    decided = respond(query if isinstance(query, bytes) else bytes(query.pack()), zone, tcp=tcp)
    assert isinstance(decided, Reply), decided
    return decided


def lines(records: Sequence[object]) -> list[str]:
    """Records as in a zone file, with one space between fields."""
    return [" ".join(str(record).split()) for record in records]
