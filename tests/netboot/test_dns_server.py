"""DNS's sockets: one query can cost one query, and nobody holds more than their share."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from netboot.dns_server import DEFAULT_LIMITS, Answer, Asker, DnsServer, Later, Limits, serve_dns

pytestmark = pytest.mark.shell
DEADLINE = 10


@dataclass
class Site:
    """A served pair of sockets, and clients whose every wait has a deadline."""

    server: DnsServer
    asked: list[tuple[bytes, Asker]] = field(default_factory=list)
    errors: list[tuple[bytes, Asker, Exception]] = field(default_factory=list)

    @contextlib.contextmanager
    def client(self, host: str = "127.0.0.1") -> Iterator[socket.socket]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect((host, self.server.port))  # connected: answers from elsewhere are not heard
            yield client

    @contextlib.asynccontextmanager
    async def connection(self, host: str = "127.0.0.1") -> AsyncIterator[Connection]:
        reader, writer = await asyncio.open_connection(host, self.server.port)
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def ask(self, *queries: bytes) -> None:
        self.writer.write(b"".join(struct.pack(">H", len(query)) + query for query in queries))

    async def answer(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            (length,) = struct.unpack(">H", await self.reader.readexactly(2))
            return await self.reader.readexactly(length)

    async def ended(self) -> bool:
        """Waits for the server to close it. What was sent before that is an error of the test."""
        async with asyncio.timeout(DEADLINE):
            with contextlib.suppress(ConnectionResetError):
                return await self.reader.read() == b""
        return True


async def heard(client: socket.socket) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 70_000), DEADLINE)


async def ask_for_ever(client: socket.socket) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(client, b"\0\1x" * 10_000)


def echo(query: bytes, asker: Asker) -> bytes | None:
    if query == b"poison":
        raise RuntimeError("a bug")
    return None if query == b"silence" else b"re:" + query


@contextlib.asynccontextmanager
async def served(answer: Answer = echo, limits: Limits = DEFAULT_LIMITS, host: str = "127.0.0.1") -> AsyncIterator[Site]:
    asked: list[tuple[bytes, Asker]] = []
    errors: list[tuple[bytes, Asker, Exception]] = []

    def noted(query: bytes, asker: Asker) -> bytes | Later | None:
        asked.append((query, asker))
        return answer(query, asker)

    server = await serve_dns(host, 0, noted, lambda *what: errors.append(what), limits=limits)
    try:
        yield Site(server, asked, errors)
    finally:
        await server.close()


def on_loop(scenario: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run it on a loop of its own, where a task's unseen exception is a failure too."""

    @functools.wraps(scenario)
    def test(*args: object, **kwargs: object) -> None:
        unseen: list[dict[str, object]] = []

        async def run() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
            await scenario(*args, **kwargs)
            gc.collect()  # that is when an exception that nobody took is told

        asyncio.run(run())
        assert [] == unseen

    return test


# --- UDP --------------------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_datagram_is_answered_to_who_sent_it() -> None:
    async with served() as site:
        with site.client() as client:
            client.send(b"hello")
            assert b"re:hello" == await heard(client)
            assert [(b"hello", Asker("127.0.0.1", client.getsockname()[1], "127.0.0.1", tcp=False))] == site.asked


@on_loop
async def test_the_answer_leaves_from_the_address_that_was_asked() -> None:
    """On a host with several addresses the kernel would choose one, and the asker would not know it."""
    async with served(host="0.0.0.0") as site:
        for address in ("127.0.0.1", "127.7.7.7"):
            with site.client(address) as client:
                client.send(b"hello")
                assert b"re:hello" == await heard(client)
            async with site.connection(address) as connection:
                connection.ask(b"hello")
                assert b"re:hello" == await connection.answer()
        assert ["127.0.0.1"] * 2 + ["127.7.7.7"] * 2 == [asker.local for _, asker in site.asked]


@on_loop
async def test_an_exception_costs_one_datagram_and_is_reported_with_its_bytes() -> None:
    async with served() as site:
        with site.client() as client:
            client.send(b"poison")
            client.send(b"silence")
            client.send(b"hello")
            assert b"re:hello" == await heard(client)
            assert [(b"poison", "a bug")] == [(query, str(error)) for query, _, error in site.errors]


