"""DNS at the door: one query is answered from the served plan, and noted.

Shell. The plan is read once per query. Its names are made ready by the first query after it was published; what an unchanged
part of the last plan said is taken over.
"""

from __future__ import annotations

import time
from ipaddress import IPv4Address

from netboot.dns import Ignore, Reply, failure, respond
from netboot.dns_forward import Forwarder
from netboot.dns_server import Asker, Later
from netboot.dns_zone import Zone, reverse, zone_of
from netboot.rates import Rates
from netboot.world import World

_ADDRESSES = 64
"""Addresses of ours for which names are kept ready; a host has few, but 127.0.0.0/8 is large."""


AT_ONCE, PER_SECOND = 2000, 200
"""Answers by UDP to one address, which anybody can write into a packet as the sender's: beyond that they are as short as the
questions and say "ask by TCP", so that nobody is flooded with our answers, and who really asks is answered still."""


class DnsFront:
    """`answer` is the `DnsServer`'s."""

    def __init__(self, world: World, forwarder: Forwarder | None = None) -> None:
        self._world = world
        self._forwarder = forwarder or Forwarder()
        self._rates = Rates(PER_SECOND, AT_ONCE)
        self._zones: dict[str, Zone] = {}
        """By the address of ours that was asked, all of one plan."""

    def answer(self, query: bytes, asker: Asker) -> bytes | Later | None:
        """What others are asked for takes as long as they take: of our own answers is noted how long they took."""
        asked = time.perf_counter()
        answer = self._answer(query, asker)
        if isinstance(answer, bytes):
            self._world.durations.answered("dns", time.perf_counter() - asked)
        return answer

    def _answer(self, query: bytes, asker: Asker) -> bytes | Later | None:
        zone = self._zone(asker.local)
        curt = not asker.tcp and self._rates.wait(asker.address, time.monotonic()) > 0
        decided = respond(query, zone, tcp=asker.tcp, curt=curt)
        if isinstance(decided, Ignore):
            self._world.exchange("dns", "ignored", peer=asker.address, via=_via(asker), reason=decided.reason)
            return None
        if curt:
            self._world.counts["dns", "too-many"] += 1
            return decided.data
        if decided.foreign and zone and (upstreams := self._upstreams()) and _is_ours(asker.address, zone):
            if circle := _circle(asker, upstreams):
                self._note("refused", decided, asker, circle)
                return decided.data
            return self._forwarded(query, upstreams, decided, asker)
        self._note(decided.outcome, decided, asker, decided.reason)
        return decided.data

    async def _forwarded(self, query: bytes, upstreams: tuple[str, ...], decided: Reply, asker: Asker) -> bytes:
        answer = await self._forwarder.ask(query, upstreams, tcp=asker.tcp)
        if answer is None and decided.asked is not None:
            answer = failure(decided.asked)
            self._note("servfail", decided, asker, "no resolver answered")
        else:
            self._note("forwarded", decided, asker, "")
        return answer or decided.data

    def _note(self, outcome: str, decided: Reply, asker: Asker, reason: str) -> None:
        values = {"peer": asker.address, "via": _via(asker), "name": decided.name, "type": decided.qtype, "reason": reason}
        self._world.exchange("dns", outcome, **values)

    def failed(self, query: bytes, asker: Asker, error: Exception) -> None:
        """Our fault or the network's: that query is lost, and its bytes are in the log."""
        self._world.counts["dns", "defect"] += 1
        self._world.log.error("dns-failed", peer=asker.address, reason=repr(error), bytes=query[:512].hex())

    def _upstreams(self) -> tuple[str, ...]:
        """Who is asked for names of others, on behalf of hosts in our subnets; for nobody, they are refused."""
        return self._world.plans.current.site.upstreams if self._world.plans else ()

    def _zone(self, local: str) -> Zone | None:
        if self._world.plans is None:
            return None
        plan, zones = self._world.plans.current, self._zones
        zone = zones.get(local)
        if zone is None or zone.plan != plan.id:
            last = zone or next(iter(zones.values()), None)
            if last is None or last.plan != plan.id or len(zones) >= _ADDRESSES:
                zones.clear()
            zone = zones[local] = zone_of(plan, local, last)
        return zone


def _circle(asker: Asker, upstreams: tuple[str, ...]) -> str:
    """Why handing the query on would bring it back, or "". Our own addresses are known as somebody asks at them."""
    if asker.local in upstreams:
        return f"the upstream {asker.local} is this server itself"
    return f"the upstream {asker.address} asks, it would be asked in a circle" if asker.address in upstreams else ""


def _via(asker: Asker) -> str:
    return "tcp" if asker.tcp else "udp"


def _is_ours(address: str, zone: Zone) -> bool:
    """Whether it lies in a subnet of the site, or is this host's own: for others we are no resolver, open to any misuse."""
    peer = IPv4Address(address)
    return peer.is_loopback or zone.apex(reverse(peer.packed)) is not None
