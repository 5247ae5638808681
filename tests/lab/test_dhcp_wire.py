"""The DHCP socket on a wire of its own: who hears a reply, by which interface, with and without privileges."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.network import Namespace, Network

pytestmark = pytest.mark.lab

MAC = "52:54:00:77:00:01"
SERVER = """
import asyncio, sys
from netboot.dhcp import Lease, Reply, Server, classify, decode, respond
from netboot.dhcp_options import encode, pack
from netboot.dhcp_server import DhcpServer, Outgoing, open_socket

def handle(datagram, peer):
    net = peer.local[:3]
    options = [encode("subnet-mask", "255.255.255.0"), encode("lease-time", 600)]
    lease = Lease(net + bytes([149]), pack(dict(options)), net + bytes([0]), bytes([255, 255, 255, 0]))
    packet = decode(datagram)
    decision = respond(packet, classify(packet), lease, None, Server(peer.local))
    return Outgoing(decision.data, decision.destination, peer) if isinstance(decision, Reply) else None

async def main():
    DhcpServer(open_socket(interface=sys.argv[1]), handle, lambda *what: print(*what))
    print("serving")
    await asyncio.Event().wait()

asyncio.run(main())
"""
WITHOUT_NET_ADMIN = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path) as network:
        yield network


def serve(network: Network, interface: str = "", wrapper: list[str] | None = None) -> None:
    argv: list[str | Path] = [*(wrapper or []), sys.executable, "-u", "-c", SERVER, interface]
    network.spawn(argv, "dhcp.log").wait_for("serving")


def lease(host: Namespace, interface: str = "eth0") -> str:
    """What udhcpc says when it asks three times at most; it hears unicast, and asks for it."""
    argv = ["busybox", "udhcpc", "-i", interface, "-f", "-n", "-q", "-t", "3", "-T", "2", "-s", "/bin/true"]
    return host.run(argv).stderr


def neighbours(network: Network) -> str:
    return network.namespace.run(["ip", "neigh", "show"]).stdout


def test_a_client_that_cannot_answer_arp_is_reached_by_its_hardware_address(network: Network) -> None:
    serve(network)
    assert "lease of 10.77.0.149 obtained from 10.77.0.1" in lease(network.host(mac=MAC))
    assert f"10.77.0.149 dev br0 lladdr {MAC}" in neighbours(network)


def test_without_net_admin_it_is_reached_by_broadcast(network: Network) -> None:
    serve(network, wrapper=WITHOUT_NET_ADMIN)
    assert "lease of 10.77.0.149 obtained from 10.77.0.1" in lease(network.host(mac=MAC))
    assert "10.77.0.149" not in neighbours(network)


def test_on_two_interfaces_each_client_is_answered_by_its_own(network: Network) -> None:
    serve(network)
    near, far = network.host(mac=MAC), network.host(mac="52:54:00:77:00:02")
    network.namespace.ip("link", "add", "other", "type", "veth", "peer", "name", "eth1", "netns", far.name)
    network.namespace.ip("address", "add", "10.88.0.1/24", "dev", "other")
    network.namespace.ip("link", "set", "other", "up")
    far.ip("link", "set", "eth1", "up")
    assert "lease of 10.77.0.149 obtained from 10.77.0.1" in lease(near)
    assert "lease of 10.88.0.149 obtained from 10.88.0.1" in lease(far, "eth1")


def test_a_server_of_one_interface_is_deaf_on_the_others(network: Network) -> None:
    serve(network, interface="lo")
    assert "no lease" in lease(network.host(mac=MAC))