@on_loop
async def test_a_burst_longer_than_one_batch_is_answered_whole() -> None:
    async with served() as site:
        with site.client() as client:
            for number in range(150):
                client.send(b"%d" % number)
            assert [b"re:%d" % number for number in range(150)] == [await heard(client) for _ in range(150)]


@on_loop
async def test_an_asker_that_is_gone_hinders_nobody() -> None:
    """The kernel reports its closed port on our socket, between the datagrams of others."""
    async with served() as site:
        for _ in range(20):
            with site.client() as gone:
                gone.send(b"hello")
        with site.client() as client:
            client.send(b"hello")
            assert b"re:hello" == await heard(client)
            client.send(b"again")
            assert b"re:again" == await heard(client)
        assert [] == site.errors


@on_loop
async def test_an_empty_datagram_and_one_too_long_are_handed_on() -> None:
    async with served(lambda query, _: b"%d" % len(query)) as site:
        with site.client() as client:
            client.send(b"")
            client.send(bytes(60_000))
            assert [b"0", b"4096"] == [await heard(client), await heard(client)]


@on_loop
async def test_an_answer_that_cannot_be_sent_is_reported() -> None:
    async with served(lambda query, _: bytes(70_000) if query == b"long" else query) as site:
        with site.client() as client:
            client.send(b"long")
            client.send(b"hello")
            assert b"hello" == await heard(client)
            assert [(b"long", OSError)] == [(query, type(error)) for query, _, error in site.errors]


@pytest.mark.parametrize("fails", [False, True])
@on_loop
async def test_an_answer_may_come_later_and_holds_nobody_up(fails: bool) -> None:
    gate = asyncio.Event()

    async def later(query: bytes) -> bytes:
        await gate.wait()
        if fails:
            raise RuntimeError("a bug")
        return b"late:" + query

    async with served(lambda query, _: later(query) if query == b"later" else query) as site, site.connection() as connection:
        with site.client() as client:
            client.send(b"later")
            client.send(b"now")
            assert b"now" == await heard(client)
            connection.ask(b"later", b"now")
            gate.set()
            if not fails:
                assert b"late:later" == await heard(client) == await connection.answer()
            assert b"now" == await connection.answer()
            client.send(b"again")
            assert b"again" == await heard(client)
        assert [(b"later", "a bug")] * 2 * fails == [(query, str(error)) for query, _, error in site.errors]


@on_loop
async def test_closing_does_not_wait_for_late_answers() -> None:
    async def never() -> bytes:
        await asyncio.Event().wait()
        return b""

    async with served(lambda *_: never()) as site:
        with site.client() as client:
            client.send(b"hello")
            async with asyncio.timeout(DEADLINE):
                while not site.asked:
                    await asyncio.sleep(0)
        await asyncio.wait_for(site.server.close(), 5)


# --- TCP --------------------------------------------------------------------------------------------------------------------


@on_loop
async def test_queries_may_follow_each_other_and_are_answered_in_order() -> None:
    async with served() as site, site.connection() as connection:
        queries = [b"%d" % number for number in range(500)]
        connection.ask(*queries)
        assert [b"re:" + query for query in queries] == [await connection.answer() for _ in queries]
        connection.ask(b"later")
        assert b"re:later" == await connection.answer()
        port = connection.writer.get_extra_info("sockname")[1]
        assert Asker("127.0.0.1", port, "127.0.0.1", tcp=True) == site.asked[0][1]


@on_loop
async def test_a_query_may_come_byte_by_byte() -> None:
    async with served() as site, site.connection() as connection:
        connection.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"\0\5hello":
            connection.writer.write(bytes((byte,)))
            await connection.writer.drain()
        assert b"re:hello" == await connection.answer()


@on_loop
async def test_the_longest_message_passes_both_ways() -> None:
    async with served(lambda query, _: query) as site, site.connection() as connection:
        connection.ask(bytes(65535))
        assert bytes(65535) == await connection.answer()


@on_loop
async def test_who_has_asked_enough_still_gets_every_answer() -> None:
    async with served() as site, site.connection() as connection:
        connection.ask(*[b"x" * 1000] * 300)
        connection.writer.write_eof()
        assert [b"re:" + b"x" * 1000] * 300 == [await connection.answer() for _ in range(300)]
        assert await connection.ended()


