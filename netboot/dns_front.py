"""DNS at the door: one query is answered from the served plan, and noted.

Shell. The plan is read once per query. Its names are made ready by the first query after it was published; what an unchanged
part of the last plan said is taken over.
"""

from __future__ import annotations

from netboot.dns import Ignore, respond
from netboot.dns_server import Asker
from netboot.dns_zone import Zone, zone_of
from netboot.world import World

_ADDRESSES = 64
"""Addresses of ours for which names are kept ready; a host has few, but 127.0.0.0/8 is large."""


class DnsFront:
    """`answer` is the `DnsServer`'s."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._zones: dict[str, Zone] = {}
        """By the address of ours that was asked, all of one plan."""

    def answer(self, query: bytes, asker: Asker) -> bytes | None:
        decided = respond(query, self._zone(asker.local), tcp=asker.tcp)
        via = "tcp" if asker.tcp else "udp"
        if isinstance(decided, Ignore):
            self._world.exchange("dns", "ignored", peer=asker.address, via=via, reason=decided.reason)
            return None
        self._world.exchange(
            "dns", decided.outcome, peer=asker.address, via=via, name=decided.name, type=decided.qtype, reason=decided.reason
        )
        return decided.data

    def failed(self, query: bytes, asker: Asker, error: Exception) -> None:
        """Our fault or the network's: that query is lost, and its bytes are in the log."""
        self._world.counts["dns", "failed"] += 1
        self._world.log.error("dns-failed", peer=asker.address, reason=repr(error), bytes=query[:512].hex())

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
