"""Who is asking: PXE firmware, HTTP Boot firmware, iPXE, or an operating system's own DHCP client.

Core. The law: what firmware leaves out or writes wrongly never makes a packet unanswerable; it is read as well as it can be.
The lore is in the comments. RFC 4578 (options 93, 94, 97), RFC 3004 (77), ipxe.org/howto/dhcpd (175).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

import msgspec

from netboot.dhcp_options import escaped, unpack
from netboot.dhcp_packet import Packet
from netboot.errors import Malformed

Kind = Literal["pxe", "http", "ipxe", "uboot", "rpi", "other"]

UBOOT_ARCHITECTURES = frozenset({21, 22, 23, 24})
"""ARM U-Boot, with 32 and 64 bits, by TFTP and by HTTP: U-Boot itself, and not the UEFI in it, which has UEFI's numbers."""
PI_ARCHITECTURE = 41
"""What a Raspberry Pi's boot ROM should say; so far it says 0, which is a PC."""
PI_MAKERS = frozenset(bytes.fromhex(each) for each in ("b827eb", "dca632", "e45f01", "d83add", "2ccf67", "28cdc1"))
"""How the MAC addresses of Raspberry Pis begin."""

BIOS_ARCHITECTURES = frozenset({0, 1, 20})
"""PC BIOS, NEC PC-98 and BIOS with HTTP; what is neither this, U-Boot nor a Raspberry Pi's ROM is UEFI."""


class Client(msgspec.Struct, frozen=True):
    kind: Kind
    arch: int | None
    """IANA "Processor Architecture Types"; None when the client does not say."""
    user_class: str
    """Several classes are joined by commas; here and in the vendor class, odd bytes are escaped."""
    vendor_class: str
    features: frozenset[int]
    """Codes inside option 175, iPXE's account of itself: 19 HTTP, 20 HTTPS, 38 VLAN …"""
    uefi: bool
    guid: bytes
    """The 16 bytes of the UUID as sent; empty when absent or of another type. Never an identity: some are all zero."""


def classify(packet: Packet) -> Client:
    """What the options say about the client. Any bytes are read as something."""
    said = packet.options
    guid = said.get(97, b"")
    pi = packet.chaddr[:3] in PI_MAKERS
    return Client(
        *_read(said.get(60, b""), said.get(77, b""), said.get(93, b""), said.get(175, b""), pi),
        guid[1:] if len(guid) == 17 and guid[0] == 0 else b"",
    )


@lru_cache(maxsize=1024)
def _read(
    vendor: bytes, user: bytes, system: bytes, encapsulated: bytes, pi: bool
) -> tuple[Kind, int | None, str, str, frozenset[int], bool]:
    """All that machines of one make have in common, which is everything but the GUID: few values for many packets."""
    vendor_class = escaped(vendor)
    classes = _user_classes(user)
    arch = _architecture(system, vendor_class)
    uefi = arch is not None and arch not in BIOS_ARCHITECTURES | UBOOT_ARCHITECTURES | {PI_ARCHITECTURE}
    kind = _kind(vendor_class, classes, encapsulated, arch, pi)
    return kind, arch, ",".join(classes), vendor_class, _features(encapsulated), uefi


def _kind(vendor_class: str, classes: tuple[str, ...], encapsulated: bytes, arch: int | None, pi: bool) -> Kind:
    # iPXE keeps its firmware's vendor class, so its own signs come first. A script may have replaced its user class
    # (`set user-class Tinkerbell`), which leaves option 175. gPXE sends 175 too, but cannot run an iPXE script.
    if "iPXE" in classes or (encapsulated and "gPXE" not in classes):
        return "ipxe"
    if vendor_class.startswith("HTTPClient"):
        return "http"
    if vendor_class.startswith("U-Boot") or arch in UBOOT_ARCHITECTURES:
        return "uboot"
    if not vendor_class.startswith("PXEClient"):
        return "other"
    # A Pi's ROM poses as a PC's. What a Pi started later (UEFI, U-Boot, iPXE) says what it is, and is not taken for its ROM.
    return "rpi" if arch == PI_ARCHITECTURE or (pi and arch in (None, 0)) else "pxe"


def _user_classes(data: bytes) -> tuple[str, ...]:
    """RFC 3004 says a length before each class; iPXE, and most who set one by hand, send the bare text."""
    classes, at = [], 0
    while at < len(data):
        end = at + 1 + data[at]
        if data[at] == 0 or end > len(data):
            return (escaped(data),)
        classes.append(escaped(data[at + 1 : end]))
        at = end
    return tuple(classes)


def _architecture(system: bytes, vendor_class: str) -> int | None:
    """The first of option 93's list, else the number in `PXEClient:Arch:00007:UNDI:003000`."""
    if len(system) >= 2:
        return int.from_bytes(system[:2], "big")
    found = re.search(r":Arch:(\d{5})(?::|$)", vendor_class)
    return int(found[1]) if found else None


def _features(encapsulated: bytes) -> frozenset[int]:
    try:
        return frozenset(code for code, value in unpack(encapsulated).items() if any(value))
    except Malformed:
        return frozenset()
