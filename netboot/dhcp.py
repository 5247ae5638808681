"""DHCP for machines that git knows: decode, classify, respond. RFC 2131, 2132, 3046, 3396, 4578, 6842.

Core. The law: an answer is a pure function of the packet, the client it shows, and the lease and boot file it is handed.
Nothing is allocated or remembered here, so a repeated question gets the same bytes again, and each silence has its reason.

One idea makes it fast: which options a client gets depends only on its lease, its boot file and what it asks for, all of
them bytes, so that choice is remembered (`_select`), and a reply is the header, that choice and what the client said of
itself, put side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import msgspec

from netboot.dhcp_client import Client, Kind, classify
from netboot.dhcp_options import END, LONGEST, escaped, parts, tlv, unpack
from netboot.dhcp_packet import (
    ACK,
    BOOTREPLY,
    BOOTREQUEST,
    BROADCAST_FLAG,
    DECLINE,
    DISCOVER,
    ETHERNET,
    HEADER_SIZE,
    INFORM,
    NAK,
    OFFER,
    RELEASE,
    REQUEST,
    ZERO,
    Packet,
    assemble,
    decode,
    dotted,
)
from netboot.errors import Malformed

__all__ = [
    "BootFile", "Client", "Destination", "Ignore", "Lease", "Note", "Packet", "Reply", "Server",
    "classify", "decode", "link_of", "respond",
]  # fmt: skip

SERVER_PORT, CLIENT_PORT = 67, 68


# --- types -----------------------------------------------------------------------------------------------------------------


class Lease(msgspec.Struct, frozen=True):
    """The address a machine has, and everything its subnet, hardware and host name say about options."""

    address: bytes
    """Four bytes, as `network` and `mask`."""
    options: bytes
    """Packed TLVs: 1, 3, 6, 12, 15, 28, 42, 51, 58, 59, 119, 121 and what the inventory adds. Never END."""
    network: bytes
    mask: bytes
    reserved: bool = True
    """Git gives this machine this address. False: a sticky address, for which another server may know better."""


class BootFile(msgspec.Struct, frozen=True):
    file: str
    """A TFTP file name, or a URL."""
    server: bytes
    """Next-server (siaddr), four bytes."""
    options: bytes = b""
    """Packed TLVs this kind of client must see whether it asks or not, such as 43 and 60."""


class Server(msgspec.Struct, frozen=True):
    address: bytes
    """Four bytes: the server identifier (option 54) on the interface the packet came by."""


class Destination(msgspec.Struct, frozen=True):
    """Where a reply goes (RFC 2131 section 4.1). `hardware`: unicast to a client that cannot yet answer ARP."""

    kind: Literal["relay", "broadcast", "unicast", "hardware"]
    address: str
    port: int
    chaddr: bytes = b""
    """Hardware address, for `hardware` only."""


class Reply(msgspec.Struct, frozen=True):
    data: bytes
    destination: Destination
    message: Literal["OFFER", "ACK", "NAK"]
    address: bytes
    """The address given or confirmed; zero in a NAK and in the answer to INFORM."""
    reason: str
    """In which state the client was, or why it is refused."""
    dropped: tuple[int, ...] = ()
    """Options that did not fit what the client can receive (option 57)."""


class Note(msgspec.Struct, frozen=True):
    """The client tells, and expects no answer: an event for the journal."""

    kind: Literal["DECLINE", "RELEASE"]
    address: bytes
    reason: str


class Ignore(msgspec.Struct, frozen=True):
    reason: str


# --- decide ----------------------------------------------------------------------------------------------------------------


def respond(
    packet: Packet, client: Client, lease: Lease | None, boot: BootFile | None, server: Server
) -> Reply | Note | Ignore:
    """What to do about one packet. `lease` None: the machine is not known here, and RFC 2131 demands silence."""
    if packet.op != BOOTREQUEST:
        return Ignore("it is a server's message")
    if packet.message not in (DISCOVER, REQUEST, DECLINE, RELEASE, INFORM):
        return Ignore(f"message type {packet.message} is not one that a client sends" if packet.message else "it is BOOTP")
    if lease is None:
        return Ignore(f"unknown machine {packet.mac}")
    server = _override(packet, server)
    if packet.message == DISCOVER:
        astray = _astray(packet, lease)
        return Ignore(astray) if astray else _give(packet, client, lease, boot, server, OFFER, "INIT")
    chosen = packet.options.get(54)
    if chosen is not None and chosen != server.address and packet.message != INFORM:
        return Ignore(f"it is meant for server {dotted(chosen)}")
    if packet.message == REQUEST:
        return _request(packet, client, lease, boot, server)
    if packet.message == INFORM:
        return _inform(packet, client, lease, boot, server)
    return _note(packet, lease)


def _request(packet: Packet, client: Client, lease: Lease, boot: BootFile | None, server: Server) -> Reply | Ignore:
    """RFC 2131 section 4.3.2 and its table: which fields are filled tells the client's state."""
    selecting = 54 in packet.options
    if packet.ciaddr != ZERO:  # unicast or broadcast is all that tells RENEWING from REBINDING, and the answer is the same
        state, wanted = "RENEWING or REBINDING", packet.ciaddr
    else:
        state, wanted = "SELECTING" if selecting else "INIT-REBOOT", packet.options.get(50, ZERO)
    if wanted == ZERO:
        return Ignore("the REQUEST names no address, neither in option 50 nor in ciaddr")
    refusal = _astray(packet, lease)
    if not refusal and wanted != lease.address:
        refusal = f"{dotted(wanted)} is not this machine's address, {dotted(lease.address)} is"
    if not refusal:
        return _give(packet, client, lease, boot, server, ACK, state)
    if selecting or lease.reserved:
        return _refuse(packet, server, refusal)
    return Ignore(f"{refusal}, but another server may have given it")


