"""Names as programs on a machine look them up: glibc's resolver, in a namespace with a resolv.conf of its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.network import Namespace

pytestmark = pytest.mark.lab

SERVER = """
import asyncio
from netboot.dns import respond
from netboot.dns_server import serve_dns
from netboot.dns_zone import zone_of
from tests.netboot.dns_example import PLAN, machine, plan, port

crowd = [port(f"10.1.1.{number}", "crowd", "lab.example") for number in range(100)]
zone = zone_of(plan(*PLAN.machines.values(), machine("crowd", *crowd)))

async def main():
    await serve_dns("0.0.0.0", 53, lambda query, asker: respond(query, zone, tcp=asker.tcp).data, print)
    print("serving")
    await asyncio.Event().wait()

asyncio.run(main())
"""
RESOLV_CONF = "nameserver 127.0.0.1\nsearch lab.example\noptions timeout:2 attempts:1 {options}\n"
NSSWITCH = "hosts: dns\n"
WITH_THESE = 'mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/nsswitch.conf && shift && exec "$@"'


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Namespace]:
    """A machine that asks itself."""
    namespace = Namespace(tmp_path)
    try:
        namespace.spawn([sys.executable, "-u", "-c", SERVER], "dns.log").wait_for("serving")
        yield namespace
    finally:
        namespace.close()


def getent(machine: Namespace, database: str, key: str, options: str = "") -> list[str]:
    """What glibc finds, a line each, with one space between fields."""
    resolv_conf, nsswitch = machine.scratch / "resolv.conf", machine.scratch / "nsswitch.conf"
    resolv_conf.write_text(RESOLV_CONF.format(options=options))
    nsswitch.write_text(NSSWITCH)
    asked: list[str | Path] = ["unshare", "--mount", "sh", "-c", WITH_THESE, resolv_conf, nsswitch, "getent", database, key]
    return [" ".join(line.split()) for line in machine.run(asked).stdout.splitlines()]


@pytest.mark.skipif(not shutil.which("getent"), reason="this is not glibc")
@pytest.mark.parametrize("options", ["", "edns0", "use-vc", "edns0 trust-ad"])
def test_glibc_finds_names_and_addresses(machine: Namespace, options: str) -> None:
    """`hosts` asks for AAAA before A, so a wrong NXDOMAIN or a lost answer for either would show."""
    for name in ("node-01", "node-01.lab.example", "NODE-01.lab.example."):
        assert ["10.1.0.11 node-01.lab.example"] == [line.lower() for line in getent(machine, "hosts", name, options)]
    assert ["10.1.0.11 STREAM"] == [line.rsplit(" ", 1)[0] for line in getent(machine, "ahosts", "node-01", options)[:1]]
    assert ["10.1.0.12 Node-02.lab.example"] == getent(machine, "hosts", "10.1.0.12", options)
    assert [] == getent(machine, "hosts", "node-03", options)


@pytest.mark.skipif(not shutil.which("getent"), reason="this is not glibc")
def test_glibc_asks_by_tcp_for_a_long_answer(machine: Namespace) -> None:
    found = getent(machine, "hosts", "crowd.lab.example")
    assert {f"10.1.1.{number}" for number in range(100)} == {line.split()[0] for line in found}
