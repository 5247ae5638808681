"""Names of others: who is asked, whose answer is believed, and for whom it is done at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from dnslib import DNSRecord

from netboot.dns import Reply, respond
from netboot.dns_forward import Forwarder
from netboot.dns_front import DnsFront
from netboot.dns_server import Answer, Asker, DnsServer, serve_dns
from netboot.dns_zone import Zone, zone_of
from netboot.plan import BootPlan, Site
from tests.netboot.dns_example import ask, lines, machine, plan, port
from tests.netboot.test_dns_front import House
from tests.netboot.test_dns_server import on_loop

pytestmark = pytest.mark.shell
ABROAD: Zone = zone_of(
    plan(
        machine("www", port("192.0.2.7", "www")),
        machine("crowd", *(port(f"192.0.2.{10 + number}", "crowd") for number in range(40))),
        site=Site("abroad", "other.example"),
    )
)
QUERY = bytes(ask("www.other.example").pack())
HERE = ("127.0.0.1",)
FOUND = ["www.other.example. 60 IN A 192.0.2.7"]


def abroad(query: bytes, asker: Asker) -> bytes:
    reply = respond(query, ABROAD, tcp=asker.tcp)
    assert isinstance(reply, Reply)
    return reply.data


@asynccontextmanager
async def resolver(answer: Answer = abroad, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[DnsServer]:
    server = await serve_dns(host, port, answer, lambda *what: None)
    try:
        yield server
    finally:
        await server.close()


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@on_loop
async def test_the_resolvers_answer_comes_back_under_the_askers_id(tcp: bool) -> None:
    ids, ways = set[bytes](), set[bool]()

    def noted(query: bytes, asker: Asker) -> bytes:
        ids.add(query[:2])
        ways.add(asker.tcp)
        return abroad(query, asker)

    async with resolver(noted) as server:
        forwarder = Forwarder(port=server.port)
        for _ in range(8):
            answer = await forwarder.ask(QUERY, HERE, tcp=tcp)
            assert answer is not None
            assert (QUERY[:2], FOUND) == (answer[:2], lines(DNSRecord.parse(answer).rr))
    assert len(ids) > 4  # drawn by lot: eight alike in twos are beyond chance
    assert {tcp} == ways


def forged(query: bytes) -> list[bytes]:
    """What someone sends who does not know the query, or who sends it back."""
    right = abroad(query, Asker("", 0, "", tcp=False))
    other = abroad(query.replace(b"\3www", b"\3wwx"), Asker("", 0, "", tcp=False))
    return [b"", right[:11], query, bytes((right[0] ^ 1,)) + right[1:], right[:2] + other[2:], right[:12],
            right.replace(b"\3www", b"\3WWW", 1), right[:2] + b"\xa8" + right[3:], right[:5] + b"\2" + right[6:]]  # fmt: skip


@pytest.mark.parametrize("which", range(9))
@on_loop
async def test_what_is_no_answer_to_the_query_is_not_heard(which: int) -> None:
    """By TCP it ends the connection; by UDP the right one may still come, and does."""

    async def scenario(tcp: bool) -> bytes | None:
        def answer(query: bytes, asker: Asker) -> bytes:
            return forged(query)[which]

        async with resolver(answer) as server:
            return await Forwarder(port=server.port, seconds=0.1).ask(QUERY, HERE, tcp=tcp)

    assert [None, None] == [await scenario(tcp=False), await scenario(tcp=True)]


@on_loop
async def test_the_right_answer_is_heard_after_a_forged_one() -> None:
    class Both(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.DatagramTransport, transport)

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            for answer in (*forged(data), abroad(data, Asker("", 0, "", tcp=False)), *forged(data)):
                self.transport.sendto(answer, addr)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Both, local_addr=("127.0.0.1", 0))
    forwarder = Forwarder(port=transport.get_extra_info("sockname")[1])
    answer = await forwarder.ask(QUERY, HERE, tcp=False)
    transport.close()
    assert answer is not None
    assert FOUND == lines(DNSRecord.parse(answer).rr)


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@on_loop
async def test_the_next_resolver_is_asked_when_one_is_dead_or_dumb(tcp: bool) -> None:
    async with resolver(host="127.0.0.3") as server, resolver(lambda *_: None, "127.0.0.2", server.port):
        forwarder = Forwarder(port=server.port, seconds=0.2)
        answer = await forwarder.ask(QUERY, ("127.0.0.1", "127.0.0.2", "127.0.0.3"), tcp=tcp)
        assert answer is not None
        assert FOUND == lines(DNSRecord.parse(answer).rr)
        assert await Forwarder(port=server.port, seconds=0.1).ask(QUERY, ("127.0.0.1", "127.0.0.2"), tcp=tcp) is None
        assert await Forwarder().ask(QUERY, (), tcp=tcp) is None


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@on_loop
async def test_nobody_waits_for_a_resolver_whose_host_says_that_it_is_gone(tcp: bool) -> None:
    async with resolver(host="127.0.0.3") as server:
        forwarder = Forwarder(port=server.port, seconds=60)
        assert await asyncio.wait_for(forwarder.ask(QUERY, ("127.0.0.1", "127.0.0.3"), tcp=tcp), 10) is not None


@on_loop
async def test_only_so_many_wait() -> None:
    async with resolver(lambda *_: None) as server:
        forwarder = Forwarder(port=server.port, seconds=0.2, most=2)
        waiting = [asyncio.create_task(forwarder.ask(QUERY, HERE, tcp=False)) for _ in range(3)]
        done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert (1, 2) == (len(done), len(pending))
        await asyncio.wait(waiting)
    async with resolver() as server:
        forwarder = Forwarder(port=server.port, most=1)
        assert all([await forwarder.ask(QUERY, HERE, tcp=False) for _ in range(3)])


# --- at the door ------------------------------------------------------------------------------------------------------------


def with_upstreams(*upstreams: str) -> BootPlan:
    return plan(machine("m", port("10.1.0.5", "m")), site=Site("home", "lab.example", "10.1.0.1", upstreams=upstreams))


@asynccontextmanager
async def home(state: Path, *upstreams: str) -> AsyncIterator[tuple[House, DnsFront, DnsServer]]:
    """Our own server at its door, with a resolver behind it at 127.0.0.2."""
    house = House(state)
    house.serve(with_upstreams(*(upstreams or ("127.0.0.2",))))
    async with resolver(host="127.0.0.2") as there:
        front = DnsFront(house.world, Forwarder(port=there.port, seconds=0.1))
        async with resolver(front.answer) as server:
            yield house, front, server
    await house.world.directory.close()


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@on_loop
async def test_hosts_of_ours_are_told_the_names_of_others_too(tmp_path: Path, tcp: bool) -> None:
    async with home(tmp_path) as (house, _, server):
        for name, expected in (("www.other.example", FOUND), ("m.lab.example", ["m.lab.example. 60 IN A 10.1.0.5"])):
            answer = await asyncio.to_thread(ask(name).send, "127.0.0.1", server.port, tcp=tcp, timeout=5)
            assert expected == lines(DNSRecord.parse(answer).rr)
        crowd = await asyncio.to_thread(ask("crowd.other.example").send, "127.0.0.1", server.port, tcp=tcp, timeout=5)
        assert (not tcp, 40 * tcp) == (bool(DNSRecord.parse(crowd).header.tc), len(DNSRecord.parse(crowd).rr))
        assert {("dns", "forwarded"): 2, ("dns", "noerror"): 1} == dict(house.world.counts)


@on_loop
async def test_when_no_resolver_answers_that_is_said(tmp_path: Path) -> None:
    async with home(tmp_path, "127.0.0.9") as (house, _, server):
        answer = await asyncio.to_thread(ask("www.other.example").send, "127.0.0.1", server.port, timeout=5)
        assert (2, "www.other.example.") == (DNSRecord.parse(answer).header.rcode, str(DNSRecord.parse(answer).q.qname))
        assert ["no resolver answered"] == [line["reason"] for line in house.log()]


@on_loop
async def test_strangers_and_servers_are_not_asked_on_for(tmp_path: Path) -> None:
    """An open resolver is a weapon; and who does not desire recursion is told where our names end."""
    without = ask("www.other.example")
    without.header.rd = 0
    async with home(tmp_path) as (_, front, _):
        for query, peer in (
            (ask("www.other.example"), "198.51.100.1"),
            (ask("www.other.example"), "10.2.0.1"),
            (without, "10.1.0.5"),
        ):
            answer = front.answer(bytes(query.pack()), Asker(peer, 4242, "10.1.0.1", tcp=False))
            assert isinstance(answer, bytes)
            assert 5 == DNSRecord.parse(answer).header.rcode
        later = front.answer(QUERY, Asker("10.1.0.5", 4242, "10.1.0.1", tcp=False))
        assert later is not None
        assert not isinstance(later, bytes)
        assert FOUND == lines(DNSRecord.parse(await later).rr)


@on_loop
async def test_a_commit_that_names_others_or_nobody_is_followed_at_once(tmp_path: Path) -> None:
    async with home(tmp_path) as (house, _, server):
        for upstreams, expected in (((), 5), (("127.0.0.9",), 2), (("127.0.0.9", "127.0.0.2"), 0), ((), 5)):
            house.serve(with_upstreams(*upstreams))
            answer = await asyncio.to_thread(ask("www.other.example").send, "127.0.0.1", server.port, timeout=5)
            assert expected == DNSRecord.parse(answer).header.rcode


@pytest.mark.parametrize(
    ("peer", "local", "reason"),
    [
        ("10.1.0.5", "10.1.0.53", "the upstream 10.1.0.53 is this server itself"),
        ("10.1.0.53", "10.1.0.1", "the upstream 10.1.0.53 asks, it would be asked in a circle"),
    ],
)
@on_loop
async def test_a_query_is_not_sent_round_in_a_circle(tmp_path: Path, peer: str, local: str, reason: str) -> None:
    async with home(tmp_path, "10.1.0.53") as (house, front, _):
        answer = front.answer(QUERY, Asker(peer, 4242, local, tcp=False))
        assert isinstance(answer, bytes)
        assert 5 == DNSRecord.parse(answer).header.rcode
        assert [("refused", reason)] == [(line["outcome"], line["reason"]) for line in house.log()]