def _inform(packet: Packet, client: Client, lease: Lease, boot: BootFile | None, server: Server) -> Reply | Ignore:
    """RFC 2131 section 4.3.5: options for a client that has its address from elsewhere."""
    if packet.ciaddr == ZERO:
        return Ignore("the INFORM does not say which address to answer")
    return _give(packet, client, lease, boot, server, ACK, "INFORM")


def _note(packet: Packet, lease: Lease) -> Note | Ignore:
    """DECLINE names the address in option 50, RELEASE in ciaddr (RFC 2131 table 5)."""
    declined = packet.message == DECLINE
    address = packet.options.get(50, ZERO) if declined else packet.ciaddr
    name: Literal["DECLINE", "RELEASE"] = "DECLINE" if declined else "RELEASE"
    if address != lease.address:
        return Ignore(f"{name} of {dotted(address)}, which is not this machine's address")
    said = escaped(packet.options.get(56, b""))
    return Note(name, address, said or ("another host already answers for it" if declined else "the client gave it back"))


def _astray(packet: Packet, lease: Lease) -> str:
    """Why the lease is of no use where the packet comes from, or "".

    The place is what link selection (82.5, RFC 3527) says, else subnet selection (118, RFC 3011), else the relay's own
    address. A packet without any of them was heard directly, or unicast by a client that has its address already.
    """
    link = link_of(packet)
    if not link:
        return ""
    if int.from_bytes(link, "big") & int.from_bytes(lease.mask, "big") == int.from_bytes(lease.network, "big"):
        return ""
    return f"{dotted(lease.address)} is of no use on the link of {dotted(link)}"


def link_of(packet: Packet) -> bytes:
    """An address on the client's link, as far as the packet tells; empty when it was heard directly."""
    link = _relay(packet).get(5) or packet.options.get(118) or packet.giaddr
    return link if len(link) == 4 and link != ZERO else b""


def _relay(packet: Packet) -> dict[int, bytes]:
    """Sub-options of option 82; none when it is absent or its inside is broken, which is between relay and switch."""
    information = packet.options.get(82)
    if information is None:
        return {}
    try:
        return unpack(information)
    except Malformed:
        return {}


