"""Measuring a DHCP server: processor time per exchange, and the rate at which it begins to lose exchanges.

The law: every peer is measured by the same calls, while the others rest, for a bounded time. Ratios between the peers of one
run are worth keeping; the numbers themselves belong to the machine.

    figures = compare([Gitboot(), Kea()], Path(folder), Fleet())
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import perfdhcp
from benchmarks.peers import Peer
from benchmarks.perfdhcp import Fleet, Report
from tests.lab.network import Namespace, Network
from tests.lab.process import Process

CALM_RATE = 2_000
"""Exchanges per second at which processor time is measured, unless half of what the server can do is less."""

CALM_RUNS = 7
"""Rounds in which processor time is measured."""

FASTEST = 64_000
"""Exchanges per second beyond which nothing is tried: perfdhcp on two processors ends at half of that."""

TOLERANCE = 0.01
"""The share of packets that may stay unanswered in a rate that counts as served.

Less would measure the machine: a socket holds some 280 packets, which at 10,000 exchanges per second is a pause of 14 ms.
"""

PRECISION = 1.05
"""The search ends when the rate that was too much is at most this many times the rate that was not."""


CALM_SECONDS, CALM_SHARE = 1.0, 0.1
"""A server that used less than this share of a processor in these seconds has finished its start."""


@dataclass(frozen=True)
class Figures:
    """What one server needed and reached."""

    name: str
    cpu_microseconds: float
    """User and system time of all its processes per exchange (four packets), at `calm_rate`."""
    calm_rate: int
    """Exchanges per second while processor time was measured."""
    average_delay: float
    """Milliseconds from DISCOVER to OFFER, at `calm_rate`."""
    saturation: int
    """Exchanges per second that it still answers, but for `TOLERANCE`."""
    memory: float
    """MB of resident memory at the end."""


@dataclass(frozen=True)
class Bench:
    """One server that is ready, and the client that loads it; times are seconds."""

    name: str
    client: Namespace
    process: Process
    fleet: Fleet
    seconds: int

    def saturation(self) -> int:
        """The highest rate that it serves. A machine has hiccups: only a rate that is refused twice is too much."""
        return highest(lambda rate: self._served(rate) or self._served(rate))

    def _served(self, rate: int) -> bool:
        await_answer(self.client, self.fleet, self.process.running)
        return keeps_up(rate * self.seconds, perfdhcp.run(self.client, self.fleet, rate, self.seconds))

    def calm(self, rate: int) -> tuple[float, float]:
        """Microseconds of processor time per exchange, and milliseconds to an OFFER, at a rate it serves with ease."""
        before = cpu_seconds(self.process.pid)
        report = perfdhcp.run(self.client, self.fleet, rate, self.seconds)
        spent = cpu_seconds(self.process.pid) - before
        return 1e6 * spent / max(1, report.acks.received), report.offers.average_delay or float("nan")


def compare(peers: Sequence[Peer], scratch: Path, fleet: Fleet, seconds: int = 2) -> list[Figures]:
    """Start every peer in a network of its own and measure them in turn, `seconds` for each of some fifteen probes.

    Processor time is measured in rounds in which each has its turn, and the median counts: neighbours on the machine cost
    cache and clock, and so cost everyone alike. Raises TimeoutError when one does not begin to answer; about a minute each.
    """
    with ExitStack() as stack:
        benches = [stack.enter_context(_started(peer, scratch / peer.name, fleet, seconds)) for peer in peers]
        limits = [bench.saturation() for bench in benches]
        rates = [min(CALM_RATE, max(1, limit // 2)) for limit in limits]
        rounds = [[bench.calm(rate) for bench, rate in zip(benches, rates, strict=True)] for _ in range(CALM_RUNS)]
        return [
            Figures(
                name=bench.name,
                cpu_microseconds=median(cost for cost, _ in calm),
                calm_rate=rate,
                average_delay=median(delay for _, delay in calm),
                saturation=limit,
                memory=memory(bench.process.pid),
            )
            for bench, limit, rate, calm in zip(benches, limits, rates, zip(*rounds, strict=True), strict=True)
        ]


@contextmanager
def _started(peer: Peer, scratch: Path, fleet: Fleet, seconds: int) -> Iterator[Bench]:
    scratch.mkdir()
    with Network(scratch, str(fleet.server)) as network:
        client = network.host(str(fleet.relay))
        process = peer.start(network, fleet)
        await_answer(client, fleet, process.running)
        await_calm(process.pid)
        yield Bench(peer.name, client, process, fleet, seconds)


def await_answer(client: Namespace, fleet: Fleet, running: Callable[[], bool], within: float = 60) -> None:
    """Until one exchange succeeds: after a start, or after more load than the server could take."""
    deadline = time.monotonic() + within
    while not perfdhcp.answers(client, fleet):
        if not running() or time.monotonic() > deadline:
            raise TimeoutError(f"the server did not answer within {within:g} s; its log is in {client.scratch}")


def await_calm(pid: int, within: float = 60) -> None:
    """Until a server has done what it does once, after its start: what is measured is serving."""
    deadline = time.monotonic() + within
    before = cpu_seconds(pid)
    while time.monotonic() < deadline:
        time.sleep(CALM_SECONDS)
        now = cpu_seconds(pid)
        if now - before < CALM_SHARE * CALM_SECONDS:
            return
        before = now
    raise TimeoutError(f"the server was still busy with itself after {within:g} s")


def keeps_up(asked: float, report: Report) -> bool:
    """Whether `asked` exchanges were begun, and answered but for `TOLERANCE`."""
    begun = report.acks.received + report.overflowed >= 0.97 * asked
    return begun and report.unanswered <= TOLERANCE * (report.offers.sent + report.acks.sent)


def highest(served: Callable[[int], bool], start: int = 1_000) -> int:
    """The highest rate that is `served`, within `PRECISION`; 0 when none is.

    Doubles or halves from `start` until one rate is served and the next is not, then bisects on a logarithmic scale.
    """
    good, bad = (start, 0) if served(start) else (0, start)
    while not bad and good < FASTEST:
        good, bad = (2 * good, 0) if served(2 * good) else (good, 2 * good)
    while not good and bad > 1:
        good, bad = (bad // 2, bad) if served(bad // 2) else (0, bad // 2)
    while good and bad > PRECISION * good:
        middle = round((good * bad) ** 0.5)
        if middle in (good, bad):
            break
        good, bad = (middle, bad) if served(middle) else (good, middle)
    return good


def cpu_seconds(pid: int) -> float:
    """User and system time that a process and its living descendants have used (proc(5), stat fields 14 and 15)."""
    ticks = 0
    for member in family(pid):
        # The command's name, in parentheses, may contain anything; the fields are counted from behind it.
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """MB of memory resident for a process and its descendants."""
    pages = sum(int(Path(f"/proc/{member}/statm").read_text().split()[1]) for member in family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    members = [pid]
    for member in members:  # grows while it is walked
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            members += map(int, children.read_text().split())
    return members
