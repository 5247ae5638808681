"""A relay that asks for one machine's address again and again, and says when it was first told a new one.

    python -m benchmarks.probe SERVER RELAY      stdin: lines of `MAC ADDRESS`; stdout: a line of seconds for each

The law: the clock is the system's monotonic one, which all network namespaces of a host share, so that the time printed here
can be subtracted from one taken by whoever pushed.
"""

from __future__ import annotations

import socket
import sys
import time

from netboot.dhcp_packet import BOOTREQUEST, DISCOVER, OFFER, ZERO, Packet, decode, encode

INTERVAL = 0.005
"""Seconds to wait for an answer before asking again: as exact as the latency is measured."""


def question(mac: str, relay: str, number: int) -> bytes:
    chaddr = bytes.fromhex(mac.replace(":", "")).ljust(16, b"\0")
    options = {53: bytes([DISCOVER]), 55: bytes([1, 3])}
    giaddr, xid = socket.inet_aton(relay), number.to_bytes(4, "big")
    return encode(Packet(BOOTREQUEST, DISCOVER, 1, 6, xid, 0, 0, ZERO, ZERO, ZERO, giaddr, chaddr, b"", b"", options))


def first_offer(sock: socket.socket, server: str, relay: str, mac: str, address: str) -> float:
    """When the first OFFER of `address` came."""
    for number in range(1 << 32):
        asked = time.monotonic()
        sock.sendto(question(mac, relay, number), (server, 67))
        try:
            answer = decode(sock.recv(2048))
        except TimeoutError:
            continue
        now = time.monotonic()
        if answer.message == OFFER and answer.mac == mac and socket.inet_ntoa(answer.yiaddr) == address:
            return now
        time.sleep(max(0.0, INTERVAL - (now - asked)))
    raise AssertionError("unreachable")


def main(server: str, relay: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((relay, 67))
        sock.settimeout(INTERVAL)
        for line in sys.stdin:
            print(first_offer(sock, server, relay, *line.split()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