def _override(packet: Packet, server: Server) -> Server:
    """A relay may ask to be named as the server, so that renewals pass it too (82.11, RFC 5107)."""
    address = _relay(packet).get(11, b"")
    return Server(address) if len(address) == 4 else server


# --- encode ----------------------------------------------------------------------------------------------------------------

_NAMES: Mapping[int, Literal["OFFER", "ACK", "NAK"]] = {OFFER: "OFFER", ACK: "ACK", NAK: "NAK"}
_ECHOED = (61, 97, 118)
"""What the client sent and gets back: RFC 6842, RFC 4578, RFC 3011. Option 82 too, but last (RFC 3046 section 2.2)."""
_TIMES = (51, 58, 59)
_NO_PROXY = tlv(175, b"\xb0\x01\x01")
"""no-pxedhcp (176) inside option 175: without it iPXE waits about three seconds for a ProxyDHCP offer."""
LONGEST_FILE, _LONGEST_SNAME = 127, 63
"""Bytes of the two fields less the NUL, or the END, that closes them."""


def _give(
    packet: Packet, client: Client, lease: Lease, boot: BootFile | None, server: Server, message: int, state: str
) -> Reply:
    """An OFFER or an ACK, filled as RFC 2131 table 3 says."""
    leased = state != "INFORM"
    address = lease.address if leased else ZERO
    requested = packet.options.get(55)
    if requested and len(requested) > LONGEST:  # there are no more codes than that, and it will be remembered
        requested = requested[:LONGEST]
    chosen = _select(lease.options, boot, requested, client.kind, leased)
    return filled(packet, server, message, address, boot, chosen, state)


def filled(
    packet: Packet, server: Server, message: int, address: bytes, boot: BootFile | None, options: bytes, reason: str
) -> Reply:
    """The header, what the client said of itself, and `options` (packed, most important first) as they fit."""
    next_server, sname, file = _boot_fields(boot) if boot else (ZERO, b"", b"")
    header = Packet(
        BOOTREPLY, message, packet.htype, packet.hlen, packet.xid, 0, packet.flags,
        packet.ciaddr if message == ACK else ZERO, address, next_server, packet.giaddr, packet.chaddr,
        sname, file, {},
    )  # fmt: skip
    data, dropped = _fit(header, _head(packet, message, server) + options, packet)
    return Reply(data, _destination(packet, address), _NAMES[message], address, reason, dropped)


def _refuse(packet: Packet, server: Server, reason: str) -> Reply:
    """A NAK is broadcast: by us, or by the relay on the far link, since the client may keep no address (section 4.3.2)."""
    flags = packet.flags if packet.giaddr == ZERO else packet.flags | BROADCAST_FLAG
    header = Packet(
        BOOTREPLY, NAK, packet.htype, packet.hlen, packet.xid, 0, flags, ZERO, ZERO, ZERO, packet.giaddr, packet.chaddr,
        b"", b"", {},
    )  # fmt: skip
    data, dropped = _fit(header, _head(packet, NAK, server) + tlv(56, reason.encode()), packet)
    return Reply(data, _BROADCAST if packet.giaddr == ZERO else _via(packet.giaddr), "NAK", ZERO, reason, dropped)


@lru_cache(maxsize=32768)
def _select(lease: bytes, boot: BootFile | None, requested: bytes | None, kind: Kind, leased: bool) -> bytes:
    """Packed options for one machine, most important first. About half a kilobyte is kept for each way a machine asks."""
    options = parts(lease)
    must = bytes(_TIMES)
    if boot:
        told = parts(boot.options)
        options |= {67: tlv(67, boot.file.encode())} | told
        if "://" not in boot.file:  # a URL names its server itself
            options[66] = tlv(66, dotted(boot.server).encode())
        must += bytes(told)
        if kind == "http" or len(boot.file) > LONGEST_FILE:  # UEFI HTTP Boot reads its URL here and nowhere else
            must += bytes((67,))
    if kind == "ipxe":
        options[175] = options.get(175, b"") + _NO_PROXY
        must += bytes((175,))
    return b"".join([options[code] for code in _order(bytes(options), must, requested, leased)])


