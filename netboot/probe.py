"""Who answers DHCP here: the question of a PXE client that nobody knows, and what is read in the answers.

Core. The law: only a DISCOVER is ever sent, so that no address is taken and nobody's boot is changed; it asks for a broadcast,
which every program on the host may hear beside whoever it is meant for.
"""

from __future__ import annotations

import msgspec

from netboot.dhcp_options import escaped
from netboot.dhcp_packet import (
    BOOTREPLY,
    BOOTREQUEST,
    BROADCAST_FLAG,
    DISCOVER,
    ETHERNET,
    OFFER,
    ZERO,
    Packet,
    decode,
    dotted,
    encode,
)
from netboot.errors import Malformed

_CLIENT = {
    55: bytes((1, 3, 6, 43, 51, 54, 60, 66, 67)),
    57: (1472).to_bytes(2, "big"),
    60: b"PXEClient:Arch:00000:UNDI:002001",
    93: b"\0\0",
    94: b"\1\2\1",
    97: bytes(17),
}
"""A BIOS: everybody's server has something for it (RFC 4578)."""


class Offer(msgspec.Struct, frozen=True):
    server: str
    """Its identifier (option 54), or where it says that the boot file is; "" when it says neither."""
    address: str
    """What it would give; "" from a ProxyDHCP server."""
    file: str
    """The boot file, escaped; "" for none."""


def question(mac: bytes, xid: bytes) -> bytes:
    """A DHCPDISCOVER. `mac`: six bytes; `xid`: four."""
    options = {53: bytes((DISCOVER,)), **_CLIENT}
    return encode(
        Packet(
            BOOTREQUEST, DISCOVER, ETHERNET, 6, xid, 0, BROADCAST_FLAG, ZERO, ZERO, ZERO, ZERO, mac.ljust(16, b"\0"),
            b"", b"", options,
        )
    )  # fmt: skip


def offer_of(datagram: bytes, xid: bytes) -> Offer | None:
    """The OFFER in an answer to that question; None for everything else on the wire."""
    try:
        packet = decode(datagram)
    except Malformed:
        return None
    if (packet.op, packet.message, packet.xid) != (BOOTREPLY, OFFER, xid):
        return None
    server = packet.options.get(54, packet.siaddr)
    return Offer(
        dotted(server) if server != ZERO else "",
        dotted(packet.yiaddr) if packet.yiaddr != ZERO else "",
        escaped(packet.file or packet.options.get(67, b"")),
    )
