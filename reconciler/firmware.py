"""What a machine's firmware says: the DHCP of PXE and HTTP Boot, of the iPXE they load, and of the system that runs at last.

Core. The law: it plays the client and knows nothing of the server but its wire format; options and their values are those
that were captured of real firmware (QEMU's EDK2, iPXE and U-Boot), where not, its row says whose word they follow. RFC 2131
section 4.4, RFC 4578 (options 93, 94, 97), RFC 3004 (77).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from netboot.dhcp_packet import (
    ACK,
    BOOTREPLY,
    BOOTREQUEST,
    BROADCAST_FLAG,
    DISCOVER,
    ETHERNET,
    OFFER,
    REQUEST,
    ZERO,
    Packet,
    decode,
    encode,
)
from netboot.errors import Malformed

Stage = Literal["pxe", "http", "ipxe", "uboot", "system"]
"""Who speaks for the machine: firmware by TFTP or HTTP, iPXE, U-Boot, or an operating system that wants an address."""

BIOS, UEFI, ARM64 = 0, 7, 11
"""IANA processor architecture types (option 93)."""

_EDK2 = "0102030405060c0d0f111216171c28292a2b3233363a3b3c"
_PXE_MENU = "8081828384858687"


@dataclass(frozen=True, slots=True)
class Voice:
    """How one program speaks DHCP."""

    stage: Stage
    who: str
    asks: str
    """Option 55, as hex."""
    vendor: str
    arch: int | None = None
    network: str = ""
    """Option 94, as hex: which UNDI."""
    features: str = ""
    """Option 175, as hex: iPXE's account of itself."""
    size: int = 1472
    """Bytes of a message it takes, IP and UDP counted (option 57)…"""
    request_size: int = 1472
    """… and as its REQUEST says."""
    seconds: tuple[int, int] = (0, 0)
    """`secs` of DISCOVER and REQUEST."""
    broadcast: bool = True
    file: str = ""
    more: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def tells_client_id(self) -> bool:
        return self.stage in ("ipxe", "system")

    @property
    def tells_uuid(self) -> bool:
        return self.stage in ("pxe", "http", "ipxe")


def _edk2(stage: Stage, arch: int, asks: str, request_size: int) -> Voice:
    client, who = ("PXEClient", "UEFI PXE") if stage == "pxe" else ("HTTPClient", "UEFI HTTP Boot")
    vendor = f"{client}:Arch:{arch:05}:UNDI:003000"
    return Voice(stage, who, _EDK2 + asks, vendor, arch, "010300", request_size=request_size)


def _ipxe(arch: int, features: str, *, rom: bool = False) -> Voice:
    """Debian 13's; the ROM is QEMU's, of before."""
    undi, network = ("002001", "010201") if arch == BIOS else ("003010", "01030a")
    asks = f"010306070c0f111a{'' if rom else '2a'}2b3c424377{_PXE_MENU}afcb"
    vendor = f"PXEClient:Arch:{arch:05}:UNDI:{undi}"
    seconds = (4, 10)
    return Voice("ipxe", "iPXE", asks, vendor, arch, network, features, seconds=seconds, broadcast=not rom, more={77: b"iPXE"})


