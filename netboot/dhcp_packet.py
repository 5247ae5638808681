"""A DHCP message as a value: header fields, options, and nothing decided.

Core. The law: `decode` raises Malformed and nothing else, for any bytes, and says which field is at fault; `encode` is its
inverse. Addresses are four bytes as on the wire, so that a look-up needs no conversion. RFC 2131 section 2, RFC 3396.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct

import msgspec

from netboot.dhcp_options import END, escaped, label, pack, unpack
from netboot.dhcp_options import decode as decode_option
from netboot.errors import Malformed

BOOTREQUEST, BOOTREPLY = 1, 2
MESSAGES = dict(enumerate(("DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"), start=1))
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = MESSAGES
ETHERNET = 1
ZERO = b"\0\0\0\0"
COOKIE = b"\x63\x82\x53\x63"
BROADCAST_FLAG = 0x8000
SMALLEST = 300
"""Bytes below which old BOOTP relays and clients drop a message (RFC 1542 section 2.1)."""

_HEADER = Struct("!4B4s2H4s4s4s4s16s64s128s4s")
HEADER_SIZE = _HEADER.size

_SIZES = {50: 4, 53: 1, 54: 4, 57: 2, 118: 4}
"""Bytes of the options a decision is taken on."""


class Packet(msgspec.Struct, frozen=True):
    """One message. Field names are those of RFC 2131 figure 1."""

    op: int
    message: int
    """Option 53; 0 for plain BOOTP."""
    htype: int
    hlen: int
    xid: bytes
    secs: int
    flags: int
    ciaddr: bytes
    yiaddr: bytes
    siaddr: bytes
    giaddr: bytes
    chaddr: bytes
    """All 16 bytes of the field; `mac` for people and look-ups."""
    sname: bytes
    """Without trailing NULs, as `file`; empty when the field carried options (option 52)."""
    file: bytes
    options: Mapping[int, bytes]
    """By code, parts of split options joined; options 52 itself left out, its work being done."""

    @property
    def mac(self) -> str:
        """The hardware address in lower case with colons."""
        return self.chaddr[: self.hlen].hex(":")

    @property
    def broadcast(self) -> bool:
        """Whether the client cannot yet receive unicast."""
        return bool(self.flags & BROADCAST_FLAG)


def decode(datagram: bytes) -> Packet:
    """The message in one UDP payload, a client's or a server's. Raises Malformed and nothing else."""
    if len(datagram) < HEADER_SIZE:
        raise Malformed(f"a DHCP message has at least {HEADER_SIZE} bytes, this one has {len(datagram)}")
    (op, htype, hlen, _hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, cookie) = (
        _HEADER.unpack_from(datagram)
    )
    if cookie != COOKIE:
        raise Malformed(f"the magic cookie is {cookie.hex()}, not {COOKIE.hex()}")
    if op not in (BOOTREQUEST, BOOTREPLY):
        raise Malformed(f"op is {op}, neither request nor reply")
    if hlen > 16 or (htype == ETHERNET and hlen != 6):
        raise Malformed(f"a hardware address of type {htype} cannot have {hlen} bytes")
    options = unpack(datagram[HEADER_SIZE:])
    if 52 in options:
        file, sname = _read_overload(options, file, sname)
    for code, size in _SIZES.items():
        if code in options and len(options[code]) != size:
            raise Malformed(f"option {code} has {len(options[code])} bytes instead of {size}")
    message = options[53][0] if 53 in options else 0
    return Packet(
        op, message, htype, hlen, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr,
        sname.rstrip(b"\0"), file.rstrip(b"\0"), options,
    )  # fmt: skip


def _read_overload(options: dict[int, bytes], file: bytes, sname: bytes) -> tuple[bytes, bytes]:
    """Option 52: `file` (1), `sname` (2) or both hold more options, which are added. What is left of the two fields."""
    overload = options.pop(52)
    if overload not in (b"\1", b"\2", b"\3"):
        raise Malformed(f"option 52 (overload) is {overload.hex()}, not 1, 2 or 3")
    for bit, name, field in ((1, "file", file), (2, "sname", sname)):  # RFC 3396 section 5: options, file, sname
        if overload[0] & bit:
            try:
                more = unpack(field)
            except Malformed as error:
                raise Malformed(f"in the overloaded {name} field: {error.reason}") from None
            more.pop(52, None)  # it counts among the options alone: a field cannot say that it is one
            for code, data in more.items():
                options[code] = options.get(code, b"") + data
    return b"" if overload[0] & 1 else file, b"" if overload[0] & 2 else sname


def encode(packet: Packet) -> bytes:
    """The message as a UDP payload: the message type is taken from its options, which ascend by code except 82, the last."""
    relayed = packet.options.get(82)
    options = pack({code: data for code, data in packet.options.items() if code != 82})
    return assemble(packet, options + (pack({82: relayed}) if relayed is not None else b""))


def assemble(packet: Packet, options: bytes) -> bytes:
    """The header of `packet` around options that are packed already (without END), padded to the smallest size."""
    header = _HEADER.pack(
        packet.op, packet.htype, packet.hlen, 0, packet.xid, packet.secs, packet.flags,
        packet.ciaddr, packet.yiaddr, packet.siaddr, packet.giaddr, packet.chaddr, packet.sname, packet.file, COOKIE,
    )  # fmt: skip
    return (header + options + bytes((END,))).ljust(SMALLEST, b"\0")


@lru_cache(maxsize=32768)
def dotted(address: bytes) -> str:
    """`10.1.0.11` for four bytes."""
    return "{}.{}.{}.{}".format(*address)


def describe(packet: Packet) -> str:
    """The message for a person: header fields, then a line for each option, in the order on the wire."""
    addresses = {name: getattr(packet, name) for name in ("ciaddr", "yiaddr", "siaddr", "giaddr")}
    fields = [f"{name}={dotted(address)}" for name, address in addresses.items() if address != ZERO]
    fields += [f"{name}={escaped(text)}" for name, text in (("sname", packet.sname), ("file", packet.file)) if text]
    flags = " broadcast" if packet.broadcast else ""
    lines = [f"{MESSAGES.get(packet.message, 'BOOTP')} xid={packet.xid.hex()} mac={packet.mac}{flags}", *fields]
    return "\n".join([*lines, *(f"{label(code)}: {_show(code, data)}" for code, data in packet.options.items())])


def _show(code: int, data: bytes) -> str:
    shown = decode_option(code, data)
    return ", ".join(shown) if isinstance(shown, list) else str(shown)
