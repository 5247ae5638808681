"""TFTP's sockets: each request that is let in has a timer and a socket (RFC 1350's TID) of its own, and leaves one `Exchange`.

Shell, IPv4 and Linux. What is said on the wire is decided in `netboot.tftp`; here is only who is spoken to: no address gets a
second transfer by repeating itself, nobody gets more than their share, and an answer leaves from the address that was asked.
With `single_port` it leaves from the port that was asked, too, for a NAT that knows no TFTP; peers are told apart all the same.
Files are read in the event loop, a window at a time: they are local, and mostly in the page cache.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from netboot.errors import Malformed
from netboot.tftp import DEFAULT_LIMITS, Failed, File, Limits, NotFound, Outcome, Refused, Transfer, admit
from netboot.tftp_packets import NOT_DEFINED, NOT_FOUND, UNKNOWN_TID, Error, ReadRequest, WriteRequest, decode, encode

Address = tuple[str, int]
Found = File | NotFound
Lookup = Callable[[str, Address], Found | Awaitable[Found]]
"""(normalised path, peer) → the file, at once or later. May raise `OSError`: that one request is answered with ERROR."""

REPEATED = "the same request again"
"""Why a datagram was dropped whose sender did not wait for the answer that is on its way."""
_LONGEST = 2048
"""Octets read of a datagram. Whatever a client may rightly send is shorter."""
_BURST = 64
"""Datagrams taken from one socket before the others have their turn."""
_PKTINFO: int = getattr(socket, "IP_PKTINFO", 8)  # ip(7); not every Python names it
_IN_PKTINFO = struct.Struct("=I4s4s")  # interface, local address, destination address


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and how it ended. `path` is normalised where that was possible, else as the peer sent it."""

    peer: Address
    path: str
    outcome: Outcome
    seconds: float = field(default=0.0, compare=False)
    """How long it took: telemetry, no part of equality."""


