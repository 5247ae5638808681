"""A growing log file on its way to the server: nothing lost, nothing doubled.

Shell, standard library only. Law: the server's size is the only truth about how far we are; it survives this agent.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from agent.client import Refused, Unavailable, pauses
from agent.scrub import Scrubber

CHUNK = 256 << 10
"""Bytes per request, at most."""
PATIENCE = 30.0
"""Seconds for which the rest of a log may hold up the report of its action's end."""

LAST_WORDS = 300
"""Characters of a last line that are told."""
OURS = "gitboot: "
"""How the lines begin that a runtime writes into a log itself."""


def last_words(path: Path) -> str:
    """The last line of a log that says something, or "": without control characters, and shortened."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4 * LAST_WORDS))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    told = ("".join(each if each.isprintable() else " " for each in line).strip() for line in reversed(lines))
    return next((line[:LAST_WORDS] for line in told if line and not line.startswith(OURS)), "")


class LogUpload:
    """`send(offset, chunk)` returns the size that the server holds; it raises Unavailable or Refused."""

    def __init__(
        self,
        path: Path,
        send: Callable[[int, bytes], int],
        say: Callable[[str], None] = lambda _: None,
        scrubber: Scrubber | None = None,
    ) -> None:
        """`scrubber`: what must not be sent, where it is in the file."""
        self._path = path
        self._send = send
        self._say = say
        self._scrubber = scrubber or Scrubber()
        self._offset = 0
        self._refused = False
        self._lock = threading.Lock()

    def ship(self) -> bool:
        """Send what there is; False when the server could not be reached and a rest remains."""
        with self._lock:
            try:
                while not self._refused and (chunk := self._read()):
                    self._advance(self._send(self._offset, chunk))
            except Unavailable:
                return False
            except Refused as error:
                self._refused = True
                self._say(f"the server takes no more of this log: {error}")
            return True

    def flush(self, pause: Callable[[float], None] = time.sleep, patience: float = PATIENCE) -> bool:
        """Send the rest, asking again for `patience` seconds; False if even then some remains."""
        waited = 0.0
        for seconds in pauses():
            if self.ship():
                return True
            if waited >= patience:
                return False
            pause(seconds)
            waited += seconds
        raise AssertionError("pauses() never ends")

    def _advance(self, held: int) -> None:
        if held == self._offset:
            raise Refused(409, f"the server stays at {held} bytes")
        self._offset = held

    def _read(self) -> bytes:
        """What comes next, with what stands before it looked at too, and without what may be the beginning of a secret."""
        before = min(self._offset, self._scrubber.reach)
        try:
            with self._path.open("rb") as log:
                log.seek(self._offset - before)
                found = log.read(before + CHUNK)
        except FileNotFoundError:
            return b""
        return self._scrubber(found)[before : len(found) - self._scrubber.held(found)]
