"""A TFTP server on loopback that keeps what it reports, and peers that talk to it in packets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec

from netboot.tftp import File, Limits, NotFound
from netboot.tftp_packets import Packet, ReadRequest, decode, encode
from netboot.tftp_server import Address, Exchange, Lookup, TftpServer, serve_tftp
from tests.netboot.tftp_link import Client

DEADLINE = 20.0
"""Seconds that any one event of a test may take."""

Arguments = ParamSpec("Arguments")


def on_loop(test: Callable[Arguments, Awaitable[None]]) -> Callable[Arguments, None]:
    """Run an async test on an event loop of its own, with a deadline."""

    @wraps(test)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        async def to_its_end() -> None:
            await asyncio.wait_for(test(*args, **kwargs), 3 * DEADLINE)

        asyncio.run(to_its_end())

    return run


@dataclass
class Site:
    """A running server, and what it reported."""

    server: TftpServer
    exchanges: asyncio.Queue[Exchange]
    ignored: asyncio.Queue[tuple[Address, str]]

    async def exchange(self) -> Exchange:
        return await asyncio.wait_for(self.exchanges.get(), DEADLINE)


def in_memory(files: Mapping[str, bytes]) -> Lookup:
    def lookup(path: str, peer: Address) -> File | NotFound:
        return File.of(files[path]) if path in files else NotFound(f"no {path} for {peer[0]}")

    return lookup


@asynccontextmanager
async def serving(
    files: Mapping[str, bytes] | Lookup,
    host: str = "127.0.0.1",
    limits: Limits | None = None,
    interface: str | None = None,
    single_port: bool = False,
) -> AsyncIterator[Site]:
    exchanges: asyncio.Queue[Exchange] = asyncio.Queue()
    ignored: asyncio.Queue[tuple[Address, str]] = asyncio.Queue()
    server = await serve_tftp(
        host,
        0,
        files if callable(files) else in_memory(files),
        on_exchange=exchanges.put_nowait,
        on_ignored=lambda peer, reason: ignored.put_nowait((peer, reason)),
        interface=interface,
        single_port=single_port,
        limits=limits or Limits(),
    )
    try:
        yield Site(server, exchanges, ignored)
    finally:
        await server.close()


class Peer:
    """One socket of a client; datagrams as packets."""

    def __init__(self, site: Site, address: str = "127.0.0.1", server: str = "127.0.0.1") -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.bind((address, 0))
        self.door: Address = (server, site.server.port)
        self.tid: Address = self.door
        """Where the last datagram came from."""

    @property
    def address(self) -> Address:
        address: Address = self.sock.getsockname()
        return address

    def ask(self, path: str, **options: int) -> None:
        self.say(ReadRequest(path, "octet", {name: str(value) for name, value in options.items()}), self.door)

    def say(self, what: Packet | bytes, to: Address | None = None) -> None:
        self.sock.sendto(what if isinstance(what, bytes) else encode(what), to or self.tid)

    async def hear(self) -> Packet:
        receiving = asyncio.get_running_loop().sock_recvfrom(self.sock, 65536)
        datagram, self.tid = await asyncio.wait_for(receiving, DEADLINE)
        return decode(datagram)

    async def fetch(self, path: str, **options: int) -> bytes:
        """The file, the way `Client` of the core's tests receives it."""
        self.ask(path, **options)
        client = Client()
        while not client.finished:
            if answer := client.receive(encode(await self.hear())):
                self.say(answer)
        return bytes(client.content)

    def heard_nothing_more(self) -> bool:
        try:
            self.sock.recv(1)
        except BlockingIOError:
            return True
        return False
