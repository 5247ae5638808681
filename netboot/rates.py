"""How often a peer may ask: a token bucket for each, in bounded memory.

Core. Law: nobody gets more than `burst` at once and `rate` a second after that, and no number of peers makes it remember more
than `most` of them. Whoever is forgotten counts as new: that is in favour of peers, and only when there are very many.

A bucket is one number, the moment at which it is full again (the generic cell rate algorithm of ITU-T I.371, Annex A).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

MOST_PEERS = 4096


class Rates:
    def __init__(self, rate: float, burst: int, most: int = MOST_PEERS) -> None:
        """`rate` is per second; `burst` at least 1."""
        self._interval = 1 / rate
        self._burst = burst
        self._most = most
        self._full: OrderedDict[Hashable, float] = OrderedDict()
        """Peer → when its bucket is full again, by the clock of `now`; who asked last is last."""

    def wait(self, peer: Hashable, now: float, cost: int = 1) -> float:
        """Takes `cost` for `peer`, and 0.0; or nothing, and the seconds until there is as much. `cost` is at most `burst`."""
        full = max(self._full.get(peer, now), now)
        over = full - now - (self._burst - cost) * self._interval
        if over > 1e-9:
            return over
        self._full[peer] = full + cost * self._interval
        self._full.move_to_end(peer)
        if len(self._full) > self._most:
            self._full.popitem(last=False)
        return 0.0

    def __len__(self) -> int:
        return len(self._full)
