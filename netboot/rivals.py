"""Other DHCP servers that were heard: who, when, and for which machine.

Core. Two servers that give addresses on one wire take turns at being obeyed, and nothing looks broken until it does; in the
proxy modes there must be exactly one other. Bounded: who invents servers pushes out those heard longest ago.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from netboot.dhcp_packet import ACK, BOOTREPLY, MESSAGES, NAK, OFFER, REQUEST, ZERO, Packet, dotted

MOST = 64


@dataclass(slots=True)
class Rival:
    address: str
    """Its server identifier (option 54)."""
    first_seen: float
    last_seen: float
    count: int = 0
    mac: str = ""
    """The machine that was heard last to deal with it."""
    heard: str = ""
    """What told of it: `OFFER`, `ACK`, `NAK`, or the `REQUEST` of a client that chose it."""


def rival_of(packet: Packet, ours: bytes) -> str:
    """The server identifier of another server that this packet speaks of, or "". `ours`: four bytes.

    Its own broadcasts name it, and so does a client that says whom it chose. What came by a relay is of another wire, and
    there the relay may stand in for the server (RFC 5107).
    """
    server = packet.options.get(54, ZERO)
    telling = (OFFER, ACK, NAK) if packet.op == BOOTREPLY else (REQUEST,)
    if server in (ours, ZERO) or packet.giaddr != ZERO or packet.message not in telling:
        return ""
    return dotted(server)


class Rivals:
    """By address, the one heard last at the end."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._heard: OrderedDict[str, Rival] = OrderedDict()

    def note(self, address: str, packet: Packet, now: float) -> bool:
        """Whether it is new."""
        rival = self._heard.get(address)
        new = rival is None
        if rival is None:
            rival = self._heard[address] = Rival(address, now, now)
            if len(self._heard) > self._most:
                self._heard.popitem(last=False)
        self._heard.move_to_end(address)
        rival.last_seen, rival.mac, rival.heard = now, packet.mac, MESSAGES[packet.message]
        rival.count += 1
        return new

    def __len__(self) -> int:
        return len(self._heard)

    def list(self) -> list[Rival]:
        """The one heard last first."""
        return list(reversed(self._heard.values()))
