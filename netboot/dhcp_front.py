"""DHCP at the door: one datagram is decoded, answered by the desk, journalled where it must be, and sent.

Shell. An answer that opens a boot or binds a lease is sent once its events are on disk; every other answer leaves at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from netboot.desk import Answer, Counter, answer, facts
from netboot.dhcp import Client, Ignore, Packet, Reply, classify, decode
from netboot.dhcp_packet import BOOTREQUEST, DECLINE, DISCOVER, INFORM, MESSAGES, RELEASE, REQUEST, dotted
from netboot.dhcp_server import Outgoing, Peer
from netboot.errors import Malformed
from netboot.noticed import Choice
from netboot.rates import Rates
from netboot.recording import DhcpQuestion, of_dhcp, reason, word
from netboot.rivals import rival_of
from netboot.store import Unavailable
from netboot.world import World

AT_ONCE, PER_SECOND = 50, 5
"""Packets of one hardware address. A machine's whole boot has some ten, in half a minute. More is a client that runs wild, or
somebody who has the server open boots. Everything else in a packet is the sender's to choose, and makes no other client."""
STRANGERS_AT_ONCE, STRANGERS_PER_SECOND = 100_000, 500
"""Packets of all whom git does not know: ten thousand machines may boot at once before git knows one of them. Hardware
addresses without end cost no more than that, and keep no machine of git waiting."""
MOST_CLIENTS = 65_536
"""Whose rate is remembered: as many as one may have machines."""
ASKED = (DISCOVER, REQUEST, DECLINE, RELEASE, INFORM)


