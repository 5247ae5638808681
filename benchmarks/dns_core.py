"""What one DNS answer costs in CPU, without a network and without the rest of the server.

    python -m benchmarks.dns_core

`zone`: making the names of a plan of 20,000 machines ready, and those of the next plan in which one machine changed. `core`:
decode, look up, encode, for every machine's name and address as `dig` asks for them (EDNS and a cookie), and for a name that
does not exist. The target is 50,000 answers a second.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from dnslib import DNSRecord

from netboot.dhcp_options import encode as option
from netboot.dhcp_options import pack
from netboot.dns import Reply, respond
from netboot.dns_zone import Zone, zone_of
from netboot.plan import BootPlan, Interface, Machine, Site, Subnet, dump

MACHINES = 20_000
EDNS_WITH_COOKIE = bytes.fromhex("000029100000000000000c000a00080123456789abcdef")


def plan_of(machines: int, changed: str = "", previous: BootPlan | None = None) -> BootPlan:
    site = Site("home", "lab.example", "10.1.0.1")
    subnets = [Subnet("rack1", "10.1.0.0/16")]
    return dump(site, subnets, [], [], [machine(number, changed) for number in range(machines)], previous).plan


def machine(number: int, changed: str) -> Machine:
    name = f"node-{number}" + (changed if number == 7 else "")
    options = pack(dict([option("host-name", name), option("domain-name", "lab.example"), option("lease-time", 86400)]))
    mac = f"52:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    return Machine(name, "x86_64", (Interface(mac, address(number), name, "rack1", options),))


def address(number: int) -> str:
    return f"10.1.{(number + 256) >> 8}.{number & 255}"


def question(name: str, qtype: str) -> bytes:
    query = bytearray(DNSRecord.question(name, qtype).pack())
    query[11] = 1  # one additional record
    return bytes(query) + EDNS_WITH_COOKIE


def timed(what: str, work: Callable[[], object], times: int = 0) -> None:
    start = time.process_time()
    work()
    cost = time.process_time() - start
    print(f"{what}: " + (f"{times / cost:,.0f} answers a second" if times else f"{cost * 1e3:.0f} ms"))


def main() -> None:
    plan = plan_of(MACHINES)
    changed = plan_of(MACHINES, "b", plan)
    zone: Zone = zone_of(plan)
    timed("zone, first plan", lambda: zone_of(plan))
    timed("zone, one machine changed", lambda: zone_of(changed, "", zone))
    forward = [question(f"node-{number}.lab.example", "A") for number in range(MACHINES) if number != 7]
    backward = [question(".".join(reversed(address(number).split("."))) + ".in-addr.arpa", "PTR") for number in range(MACHINES)]
    absent = [question(f"other-{number}.lab.example", "A") for number in range(MACHINES)]
    gc.freeze()  # as a server does after it has read its plan
    for name, queries, expected in (("A", forward, 0), ("PTR", backward, 0), ("NXDOMAIN", absent, 3)):
        for query in queries[:100]:
            reply = respond(query, zone, tcp=False)
            assert isinstance(reply, Reply)
            assert expected == reply.rcode
        timed(f"core, {name}", lambda asked=queries: [respond(each, zone, tcp=False) for each in asked], len(queries))  # type: ignore[misc]  # bound early


if __name__ == "__main__":
    main()