VOICES: Mapping[str, Voice] = {
    # PXE 2.1 section 2.2.1: QEMU has no PXE ROM for a BIOS but iPXE. A Raspberry Pi's says the same.
    "bios": Voice("pxe", "BIOS PXE", _EDK2 + "424361" + _PXE_MENU, "PXEClient:Arch:00000:UNDI:002001", BIOS, "010201"),
    "uefi": _edk2("pxe", UEFI, f"424361{_PXE_MENU}", 65280),
    "arm64": _edk2("pxe", ARM64, f"424361{_PXE_MENU}", 65280),
    "http": _edk2("http", 16, "ea4361", 1472),
    "arm64-http": _edk2("http", 19, "004361", 1472),
    "uboot": Voice("uboot", "U-Boot", "0103060c11", "U-Boot.armv8", 22, "010000", size=576, request_size=576, broadcast=False,
                   file="boot.scr.uimg"),
    "ipxe-bios": _ipxe(BIOS, "b105011af41000eb0301000026010117010127010122010113010114010111010119010129010110010221"
                             "0101150101180101120101"),
    "ipxe-uefi": _ipxe(UEFI, "b105011af41000eb03010000260101170101270101240101130101140101110101290101150101120101"),
    "ipxe-arm64": _ipxe(ARM64, "b105011af41000eb0301000026010117010127010124010113010114010111010129010"
                               "11b0101150101120101"),
    "ipxe-rom": _ipxe(BIOS, "b105011af41000eb03010000170101220101130101110101270101190101290101100102210101150101180101"
                            "120101", rom=True),
    "system": Voice("system", "busybox", "0103060c0f1c2a", "udhcp 1.35.0", size=576, request_size=576, broadcast=False),
}  # fmt: skip
"""By a name of ours."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of machine: who speaks one after the other until there is a script, and for which `arch` of a Hardware."""

    voices: tuple[str, ...]
    arch: str


PROFILES: Mapping[str, Profile] = {
    "uefi": Profile(("uefi", "ipxe-uefi"), "x86_64"),
    "bios": Profile(("bios", "ipxe-bios"), "x86_64"),
    "http": Profile(("http", "ipxe-uefi"), "x86_64"),
    "ipxe": Profile(("ipxe-rom",), "x86_64"),
    "arm64": Profile(("arm64", "ipxe-arm64"), "aarch64"),
    "arm64-http": Profile(("arm64-http", "ipxe-arm64"), "aarch64"),
    "uboot": Profile(("uboot", "arm64", "ipxe-arm64"), "aarch64"),
    "rpi": Profile(("bios",), "aarch64"),
}
"""The first of its architecture is what is taken for granted."""


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

    def voice(self, stage: Stage) -> Voice:
        if stage == "system":
            return VOICES["system"]
        name = {BIOS: "bios", UEFI: "uefi", ARM64: "arm64"}[self.arch]
        return VOICES[f"ipxe-{name}" if stage == "ipxe" else name]


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
    return message(firmware.voice(stage), firmware.mac, firmware.uuid, xid)


def request(firmware: Firmware, stage: Stage, xid: bytes, offer: Lease) -> bytes:
    return message(firmware.voice(stage), firmware.mac, firmware.uuid, xid, offer)


def message(voice: Voice, mac: str, uuid: bytes, xid: bytes, offer: Lease | None = None) -> bytes:
    """A DISCOVER; with an offer the REQUEST of a client in state SELECTING (RFC 2131 section 4.3.2)."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    kind, size, seconds = DISCOVER, voice.size, voice.seconds[0]
    options: dict[int, bytes] = {55: bytes.fromhex(voice.asks), 60: voice.vendor.encode(), **voice.more}
    if offer is not None:
        kind, size, seconds = REQUEST, voice.request_size, voice.seconds[1]
        options |= {50: offer.address, 54: offer.server}
    options |= {53: bytes((kind,)), 57: size.to_bytes(2, "big")}
    if voice.arch is not None:
        options |= {93: voice.arch.to_bytes(2, "big"), 94: bytes.fromhex(voice.network)}
    if voice.features:
        options[175] = bytes.fromhex(voice.features)
    if voice.tells_client_id:
        options[61] = bytes((ETHERNET,)) + hardware
    if voice.tells_uuid:
        options[97] = b"\0" + uuid
    flags = BROADCAST_FLAG if voice.broadcast else 0
    return encode(
        Packet(
            BOOTREQUEST, kind, ETHERNET, 6, xid, seconds, flags, ZERO, ZERO, ZERO, ZERO, hardware.ljust(16, b"\0"), b"",
            voice.file.encode(), options,
        )
    )  # fmt: skip


def offered(datagram: bytes, xid: bytes) -> Lease | None:
    """The OFFER in a datagram; None for everything else that may be heard on a network."""
    return _heard(datagram, xid, OFFER)


def acknowledged(datagram: bytes, xid: bytes) -> Lease | None:
    return _heard(datagram, xid, ACK)


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
