"""What a switch says about itself: one LLDP frame, read.

Core, standard library only. Law: `decode` raises `Malformed` and nothing else, for any bytes, and what it returns is bounded
by the frame. Source: IEEE 802.1AB-2016 clause 8 (TLVs) and annex D.2 (the port's VLAN); RFC 3232 for address families.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from agent.messages import Malformed

ETHERTYPE = 0x88CC
GROUPS = tuple(bytes.fromhex(f"0180c20000{last}") for last in ("0e", "03", "00"))
"""Where LLDP is sent to (7.1): nearest bridge, nearest bridge but two-port relays, nearest customer bridge."""

_END, _CHASSIS, _PORT, _TTL, _PORT_DESCRIPTION, _NAME, _ADDRESS, _OF_AN_ORGANISATION = 0, 1, 2, 3, 4, 5, 8, 127
_MAC_SUBTYPE = {_CHASSIS: 4, _PORT: 3}
_ADDRESS_SUBTYPE = {_CHASSIS: 5, _PORT: 4}
_FAMILIES = {1: 4, 2: 16}
"""IPv4 and IPv6, and how long an address of theirs is."""
_PORT_VLAN = b"\x00\x80\xc2\x01"
_HEADER = 14


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Who is at the other end of a cable; what it did not say is empty."""

    chassis: str
    """Which device: mostly a MAC address."""
    port: str
    """Which of its ports, such as `Ethernet1/7`."""
    ttl: int
    """Seconds for which this holds; 0: it goes away."""
    description: str = ""
    """Of the port."""
    name: str = ""
    """Of the device."""
    address: str = ""
    """Where the device is managed: IPv4 or IPv6, the first that it names."""
    vlan: int = 0
    """Of frames without a tag; 0: none, or it did not say."""


def decode(frame: bytes) -> Neighbour:
    """An Ethernet frame without its VLAN tag, as a packet socket has it. Raises Malformed."""
    if len(frame) < _HEADER or int.from_bytes(frame[12:_HEADER], "big") != ETHERTYPE:
        raise Malformed("this frame is not LLDP")
    tlvs = list(_tlvs(frame[_HEADER:]))
    if [kind for kind, _ in tlvs[:3]] != [_CHASSIS, _PORT, _TTL]:
        raise Malformed("an LLDP frame begins with chassis, port and time to live")  # 8.2
    chassis, port, ttl = (value for _, value in tlvs[:3])
    if len(ttl) < 2:
        raise Malformed("the time to live has less than two bytes")
    return Neighbour(
        _id(_CHASSIS, chassis),
        _id(_PORT, port),
        int.from_bytes(ttl[:2], "big"),
        description=_text(_first(tlvs, _PORT_DESCRIPTION)),
        name=_text(_first(tlvs, _NAME)),
        address=next(filter(None, (_management_address(value) for kind, value in tlvs if kind == _ADDRESS)), ""),
        vlan=next((_vlan(value) for kind, value in tlvs if kind == _OF_AN_ORGANISATION and value[:4] == _PORT_VLAN), 0),
    )


def _tlvs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type (7 bits), length (9 bits), value; up to the end's own TLV, which some leave out (8.4)."""
    at = 0
    while at + 2 <= len(data):
        header = int.from_bytes(data[at : at + 2], "big")
        kind, length = header >> 9, header & 0x1FF
        if kind == _END:
            return
        at += 2 + length
        if at > len(data):
            raise Malformed(f"the TLV of type {kind} runs past the end")
        yield kind, data[at - length : at]


def _first(tlvs: list[tuple[int, bytes]], wanted: int) -> bytes:
    return next((value for kind, value in tlvs if kind == wanted), b"")


def _id(kind: int, value: bytes) -> str:
    """Of a chassis (8.5.2) or port (8.5.3): a byte says what follows."""
    if len(value) < 2:
        raise Malformed("a chassis and a port have a name")
    subtype, rest = value[0], value[1:]
    if subtype == _MAC_SUBTYPE[kind] and len(rest) == 6:
        return rest.hex(":")
    if subtype == _ADDRESS_SUBTYPE[kind]:
        return _address(rest) or rest.hex()
    return _text(rest) or rest.hex()


def _management_address(value: bytes) -> str:
    """8.5.9: a length that counts the family, the family, the address; which interface that is follows."""
    return _address(value[1 : 1 + value[0]]) if value else ""


def _address(value: bytes) -> str:
    """A byte for the family, then the address; empty when it is neither IPv4 nor IPv6."""
    return str(ip_address(value[1:])) if value and _FAMILIES.get(value[0]) == len(value) - 1 else ""


def _vlan(value: bytes) -> int:
    return int.from_bytes(value[4:6], "big") if len(value) >= 6 else 0


def _text(value: bytes) -> str:
    return value.decode(errors="replace").strip().strip("\0").strip()
