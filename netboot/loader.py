"""Which boot loader a client is sent: one table, architecture by client.

Core. The law: firmware gets iPXE, iPXE gets its machine's script, and nobody gets what it already runs: iPXE that is sent
its own binary loops for ever. A client that boots nothing (an operating system, an architecture without a row) gets None,
and so does, from its caller, a machine that goes to its disk by finding no boot file.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from netboot.dhcp import BootFile
from netboot.dhcp_client import Client
from netboot.dhcp_options import pack

LOADERS: Mapping[int | None, str] = {
    None: "undionly.kpxe",  # a PXE ROM too old to say what it is, is a BIOS
    0: "undionly.kpxe",
    6: "ipxe-i386.efi",
    7: "snponly.efi",
    9: "snponly.efi",  # "EBC" for IANA, x86-64 for firmware that follows the text of RFC 4578 (errata 4624)
    10: "ipxe-arm32.efi",
    11: "ipxe-arm64.efi",
    15: "ipxe-i386.efi",
    16: "snponly.efi",
    17: "snponly.efi",
    18: "ipxe-arm32.efi",
    19: "ipxe-arm64.efi",
}
"""IANA architecture → file, by TFTP for PXE and by HTTP for HTTP Boot.

undionly and snponly use the firmware's own network driver: whatever the firmware booted from works, and only that card is
tried; they also start faster than the builds that carry every driver (by a third in QEMU). A card whose firmware driver is
broken needs the other kind: name `ipxe.efi` or `ipxe.pxe` for that hardware.
"""

USE_BOOT_FILE = b"\x06\x01\x08\xff"
"""PXE_DISCOVERY_CONTROL bit 3: no menu, no boot server discovery, load the file named here (PXE 2.1, table 2-1)."""
_OPTIONS = {
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
    """File that this hardware is sent instead of the table's."""

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
    name = urls.loader or LOADERS.get(client.arch)
    if name is None:
        return None
    return BootFile(urls.binary(name) if client.kind == "http" else name, urls.server, _OPTIONS[client.kind])
