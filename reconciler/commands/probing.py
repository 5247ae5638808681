"""A question to every DHCP server of a network, for `gitboot doctor --probe`."""

from __future__ import annotations

import fcntl
import secrets
import socket
import struct
import time

from netboot.dhcp import CLIENT_PORT, SERVER_PORT
from netboot.dhcp_server import open_socket
from netboot.probe import Offer, offer_of, question
from reconciler.sentence import Sentence

TIMES = (0.0, 1.5)
"""Seconds at which it is asked: the first question may be lost, or find a switch port that does not forward yet."""
PATIENCE = 4.0
"""Seconds until nobody is waited for any more: servers that look whether an address is free take up to three."""
_SIOCGIFHWADDR = 0x8927


def probe(interface: str) -> list[Offer]:
    """Every server's offer, in the order they came. Raises Sentence when the question cannot be asked."""
    try:
        with open_socket("255.255.255.255", CLIENT_PORT, interface, shared=True) as sock:
            xid, mac = secrets.token_bytes(4), _mac(sock, interface)
            return _ask(sock, question(mac, xid), xid)
    except PermissionError:
        raise Sentence("Asking for DHCP servers needs root: run `gitboot doctor --probe` with sudo.") from None
    except OSError as error:
        step = f"`ip link` lists the interfaces, and port {CLIENT_PORT} must not be held by one program alone"
        raise Sentence(f"DHCP cannot be asked for on {interface!r} ({error.strerror}); {step}.") from None


def _ask(sock: socket.socket, datagram: bytes, xid: bytes) -> list[Offer]:
    found: dict[tuple[str, bool], Offer] = {}
    began, due = time.monotonic(), list(TIMES)
    while (passed := time.monotonic() - began) < PATIENCE:
        if due and passed >= due[0]:
            sock.sendto(datagram, ("255.255.255.255", SERVER_PORT))
            due.pop(0)
        sock.settimeout(max((due or [PATIENCE])[0] - passed, 0.001))
        try:
            offer = offer_of(sock.recv(4096), xid)
        except TimeoutError:
            continue
        if offer is not None:
            found.setdefault((offer.server, bool(offer.address)), offer)
    return list(found.values())


def _mac(sock: socket.socket, interface: str) -> bytes:
    """The interface's own address, the only one that a guarded switch port lets pass (netdevice(7))."""
    return fcntl.ioctl(sock, _SIOCGIFHWADDR, struct.pack("256s", interface.encode()[:15]))[18:24]
