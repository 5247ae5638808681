"""DNS's sockets: UDP in batches, TCP connections within bounds, both on one port number.

Shell, IPv4 and Linux. The law: one query can cost one query, never the server; and nobody holds more than their share of the
connections, or one for longer than they use it. What is answered is decided by the function handed in; an answer leaves from
the address that was asked.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress

import msgspec

BATCH = 64
"""Datagrams read per wake-up: then the loop's other work gets its turn."""
_LARGEST_DATAGRAM = 4096
"""Bytes read of a datagram. A query is a tenth of that; what is longer is cut off, and so malformed."""
_BUFFER = 1 << 20
"""Bytes of receive buffer asked for: a rack that gets power asks all at once."""
_LENGTH = struct.Struct(">H")
"""RFC 1035 section 4.2.2: before each message on a TCP connection."""
_PKTINFO: int = getattr(socket, "IP_PKTINFO", 8)  # ip(7); not every Python names it
_IN_PKTINFO = struct.Struct("=I4s4s")
"""Interface, local address, destination address."""
_TRIES = 16
"""For a number that is free in UDP and in TCP, when any will do."""


class Asker(msgspec.Struct, frozen=True):
    """Who sent a query, and how."""

    address: str
    port: int
    local: str
    """The address of ours that was asked; "" when the kernel did not say."""
    tcp: bool


class Limits(msgspec.Struct, frozen=True):
    connections: int = 128
    connections_per_peer: int = 16
    seconds: float = 10
    """For the whole of one message to arrive after the last, and for an answer to be taken (RFC 7766 section 6.2.3)."""


Later = Coroutine[object, object, bytes]
Answer = Callable[[bytes, Asker], bytes | Later | None]
"""Decides about one query. None: silence. What must be waited for is bounded by whoever makes it."""
OnError = Callable[[bytes, Asker, Exception], None]
"""Told of the query that could not be handled, or the answer that could not be sent, with its bytes."""

DEFAULT_LIMITS = Limits()