class DhcpFront:
    """`handle` is the `DhcpServer`'s; answers that wait for the disk go out through `send`."""

    def __init__(self, world: World, boot_port: bool = False) -> None:
        """`boot_port`: it stands at port 4011."""
        self._world = world
        self._boot_port = boot_port
        self._machines = Rates(PER_SECOND, AT_ONCE, MOST_CLIENTS)
        self._each_stranger = Rates(PER_SECOND, AT_ONCE, MOST_CLIENTS)
        self._strangers = Rates(STRANGERS_PER_SECOND, STRANGERS_AT_ONCE, most=1)
        self.send: Callable[[Outgoing], None] = _unbound
        """`DhcpServer.send`, set once that exists."""

    def handle(self, datagram: bytes, peer: Peer) -> Outgoing | None:
        asked = time.perf_counter()
        outgoing = self._handle(datagram, peer, asked)
        if outgoing is not None:
            self._answered(asked)
        return outgoing

    def _answered(self, asked: float) -> None:
        self._world.durations.answered("dhcp", time.perf_counter() - asked)

    def _handle(self, datagram: bytes, peer: Peer, asked: float) -> Outgoing | None:
        """`asked`: when it came, by the performance counter."""
        world, plans = self._world, self._world.plans
        if plans is None:
            world.counts["dhcp", "no-plan"] += 1
            return None
        if plans.current.site.mode == "off":
            world.counts["dhcp", "off"] += 1
            return None
        try:
            packet = decode(datagram)
        except Malformed as error:
            world.exchange("dhcp", "malformed", peer=peer.address, reason=str(error), bytes=datagram[:512].hex())
            return None
        client, now, local = classify(packet), world.now(), dotted(peer.local)
        self._notice(packet, local, now)
        if packet.op != BOOTREQUEST:
            world.counts["dhcp", "server-message"] += 1
            return None
        if self._too_often(packet.mac, known=packet.mac in plans.current.by_mac):
            world.counts["dhcp", "too-many"] += 1
            return None
        counter = self._counter(client, local)
        decided = answer(packet, client, plans, world.observed, counter, now)
        if decided.boot or (decided.machine and client.kind != "other"):
            seen = world.seen(plans, packet.mac)
            plan = plans.of(world.observed.open_boot(packet.mac)).id
            exchange = of_dhcp(DhcpQuestion(datagram, counter), packet, client, decided, plan, now, seen)
            world.recorder.note(exchange)
        self._note(packet, client, decided, now)
        outgoing = None
        if isinstance(decided.outcome, Reply):
            outgoing = Outgoing(decided.outcome.data, decided.outcome.destination, peer)
        if not decided.events:
            return outgoing
        self._send_after_commit(decided, outgoing, asked)
        return None

    def _too_often(self, mac: str, known: bool) -> bool:
        now = time.monotonic()
        if known:
            return self._machines.wait(mac, now) > 0
        return self._each_stranger.wait(mac, now) > 0 or self._strangers.wait("", now) > 0

    def overhear(self, datagram: bytes, peer: Peer) -> None:
        """A broadcast to clients: it is not for us, and tells who else answers."""
        with suppress(Malformed):
            self._notice(decode(datagram), dotted(peer.local), self._world.now())

    def _notice(self, packet: Packet, local: str, now: float) -> None:
        world = self._world
        address = rival_of(packet, world.identity(local).address)
        if not address:
            return
        world.counts["dhcp", "other-server"] += 1
        if packet.message == REQUEST:
            world.noticed.choices.keep(packet.mac, Choice(address, now))
        if world.rivals.note(address, packet, now):
            wanted = world.plans is not None and world.plans.current.site.mode != "reservation"
            say = world.log.info if wanted else world.log.warning
            say("other-dhcp-server", server=address, mac=packet.mac, heard=MESSAGES[packet.message])

    def _counter(self, client: Client, local: str) -> Counter:
        """An operating system's own client needs our address and nothing else, and asks far more often than firmware."""
        world = self._world
        if client.kind == "other":
            return Counter(world.identity(local), base="", hold="", fresh="")
        return Counter(world.identity(local), world.base(local), world.hold(), world.new_id(), self._boot_port)

    def _send_after_commit(self, decided: Answer, outgoing: Outgoing | None, asked: float) -> None:
        """Send when the events are durable; when they cannot be, the client asks again."""

        def done(error: Unavailable | None) -> None:
            if error is not None:
                self._lost(decided, error)
            elif outgoing is not None:
                self.send(outgoing)
                self._answered(asked)

        try:
            self._world.ledger.submit(decided.events, done)
        except Unavailable as error:
            self._lost(decided, error)

    def _lost(self, decided: Answer, error: Unavailable) -> None:
        """A routine line: on a full disk there is one for every client."""
        self._world.exchange("dhcp", "not-journalled", machine=decided.machine, reason=str(error))

    def _note(self, packet: Packet, client: Client, decided: Answer, now: float) -> None:
        world, asked = self._world, MESSAGES.get(packet.message, str(packet.message))
        if decided.boot:
            world.observed.notice(decided.boot, now)
        if decided.stranger and packet.message in ASKED:
            world.strangers.note(packet.mac, now, asked, facts(client), decided.address)
        self._remember(packet, decided, now)
        said = word(decided)
        world.counts["dhcp", said] += 1
        world.log.routine(
            "dhcp",
            lambda: {
                "outcome": said,
                "message": asked,
                "mac": packet.mac,
                "machine": decided.machine,
                "client": client.kind,
                "boot": decided.boot,
                "reason": reason(decided),
            },
        )

    def _remember(self, packet: Packet, decided: Answer, now: float) -> None:
        """How a machine fares that asks us for an address, where it is for us to give it one."""
        plans, noticed = self._world.plans, self._world.noticed
        if not decided.machine or plans is None or plans.current.site.mode != "reservation":
            return
        if isinstance(decided.outcome, Reply):
            noticed.answered(decided.machine, packet.mac, decided.outcome.message, now)
        elif isinstance(decided.outcome, Ignore) and packet.message == DISCOVER:
            binding = plans.current.by_mac.get(packet.mac)
            if binding is not None and binding.interface.dhcp:
                noticed.refused(decided.machine, decided.outcome.reason, now)


def _unbound(outgoing: Outgoing) -> None:
    raise RuntimeError("the DHCP server is not started yet")
