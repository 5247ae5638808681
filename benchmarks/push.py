"""From `git push` to the wire: how long until DHCP answers what the pushed commit says, and whether anybody noticed the swap.

The law: the clock starts before `git push` does and stops when the first OFFER with the new address has arrived. Meanwhile
perfdhcp plays machines that no commit changes, and every exchange it loses is counted.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path
from statistics import median, quantiles

from benchmarks import perfdhcp
from benchmarks.gitboot import Repository, hardware, inventory, serve
from benchmarks.measure import await_answer, await_calm
from benchmarks.perfdhcp import Fleet
from tests.lab.network import Namespace, Network

PUSHES = 10
LOAD_RATE = 500
"""Exchanges per second while commits are pushed."""
PACE = 1.5
"""Seconds from one push to the next."""
PROBE = IPv4Interface("10.64.0.3/16")
"""The relay that asks for the machine that is changed."""


@dataclass(frozen=True)
class Latency:
    """Seconds from the beginning of each push to the first answer that shows it."""

    machines: int
    seconds: tuple[float, ...]
    exchanges: int
    """Exchanges that perfdhcp had with other machines meanwhile."""
    unanswered: int
    """Packets of those that were never answered in time."""

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def p95(self) -> float:
        return quantiles(self.seconds, n=20, method="inclusive")[-1]


def measure_pushes(scratch: Path, fleet: Fleet) -> Latency:
    """A repository with a file for each machine of the fleet; each push changes the address of one machine."""
    unchanged = Fleet(size=fleet.size - PUSHES)
    with Network(scratch, str(fleet.server)) as network:
        load, asker = network.host(str(fleet.relay)), network.host(str(PROBE))
        origin = _origin(scratch / "origin.git")
        work = Repository(scratch / "work")
        work.commit(inventory(fleet, machines_per_file=1))
        work.push(origin)
        server = serve(network, origin)
        await_answer(load, unchanged, server.running)
        await_calm(server.pid)
        with _probe(asker, fleet) as probe, ThreadPoolExecutor(1) as thread:
            report = thread.submit(perfdhcp.run, load, unchanged, LOAD_RATE, round((PUSHES + 1) * PACE), perfdhcp.PATIENCE)
            seconds = tuple(_push(work, origin, probe, fleet, unchanged.size + n) for n in range(PUSHES))
            exchanges = report.result()
    return Latency(fleet.size, seconds, exchanges.acks.received, exchanges.unanswered)


def _push(work: Repository, origin: Path, probe: subprocess.Popen[str], fleet: Fleet, number: int) -> float:
    """Give machine `number` the address of one that does not exist yet, and wait until it is offered that."""
    assert probe.stdin is not None
    assert probe.stdout is not None
    mac, _ = list(fleet.reservations())[number]
    address = str(fleet.subnet[256 + fleet.size + number])
    # The file of machine n is the (n + 1)st: the first is the site.
    work.commit({f"machines/{number + 1:05}.yaml": hardware(number, mac, address)})
    print(mac, address, file=probe.stdin, flush=True)
    started = time.monotonic()
    work.push(origin)
    seconds = float(probe.stdout.readline()) - started
    time.sleep(max(0.0, PACE - seconds))
    return seconds


@contextmanager
def _probe(host: Namespace, fleet: Fleet) -> Iterator[subprocess.Popen[str]]:
    argv = host.command([sys.executable, "-m", "benchmarks.probe", str(fleet.server.ip), str(PROBE.ip)])
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as probe:
        try:
            yield probe
        finally:
            probe.terminate()


def _origin(folder: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(folder)], check=True, timeout=30)
    return folder
