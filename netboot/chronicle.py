"""What was said with the machines in their last boots, remembered: each exchange in a line, and the same again as a count.

Core. The law: it is telemetry and explains, nothing is decided by it, and it is bounded by the boot and as a whole: in a boot
the oldest goes first, among boots the one that was silent for longest. What the journal tells better is not in it. Times are
seconds since the epoch.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from itertools import islice, takewhile

import msgspec

from netboot.recording import Exchange

MOST_OF_BOOT = 200
MOST = 200_000
"""Of all boots: some 55 MB (ten thousand boots of twenty). After a restart up to as much again, of before it."""
LONGEST = 300
"""Characters of what was asked, and of a reason."""
ALIKE = 12
"""Among so many of a boot's last ones, while nothing of another kind is said, the same again is counted: a machine asks the
same by two ports, and in turns."""


class Said(msgspec.Struct, gc=False):
    """One exchange, or several alike."""

    at: float
    last: float
    """When it was said for the last time."""
    times: int
    kind: str
    """As in the log: dhcp, tftp, script, artifact, dns, metadata, session, claim, secrets …"""
    said: str
    """What was asked, in a word or a path."""
    outcome: str
    reason: str
    plan: str
    commit: str
    """That the plan was made of; "": not known."""


class Chronicle:
    """`note` what is said; ask with `of`."""

    def __init__(self, most: int = MOST) -> None:
        self.before: Chronicle | None = None
        """What a server before this one remembered."""
        self._most = most
        self._boots: OrderedDict[str, deque[Said]] = OrderedDict()
        """The one that spoke last at the end."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def of(self, boot: str) -> Sequence[Said]:
        """In the order in which it was first said."""
        return (*(self.before.of(boot) if self.before else ()), *self._boots.get(boot, ()))

    def note(self, exchange: Exchange) -> None:
        if not exchange.boot or (exchange.kind == "report" and exchange.outcome == "accepted"):
            return
        asker = _ASKERS.get(exchange.client, "")
        said, reason = _line(f"{exchange.said} by {asker}" if asker else exchange.said), _line(exchange.reason)
        lines = self._boots.setdefault(exchange.boot, deque())
        self._boots.move_to_end(exchange.boot)
        asked = (exchange.kind, said, exchange.outcome, reason, exchange.plan)
        lately = takewhile(lambda each: each.kind == exchange.kind, islice(reversed(lines), ALIKE))
        alike = next((each for each in lately if _asked(each) == asked), None)
        if alike:
            alike.last, alike.times = exchange.at, alike.times + 1
            return
        lines.append(Said(exchange.at, exchange.at, 1, *asked, exchange.commit))
        self._count += 1
        if len(lines) > MOST_OF_BOOT:
            lines.popleft()
            self._count -= 1
        while self._count > self._most:
            self._count -= len(self._boots.popitem(last=False)[1])


def _asked(line: Said) -> tuple[str, str, str, str, str]:
    return line.kind, line.said, line.outcome, line.reason, line.plan


def _line(text: str) -> str:
    """Peers choose what they ask for: it may be long, and need not be UTF-8."""
    return text[:LONGEST].encode(errors="backslashreplace").decode()


def words(line: Said) -> str:
    """`DHCP DISCOVER: offer, 10.1.0.11 is reserved for it`: for people, in one line."""
    name = _NAMES.get(line.kind, line.kind)
    outcome = "" if line.outcome == "ok" or (line.kind, line.outcome) == ("tftp", "completed") else line.outcome
    answer = ", ".join(filter(None, (outcome, line.reason)))
    return f"{name}{f' {line.said}' if line.said else ''}{f': {answer}' if answer else ''}"


_ASKERS: Mapping[str, str] = {
    "pxe": "firmware",
    "http": "firmware (HTTP)",
    "rpi": "firmware (Raspberry Pi)",
    "ipxe": "iPXE",
    "uboot": "U-Boot",
    "other": "a system",
}
"""Who asks by DHCP, as people call it."""
_NAMES = {
    "dhcp": "DHCP",
    "tftp": "TFTP",
    "dns": "DNS",
    "script": "boot script",
    "artifact": "fetches",
    "claim": "asks for work",
}
