"""Pages of the dashboard of ten thousand machines, by HTTP from a live server: the first time, and afterwards.

    python -m benchmarks.dashboard [machines]

The law: the clock starts before the request and stops when the whole page is there, on one connection that is kept. "First" is
the first time that this server is asked for that page, in the order of the table; "then" is the median of those that follow at
once. Wall time counts whatever else the host does; processor time does not. Every machine has work and is in a boot of its own,
which is in the journal. The server is a thread of this process, whose only other thread waits for it.
"""

from __future__ import annotations

import http.client
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from agent.workflow import to_json
from netboot.events import BootAdvanced, BootOpened, Event
from netboot.plan import Dump, Interface, Machine
from netboot.server import Netboot
from netboot.work import Work
from tests.netboot.fleet_example import INSTALL
from tests.netboot.live_server import Live
from tests.netboot.site import plan

WORK = (Work(workflow="install", run=1, document=to_json(INSTALL), profile="inspect"),)
LATER = 10
"""Requests of which the median counts."""


class Took(NamedTuple):
    wall: float
    processor: float
    """Of the whole process: server, and who asks."""


class Asked(NamedTuple):
    first: Took
    then: Took
    size: int
    """Bytes of the page."""


def pages(machines: int) -> dict[str, str]:
    """What it is → its path."""
    return {
        "the fleet": "/",
        "a rack of it": "/?q=rack%3Dr001",
        "a search in it": f"/?q=node-{machines // 2:05}",
        "the last hundred": f"/?page={max(1, machines // 100)}",
        "a machine": f"/machines/node-{machines // 2:05}",
        "the workflows": "/workflows",
        "the system": "/system",
    }


def fleet(machines: int) -> Dump:
    return plan(*(_machine(number) for number in range(1, machines + 1)))


def _machine(number: int) -> Machine:
    address = f"10.1.{number >> 8}.{number & 255}"
    port = Interface(_mac(number), address, _name(number), "rack1", b"")
    return Machine(_name(number), "x86_64", (port,), work=WORK, labels={"rack": f"r{number // 40:03}"})


def _name(number: int) -> str:
    return f"node-{number:05}"


def _mac(number: int) -> str:
    return f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"


def happened(machines: int, plan_id: str, now: float) -> Iterator[Event]:
    for number in range(1, machines + 1):
        boot, mac, at = f"{number:08x}", _mac(number), now - 600 + number * 500 / machines
        yield BootOpened(at=at, boot=boot, machine=_name(number), macs=(mac,), mac=mac, plan=plan_id, via="dhcp")
        yield BootAdvanced(at=at + 10, boot=boot, phase="ipxe", reason="iPXE asked for an address")


def measure(scratch: Path, machines: int, later: int = LATER) -> dict[str, Asked]:
    """Of each page. Raises RuntimeError where one is none."""
    dump = fleet(machines)
    live = Live(scratch, dump)
    with live as server:
        live.wait(_happen(server, list(happened(machines, dump.plan.id, time.time()))))
        connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=120)
        try:
            return {what: _ask(connection, path, later) for what, path in pages(machines).items()}
        finally:
            connection.close()


async def _happen(server: Netboot, events: list[Event]) -> None:
    await server.world.ledger.commit(events)


def _ask(connection: http.client.HTTPConnection, path: str, later: int) -> Asked:
    (first, size), *others = [_get(connection, path) for _ in range(1 + later)]
    return Asked(first, Took(*(median(each) for each in zip(*(took for took, _ in others), strict=True))), size)


def _get(connection: http.client.HTTPConnection, path: str) -> tuple[Took, int]:
    began, worked = time.perf_counter(), time.process_time()
    connection.request("GET", path, headers={"Accept": "text/html"})
    answer = connection.getresponse()
    body = answer.read()
    took = Took(time.perf_counter() - began, time.process_time() - worked)
    if answer.status != 200 or b"</html>" not in body:
        raise RuntimeError(f"{path} was answered with {answer.status}: {body[:200]!r}")
    return took, len(body)


def main(machines: int) -> None:
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="gitboot-bench-") as scratch:
        asked = measure(Path(scratch), machines)
    print(f"{machines:,} machines, each in a boot; then: median of {LATER}; load average before {before:.1f}; milliseconds\n")
    print("| page | first | of it processor | then | of it processor | size |\n|---|--:|--:|--:|--:|--:|")
    for what, each in asked.items():
        times = " | ".join(f"{1000 * part:.0f}" for took in (each.first, each.then) for part in took)
        print(f"| {what} | {times} | {each.size / 1000:.0f} kB |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
