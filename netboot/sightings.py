"""Where machines were last seen: the source address of each one's script fetch, by MAC and back.

Core. Where addresses are another server's to give, this is all that is known of them. It tells the status and which boot a
fetched kernel belongs to, and never which script a machine gets: an address may be somebody else's tomorrow, a MAC is not.
Bounded: a flood pushes out what was seen longest ago.
"""

from __future__ import annotations

from collections import OrderedDict

MOST = 16384


class Sightings:
    """One address for each MAC, one MAC for each address: the last ones."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._address_of: OrderedDict[str, str] = OrderedDict()
        self._mac_at: dict[str, str] = {}

    def note(self, mac: str, address: str) -> None:
        if not address:
            return
        self._forget(mac)
        self._forget(self._mac_at.get(address, ""))
        self._address_of[mac], self._mac_at[address] = address, mac
        if len(self._address_of) > self._most:
            self._forget(next(iter(self._address_of)))

    def mac_at(self, address: str) -> str:
        """ "" when nobody was seen there."""
        return self._mac_at.get(address, "")

    def address_of(self, mac: str) -> str:
        """ "" when it was not seen."""
        return self._address_of.get(mac, "")

    def _forget(self, mac: str) -> None:
        address = self._address_of.pop(mac, "")
        self._mac_at.pop(address, None)
