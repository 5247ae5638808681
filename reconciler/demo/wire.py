"""The network of a simulated machine: real DHCP, TFTP and HTTP over loopback sockets.

Shell. The law: it waits like firmware, with growing patience and an end to it, and a silence becomes `Silence` with a reason.
Ports are not the well-known ones, so a machine is told them; replies come back to the port a question left from.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from netboot.errors import Malformed
from netboot.tftp_packets import Ack, Data, Error, OptionAck, Packet, ReadRequest, decode, encode
from reconciler.firmware import Firmware, Lease, Stage, acknowledged, discover, offered, request

PATIENCE = (1.0, 2.0, 4.0)
"""Seconds to wait for an answer after each try."""
HTTP_SECONDS = 10.0
_LARGEST = 65536


class Silence(Exception):
    """Nobody answered, or not as asked; the message says who and what."""


class NoSuchFile(Exception):
    """The server answers that it has no such file; the message is the server's."""


@dataclass(frozen=True, slots=True)
class Network:
    host: str
    dhcp: int
    tftp: int
    http: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.http}"


async def lease(network: Network, firmware: Firmware, stage: Stage) -> Lease:
    """DISCOVER, OFFER, REQUEST, ACK. Raises Silence."""
    xid = secrets.token_bytes(4)
    with _udp(network.host) as sock:
        offer = await _ask(sock, network, discover(firmware, stage, xid), xid, acknowledge=False)
        return await _ask(sock, network, request(firmware, stage, xid, offer), xid, acknowledge=True)


async def offer(network: Network, firmware: Firmware) -> Lease:
    """What a system that wants an address is offered: asks, and takes nothing. Raises Silence."""
    xid = secrets.token_bytes(4)
    with _udp(network.host) as sock:
        return await _ask(sock, network, discover(firmware, "system", xid), xid, acknowledge=False)


async def _ask(sock: socket.socket, network: Network, message: bytes, xid: bytes, acknowledge: bool) -> Lease:
    loop = asyncio.get_running_loop()
    understand = acknowledged if acknowledge else offered
    for patience in PATIENCE:
        await loop.sock_sendto(sock, message, (network.host, network.dhcp))
        try:
            async with asyncio.timeout(patience):
                while True:
                    found = understand(await loop.sock_recv(sock, _LARGEST), xid)
                    if found is not None:
                        return found
        except TimeoutError:
            continue
    raise Silence(f"nobody answers its DHCP {'REQUEST' if acknowledge else 'DISCOVER'}")


async def tftp_size(network: Network, path: str) -> int:
    """UEFI asks for the size first and breaks off. Raises Silence, NoSuchFile."""
    with _udp(network.host) as sock:
        transfer = _Transfer(sock)
        answer = await transfer.exchange(ReadRequest(path, options={"tsize": "0"}), (network.host, network.tftp))
        await transfer.send(Error(8, "User aborted the transfer"))
        if not isinstance(answer, OptionAck):
            raise Silence("the TFTP server does not say the size")
        return int(answer.options["tsize"])


async def tftp_read(network: Network, path: str, options: Mapping[str, str]) -> bytes:
    """A whole file, `windowsize` blocks at a time (RFC 7440). Raises Silence, NoSuchFile."""
    with _udp(network.host) as sock:
        transfer = _Transfer(sock)
        packet = await transfer.exchange(ReadRequest(path, options=options), (network.host, network.tftp))
        if isinstance(packet, OptionAck):
            size, window = int(packet.options.get("blksize", 512)), int(packet.options.get("windowsize", 1))
            packet = await transfer.exchange(Ack(0))
        else:
            size, window = 512, 1
        content, block = bytearray(), 0
        while True:
            expected = isinstance(packet, Data) and packet.block == (block + 1) % 65536
            if isinstance(packet, Data) and expected:
                content += packet.content
                block += 1
                if len(packet.content) < size:
                    await transfer.send(Ack(block % 65536))
                    return bytes(content)
            if block % window == 0 or not expected:
                packet = await transfer.exchange(Ack(block % 65536))
            else:
                packet = await transfer.receive(PATIENCE[0]) or await transfer.exchange(Ack(block % 65536))


class _Transfer:
    """One client port, which the server's port is bound to with its first answer (RFC 1350 section 4)."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._peer: tuple[str, int] = ("", 0)

    async def exchange(self, packet: Packet, to: tuple[str, int] | None = None) -> Packet:
        for patience in PATIENCE:
            await self.send(packet, to)
            answer = await self.receive(patience)
            if isinstance(answer, Error):
                raise NoSuchFile(answer.message)
            if answer is not None:
                return answer
        raise Silence("the TFTP server does not answer")

    async def send(self, packet: Packet, to: tuple[str, int] | None = None) -> None:
        await asyncio.get_running_loop().sock_sendto(self._socket, encode(packet), to or self._peer)

    async def receive(self, patience: float) -> Packet | None:
        """The next packet of this transfer; None when it does not come."""
        try:
            async with asyncio.timeout(patience):
                while True:
                    datagram, peer = await asyncio.get_running_loop().sock_recvfrom(self._socket, _LARGEST)
                    if not self._peer[0]:
                        self._peer = peer
                    if peer == self._peer:
                        return decode(datagram)
        except TimeoutError:
            return None
        except Malformed as error:
            raise Silence(f"the TFTP server sends no TFTP: {error}") from None


async def http_get(url: str, address: str = "") -> bytes:
    """As iPXE fetches: one connection, the whole body. Raises Silence for all but 200.

    `address`: the machine's own, from which packets cannot come on loopback: it is told as by a proxy in between.
    """
    forwarded = f"X-Forwarded-For: {address}\r\n" if address else ""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        async with asyncio.timeout(HTTP_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
            try:
                writer.write(
                    f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\nUser-Agent: iPXE/1.21.1\r\n{forwarded}\r\n".encode()
                )
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.read(-1)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise Silence(f"{url} does not answer ({error or type(error).__name__})") from None
    status = head.splitlines()[0].decode(errors="replace").split(" ", 1)[-1]
    if not status.startswith("200"):
        raise Silence(f"{url} answers {status}: {body[:200].decode(errors='replace').strip()}")
    return body


@contextmanager
def _udp(host: str) -> Iterator[socket.socket]:
    """A port of the machine's own."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind((host, 0))
        yield sock
    finally:
        sock.close()