@on_loop
async def test_an_exception_costs_one_query_of_a_connection() -> None:
    async with served() as site, site.connection() as connection:
        connection.ask(b"poison", b"hello")
        assert b"re:hello" == await connection.answer()
        assert [(b"poison", "a bug")] == [(query, str(error)) for query, _, error in site.errors]


@on_loop
async def test_who_sends_what_is_not_answered_loses_the_connection() -> None:
    async with served() as site, site.connection() as connection:
        connection.ask(b"silence", b"hello")
        assert await connection.ended()
        assert [b"silence"] == [query for query, _ in site.asked]


@pytest.mark.parametrize("begun", [b"", b"\0", b"\0\5hel"], ids=["nothing", "half a length", "half a query"])
@on_loop
async def test_who_does_not_finish_a_query_in_time_loses_the_connection(begun: bytes) -> None:
    async with served(limits=Limits(seconds=0.05)) as site, site.connection() as connection:
        connection.writer.write(begun)
        assert await connection.ended()


@on_loop
async def test_who_does_not_take_the_answers_loses_the_connection() -> None:
    async with served(lambda query, _: bytes(65535), Limits(seconds=0.05)) as site:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", site.server.port))
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(ask_for_ever(client), DEADLINE)
        async with site.connection() as connection:
            connection.ask(b"hello")
            assert 65535 == len(await connection.answer())


@on_loop
async def test_one_peer_cannot_hold_every_connection() -> None:
    async with served(limits=Limits(connections=8, connections_per_peer=2)) as site, contextlib.AsyncExitStack() as held:
        for _ in range(2):
            connection = await held.enter_async_context(site.connection())
            connection.ask(b"hello")
            assert b"re:hello" == await connection.answer()
        async with site.connection() as third:
            assert await third.ended()
        reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port, local_addr=("127.0.0.2", 0))
        other = Connection(reader, writer)
        other.ask(b"hello")
        assert b"re:hello" == await other.answer()
        writer.close()


@on_loop
async def test_there_are_so_many_connections_and_the_next_one_waits_for_a_place() -> None:
    async with served(limits=Limits(connections=1, connections_per_peer=9)) as site:
        async with site.connection() as first:
            first.ask(b"hello")
            assert b"re:hello" == await first.answer()
            async with site.connection() as second:
                assert await second.ended()
            first.writer.write_eof()
            assert await first.ended()
        async with site.connection() as third:
            third.ask(b"hello")
            assert b"re:hello" == await third.answer()


@on_loop
async def test_a_peer_that_comes_and_goes_is_not_held_against_it() -> None:
    async with served(limits=Limits(connections_per_peer=2)) as site:
        for _ in range(6):
            async with site.connection() as connection:
                connection.ask(b"hello")
                assert b"re:hello" == await connection.answer()
                connection.writer.write_eof()
                assert await connection.ended()


@on_loop
async def test_a_thousand_queries_of_one_connection_let_others_in_between() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:

        def answer(query: bytes, asker: Asker) -> bytes:
            if query == b"0" and asker.tcp:
                client.send(b"let me in")
            return query

        async with served(answer) as site, site.connection() as connection:
            client.connect(("127.0.0.1", site.server.port))
            connection.ask(*(b"%d" % number for number in range(1000)))
            for _ in range(1000):
                await connection.answer()
            assert [query for query, _ in site.asked].index(b"let me in") < 100


# --- the pair ---------------------------------------------------------------------------------------------------------------


@on_loop
async def test_closing_ends_connections_and_frees_the_port() -> None:
    async with served() as site, site.connection() as connection:
        connection.ask(b"hello")
        assert b"re:hello" == await connection.answer()
        port = site.server.port
        await asyncio.wait_for(site.server.close(), 5)
        assert await connection.ended()
    again = await serve_dns("127.0.0.1", port, echo, lambda *_: None)
    await again.close()


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
@on_loop
async def test_a_port_that_is_taken_in_either_is_refused(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        with pytest.raises(OSError, match="in use"):
            await serve_dns("127.0.0.1", taken.getsockname()[1], echo, lambda *_: None)


@on_loop
async def test_an_unknown_interface_is_refused() -> None:
    with pytest.raises(OSError, match=r"No such device|Operation not permitted"):
        await serve_dns("127.0.0.1", 0, echo, lambda *_: None, interface="nosuch0")
