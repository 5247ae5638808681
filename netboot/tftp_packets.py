"""TFTP on the wire (RFC 1350, 2347): six packets and the bytes they are.

Core. The law: any bytes decode to one packet or to `Malformed` with its reason, and what firmware is known to be sloppy about
(padding, a missing last NUL in ERROR, the case of names) is let pass here so that nobody after has to know of it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from netboot.errors import Malformed

# Error codes: RFC 1350 section 5, and 8 from RFC 2347.
NOT_DEFINED = 0
NOT_FOUND = 1
ACCESS_VIOLATION = 2
ILLEGAL_OPERATION = 4
UNKNOWN_TID = 5
OPTION_REFUSED = 8

MAX_REQUEST = 512
"""Octets of the longest request (RFC 2347)."""

_RRQ, _WRQ, _DATA, _ACK, _ERROR, _OACK = range(1, 7)
_HEAD = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """RRQ. `mode` and option names are in lower case, as they are case-insensitive; of a repeated option the first counts."""

    path: str
    mode: str = "octet"
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """WRQ, which is only ever refused. Fields as in `ReadRequest`."""

    path: str
    mode: str = "octet"
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Data:
    """DATA. `block` is what is on the wire: 0..65535, wrapping to 0."""

    block: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    """ACK. `block` as in `Data`."""

    block: int


@dataclass(frozen=True, slots=True)
class Error:
    """ERROR. It ends a transfer and is never answered."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class OptionAck:
    """OACK (RFC 2347): the options that hold."""

    options: Mapping[str, str]


Packet = ReadRequest | WriteRequest | Data | Ack | Error | OptionAck


def encode(packet: Packet) -> bytes:
    """The packet's datagram. `decode(encode(packet)) == packet` where texts hold no NUL and names are in lower case."""
    match packet:
        case Data(block, content):
            return _HEAD.pack(_DATA, block) + content
        case Ack(block):
            return _HEAD.pack(_ACK, block)
        case Error(code, message):
            return _HEAD.pack(_ERROR, code) + message.encode() + b"\0"
        case OptionAck(options):
            return struct.pack("!H", _OACK) + _encode_options(options)
        case ReadRequest(path, mode, options) | WriteRequest(path, mode, options):
            opcode = _RRQ if isinstance(packet, ReadRequest) else _WRQ
            return struct.pack("!H", opcode) + path.encode() + b"\0" + mode.encode("latin-1") + b"\0" + _encode_options(options)


def _encode_options(options: Mapping[str, str]) -> bytes:
    return b"".join(text.encode("latin-1") + b"\0" for pair in options.items() for text in pair)


def decode(datagram: bytes) -> Packet:
    """The packet in a datagram, or `Malformed` for any other bytes.

    Octets after an ACK's block number are let pass, and so are NULs after a request's last option: some firmware pads.
    """
    if len(datagram) < 4:
        raise Malformed(f"{len(datagram)} octets are too short for a packet")
    opcode, number = _HEAD.unpack_from(datagram)
    match opcode:
        case 1 | 2:
            return _decode_request(opcode, datagram)
        case 3:
            return Data(number, datagram[4:])
        case 4:
            return Ack(number)
        case 5:
            # The closing NUL is missing from some clients; the code is what counts.
            return Error(number, datagram[4:].split(b"\0", 1)[0].decode(errors="replace"))
        case 6:
            return _decode_option_ack(datagram)
        case _:
            raise Malformed(f"opcode {opcode} is none of 1 to 6")


def _decode_request(opcode: int, datagram: bytes) -> ReadRequest | WriteRequest:
    if len(datagram) > MAX_REQUEST:
        raise Malformed(f"a request of {len(datagram)} octets is longer than {MAX_REQUEST}")
    texts = _texts(datagram[2:])
    if len(texts) < 2:
        raise Malformed("a request needs a file name and a mode, each ended by NUL")
    try:
        path = texts[0].decode()
    except UnicodeDecodeError:
        raise Malformed(f"file name {texts[0]!r} is not UTF-8") from None
    if not texts[1]:
        raise Malformed("a request without a mode")
    kind = ReadRequest if opcode == _RRQ else WriteRequest
    return kind(path, texts[1].decode("latin-1").lower(), _decode_options(texts[2:]))


def _decode_option_ack(datagram: bytes) -> OptionAck:
    options = _decode_options(_texts(datagram[2:]))
    if not options:
        raise Malformed("an OACK that names no option")
    return OptionAck(options)


def _texts(body: bytes) -> list[bytes]:
    """The NUL-ended texts of a body."""
    *texts, rest = body.split(b"\0")
    if rest:
        raise Malformed(f"{rest!r} is not ended by NUL")
    return texts


def _decode_options(texts: list[bytes]) -> dict[str, str]:
    options: dict[str, str] = {}
    for i in range(0, len(texts), 2):
        name, value = texts[i], texts[i + 1 : i + 2]
        if not name:
            break  # padding
        if not value:
            raise Malformed(f"option {name!r} has no value")
        options.setdefault(name.decode("latin-1").lower(), value[0].decode("latin-1"))
    return options
