"""Machines that asked for something and are not in git: who they are, when they were seen, what they asked.

Core. Bounded: whoever floods the wire with invented MACs pushes out the ones seen longest ago, never the server.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

MOST = 1024


@dataclass(slots=True)
class Stranger:
    mac: str
    first_seen: float
    last_seen: float
    count: int = 0
    asked: str = ""
    """The last thing it asked, as `DISCOVER` or `boot script`."""
    client: dict[str, str] = field(default_factory=dict)
    """Firmware facts it told: architecture, vendor class, user class."""
    address: str = ""
    """The sticky address it was given, or that it fetched a script from; empty: neither."""


class Strangers:
    """By MAC, the one seen last at the end."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._seen: OrderedDict[str, Stranger] = OrderedDict()

    def note(self, mac: str, now: float, asked: str, client: dict[str, str] | None = None, address: str = "") -> None:
        stranger = self._seen.get(mac)
        if stranger is None:
            stranger = self._seen[mac] = Stranger(mac, now, now)
            if len(self._seen) > self._most:
                self._seen.popitem(last=False)
        self._seen.move_to_end(mac)
        stranger.last_seen = now
        stranger.count += 1
        stranger.asked = asked
        stranger.client |= client or {}
        stranger.address = address or stranger.address

    def list(self) -> list[Stranger]:
        """The one seen last first."""
        return list(reversed(self._seen.values()))

    def __len__(self) -> int:
        return len(self._seen)
