"""HTTP's sockets, with TLS and without: uvicorn, with the bounds it lacks on who may hold a connection and for how long.

Shell. Law: a connection is always on its way to something. Whoever does not finish a TLS handshake or a request's head in
`HEAD_SECONDS`, or does not take what they asked for within `STALL_SECONDS`, is cut off; nobody has more than `MOST_PER_PEER`
connections, and all together not more than `MOST`, or than leaves descriptors to the rest of the server. One that is still in
its handshake is a connection like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import h11
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from netboot.request_limits import HEAD_TOO_LARGE, LARGEST_HEAD

HEAD_SECONDS = 10.0
STALL_SECONDS = 60.0
"""Seconds in which a client must take some 64 KiB: less than 1 KiB/s is nobody who boots."""
MOST = 4096
MOST_PER_PEER = 256
ACCEPT_SECONDS = 0.1
STOP_SECONDS = 1
"""What is under way when the server stops has as long."""


@dataclass(slots=True)
class Bounds:
    """What connections may do, and how many each peer has, of all listeners that share these."""

    head: float = HEAD_SECONDS
    stall: float = STALL_SECONDS
    most: int = MOST
    most_per_peer: int = MOST_PER_PEER
    peers: Counter[str] = field(default_factory=Counter)
    open: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """What was not let through: `turned-away` connections, `too-slow` ones, `malformed` requests, `head-too-large` ones,
    and `handshake-failed` of TLS."""

    def enter(self, peer: str) -> bool:
        """Whether one more connection of this peer may stay; it counts until `leave` either way."""
        self.peers[peer] += 1
        self.open += 1
        stays = self.peers[peer] <= self.most_per_peer and self.open <= self.most
        self.counts["turned-away"] += not stays
        return stays

    def leave(self, peer: str) -> None:
        self.open -= 1
        self.peers[peer] -= 1
        if not self.peers[peer]:
            del self.peers[peer]

    @classmethod
    def within(cls, files: int) -> Bounds:
        """For a process that may have so many descriptors open: a connection takes up to three, and some are for others."""
        most = max(4, min(MOST, files // 4))
        return cls(most=most, most_per_peer=max(1, min(MOST_PER_PEER, most // 4)))


class _Connection(H11Protocol):
    bounds: Bounds
    """Set by a subclass for each server, which is how uvicorn makes connections."""
    made = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self.made = True
        self._timer: asyncio.TimerHandle | None = None
        self._peer = self.client[0] if self.client else ""
        if self.scheme == "https" or self.bounds.enter(self._peer):  # with TLS it was counted before its handshake
            self._arm(self.bounds.head)
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self.bounds.leave(self._peer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        under_way = self.cycle is not None and not self.cycle.response_complete
        if under_way and not self.flow.write_paused:
            self._disarm()  # its body has a bound of its own, where it is read
        elif not under_way and self._timer is None:
            self._arm(self.bounds.head)  # the beginning of another request, or a body that nobody reads

    def pause_writing(self) -> None:
        super().pause_writing()
        self._arm(self.bounds.stall)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._disarm()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self.bounds.counts["too-slow"] += 1
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Called where h11 objects: its error knows whether the head is too large (RFC 6585 section 5)."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if status != 431:
            self.bounds.counts["malformed"] += 1
            super().send_400_response(msg)
            return
        self.bounds.counts["head-too-large"] += 1
        body = f"{HEAD_TOO_LARGE}\n".encode()
        headers = [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body))), ("connection", "close")]
        for event in (h11.Response(status_code=431, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Uvicorn(uvicorn.Server):
    """Signals are the command's business: it stops all servers together."""

    accepting: asyncio.Task[None] | None = None
    """With TLS; otherwise uvicorn accepts."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def connection(self) -> _Connection:
        """One that is to be made."""
        kind = cast(type[_Connection], self.config.http_protocol_class)
        return kind(config=self.config, server_state=self.server_state, app_state={})

    async def serve_tls(self, sock: socket.socket, tls: ssl.SSLContext, bounds: Bounds) -> None:
        async with asyncio.TaskGroup() as group:
            self.accepting = group.create_task(_Door(self, sock, tls, bounds).run())
            await self.serve(sockets=[])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.accepting:
            self.accepting.cancel()
        await super().shutdown(sockets)


def tcp_socket(host: str, port: int) -> socket.socket:
    """Bound and listening, non-blocking. Raises OSError.

    Its protocol is named, for asyncio switches Nagle's algorithm off only where it is: an answer's head and body would
    else wait 40 ms for each other on every connection that is used again.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1024)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def unix_socket(path: Path) -> socket.socket:
    """Bound and listening at `path`, for the process's owner and group; what was left there is removed. Raises OSError.

    Through a descriptor of its folder, for sockets have short names only (108 bytes, unix(7)) and folders long ones.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        path.unlink(missing_ok=True)
        os.fchmod(sock.fileno(), 0o660)  # before it has a name, so that nobody else comes in between
        sock.bind(f"/proc/self/fd/{folder}/{path.name}")
        path.chmod(0o660)  # whatever the umask is
        sock.listen(64)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    finally:
        os.close(folder)
    return sock


def _title_cased(app: ASGIApp) -> ASGIApp:
    """`Content-Length` with capitals: Debian's GRUB 2.12 knows no other way to write it, against RFC 9110 section 5.1."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_title_cased(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [(name.title(), value) for name, value in message["headers"]]}
            await send(message)

        await app(scope, receive, send_title_cased)

    return application


class _Door:
    """Accepts for TLS. asyncio alone neither counts a connection whose handshake lasts nor ends it within a minute."""

    def __init__(self, server: _Uvicorn, sock: socket.socket, tls: ssl.SSLContext, bounds: Bounds) -> None:
        self._server = server
        self._sock = sock
        self._tls = tls
        self._bounds = bounds

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as handshakes:
            while True:
                try:
                    sock, address = await loop.sock_accept(self._sock)
                except OSError:  # the peer is gone already, or no descriptor is left, of which there will be some again
                    await asyncio.sleep(ACCEPT_SECONDS)
                else:
                    handshakes.create_task(self._admit(sock, address[0]))

    async def _admit(self, sock: socket.socket, peer: str) -> None:
        if not self._bounds.enter(peer):
            self._bounds.leave(peer)
            sock.close()
            return
        protocol = self._server.connection()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=self._bounds.head,
                ssl_shutdown_timeout=self._bounds.head,
            )
        except OSError:  # of which TLS's errors are some: no client of ours, or one that gave up
            self._bounds.counts["handshake-failed"] += 1
        finally:
            if not protocol.made:  # otherwise it leaves when it is lost
                self._bounds.leave(peer)


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, sock: socket.socket, bounds: Bounds, tls: ssl.SSLContext | None = None
) -> AsyncIterator[asyncio.Task[Any]]:
    """Serves `app` during the body. The task ends early only by a fault."""
    protocol = type("_Bounded", (_Connection,), {"bounds": bounds})
    server = _Uvicorn(
        uvicorn.Config(
            _title_cased(app),
            http=protocol,
            ws="none",
            h11_max_incomplete_event_size=LARGEST_HEAD,
            log_config=None,
            access_log=False,
            lifespan="off",
            proxy_headers=False,  # would let anyone be any machine; netboot/peers.py says who is believed
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )
    serve = server.serve_tls(sock, tls, bounds) if tls else server.serve(sockets=[sock])
    task = asyncio.create_task(serve, name="https" if tls else "http")
    try:
        yield task
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
        if left := server.server_state.tasks:  # cancelled, and now closing their files
            await asyncio.wait(left, timeout=STOP_SECONDS / 4)
        sock.close()
