"""What one HTTP request may look like, and how many of them one peer may send.

Core. Law: nothing that boots is ever in its way. A peer may be a rack of a thousand machines behind one router, which all get
power at once and ask for script, kernel, initrd and work: what is bounded is far above that, and a peer that never ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netboot.rates import Rates

LARGEST_HEAD = 16 * 1024
"""Bytes of a request line and its headers. What reads them from the wire waits for no more, but may get more at once."""
HEAD_TOO_LARGE = f"The head of a request has {LARGEST_HEAD} bytes at most."
MOST_HEADERS = 100
LONGEST_TARGET = 8000
"""RFC 9110 section 4.1 wants as much, at least."""
AT_ONCE, PER_SECOND = 20_000, 500
"""A thousand machines with twenty requests each, at once; and then as long as one likes."""


@dataclass(frozen=True, slots=True)
class TooMuch:
    status: int
    """414, 429 or 431."""
    reason: str
    counted: str
    """The outcome in the metrics."""
    retry: int = 0
    """Seconds."""


class RequestLimits:
    def __init__(self, at_once: int = AT_ONCE, per_second: float = PER_SECOND) -> None:
        self._rates = Rates(per_second, at_once)

    def judge(self, peer: str, target: int, headers: Sequence[tuple[bytes, bytes]], now: float) -> TooMuch | None:
        """`target`: bytes of path and query. A peer without a name ("": the unix socket) has no rate."""
        if peer and (wait := self._rates.wait(peer, now)):
            reason = f"{peer} asks more than {PER_SECOND} times a second: ask again later."
            return TooMuch(429, reason, "too-many", int(wait) + 1)
        if target > LONGEST_TARGET:
            return TooMuch(414, f"A path and its query have {LONGEST_TARGET} bytes at most.", "target-too-long")
        if target + sum(len(name) + len(value) for name, value in headers) > LARGEST_HEAD:
            return TooMuch(431, HEAD_TOO_LARGE, "head-too-large")
        if len(headers) > MOST_HEADERS:
            return TooMuch(431, f"A request has {MOST_HEADERS} header fields at most.", "too-many-headers")
        return None
