"""perfdhcp, the load generator of the Kea project: a fleet of clients that it can be, and what it reports.

The law: what is measured is what a client saw. An exchange is whole, DISCOVER to ACK, and counts when its ACK arrived.

perfdhcp is a relay: it sends from port 67 of its own address with that address as giaddr, and listens there for the answers
(RFC 2131 section 4.1). So it needs a host of its own on the server's network, and the server a subnet that giaddr is in; with
that, every server here answers it by unicast, over a virtual Ethernet link, without raw sockets or broadcasts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv4Network

from tests.lab.network import Namespace

EXIT_WAIT = 0.3
"""Seconds that perfdhcp listens after its last packet: at a rate that is too much, an answer takes longer."""
PATIENCE = 4.0
"""Seconds after which a client asks again (RFC 2131 section 4.1): where nothing may fail, an answer until then is in time."""


@dataclass(frozen=True)
class Fleet:
    """Machines that perfdhcp plays, as every server under test must know them.

    perfdhcp's n-th client has the base MAC plus n, octet by octet and without carrying. A base that ends in zeroes makes that
    plain addition; the clients come one after the other, and from the start again after the last.
    """

    size: int = 20_000

    subnet = IPv4Network("10.64.0.0/16")
    server = IPv4Interface("10.64.0.1/16")
    relay = IPv4Interface("10.64.0.2/16")
    """perfdhcp's address."""
    base_mac = "02:00:00:00:00:00"

    def reservations(self) -> Iterator[tuple[str, str]]:
        """Every machine's MAC and address."""
        for number in range(self.size):
            yield bytes([2, 0, *number.to_bytes(4, "big")]).hex(":"), str(self.subnet[256 + number])


@dataclass(frozen=True)
class Half:
    """DISCOVER and OFFER, or REQUEST and ACK; delays in milliseconds, None when nothing was received."""

    sent: int
    received: int
    average_delay: float | None
    maximal_delay: float | None


@dataclass(frozen=True)
class Report:
    """One run of perfdhcp. What it reports as its rate is not kept: the wait at the end dilutes it."""

    offers: Half
    acks: Half
    overflowed: int = 0
    """Answers that reached perfdhcp's host and found its socket full. It holds some 280 packets and perfdhcp cannot enlarge it;
    where perfdhcp waits for a processor, a server that answers without pause overflows it."""

    @property
    def unanswered(self) -> int:
        """Packets to which the server sent no answer in time."""
        return max(0, self.offers.sent - self.offers.received + self.acks.sent - self.acks.received - self.overflowed)


def run(client: Namespace, fleet: Fleet, rate: int, seconds: int, wait: float = EXIT_WAIT) -> Report:
    """Begin `rate` exchanges a second for `seconds`, from `client`, which has the fleet's relay address.

    `wait`: seconds it listens after its last packet. An answer is in time within as many, and within one in any case.
    Raises ValueError when perfdhcp reports nothing, `subprocess.TimeoutExpired` when it does not end.
    """
    load = ["-r", str(rate), "-p", str(seconds), "-W", str(int(wait * 1e6)), "-d", str(max(1.0, wait))]
    before = _overflowed(client)
    report = _perfdhcp(client, fleet, load, within=2 * seconds + 20)
    return replace(report, overflowed=_overflowed(client) - before)


def answers(client: Namespace, fleet: Fleet) -> bool:
    """Whether the server completes an exchange just now.

    Of three exchanges, 50 ms apart, one has to be: perfdhcp ends as soon as it has begun its last.
    """
    return _perfdhcp(client, fleet, ["-r", "20", "-n", "3"], within=20).acks.received > 0


def _perfdhcp(client: Namespace, fleet: Fleet, load: list[str], within: float) -> Report:
    who = ["-l", str(fleet.relay.ip), "-b", f"mac={fleet.base_mac}", "-R", str(fleet.size)]
    done = client.run(["perfdhcp", "-4", *who, *load, str(fleet.server.ip)], within)
    return parse(done.stdout or done.stderr)


def _overflowed(host: Namespace) -> int:
    """Datagrams that reached a host and found their socket's buffer full (RcvbufErrors of /proc/net/snmp)."""
    rows = host.run(["cat", "/proc/net/snmp"]).stdout.splitlines()
    names, values = (row.split() for row in rows if row.startswith("Udp:"))
    return int(dict(zip(names, values, strict=True))["RcvbufErrors"])


def parse(text: str) -> Report:
    """perfdhcp's final report; ValueError for anything else."""
    halves = re.split(r"^\*\*\*Statistics for: ", text, flags=re.MULTILINE)[1:]
    if [half.partition("*")[0] for half in halves] != ["DISCOVER-OFFER", "REQUEST-ACK"]:
        raise ValueError(f"not a report of perfdhcp: {text.strip()[-500:]}")
    offers, acks = (_half(half) for half in halves)
    return Report(offers, acks)


def _half(text: str) -> Half:
    def number(name: str) -> float | None:
        found = re.search(rf"{name}: ([\d.]+)", text)
        return float(found[1]) if found else None

    sent, received = number("sent packets"), number("received packets")
    if sent is None or received is None:
        raise ValueError(f"perfdhcp's report lacks its counts: {text.strip()[:500]}")
    return Half(int(sent), int(received), number("avg delay"), number("max delay"))
