"""ProxyDHCP: another server gives the address, this one adds what to boot. PXE 2.1 sections 2.2 and 2.4, UEFI 2.10 section 24.

Core. The law: no answer of ours holds an address or says anything about one, and nobody is answered who does not say that
it boots from the network. On port 67 a DISCOVER gets an OFFER of a boot file, beside the other server's OFFER of an address;
everything else there is the other server's. With its address the client may ask again on port 4011, and gets an ACK.
"""

from __future__ import annotations

from functools import lru_cache

from netboot.dhcp import LONGEST_FILE, BootFile, Ignore, Reply, Server, filled
from netboot.dhcp_client import Client
from netboot.dhcp_options import END, pack, tlv, unpack
from netboot.dhcp_packet import ACK, BOOTREQUEST, DISCOVER, INFORM, MESSAGES, OFFER, REQUEST, ZERO, Packet
from netboot.errors import Malformed
from netboot.loader import USE_BOOT_FILE

_BOOT_ITEM = 71
"""PXE_BOOT_ITEM inside option 43: the type of boot server that is asked for."""


def objection(packet: Packet, client: Client, boot_port: bool) -> str:
    """Why this packet is not ours to answer, or "". `boot_port`: it came to port 4011."""
    if packet.op != BOOTREQUEST:
        return "it is a server's message"
    if client.kind == "other":
        return "it does not boot from the network: another server gives it its address"
    name = MESSAGES.get(packet.message, "BOOTP")
    if boot_port:
        return "" if packet.message in (REQUEST, INFORM) else f"a {name} does not belong on port 4011"
    return "" if packet.message == DISCOVER else f"the {name} is for the server that gives addresses"


def respond_proxy(packet: Packet, client: Client, boot: BootFile | None, server: Server, boot_port: bool) -> Reply | Ignore:
    """The OFFER, or on port 4011 the ACK, which goes back to where the question came from (PXE 2.1 section 2.2.4)."""
    if why := objection(packet, client, boot_port):
        return Ignore(why)
    if boot is None:
        return Ignore("there is nothing for it to boot from the network")
    options = _options(boot, client.kind == "http", _boot_item(packet))
    return filled(packet, server, ACK if boot_port else OFFER, ZERO, boot, options, "ProxyDHCP")


@lru_cache(maxsize=1024)
def _options(boot: BootFile, http: bool, item: bytes | None) -> bytes:
    """Packed, most important first. Firmware, and iPXE too, takes an OFFER for a ProxyDHCP server's by option 60."""
    told = unpack(boot.options) if http else {60: b"PXEClient", 43: USE_BOOT_FILE} | unpack(boot.options)
    if item is not None and 43 in told:
        told[43] = pack(unpack(told[43]) | {_BOOT_ITEM: item}) + bytes((END,))
    if http or len(boot.file) > LONGEST_FILE:
        told[67] = boot.file.encode()
    return b"".join(tlv(code, value) for code, value in told.items())


def _boot_item(packet: Packet) -> bytes | None:
    """What a client asks for that looks for a boot server by its type, and looks for in the answer (PXE 2.1 section 2.4.4)."""
    try:
        return unpack(packet.options.get(43, b"")).get(_BOOT_ITEM)
    except Malformed:
        return None
