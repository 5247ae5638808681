"""The log: one structured line per exchange, written in batches so that a boot storm costs its reader, not its machines.

Shell. JSON when the stream is no terminal, else a line for people. A flood is bounded: beyond `MOST_PER_SECOND` routine lines
a second are counted instead of written, and the count is a line of its own. Warnings and errors are never dropped.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from datetime import UTC, datetime
from typing import Literal, TextIO

import msgspec

Level = Literal["info", "warning", "error"]
MOST_PER_SECOND = 1000

Value = str | int | float | bool | None


class Log:
    """`add` is cheap and never blocks; `flush` writes. The server flushes a few times a second and at its end."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._people = self._stream.isatty()
        self._lines: deque[tuple[float, Level, str, dict[str, Value]]] = deque()
        self._second = 0
        self._routine = 0
        self._suppressed = 0

    def info(self, event: str, **values: Value) -> None:
        """A routine line: may be counted instead of written when there are too many."""
        now = time.time()
        if int(now) != self._second:
            self._second, self._routine = int(now), 0
        self._routine += 1
        if self._routine > MOST_PER_SECOND:
            self._suppressed += 1
        else:
            self._lines.append((now, "info", event, values))

    def warning(self, event: str, **values: Value) -> None:
        self._lines.append((time.time(), "warning", event, values))

    def error(self, event: str, **values: Value) -> None:
        self._lines.append((time.time(), "error", event, values))

    def flush(self) -> None:
        """A log that cannot be written (full disk, closed pipe) must not stop the machines: its lines are lost."""
        if self._suppressed:
            self._lines.append((time.time(), "warning", "lines-suppressed", {"count": self._suppressed}))
            self._suppressed = 0
        if not self._lines:
            return
        render = _for_people if self._people else _as_json
        text = "".join(render(*line) for line in self._lines)
        self._lines.clear()
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            return


def _as_json(at: float, level: Level, event: str, values: dict[str, Value]) -> str:
    line = {"time": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"), "level": level, "event": event}
    return msgspec.json.encode(line | values).decode() + "\n"


def _for_people(at: float, level: Level, event: str, values: dict[str, Value]) -> str:
    """Escapes what a hostile peer may have put in a name: a terminal must not obey it."""
    clock = datetime.fromtimestamp(at).strftime("%H:%M:%S")
    said = " ".join(f"{key}={_printable(value)}" for key, value in values.items() if value not in ("", None))
    return f"{clock} {'' if level == 'info' else level.upper() + ' '}{event} {said}\n"


def _printable(value: Value) -> str:
    text = str(value)
    return text if text.isprintable() else ascii(text)
