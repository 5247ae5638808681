"""The log: one structured line per exchange, written in batches so that a boot storm costs its reader, not its machines.

Shell. JSON when the stream is no terminal, else a line for people. A flood is bounded: beyond `MOST_PER_SECOND` routine lines
a second, `MOST_TROUBLE` warnings or errors of a kind, and `MOST_WAITING` lines that nobody reads, they are counted instead of
written, and the count is a line of its own. Whoever adds never waits: a reader that stopped reading holds up a thread of the
log's own.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TextIO

import msgspec

Level = Literal["info", "warning", "error"]
MOST_PER_SECOND = 1000
MOST_TROUBLE = 200
"""Warnings and errors of one kind in a second: peers can cause some of them as often as they like, and others must be seen."""
MOST_WAITING = 20_000

Value = str | int | float | bool | None


class _Line(NamedTuple):
    at: float
    level: Level
    event: str
    values: dict[str, Value]


class Log:
    """`info`, `warning` and `error` may be called from any thread. The server calls `flush_soon` a few times a second."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._people = self._stream.isatty()
        self._lines: deque[_Line] = deque()
        self._second = 0
        self._routine = 0
        self._trouble: Counter[str] = Counter()
        """By event, in this second."""
        self._suppressed = 0
        self._writer: threading.Thread | None = None
        self._starting = threading.Lock()

    def info(self, event: str, **values: Value) -> None:
        """A routine line: may be counted instead of written when there are too many."""
        self.routine(event, lambda: values)

    def routine(self, event: str, describe: Callable[[], dict[str, Value]]) -> None:
        """`info` for what comes in floods: only a line that will be written is described."""
        now = self._now()
        self._routine += 1
        if self._routine > MOST_PER_SECOND:
            self._suppressed += 1
        else:
            self._add(_Line(now, "info", event, describe()))

    def warning(self, event: str, **values: Value) -> None:
        self._complain("warning", event, values)

    def error(self, event: str, **values: Value) -> None:
        self._complain("error", event, values)

    def flush_soon(self) -> None:
        """Hand what was added to the writing thread, unless that still waits for its reader."""
        with self._starting:
            if (self._lines or self._suppressed) and not (self._writer and self._writer.is_alive()):
                self._writer = threading.Thread(target=self._write, name="log", daemon=True)
                self._writer.start()

    def flush(self, seconds: float = 0.5) -> None:
        """Returns when everything is written, or after `seconds` when the reader does not read."""
        deadline = time.monotonic() + seconds
        for _ in range(2):  # what was added after the writing thread had looked for the last time
            self.flush_soon()
            if self._writer:
                self._writer.join(max(0.0, deadline - time.monotonic()))

    def _now(self) -> float:
        """The counts are those of one second."""
        now = time.time()
        if int(now) != self._second:
            self._second, self._routine, self._trouble = int(now), 0, Counter()
        return now

    def _complain(self, level: Level, event: str, values: dict[str, Value]) -> None:
        now = self._now()
        self._trouble[event] += 1
        if self._trouble[event] > MOST_TROUBLE:
            self._suppressed += 1
        else:
            self._add(_Line(now, level, event, values))

    def _add(self, line: _Line) -> None:
        if len(self._lines) < MOST_WAITING:
            self._lines.append(line)
        else:
            self._suppressed += 1

    def _write(self) -> None:
        """A log that cannot be written (full disk, closed pipe) must not stop the machines: its lines are lost."""
        render = _for_people if self._people else _as_json
        lines = []
        with suppress(IndexError):
            while True:
                lines.append(self._lines.popleft())
        if self._suppressed:
            count, self._suppressed = self._suppressed, 0
            lines.append(_Line(time.time(), "warning", "lines-suppressed", {"count": count}))
        with suppress(OSError, ValueError):
            self._put("".join(render(*line) for line in lines))

    def _put(self, text: str) -> None:
        """Past Python's buffer where there is a descriptor: a thread held up in it would hold its lock at exit."""
        try:
            descriptor = self._stream.fileno()
        except io.UnsupportedOperation:
            self._stream.write(text)
            return
        data = memoryview(text.encode(errors="backslashreplace"))
        while data:
            data = data[os.write(descriptor, data) :]


class Bridge(logging.Handler):
    """Takes what libraries say through `logging`, so that there is one log, one line each and no traceback on its own."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        values: dict[str, Value] = {"from": record.name, "message": record.getMessage().strip()}
        if record.exc_info:
            values["traceback"] = logging.Formatter().formatException(record.exc_info)
        (self._log.error if record.levelno >= logging.ERROR else self._log.warning)("library", **values)


def _as_json(at: float, level: Level, event: str, values: dict[str, Value]) -> str:
    line = {"time": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"), "level": level, "event": event}
    try:
        encoded = msgspec.json.encode(line | values)
    except UnicodeEncodeError:
        encoded = msgspec.json.encode(line | {key: _sound(value) for key, value in values.items()})
    return encoded.decode() + "\n"


def _sound(value: Value) -> Value:
    """A file name that is no UTF-8 comes as lone surrogates, which JSON cannot hold."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _for_people(at: float, level: Level, event: str, values: dict[str, Value]) -> str:
    """Escapes what a hostile peer may have put in a name: a terminal must not obey it."""
    clock = datetime.fromtimestamp(at).strftime("%H:%M:%S")
    said = " ".join(f"{key}={_printable(value)}" for key, value in values.items() if value not in ("", None))
    return f"{clock} {'' if level == 'info' else level.upper() + ' '}{event} {said}\n"


def _printable(value: Value) -> str:
    text = str(value)
    return text if text.isprintable() else ascii(text)
