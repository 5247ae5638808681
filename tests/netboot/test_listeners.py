"""A thousand listeners of `/events` on a live server: nothing is lost or doubled, whoever is slow, cut off, or long away.

Each holds a socket of its own. The law that is checked, of every listener: the numbers it was told divide what happened into
pieces without gap or overlap, and each message names exactly what happened in its piece.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from netboot.feed import MOST
from netboot.server import Netboot
from tests.netboot.live_machine import DASHED
from tests.netboot.live_server import Live

pytestmark = pytest.mark.shell
LISTENERS, PER_ADDRESS = 1000, 125
"""One address has 256 connections at most."""
BURSTS, CHANGES = 6, 40


@dataclass(slots=True)
class Listener:
    """One connection at a time; `heard` is from all of them."""

    port: int
    address: str = "127.0.0.1"
    buffer: int = 0
    """Bytes that its host takes for it while it does not read; 0: as many as usual."""
    began: int = -1
    """The number behind which it begins."""
    last: str = ""
    """The id of the last message."""
    heard: list[tuple[str, int, list[str]]] = field(default_factory=list)
    """(event, number, paths)"""
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        """As far as the first line of the stream, which says where it begins."""
        sock = socket.socket()
        if self.buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffer)
        sock.bind((self.address, 0))
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        self._reader, self._writer = await asyncio.open_connection(sock=sock, limit=self.buffer or 1 << 16)
        resume = f"Last-Event-ID: {self.last}\r\n" if self.last else ""
        self._writer.write(f"GET /events HTTP/1.1\r\nHost: localhost\r\n{resume}\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await self.message()
        self.began = self.number if self.began < 0 else self.began

    async def message(self) -> None:
        """Takes in one: the server sends each as a chunk of its own (RFC 9112, section 7.1)."""
        assert self._reader is not None
        size = int(await self._reader.readline(), 16)
        text = (await self._reader.readexactly(size + 2)).decode()
        fields = dict(line.split(": ", 1) for line in text.splitlines() if line and not line.startswith(":"))
        self.last = fields.get("id", self.last)
        if "event" in fields:
            self.heard.append((fields["event"], self.number, json.loads(fields["data"])))

    async def hear(self, number: int) -> None:
        while self.number < number:
            await self.message()

    @property
    def number(self) -> int:
        return int(self.last.rpartition("-")[2])

    async def drop(self) -> None:
        """As when a cable is pulled, as far as this can be had on loopback: nothing of it says goodbye."""
        if self._writer:
            self._writer.transport.abort()


@dataclass(slots=True)
class Site:
    """The server, and all that happened there since this was made."""

    server: Netboot
    loop: asyncio.AbstractEventLoop
    first: int = 0
    happened: list[str] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)

    async def watch(self) -> None:
        feed = self.server.world.feed
        told = feed.add

        def add(paths: Any) -> None:
            self.happened += (known := list(paths))
            told(known)

        def begin() -> None:
            self.first = feed.last
            feed.add = add  # type: ignore[method-assign]  # a wiretap

        await self.call(begin)

    def listener(self, address: str = "127.0.0.1", buffer: int = 0) -> Listener:
        self.listeners.append(Listener(self.server.http_port, address, buffer))
        return self.listeners[-1]

    async def call(self, what: Any) -> None:
        """In the server's own thread."""

        async def run() -> None:
            what()

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), self.loop))

    async def change(self, *paths: str) -> int:
        """The number of the last of them."""
        await self.call(lambda: self.server.world.feed.add(paths))
        return self.first + len(self.happened)

    def verify(self, listener: Listener) -> None:
        since = listener.began
        for event, number, paths in listener.heard:
            assert "changed" == event
            assert list(dict.fromkeys(self.happened[since - self.first : number - self.first])) == paths
            since = number
        assert self.first + len(self.happened) == since, "it heard the end"


async def together(what: Sequence[Coroutine[Any, Any, Any]], at_once: int = 50) -> None:
    for start in range(0, len(what), at_once):
        await asyncio.gather(*what[start : start + at_once])


def test_a_thousand_listeners_hear_everything_once(tmp_path: Path) -> None:
    """A tenth of them is cut off after each burst and comes back after the next; one takes nothing before the end."""

    async def story(site: Site) -> None:
        everybody = [site.listener(f"127.0.0.{1 + number // PER_ADDRESS}") for number in range(LISTENERS)]
        await together([each.connect() for each in everybody])
        slow = site.listener("127.0.0.100", buffer=2048)
        await slow.connect()
        assert LISTENERS + 1 == site.server.world.feed.listeners
        away: list[Listener] = []
        for burst in range(BURSTS):
            last = await site.change(*(f"hardware/node-{burst}-{number}.json" for number in range(CHANGES)))
            back, away = away, everybody[burst::10] if burst < BURSTS - 1 else []
            await together([each.hear(last) for each in everybody if each not in back])
            await together([each.drop() for each in away])
            await together([each.connect() for each in back])
            await together([each.hear(last) for each in back])
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.server.http_port}") as client:
            assert 200 == (await client.get(f"/ipxe/{DASHED}/boot.ipxe")).status_code, "machines are answered meanwhile"
        last = await site.change("index.json")
        for each in site.listeners:
            await each.hear(last)
            site.verify(each)
        assert "hardware/node-01.json" in site.happened

    play(tmp_path, story)


def test_who_takes_nothing_is_told_all_of_it_later_and_who_was_away_too_long_that_it_missed_some(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        slow, gone, quick = site.listener(buffer=1 << 16), site.listener(), site.listener()
        for each in (slow, gone, quick):
            await each.connect()
        await gone.drop()
        for burst in range(12):
            last = await site.change(*(f"{burst}/{number:03}/{'x' * 3000}" for number in range(MOST // 16)))
            await quick.hear(last)
        await slow.hear(last)
        for each in (slow, quick):
            site.verify(each)
        assert len(slow.heard) < len(quick.heard), "what it did not take was not kept for it, message by message"
        last = await site.change(*map(str, range(MOST)))
        await gone.connect()
        await gone.hear(last)
        assert [("reset", last, [])] == gone.heard

    play(tmp_path, story)


def play(tmp_path: Path, story: Callable[[Site], Awaitable[None]]) -> None:
    live = Live(tmp_path)

    async def run(server: Netboot) -> None:
        site = Site(server, live._loop)
        await site.watch()
        try:
            await story(site)
        finally:
            await together([each.drop() for each in site.listeners])

    with live as server:
        asyncio.run(asyncio.wait_for(run(server), 100))