def open_file(path: str | os.PathLike[str]) -> File:
    """A file on disk, held open: a path that comes to name another file does not change it. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not hold up the loop
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError("not a regular file")
    return File(
        size=status.st_size,
        read=lambda offset, length: os.pread(descriptor, length, offset),
        close=lambda: os.close(descriptor),
    )


async def serve_tftp(
    host: str,
    port: int,
    lookup: Lookup,
    *,
    on_exchange: Callable[[Exchange], None],
    on_ignored: Callable[[Address, str], None] = lambda *_: None,
    interface: str | None = None,
    single_port: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> TftpServer:
    """Serve until `close`. Port 0 takes a free one. Raises `OSError` where the port or the interface cannot be had.

    `on_exchange` gets one value for each request that was answered, once that has ended. `on_ignored` gets (peer, reason)
    for each datagram that was dropped: malformed bytes, strays and repetitions.
    """
    return TftpServer(_bound(host, port, interface), lookup, on_exchange, on_ignored, interface, single_port, limits)


class TftpServer:
    """The port that requests come to, and the sessions under way by peer. Made by `serve_tftp`."""

    def __init__(
        self,
        sock: socket.socket,
        lookup: Lookup,
        on_exchange: Callable[[Exchange], None],
        on_ignored: Callable[[Address, str], None],
        interface: str | None,
        single_port: bool,
        limits: Limits,
    ) -> None:
        self._sock = sock
        self._lookup = lookup
        self._on_exchange = on_exchange
        self._on_ignored = on_ignored
        self._interface = interface
        self._single_port = single_port
        self._limits = limits
        self._sessions: dict[Address, _Session] = {}
        self._waiting: dict[Address, asyncio.Task[None]] = {}
        """Requests whose file is being looked up."""
        self._per_peer: Counter[str] = Counter()
        sock.setsockopt(socket.IPPROTO_IP, _PKTINFO, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # a rack that gets power asks all at once
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._readable)

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._sock.getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop listening and end what is under way: each peer is told, each exchange reported. A second call does nothing."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
        for task in self._waiting.values():
            task.cancel()
        for session in list(self._sessions.values()):
            session.cancel("the server is stopping")
        self._sock.close()

    def _readable(self) -> None:
        heard: dict[Address, _Session] = {}
        for _ in range(_BURST):
            try:
                datagram, ancillary, _, peer = self._sock.recvmsg(_LONGEST, socket.CMSG_SPACE(_IN_PKTINFO.size))
            except BlockingIOError:
                break
            # None for what came before the option was set: then the route decides.
            local = next((_IN_PKTINFO.unpack(data)[1] for _, kind, data in ancillary if kind == _PKTINFO), bytes(4))
            if session := self._receive(datagram, peer, local):
                heard[peer] = session
        for peer, session in heard.items():
            if self._sessions.get(peer) is session:  # it may have begun anew meanwhile
                session.pump()

    def _receive(self, datagram: bytes, peer: Address, local: bytes) -> _Session | None:
        """The session that was spoken to, if it was one of this port."""
        session = self._sessions.get(peer) if self._single_port else None
        try:
            packet = decode(datagram)
            if session and not isinstance(packet, ReadRequest | WriteRequest):
                session.transfer.receive(datagram, self._loop.time())
                return session
        except Malformed as malformed:
            self._on_ignored(peer, malformed.reason)
            return None
        if not isinstance(packet, ReadRequest | WriteRequest):
            self._on_ignored(peer, f"{type(packet).__name__} outside a transfer")
            return None
        path = admit(packet)
        if isinstance(path, Refused):
            self._refuse(path, packet.path, peer, local)
        elif isinstance(packet, ReadRequest):
            self._begin(packet, path, peer, local)
        return None

    def _begin(self, request: ReadRequest, path: str, peer: Address, local: bytes) -> None:
        if peer in self._waiting:
            self._on_ignored(peer, REPEATED)
            return
        earlier = self._sessions.get(peer)
        if earlier and earlier.transfer.outcome:  # its last ACK came in the same burst
            earlier.end(earlier.transfer.outcome)
        elif earlier:
            if earlier.transfer.repeats(request):
                self._on_ignored(peer, REPEATED)
                return
            # Not told: it would take an ERROR from the old transfer for the answer to its new request.
            earlier.end(Failed("the peer began anew"))
        if self._busy(peer[0]):
            self._refuse(Refused(NOT_DEFINED, "busy"), path, peer, local)
            return
        try:
            found = self._lookup(path, peer)
        except OSError as error:
            self._refuse(_unreadable(error), path, peer, local)
            return
        if isinstance(found, File | NotFound):
            self._start(found, request, path, peer, local)
        else:
            self._waiting[peer] = self._loop.create_task(self._start_later(found, request, path, peer, local))

    async def _start_later(self, found: Awaitable[Found], request: ReadRequest, path: str, peer: Address, local: bytes) -> None:
        try:
            file: Found | Refused = await found
        except OSError as error:
            file = _unreadable(error)
        finally:
            del self._waiting[peer]
        self._start(file, request, path, peer, local)

    def _start(self, found: Found | Refused, request: ReadRequest, path: str, peer: Address, local: bytes) -> None:
        opened = self._open(found, peer, local)
        if isinstance(opened, Refused):
            self._refuse(opened, path, peer, local)
            return
        file, line = opened
        began = self._loop.time()
        transfer = Transfer(request, file, began, self._limits)
        session = _Session(transfer, file, line, on_end=lambda outcome: self._ended(peer, path, outcome, began))
        self._sessions[peer] = session
        self._per_peer[peer[0]] += 1
        session.pump()

    def _busy(self, address: str) -> bool:
        if len(self._sessions) + len(self._waiting) >= self._limits.transfers:
            return True
        # Behind a NAT the whole rack has one address: then there is nobody to share with.
        share = self._limits.transfers if self._single_port else self._limits.transfers_per_peer
        return self._per_peer[address] + sum(peer[0] == address for peer in self._waiting) >= share

    def _open(self, file: Found | Refused, peer: Address, local: bytes) -> tuple[File, _Line] | Refused:
        if isinstance(file, Refused):
            return file
        if isinstance(file, NotFound):
            return Refused(NOT_FOUND, file.reason)
        if self._single_port:
            return file, _SharedPort(self._sock, peer, local)
        try:
            return file, _OwnPort(_bound(socket.inet_ntoa(local), 0, self._interface), peer, self._on_ignored)
        except OSError as error:
            file.close()
            return Refused(NOT_DEFINED, f"no socket for a transfer: {error.strerror}")

    def _refuse(self, refused: Refused, path: str, peer: Address, local: bytes) -> None:
        with suppress(OSError):  # lost, like any datagram
            _SharedPort(self._sock, peer, local).send(encode(Error(refused.code, refused.reason)))
        self._on_exchange(Exchange(peer, path, refused))

    def _ended(self, peer: Address, path: str, outcome: Outcome, began: float) -> None:
        del self._sessions[peer]
        self._per_peer[peer[0]] -= 1
        if not self._per_peer[peer[0]]:
            del self._per_peer[peer[0]]
        self._on_exchange(Exchange(peer, path, outcome, self._loop.time() - began))


class _Line(Protocol):
    """The way from a session to its peer."""

    def open(self, session: _Session) -> None: ...
    def send(self, datagram: bytes) -> None: ...
    def close(self) -> None: ...


class _Session:
    """One transfer with what it needs of the world: line, timer and file, all given back when it ends."""

    def __init__(self, transfer: Transfer, file: File, line: _Line, on_end: Callable[[Outcome], None]) -> None:
        self.transfer = transfer
        self._file = file
        self._line = line
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        line.open(self)

    def pump(self) -> None:
        """Send what the transfer has to send, then wait for what it waits for."""
        for datagram in self.transfer.datagrams_to_send():
            try:
                self._line.send(datagram)
            except BlockingIOError:
                pass  # the send buffer is full: lost, like any datagram
            except OSError as error:
                self.transfer.cancel(f"cannot send: {error.strerror}")
                break
        if self.transfer.outcome:
            self.end(self.transfer.outcome)
        else:
            self._arm()

    def cancel(self, reason: str) -> None:
        """End it from our side; the peer is told."""
        self.transfer.cancel(reason)
        self.pump()

    def end(self, outcome: Outcome) -> None:
        """Give everything back, then report."""
        if self._timer:
            self._timer.cancel()
        self._line.close()
        self._file.close()
        self._on_end(outcome)

    def _arm(self) -> None:
        due = self.transfer.timer
        # Each ACK puts the timer off. One that comes early finds nothing to do and is set again: cheaper than one per ACK.
        if due is None or (self._timer and self._timer.when() <= due):
            return
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        self.transfer.handle_timer(self._loop.time())
        self.pump()


class _SharedPort:
    """The port that requests come to. What comes back comes to the server, which knows whose it is."""

    def __init__(self, sock: socket.socket, peer: Address, local: bytes) -> None:
        self._sock = sock
        self._peer = peer
        self._source = (socket.IPPROTO_IP, _PKTINFO, _IN_PKTINFO.pack(0, local, bytes(4)))

    def open(self, session: _Session) -> None:
        pass

    def send(self, datagram: bytes) -> None:
        self._sock.sendmsg((datagram,), (self._source,), 0, self._peer)

    def close(self) -> None:
        pass


class _OwnPort:
    """A port that only this transfer has: RFC 1350 section 4. Whoever else speaks to it is told so."""

    def __init__(self, sock: socket.socket, peer: Address, on_ignored: Callable[[Address, str], None]) -> None:
        self._sock = sock
        self._peer = peer
        self._on_ignored = on_ignored
        self._loop = asyncio.get_running_loop()

    def open(self, session: _Session) -> None:
        self._loop.add_reader(self._sock, self._readable, session)

    def send(self, datagram: bytes) -> None:
        self._sock.sendto(datagram, self._peer)

    def close(self) -> None:
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _readable(self, session: _Session) -> None:
        for _ in range(_BURST):
            try:
                datagram, sender = self._sock.recvfrom(_LONGEST)
            except BlockingIOError:
                break
            self._receive(session, datagram, sender)
        session.pump()

    def _receive(self, session: _Session, datagram: bytes, sender: Address) -> None:
        try:
            if sender == self._peer:
                session.transfer.receive(datagram, self._loop.time())
                return
            packet = decode(datagram)
        except Malformed as malformed:
            self._on_ignored(sender, malformed.reason)
            return
        self._on_ignored(sender, f"{type(packet).__name__} in another peer's transfer")
        if not isinstance(packet, Error):  # two servers would answer each other's ERROR for ever
            with suppress(OSError):
                self._sock.sendto(encode(Error(UNKNOWN_TID, "this transfer is not yours")), sender)


def _unreadable(error: OSError) -> Refused:
    return Refused(NOT_DEFINED, f"the file cannot be opened: {error.strerror or error}")


def _bound(host: str, port: int, interface: str | None) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
