"""The DHCP socket: one datagram can cost one datagram, never the server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field

import pytest

from netboot.dhcp import Destination
from netboot.dhcp_server import DhcpServer, Handle, Outgoing, Peer, open_socket

pytestmark = pytest.mark.shell
BROADCAST = Destination("broadcast", "255.255.255.255", 68)


@dataclass
class Loopback:
    """A served socket, and a client whose every wait has a deadline."""

    server: DhcpServer
    client: socket.socket
    errors: list[tuple[bytes, Peer, Exception]] = field(default_factory=list)

    def ask(self, data: bytes) -> None:
        self.client.sendto(data, ("127.0.0.1", self.server.port))

    async def answer(self) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.client, 2048), 5)


@asynccontextmanager
async def served(handle: Handle, *, reply_to_source: bool = True) -> AsyncIterator[Loopback]:
    errors: list[tuple[bytes, Peer, Exception]] = []
    sock = open_socket("127.0.0.1", 0)
    server = DhcpServer(sock, handle, lambda *what: errors.append(what), reply_to_source=reply_to_source)
    with closing(server), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.bind(("127.0.0.1", 0))
        yield Loopback(server, client, errors)


def echo(data: bytes, peer: Peer) -> Outgoing:
    return Outgoing(b"re:" + data, BROADCAST, peer)


def run(scenario: Callable[[], object]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]  # every scenario below is an async function


def test_a_datagram_is_answered_to_its_source_when_the_port_is_not_dhcps_own() -> None:
    async def scenario() -> None:
        async with served(echo) as site:
            site.ask(b"hello")
            assert await site.answer() == b"re:hello"

    run(scenario)


def test_the_handler_learns_the_interface_and_its_address() -> None:
    seen: list[Peer] = []

    def handle(data: bytes, peer: Peer) -> Outgoing:
        seen.append(peer)
        return echo(data, peer)

    async def scenario() -> None:
        async with served(handle) as site:
            site.ask(b"hello")
            await site.answer()
            assert [Peer("127.0.0.1", site.client.getsockname()[1], socket.if_nametoindex("lo"), b"\x7f\0\0\1")] == seen

    run(scenario)


def test_an_exception_costs_one_datagram_and_is_reported_with_its_bytes() -> None:
    def handle(data: bytes, peer: Peer) -> Outgoing:
        if data == b"poison":
            raise RuntimeError("a bug")
        return echo(data, peer)

    async def scenario() -> None:
        async with served(handle) as site:
            site.ask(b"poison")
            site.ask(b"hello")
            assert await site.answer() == b"re:hello"
            ((data, peer, error),) = site.errors
            assert (data, peer.port, str(error)) == (b"poison", site.client.getsockname()[1], "a bug")

    run(scenario)


def test_an_answer_may_be_sent_later() -> None:
    waiting: list[Outgoing] = []

    async def scenario() -> None:
        async with served(lambda data, peer: waiting.append(echo(data, peer))) as site:
            site.ask(b"first")
            site.ask(b"second")
            async with asyncio.timeout(5):
                while len(waiting) < 2:
                    await asyncio.sleep(0)
            for outgoing in reversed(waiting):
                site.server.send(outgoing)
            assert await site.answer() == b"re:second"
            assert await site.answer() == b"re:first"

    run(scenario)


def test_a_burst_longer_than_one_batch_is_answered_whole() -> None:
    async def scenario() -> None:
        async with served(echo) as site:
            for number in range(200):
                site.ask(b"%d" % number)
            assert [b"re:%d" % number for number in range(200)] == [await site.answer() for _ in range(200)]

    run(scenario)


def test_what_the_network_refuses_is_reported_and_the_server_lives() -> None:
    def handle(data: bytes, peer: Peer) -> Outgoing:
        where = "240.0.0.1" if data == b"nowhere" else peer.address  # class E: the kernel has no route there
        return Outgoing(b"re:" + data, Destination("unicast", where, peer.port), peer)

    async def scenario() -> None:
        async with served(handle, reply_to_source=False) as site:
            site.ask(b"nowhere")
            site.ask(b"hello")
            assert await site.answer() == b"re:hello"
            ((data, _, error),) = site.errors
            assert data == b"re:nowhere"
            assert isinstance(error, OSError)

    run(scenario)


def test_a_reply_to_a_relay_goes_to_its_own_port_whatever_port_it_asked_from() -> None:
    async def scenario() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay:
            relay.setblocking(False)
            relay.bind(("127.0.0.2", 0))
            there = Destination("relay", "127.0.0.2", relay.getsockname()[1])
            async with served(lambda data, peer: Outgoing(data, there, peer), reply_to_source=False) as site:
                site.ask(b"hello")
                assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(relay, 99), 5) == b"hello"

    run(scenario)


def test_a_second_server_on_the_same_port_is_refused() -> None:
    with open_socket("127.0.0.1", 0) as first, pytest.raises(OSError, match="in use"):
        open_socket("127.0.0.1", first.getsockname()[1])


def test_a_shared_port_may_have_a_second_listener() -> None:
    with closing(open_socket("127.0.0.1", 0, shared=True)) as sock, closing(socket.socket(type=socket.SOCK_DGRAM)) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        other.bind(sock.getsockname())


def test_an_unknown_interface_is_refused() -> None:
    with pytest.raises(OSError, match=r"No such device|Operation not permitted"):
        open_socket("127.0.0.1", 0, "nosuch0")
