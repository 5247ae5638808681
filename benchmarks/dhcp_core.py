"""What one DHCP exchange costs in CPU, without a network and without the rest of the server.

    python -m benchmarks.dhcp_core

An exchange is DISCOVER, OFFER, REQUEST, ACK. `core`: decode, classify, look up, respond, for 20,000 distinct machines that
each ask like UEFI firmware. Cold: every machine's first exchange; warm: every later one. `shell`: the socket and the loop,
on loopback, around a handler that does nothing but echo; add the two for a whole server.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import closing

from netboot.dhcp import BootFile, Destination, Lease, Reply, Server, classify, decode, respond
from netboot.dhcp_options import encode as option
from netboot.dhcp_options import pack
from netboot.dhcp_packet import BOOTREQUEST, DISCOVER, REQUEST, ZERO, Packet, encode
from netboot.dhcp_server import DhcpServer, Outgoing, Peer, open_socket

MACHINES = 20_000
SHELL_EXCHANGES, BURST = 20_000, 50
SERVER = Server(b"\x0a\1\0\1")
BOOT = BootFile("snponly.efi", SERVER.address, pack({43: b"\6\1\x08\xff", 60: b"PXEClient"}))
ASKED = bytes((1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97))
FIRMWARE = {55: ASKED, 57: b"\5\xc0", 60: b"PXEClient:Arch:00007:UNDI:003000", 93: b"\0\7", 94: b"\1\3\0"}


def lease(number: int) -> Lease:
    options = [
        option("subnet-mask", "255.255.0.0"), option("routers", "10.1.0.1"), option("domain-name-servers", "10.1.0.1"),
        option("host-name", f"node-{number}"), option("domain-name", "lab.example"),
        option("broadcast-address", "10.1.255.255"), option("ntp-servers", "10.1.0.1"),
        option("lease-time", 86400), option("renewal-time", 43200), option("rebinding-time", 75600),
    ]  # fmt: skip
    return Lease(b"\x0a\1" + (number + 256).to_bytes(2, "big"), pack(dict(options)), b"\x0a\1\0\0", b"\xff\xff\0\0")


def question(message: int, number: int, more: dict[int, bytes]) -> bytes:
    mac = b"\x52\x54\0" + number.to_bytes(3, "big")
    options = FIRMWARE | {53: bytes((message,)), 97: b"\0" + mac.ljust(16, b"\0")} | more
    xid = number.to_bytes(4, "big")
    return encode(
        Packet(BOOTREQUEST, message, 1, 6, xid, 0, 0, ZERO, ZERO, ZERO, ZERO, mac.ljust(16, b"\0"), b"", b"", options)
    )


def questions(leases: list[Lease]) -> Iterator[tuple[bytes, bytes]]:
    for number, each in enumerate(leases):
        yield question(DISCOVER, number, {}), question(REQUEST, number, {54: SERVER.address, 50: each.address})


def core() -> None:
    leases = [lease(number) for number in range(MACHINES)]
    asked = list(questions(leases))
    by_mac = {decode(discover).mac: each for (discover, _), each in zip(asked, leases, strict=True)}
    gc.freeze()  # as a server does after it has read its plan

    def exchange(datagram: bytes) -> object:
        packet = decode(datagram)
        return respond(packet, classify(packet), by_mac[packet.mac], BOOT, SERVER)

    assert all(isinstance(exchange(datagram), Reply) for datagram in asked[0])
    for name in ("cold", "warm", "warm"):
        start = time.process_time()
        for discover, _ in asked:
            exchange(discover)
        for _, request in asked:
            exchange(request)
        print(f"core, {name}: {(time.process_time() - start) / MACHINES * 1e6:.1f} us of CPU per exchange")


async def shell() -> None:
    answered = 0
    done = asyncio.Event()
    there = Destination("broadcast", "255.255.255.255", 68)

    def echo(datagram: bytes, peer: Peer) -> Outgoing:
        nonlocal answered
        answered += 1
        if answered == SHELL_EXCHANGES * 2:
            done.set()
        return Outgoing(datagram, there, peer)

    def report(_datagram: bytes, _peer: Peer, error: Exception) -> None:
        raise error

    server = DhcpServer(open_socket("127.0.0.1", 0), echo, report, reply_to_source=True)
    client = multiprocessing.get_context("fork").Process(target=ask, args=(server.port,))
    with closing(server):
        client.start()
        start = time.process_time()
        await asyncio.wait_for(done.wait(), 60)
        cost = time.process_time() - start
    client.join(5)
    print(f"shell: {cost / SHELL_EXCHANGES * 1e6:.1f} us of CPU per exchange")


def ask(port: int) -> None:
    """The other end, in a process of its own: a burst of questions, then their answers, so that no buffer overflows."""
    datagram = question(DISCOVER, 1, {})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(("127.0.0.1", port))
        for _ in range(SHELL_EXCHANGES * 2 // BURST):
            for _ in range(BURST):
                client.send(datagram)
            for _ in range(BURST):
                client.recv(2048)


if __name__ == "__main__":
    core()
    asyncio.run(shell())
