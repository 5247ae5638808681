"""Names as programs on a machine look them up: glibc's resolver, in a namespace with a resolv.conf of its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.network import Namespace, Network
from tests.lab.process import Process
from tests.lab.site import Gitboot, hardware

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


UPSTREAM = "10.77.0.53"


def upstream(network: Network) -> Process:
    """Somebody's resolver, which asks this server for all that it does not know itself: a circle, were it walked."""
    argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--log-facility=-", "--log-queries"]
    argv += ["--no-resolv", "--no-hosts", "--pid-file", "--address=/www.other.example/192.0.2.7", "--server=10.77.0.1"]
    resolver = network.host(f"{UPSTREAM}/24").spawn(argv, "upstream.log")
    resolver.wait_for("started")
    return resolver


def dig(host: Namespace, *words: str) -> str:
    """The answer's code, and its records in short."""
    done = host.run(["dig", "@10.77.0.1", "+tries=1", "+time=8", "+noall", "+comments", "+answer", *words])
    said = done.stdout
    assert "status: " in said, said + done.stderr
    records = [line.split()[-1] for line in said.splitlines() if line and not line.startswith(";")]
    return " ".join([said.partition("status: ")[2].partition(",")[0], *records])


def test_dig_is_told_names_of_others_as_long_as_git_names_somebody_to_ask(tmp_path: Path) -> None:
    with Network(tmp_path) as network:
        site, resolver, client = Gitboot(network, tmp_path), upstream(network), network.host("10.77.0.9/24")
        node = hardware("node-01", "52:54:00:12:34:01", "10.77.0.11").replace("  profile: lab\n", "")
        commit = site.commit({"site.yaml": site.site(), "node.yaml": node})
        server = site.start("--dns-port", "53")
        site.served(commit)
        assert "REFUSED" == dig(client, "www.other.example")
        network.host("10.77.0.54/24")  # no resolver there
        asking = site.site() + f"  dns: {{upstreams: [10.77.0.54, {UPSTREAM}]}}\n"
        site.served(site.commit({"site.yaml": asking}))
        for way in ("+notcp", "+tcp"):
            assert "NOERROR 192.0.2.7" == dig(client, "www.other.example", way)
            assert "NOERROR 10.77.0.11" == dig(client, "node-01.lab.example", way)
        resolver.wait_for("query.A. www.other.example from 10.77.0.1")
        assert "REFUSED" == dig(client, "nobody.other.example")
        server.wait_for("asks, it would be asked in a circle")
        site.served(site.commit({"site.yaml": site.site()}))
        assert "REFUSED" == dig(client, "www.other.example")