@lru_cache(maxsize=4096)
def _order(available: bytes, must: bytes, requested: bytes | None, leased: bool) -> bytes:
    """Codes to send: what the client must see, then what it asks for in its own order; without option 55, everything.

    `leased` False leaves the lease times out (INFORM).
    """
    asked = available if requested is None else requested
    mask_first = bytes((1,)) if 1 in asked else b""  # RFC 2132 section 3.3: before any router
    unwanted = () if leased else _TIMES
    return bytes(code for code in dict.fromkeys(must + mask_first + asked) if code in available and code not in unwanted)


def _boot_fields(boot: BootFile) -> tuple[bytes, bytes, bytes]:
    """siaddr, sname and file. A URL names its server itself; a file too long for its field goes into option 67 alone."""
    file = boot.file.encode()
    sname = b"" if "://" in boot.file else dotted(boot.server).encode()
    return boot.server, sname, file if len(file) <= LONGEST_FILE else b""


def _head(packet: Packet, message: int, server: Server) -> bytes:
    """What every reply begins with: its type, its sender, and what the client said of itself."""
    head = b"\x35\x01%c\x36\x04%b" % (message, server.address)
    for code in _ECHOED:
        if code in packet.options:
            head += tlv(code, packet.options[code])
    return head


def _fit(header: Packet, options: bytes, packet: Packet) -> tuple[bytes, tuple[int, ...]]:
    """The whole message within what the client can receive (option 57, which counts IP and UDP headers), and what was left
    out of it. At least 576 bytes, which every host must take, and at most one Ethernet frame, whatever EDK2 promises.
    Option 82 is not counted: the relay that wrote it takes it out again (RFC 3046 section 2.1).
    """
    relay = packet.options.get(82)
    last = tlv(82, relay) if relay is not None else b""
    said = packet.options.get(57)
    room = min(max(int.from_bytes(said, "big"), 576), 1500) - 28 if said else 576 - 28
    if HEADER_SIZE + len(options) + 1 <= room:
        return assemble(header, options + last), ()
    return _squeeze(header, unpack(options), last, room - HEADER_SIZE - 1)


def _squeeze(header: Packet, options: Mapping[int, bytes], last: bytes, room: int) -> tuple[bytes, tuple[int, ...]]:
    """Overload (option 52): each option, most important first, goes where it still fits: the options field, `file` if there
    is no boot file, `sname`. What fits nowhere is dropped.
    """
    overload_size = 3
    fields = (bytearray(), bytearray(), bytearray())
    limits = (room - overload_size, 0 if header.file else LONGEST_FILE, _LONGEST_SNAME)
    dropped = []
    for code, data in options.items():
        part = tlv(code, data)
        for field, limit in zip(fields, limits, strict=True):
            if len(field) + len(part) <= limit:
                field += part
                break
        else:
            dropped.append(code)
    main, file, sname = (bytes(field) for field in fields)
    overload = (1 if file else 0) | (2 if sname else 0)
    if overload:
        main += tlv(52, bytes((overload,)))
    end = bytes((END,))
    header = msgspec.structs.replace(header, file=file + end if file else header.file, sname=sname + end if sname else b"")
    return assemble(header, main + last), tuple(dropped)


# --- where a reply goes ----------------------------------------------------------------------------------------------------

_BROADCAST = Destination("broadcast", "255.255.255.255", CLIENT_PORT)


def _destination(packet: Packet, address: bytes) -> Destination:
    """RFC 2131 section 4.1. Whom we give no address, we cannot reach by it."""
    if packet.giaddr != ZERO:
        return _via(packet.giaddr)
    if packet.ciaddr != ZERO:
        return Destination("unicast", dotted(packet.ciaddr), CLIENT_PORT)
    if packet.broadcast or packet.htype != ETHERNET or address == ZERO:
        return _BROADCAST
    return Destination("hardware", dotted(address), CLIENT_PORT, packet.chaddr[:6])


@lru_cache(maxsize=1024)
def _via(relay: bytes) -> Destination:
    return Destination("relay", dotted(relay), SERVER_PORT)
