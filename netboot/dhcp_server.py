"""The DHCP socket: datagrams in, datagrams out, by the interface they came by.

Shell. The law: one datagram can cost one datagram, never the server. An answer that must wait (for a journal to reach the
disk) is sent later by `send`; nothing here waits for it. What is answered is decided by the function handed in.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

import msgspec

from netboot.dhcp import Destination

BATCH = 64
"""Datagrams read per wake-up: then the loop's other work gets its turn."""
BUFFER = 8 << 20
"""Bytes of receive buffer asked for: about ten thousand requests, a boot storm's first second."""
_LARGEST = 4096
"""Bytes of one request that are read: more than twice an Ethernet frame; what is longer is cut off, and so malformed."""

_IP_PKTINFO = 8
"""ip(7); the socket module names it from Python 3.14 on."""
_PKTINFO = struct.Struct("@I4s4s")
"""struct in_pktinfo (ip(7)): interface index, local address to reply from, destination address."""
_ARPREQ = struct.Struct("@H2x4s8x H14s i 16x 16s")
"""struct arpreq (arp(7)): protocol address, hardware address, flags, netmask (unused), device name."""
_SIOCSARP, _ATF_COM, _ARPHRD_ETHER = 0x8955, 2, 1
_SO_RCVBUFFORCE = 33
"""SO_RCVBUF beyond net.core.rmem_max, for CAP_NET_ADMIN (socket(7)); the socket module does not name it."""


class Peer(msgspec.Struct, frozen=True):
    """Where a datagram came from and how."""

    address: str
    port: int
    interface: int
    """Index of the interface it arrived by."""
    local: bytes
    """That interface's own address, four bytes: the server identifier for this client."""


class Outgoing(msgspec.Struct, frozen=True):
    data: bytes
    destination: Destination
    peer: Peer
    """Of the datagram that is answered: the answer leaves by the same interface."""


Handle = Callable[[bytes, Peer], Outgoing | None]
"""Decides about one datagram. None: silence, or an answer that comes later through `DhcpServer.send`."""
OnError = Callable[[bytes, Peer, Exception], None]
"""Told of the datagram that could not be handled or sent, with its bytes."""


class DhcpServer:
    """Serves one socket on the running event loop until closed."""

    def __init__(self, sock: socket.socket, handle: Handle, on_error: OnError, *, reply_to_source: bool = False) -> None:
        """`reply_to_source` sends every reply to the address and port its request came from: for unprivileged ports."""
        self._socket = sock
        self._handle = handle
        self._on_error = on_error
        self._reply_to_source = reply_to_source
        self._may_set_arp = True
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._drain)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def send(self, outgoing: Outgoing) -> None:
        """Send now. What the network refuses is reported to `on_error`; the client will ask again."""
        destination, peer = outgoing.destination, outgoing.peer
        address, interface = (destination.address, destination.port), 0  # 0: the routing table decides
        if self._reply_to_source:
            address = (peer.address, peer.port)
        elif destination.kind == "hardware":
            interface = peer.interface
            if not self._set_arp(destination, interface):
                address = ("255.255.255.255", destination.port)
        elif destination.kind == "broadcast":
            interface = peer.interface
        try:
            self._socket.sendmsg((outgoing.data,), _departure(interface, peer.local), 0, address)
        except OSError as error:
            self._on_error(outgoing.data, peer, error)

    def _drain(self) -> None:
        for _ in range(BATCH):
            try:
                datagram, ancillary, _flags, sender = self._socket.recvmsg(_LARGEST, 64)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error about a reply sent earlier (ip(7)): it says nothing about the next datagram
            interface, local = _arrival(ancillary[0][2]) if ancillary else (0, bytes(4))
            peer = Peer(sender[0], sender[1], interface, local)
            try:
                outgoing = self._handle(datagram, peer)
                if outgoing is not None:
                    self.send(outgoing)
            except Exception as error:
                self._on_error(datagram, peer, error)

    def _set_arp(self, destination: Destination, interface: int) -> bool:
        """Tell the kernel the hardware address of a client that cannot answer ARP yet; False when it will not listen."""
        if not self._may_set_arp:
            return False
        try:
            device = _device(interface)
            fcntl.ioctl(self._socket, _SIOCSARP, _arp_request(destination, device))
        except PermissionError:
            self._may_set_arp = False  # no CAP_NET_ADMIN, and it will not come back
            return False
        except OSError:
            return False
        return True


def open_socket(
    address: str = "0.0.0.0",  # noqa: S104  DHCP clients without an address are only heard on the wildcard
    port: int = 67,
    interface: str = "",
    buffer: int = BUFFER,
    *,
    shared: bool = False,
) -> socket.socket:
    """A bound, non-blocking UDP socket that may broadcast; with `interface` it hears and speaks on that one alone. `shared`:
    others may bind the same port.

    Raises OSError (PermissionError for a privileged port, or for `interface` on old kernels).
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shared)
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        with suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer)
        if interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


@lru_cache(maxsize=256)
def _arrival(control: bytes) -> tuple[int, bytes]:
    """Interface index and its own address, from the kernel's IP_PKTINFO."""
    interface, local, _destination = _PKTINFO.unpack(control)
    return interface, local


@lru_cache(maxsize=256)
def _departure(interface: int, local: bytes) -> list[tuple[int, int, bytes]]:
    """The kernel's IP_PKTINFO for a datagram that leaves from an address of ours, by an interface or (0) by a route."""
    return [(socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(interface, local, b""))]


@lru_cache(maxsize=256)
def _device(interface: int) -> bytes:
    return socket.if_indextoname(interface).encode()


def _arp_request(destination: Destination, device: bytes) -> bytes:
    address = socket.inet_aton(destination.address)
    return _ARPREQ.pack(socket.AF_INET, address, _ARPHRD_ETHER, destination.chaddr, _ATF_COM, device)
