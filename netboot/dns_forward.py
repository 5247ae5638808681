"""Names of others: a query is handed on to the site's resolvers, and their answer handed back.

Shell. The law: an answer is taken from the resolver that was asked, at the port and with the id chosen for this one query, and
repeating its question; everything else is not heard. Nobody waits for longer than each resolver's time, and no more than a
bounded number wait. The asker's query is sent as it is, so the answer is one that the asker can take.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Iterable

from netboot.dns_query import answers

MOST = 256
"""Queries under way. Further ones fail at once, and the asker tries elsewhere."""
SECONDS = 2.0
"""For each resolver: two of them are done before a usual asker gives up after five."""
_LENGTH = struct.Struct(">H")


class Forwarder:
    def __init__(self, *, port: int = 53, seconds: float = SECONDS, most: int = MOST) -> None:
        self._port = port
        self._seconds = seconds
        self._most = most
        self._waiting = 0

    async def ask(self, query: bytes, resolvers: Iterable[str], *, tcp: bool) -> bytes | None:
        """The first answer that a resolver gives, by the way the asker came; None when there is none.

        `resolvers`: IPv4 addresses, in order of preference.
        """
        if self._waiting >= self._most:
            return None
        self._waiting += 1
        try:
            for resolver in resolvers:
                sent = secrets.token_bytes(2) + query[2:]
                try:
                    async with asyncio.timeout(self._seconds):
                        answer = await (self._by_tcp if tcp else self._by_udp)(resolver, sent)
                except (OSError, EOFError):  # a timeout is an OSError too
                    continue
                return query[:2] + answer[2:]
            return None
        finally:
            self._waiting -= 1

    async def _by_udp(self, resolver: str, query: bytes) -> bytes:
        """From a socket of its own, whose port the kernel draws by lot (RFC 5452 section 9.2)."""
        exchange = _Exchange(query)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: exchange, remote_addr=(resolver, self._port))
        try:
            transport.sendto(query)
            return await exchange.answer
        finally:
            transport.close()

    async def _by_tcp(self, resolver: str, query: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(resolver, self._port)
        try:
            writer.write(_LENGTH.pack(len(query)) + query)
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            answer = await reader.readexactly(length)
        finally:
            writer.close()
        if not answers(answer, query):
            raise EOFError("not an answer to this query")
        return answer


class _Exchange(asyncio.DatagramProtocol):
    """One query's socket. What does not answer it is not heard: the right answer may still come."""

    def __init__(self, query: bytes) -> None:
        self._query = query
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.answer.done() and answers(data, self._query):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)
