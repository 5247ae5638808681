"""The ICMPv6 socket: router solicitations in, an advertisement that promises nothing out, by the interface they came by.

Shell, Linux. A raw socket takes CAP_NET_RAW to open and nothing to use, so it is opened before privileges are dropped. It hears
only the interfaces that were there at that time. Nothing is sent that was not asked for.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from netboot.errors import Malformed
from netboot.rates import Rates
from netboot.router_advertisement import ADVERTISEMENT, ALL_ROUTERS, NEIGHBOURS_ONLY, SOLICITATION, recipient

BATCH = 16
"""Solicitations read per wake-up."""
AT_ONCE, PER_SECOND = 20_000, 500
"""Answers, to all together: a source address is the sender's to choose. Ten thousand machines that ask twice are below it."""
TOO_MANY = "more solicitations than are answered"
_LARGEST = 1500
_ICMPV6_FILTER = 1
"""linux/icmpv6.h: a bit for each type that is not to be heard."""

_LINK, _TENTATIVE, _FAILED = "20", 0x40, 0x08
"""linux/if_addr.h and /proc/net/if_inet6: a link's scope, and the marks of duplicate address detection."""

OnExchange = Callable[[str, str], None]
"""Told of each solicitation: who sent it, and why it was ignored, or ""."""


class RouterFront:
    """Answers on the running event loop until closed."""

    def __init__(self, sock: socket.socket, on_exchange: OnExchange, own: Callable[[int], bytes] | None = None) -> None:
        """`own`: interface index → the link-local address to send from, packed; it raises OSError."""
        self._own = own or link_local
        self._socket = sock
        self._on_exchange = on_exchange
        self._rates = Rates(PER_SECOND, AT_ONCE, most=1)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._drain)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _drain(self) -> None:
        for _ in range(BATCH):
            try:
                message, ancillary, _, sender = self._socket.recvmsg(_LARGEST, 64)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue
            source, _, _, scope = sender
            if self._rates.wait("", time.monotonic()):
                self._on_exchange(source, TOO_MANY)
                continue
            try:
                to = recipient(message, _hop_limit(ancillary), source.partition("%")[0])
                origin = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, self._own(scope) + struct.pack("@I", scope))
                self._socket.sendmsg([ADVERTISEMENT], [origin], 0, (to, 0, 0, scope))
            except (Malformed, OSError) as error:
                self._on_exchange(source, str(error))
            else:
                self._on_exchange(source, "")


def link_local(index: int) -> bytes:
    """The interface's own address, the only one that hosts take an advertisement from (RFC 4861, 6.1.2). Raises OSError while
    it has none that may be used.
    """
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        address, number, _, scope, flags, _ = line.split()
        if (int(number, 16), scope) == (index, _LINK) and not int(flags, 16) & (_TENTATIVE | _FAILED):
            return bytes.fromhex(address)
    raise OSError("its interface has no link-local address yet")


def open_router_socket(interface: str = "") -> socket.socket:
    """Hears solicitations on `interface`, or on every interface with IPv6. Raises OSError, PermissionError without
    CAP_NET_RAW.
    """
    sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, _hear_only(SOLICITATION))
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, NEIGHBOURS_ONLY)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, NEIGHBOURS_ONLY)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        if interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
            _join(sock, socket.if_nametoindex(interface))
        else:
            for index, _ in socket.if_nameindex():
                with suppress(OSError):  # one without IPv6, or without multicast
                    _join(sock, index)
    except OSError:
        sock.close()
        raise
    return sock


def _join(sock: socket.socket, index: int) -> None:
    group = socket.inet_pton(socket.AF_INET6, ALL_ROUTERS) + struct.pack("@I", index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)


def _hear_only(kind: int) -> bytes:
    words = [0xFFFFFFFF] * 8
    words[kind // 32] &= ~(1 << kind % 32)
    return struct.pack("@8I", *words)


def _hop_limit(ancillary: list[tuple[int, int, bytes]]) -> int:
    wanted = (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT)
    return next((struct.unpack("@i", data)[0] for level, kind, data in ancillary if (level, kind) == wanted), -1)
