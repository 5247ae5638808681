"""Which boot loader a client is sent: one table, loader by architecture.

Core. The law: firmware gets a loader (iPXE, unless git says otherwise), iPXE gets its machine's script, and nobody gets what
it already runs: iPXE that is sent its own binary loops for ever. A client that boots nothing (an operating system, an
architecture without a column) gets None, and so does, from its caller, a machine that goes to its disk by finding no boot file.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from netboot import uboot
from netboot.dhcp import BootFile
from netboot.dhcp_client import UBOOT_ARCHITECTURES, Client
from netboot.dhcp_options import pack

ARCHITECTURES: Mapping[int | None, str] = {
    None: "bios",  # a PXE ROM too old to say what it is
    0: "bios",
    6: "ia32",
    7: "x64",
    9: "x64",  # "EBC" for IANA, x86-64 for firmware that follows the text of RFC 4578 (errata 4624)
    10: "arm",
    11: "aa64",
    15: "ia32",
    16: "x64",
    17: "x64",
    18: "arm",
    19: "aa64",
    **dict.fromkeys(UBOOT_ARCHITECTURES, "uboot"),
}
"""IANA "Processor Architecture Types" (option 93) → column of the table, UEFI's by UEFI's own abbreviation."""

LOADERS: Mapping[str, Mapping[str, str]] = {
    "snponly": {
        "bios": "undionly.kpxe",
        "ia32": "ipxe-i386.efi",
        "x64": "snponly.efi",
        "arm": "ipxe-arm32.efi",
        "aa64": "ipxe-arm64.efi",
        "uboot": uboot.NAME,
    },
    "ipxe": {"bios": "ipxe.pxe", "x64": "ipxe.efi"},
    "grub": {"x64": "grubx64.efi", "aa64": "grubaa64.efi"},
    "shim": {"x64": "shimx64.efi", "aa64": "shimaa64.efi"},
    "pxelinux": {"bios": "pxelinux.0", "uboot": uboot.NAME},
}
"""Loader → architecture → file, by TFTP for PXE and by HTTP for HTTP Boot. Where a row has a gap, the first row counts.

`snponly`, the default, is iPXE with the firmware's own network driver: whatever the firmware booted from works, and only
that card is tried; it also starts faster than `ipxe`, which carries every driver (by a third in QEMU) and is for cards whose
firmware driver is broken. `shim` is for Secure Boot: it starts GRUB, and GRUB a kernel, each if its signature is trusted.
U-Boot is sent no EFI program but a script of its own; where hardware names one it is sent nothing, and asks once more as the
UEFI that it also is.
"""
DEFAULT = "snponly"

USE_BOOT_FILE = b"\x06\x01\x08\xff"
"""PXE_DISCOVERY_CONTROL bit 3: no menu, no boot server discovery, load the file named here (PXE 2.1, table 2-1)."""
PI_FILE = "bootcode.bin"
"""What a Raspberry Pi asks for first, whatever it is told to."""
_PI_MENU = {6: b"\x03", 9: b"\0\0\x11Raspberry Pi Boot", 10: b"\0PXE"}
"""A boot menu of one line, without looking for further servers: a Pi's ROM takes no answer for its own without these words
(Raspberry Pi's documentation, "Network boot"; PXE 2.1 table 2-1: menu item 9 is type, length and text, 10 timeout and prompt).
"""
_OPTIONS = {
    "rpi": pack({43: pack(_PI_MENU) + b"\xff", 60: b"PXEClient"}),
    "uboot": b"",
    "pxe": pack({43: USE_BOOT_FILE, 60: b"PXEClient"}),
    "http": pack({60: b"HTTPClient"}),  # without it UEFI takes no URL (UEFI 2.10 section 24.7.3)
}


class Urls(msgspec.Struct, frozen=True):
    """Where this server is reached by one machine."""

    server: bytes
    """Next-server, four bytes."""
    base: str
    """`http://10.1.0.1` or with a port; no trailing slash."""
    mac: str
    """Lower case with colons."""
    loader: str = ""
    """What git says for this hardware: a row of the table, a file of the operator's, or "" for the default."""

    @property
    def script(self) -> str:
        return f"{self.base}/ipxe/{self.mac.replace(':', '-')}/boot.ipxe"

    def binary(self, name: str) -> str:
        return f"{self.base}/ipxe/{name}"


def boot_file(client: Client, urls: Urls) -> BootFile | None:
    """What to send a client that may boot from the network; None when there is nothing it could start."""
    if client.kind == "ipxe":
        return BootFile(urls.script, urls.server)
    if client.kind == "other":
        return None
    if client.kind == "rpi":
        return BootFile(PI_FILE, urls.server, _OPTIONS["rpi"])
    name = file_of(urls.loader, min(UBOOT_ARCHITECTURES) if client.kind == "uboot" else client.arch)  # old ones do not say it
    if name is None:
        return None
    return BootFile(urls.binary(name) if client.kind == "http" else name, urls.server, _OPTIONS[client.kind])


def file_of(loader: str, arch: int | None) -> str | None:
    """The file for `loader` on an architecture by its IANA number; None when that has no column."""
    if loader and loader not in LOADERS:
        return loader
    column = ARCHITECTURES.get(arch, "")
    file = LOADERS[loader or DEFAULT].get(column)
    return file or (None if column == "uboot" else LOADERS[DEFAULT].get(column))