async def serve_dns(
    host: str,
    port: int,
    answer: Answer,
    on_error: OnError,
    *,
    interface: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> DnsServer:
    """Serve until `close`. Port 0 takes one that is free. Raises OSError where the port or the interface cannot be had."""
    udp, tcp = _bound_pair(host, port, interface)
    server = DnsServer(udp, answer, on_error, limits)
    try:
        await server.listen(tcp)
    except OSError:
        tcp.close()
        await server.close()
        raise
    return server


class DnsServer:
    """Both sockets and the connections under way. Made by `serve_dns`."""

    def __init__(self, udp: socket.socket, answer: Answer, on_error: OnError, limits: Limits) -> None:
        self._udp = udp
        self._answer = answer
        self._on_error = on_error
        self._limits = limits
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._per_peer: Counter[str] = Counter()
        self._later: set[asyncio.Task[None]] = set()
        """Answers by UDP that are waited for."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(udp, self._drain)

    @property
    def port(self) -> int:
        return int(self._udp.getsockname()[1])

    async def listen(self, tcp: socket.socket) -> None:
        self._listener = await asyncio.start_server(self._connected, sock=tcp)

    async def close(self) -> None:
        """Stop listening and end the connections. A second call does nothing."""
        if self._udp.fileno() >= 0:
            self._loop.remove_reader(self._udp)
            self._udp.close()
        if self._listener is not None:
            self._listener.close()
        tasks = [*self._connections, *self._later]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _drain(self) -> None:
        for _ in range(BATCH):
            try:
                query, ancillary, _flags, peer = self._udp.recvmsg(_LARGEST_DATAGRAM, 64)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error about an answer sent earlier (ip(7)): it says nothing about the next datagram
            local = next((_IN_PKTINFO.unpack(data)[1] for _, kind, data in ancillary if kind == _PKTINFO), bytes(4))
            asker = Asker(peer[0], peer[1], socket.inet_ntoa(local) if any(local) else "", tcp=False)
            try:
                answer = self._answer(query, asker)
                if isinstance(answer, bytes):
                    self._send(answer, asker)
                elif answer is not None:
                    later = self._loop.create_task(self._send_later(answer, query, asker))
                    self._later.add(later)
                    later.add_done_callback(self._later.discard)
            except Exception as error:
                self._on_error(query, asker, error)

    def _send(self, answer: bytes, asker: Asker) -> None:
        source = (socket.IPPROTO_IP, _PKTINFO, _IN_PKTINFO.pack(0, socket.inet_aton(asker.local or "0.0.0.0"), bytes(4)))  # noqa: S104  as the route has it
        with suppress(BlockingIOError):  # the send buffer is full: lost, like any datagram
            self._udp.sendmsg((answer,), (source,), 0, (asker.address, asker.port))

    async def _send_later(self, answer: Later, query: bytes, asker: Asker) -> None:
        try:
            self._send(await answer, asker)
        except Exception as error:
            self._on_error(query, asker, error)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Not a coroutine: asyncio would log each connection that `close` cancels (Python 3.11)."""
        address, port = writer.get_extra_info("peername") or ("", 0)
        crowded = len(self._connections) >= self._limits.connections
        if crowded or self._per_peer[address] >= self._limits.connections_per_peer:
            writer.close()
            return
        asker = Asker(address, port, writer.get_extra_info("sockname")[0], tcp=True)
        connection = self._loop.create_task(self._attend(reader, writer, asker))
        self._connections.add(connection)
        self._per_peer[address] += 1
        connection.add_done_callback(lambda connection: self._disconnected(connection, address))

    def _disconnected(self, connection: asyncio.Task[None], address: str) -> None:
        self._connections.discard(connection)
        self._per_peer -= Counter((address,))  # keeps what is positive, and so forgets who has left

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asker: Asker) -> None:
        writer.transport.set_write_buffer_limits(0)  # `drain` waits until all is sent: nothing is left to send after the end
        try:
            with suppress(EOFError, ConnectionError):
                await self._converse(reader, writer, asker)
        except TimeoutError:
            writer.transport.abort()
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asker: Asker) -> None:
        """Queries may come before the last was answered; answers keep their order (RFC 7766 section 6.2.1.1)."""
        while True:
            async with asyncio.timeout(self._limits.seconds):
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                query = await reader.readexactly(length)
            try:
                decided = self._answer(query, asker)
                answer = decided if isinstance(decided, bytes | None) else await decided
            except Exception as error:
                self._on_error(query, asker, error)
                continue
            if answer is None:
                return  # whoever sends no queries has no use for the connection
            writer.write(_LENGTH.pack(len(answer)) + answer)
            async with asyncio.timeout(self._limits.seconds):
                await writer.drain()
            await asyncio.sleep(0)  # a full buffer of queries is read without waiting: others get their turn


def _bound_pair(host: str, port: int, interface: str | None) -> tuple[socket.socket, socket.socket]:
    """A datagram and a listening socket of one number. One that the kernel chose for UDP may be taken in TCP."""
    for last in range(_TRIES, 0, -1):
        udp = _bound(socket.SOCK_DGRAM, host, port, interface)
        try:
            return udp, _bound(socket.SOCK_STREAM, host, udp.getsockname()[1], interface)
        except OSError as error:
            udp.close()
            if port or error.errno != errno.EADDRINUSE or last == 1:
                raise
    raise AssertionError("unreachable")


def _bound(kind: socket.SocketKind, host: str, port: int, interface: str | None) -> socket.socket:
    # Named, not 0: asyncio switches Nagle's algorithm off only then, and a second answer would wait for the first.
    protocol = socket.IPPROTO_TCP if kind is socket.SOCK_STREAM else socket.IPPROTO_UDP
    sock = socket.socket(socket.AF_INET, kind, protocol)
    try:
        sock.setblocking(False)
        if kind is socket.SOCK_DGRAM:
            sock.setsockopt(socket.IPPROTO_IP, _PKTINFO, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        sock.bind((host, port))
        if kind is socket.SOCK_STREAM:
            sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock
