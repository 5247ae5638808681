"""Router solicitations: who is to be told that this network has no IPv6 router. RFC 4861 sections 4.1, 4.2 and 6.

Core. The law: the advertisement promises nothing. Its router lifetime is 0 (no default route), it has no prefix and asks for no
DHCPv6, so whoever hears it configures nothing. iPXE hears that it need not wait: without any advertisement it waits 13 to
16 seconds for one, whenever it configures an interface.
"""

from __future__ import annotations

import struct

from netboot.errors import Malformed

SOLICITATION, ADVERTISEMENT_TYPE = 133, 134
NEIGHBOURS_ONLY = 255
"""The hop limit of what no router has passed on (section 3.1)."""
ALL_NODES, ALL_ROUTERS, UNSPECIFIED = "ff02::1", "ff02::2", "::"
ADVERTISEMENT = struct.pack(">BBHBBHII", ADVERTISEMENT_TYPE, 0, 0, 0, 0, 0, 0, 0)
"""Type, code, checksum (the kernel's to fill in), hop limit, flags, router lifetime, reachable and retransmission time: 0 says
nothing of any of them (section 4.2).
"""
_HEADER = 8
_OUR_ADDRESS = 1
"""Source link-layer address (section 4.6.1)."""


def recipient(message: bytes, hop_limit: int, source: str) -> str:
    """Whom to send ADVERTISEMENT for this ICMPv6 message: the one who asked, or all, when it has no address yet.

    Raises Malformed for what is no valid solicitation (section 6.1.1); the kernel saw to the checksum.
    """
    if len(message) < _HEADER or message[0] != SOLICITATION or message[1] != 0:
        raise Malformed("it is no router solicitation")
    if hop_limit != NEIGHBOURS_ONLY:
        raise Malformed(f"its hop limit is {hop_limit}: it comes from another network, or pretends to")
    kinds = _options(message[_HEADER:])
    if source == UNSPECIFIED and _OUR_ADDRESS in kinds:
        raise Malformed("it comes from nobody and has a hardware address")
    return ALL_NODES if source == UNSPECIFIED else source


def _options(data: bytes) -> list[int]:
    """Types of the options; each has its length in units of eight bytes (section 4.6)."""
    kinds = []
    while data:
        if len(data) < 2 or data[1] == 0 or len(data) < data[1] * 8:
            raise Malformed("an option is cut off, or has no length")
        kinds.append(data[0])
        data = data[data[1] * 8 :]
    return kinds
