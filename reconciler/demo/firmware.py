"""What a machine's firmware says: the DHCP of a PXE ROM, of the iPXE it loads, and of the system that runs at last.

Core. The law: it plays the client and knows nothing of the server but its wire format; options and their values are those
that QEMU's firmware was seen to send. RFC 2131 section 4.4, RFC 4578 (options 93, 94, 97), RFC 3004 (77).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netboot.dhcp_packet import ACK, BOOTREPLY, BOOTREQUEST, DISCOVER, ETHERNET, OFFER, REQUEST, ZERO, Packet, decode, encode
from netboot.errors import Malformed

Stage = Literal["pxe", "ipxe", "system"]
"""Who speaks for the machine: its ROM, iPXE, or an operating system that wants an address and nothing to boot."""

BIOS, UEFI, ARM64 = 0, 7, 11
"""IANA processor architecture types (option 93)."""

_ASKED = {
    "pxe": bytes((1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97)),
    "ipxe": bytes((1, 3, 6, 7, 12, 15, 17, 26, 43, 60, 66, 67, 119, 175, 203)),
    "system": bytes((1, 3, 6, 12, 15, 28, 42)),
}
_IPXE_FEATURES = bytes.fromhex("b105011af41000eb03010000170101130101110101190101100102210101150101")
_LARGEST = 1472


@dataclass(frozen=True, slots=True)
class Firmware:
    mac: str
    """Lower case with colons."""
    arch: int
    uuid: bytes
    """16 bytes, as the SMBIOS has them."""

    @property
    def kind(self) -> str:
        return "BIOS" if self.arch == BIOS else "UEFI"


@dataclass(frozen=True, slots=True)
class Lease:
    """What the firmware takes from an OFFER or an ACK. Addresses are four bytes; texts are empty where nothing was said."""

    address: bytes
    server: bytes
    """The server identifier (option 54)."""
    next_server: bytes
    file: str
    host_name: str


def discover(firmware: Firmware, stage: Stage, xid: bytes) -> bytes:
    return _message(firmware, stage, xid, DISCOVER, {})


def request(firmware: Firmware, stage: Stage, xid: bytes, offer: Lease) -> bytes:
    """The REQUEST of a client in state SELECTING (RFC 2131 section 4.3.2)."""
    return _message(firmware, stage, xid, REQUEST, {50: offer.address, 54: offer.server})


def offered(datagram: bytes, xid: bytes) -> Lease | None:
    """The OFFER in a datagram; None for everything else that may be heard on a network."""
    return _heard(datagram, xid, OFFER)


def acknowledged(datagram: bytes, xid: bytes) -> Lease | None:
    return _heard(datagram, xid, ACK)


def _message(firmware: Firmware, stage: Stage, xid: bytes, message: int, more: dict[int, bytes]) -> bytes:
    hardware = bytes.fromhex(firmware.mac.replace(":", ""))
    options = {53: bytes((message,)), 55: _ASKED[stage], 57: _LARGEST.to_bytes(2, "big")} | more
    if stage != "system":
        options |= {
            60: b"PXEClient:Arch:%05d:UNDI:%s" % (firmware.arch, b"002001" if firmware.arch == BIOS else b"003016"),
            93: firmware.arch.to_bytes(2, "big"),
            94: bytes((1, 2, 1)) if firmware.arch == BIOS else bytes((1, 3, 16)),
            97: b"\0" + firmware.uuid,
        }
    if stage == "ipxe":
        options |= {61: bytes((ETHERNET,)) + hardware, 77: b"iPXE", 175: _IPXE_FEATURES}
    return encode(
        Packet(
            BOOTREQUEST, message, ETHERNET, 6, xid, 4, 0, ZERO, ZERO, ZERO, ZERO, hardware.ljust(16, b"\0"), b"", b"", options
        )
    )


def _heard(datagram: bytes, xid: bytes, message: int) -> Lease | None:
    try:
        packet = decode(datagram)
    except Malformed:
        return None
    if (packet.op, packet.xid, packet.message) != (BOOTREPLY, xid, message):
        return None
    file = packet.file or packet.options.get(67, b"").rstrip(b"\0")
    return Lease(packet.yiaddr, packet.options.get(54, ZERO), packet.siaddr, _text(file), _text(packet.options.get(12, b"")))


def _text(data: bytes) -> str:
    return data.decode("ascii", "backslashreplace")
