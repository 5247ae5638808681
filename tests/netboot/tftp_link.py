"""A TFTP client that keeps to the RFCs, and a link that keeps to nothing: what the server's transfers are tested against."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from netboot.tftp import Transfer
from netboot.tftp_packets import Ack, Data, OptionAck, decode, encode


def content(size: int) -> bytes:
    """Bytes of which no two aligned blocks are alike, so that a block out of place is seen."""
    return b"".join(number.to_bytes(8) for number in range(size // 8 + 1))[:size]


@dataclass
class Client:
    """The receiver of RFC 1350 and 7440: an ACK for each full window, for the last block, and for each block out of order."""

    blksize: int = 512
    windowsize: int = 1
    received: int = 0
    in_window: int = 0
    finished: bool = False
    content: bytearray = field(default_factory=bytearray)

    def receive(self, datagram: bytes) -> bytes | None:
        match decode(datagram):
            case OptionAck(options) if self.received == 0:
                self.blksize = int(options.get("blksize", "512"))
                self.windowsize = int(options.get("windowsize", "1"))
                return self._acknowledge()
            case Data(block, payload) if block == (self.received + 1) & 0xFFFF and not self.finished:
                self.content += payload
                self.received += 1
                self.in_window += 1
                self.finished = len(payload) < self.blksize
                return self._acknowledge() if self.finished or self.in_window == self.windowsize else None
            case Data():
                return self._acknowledge()
        return None

    def _acknowledge(self) -> bytes:
        self.in_window = 0
        return encode(Ack(self.received & 0xFFFF))


PLAIN = (0.001,)
"""A datagram's fate on the link: the delays, in seconds, after which it arrives; once for each time it does."""
FATES: tuple[tuple[float, ...], ...] = (PLAIN, (), (0.001, 0.002), (0.004,), (0.001, 1.2), (1.2,), (3.5,))


def carry(transfer: Transfer, client: Client, fates: Iterator[tuple[float, ...]]) -> None:
    """Run both ends over the link, in simulated time, until the server's side is done."""
    order = count()
    under_way: list[tuple[float, int, bool, bytes]] = []  # arrival, order, whether towards the client, datagram
    now = 0.0

    def post(datagram: bytes, towards_client: bool) -> None:
        for delay in next(fates):
            heapq.heappush(under_way, (now + delay, next(order), towards_client, datagram))

    while True:
        for datagram in transfer.datagrams_to_send():
            post(datagram, towards_client=True)
        if transfer.timer is None:
            return
        if not under_way or transfer.timer <= under_way[0][0]:
            now = transfer.timer
            transfer.handle_timer(now)
            continue
        now, _, towards_client, datagram = heapq.heappop(under_way)
        if not towards_client:
            transfer.receive(datagram, now)
        elif answer := client.receive(datagram):
            post(answer, towards_client=False)
