"""The recorder: keeps what was said lately with every machine that boots, beside the journal and apart from it.

Shell. Law: it explains and never decides, so nobody ever waits for it or hears of its troubles. What it is handed goes to a
thread of its own; what that cannot write, or what comes faster than it writes, is counted as dropped. Segments of lines form
a ring: a new one takes the place of the oldest. Nothing is fsynced, so a power cut may take the last seconds; what a crash
leaves of a line is passed over. On a full disk the oldest segment goes first: the journal needs the room more.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from netboot.chronicle import Chronicle
from netboot.errors import Malformed
from netboot.recording import Exchange, decode_line, encode

SEGMENT_BYTES = 8 << 20
SEGMENTS = 8
"""Some 4,000 boots: one is about 15 kB."""
MOST_WAITING = 20_000
_BATCH = 500
"""Exchanges of one write."""


class Recorder:
    """`note` in the loop, `flush_soon` a few times a second, `close` at the end."""

    def __init__(
        self,
        folder: Path,
        commit_of: Callable[[str], str] = lambda plan: "",
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segments: int = SEGMENTS,
    ) -> None:
        """`commit_of`: the commit that a plan was made of; "": not known."""
        self.chronicle = Chronicle()
        self.dropped = 0
        """Exchanges that were not kept, since start."""
        self._folder = folder
        self._commit_of = commit_of
        self._segment_bytes = segment_bytes
        self._segments = segments
        self._waiting: deque[Exchange] = deque()
        self._writer: threading.Thread | None = None
        self._writing = threading.Lock()
        self._file = -1
        self._size = 0

    def note(self, exchange: Exchange) -> None:
        exchange = msgspec.structs.replace(exchange, commit=self._commit_of(exchange.plan))
        self.chronicle.note(exchange)
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(exchange)
        else:
            self.dropped += 1

    def remember(self, since: float) -> threading.Thread:
        """Has a thread add to the chronicle what was kept before `since`, when we began. It can be joined."""
        before = Chronicle()

        def read_all() -> None:
            with suppress(OSError):
                for exchange in read(self._folder):
                    if exchange.at < since:
                        before.note(_sharing(exchange))
            self.chronicle.before = before

        reader = threading.Thread(target=read_all, name="chronicle", daemon=True)
        reader.start()
        return reader

    def flush_soon(self) -> None:
        """Has the thread write what waits, unless it is still at it."""
        if self._waiting and not (self._writer and self._writer.is_alive()):
            self._writer = threading.Thread(target=self.flush, name="recorder", daemon=True)
            self._writer.start()

    def flush(self) -> None:
        """Returns when what waits is written, or counted."""
        with self._writing:
            while self._waiting:
                batch: list[Exchange] = []
                with suppress(IndexError):
                    while len(batch) < _BATCH:
                        batch.append(self._waiting.popleft())
                self._keep(batch)

    def close(self, seconds: float = 2.0) -> None:
        """Waits that long for the disk."""
        self.flush_soon()
        if self._writer:
            self._writer.join(seconds)
        if self._writing.acquire(blocking=False):
            self._close()
            self._writing.release()

    def _keep(self, batch: list[Exchange]) -> None:
        try:
            self._write(b"".join(_line(exchange) for exchange in batch))
        except OSError:
            self.dropped += len(batch)
            with suppress(OSError):
                self._close()  # the next batch opens it anew, behind what this one left of a line
            with suppress(OSError):
                for path in _segments(self._folder)[:-1][:1]:
                    path.unlink()

    def _write(self, data: bytes) -> None:
        if self._file < 0 or self._size >= self._segment_bytes or not os.fstat(self._file).st_nlink:
            self._open()
        view = memoryview(data)
        while view:
            written = os.write(self._file, view)
            self._size += written
            view = view[written:]

    def _open(self) -> None:
        """The last segment, or the next one when that is full; too many of them, and the oldest go."""
        self._close()
        self._folder.mkdir(mode=0o750, exist_ok=True)
        segments = _segments(self._folder)
        path = segments[-1] if segments else self._folder / f"{1:020d}.jsonl"
        if segments and path.stat().st_size >= self._segment_bytes:
            path = self._folder / f"{int(path.stem) + 1:020d}.jsonl"
            segments.append(path)
        for old in segments[: -self._segments]:
            old.unlink()
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._file).st_size
        if self._size and os.pread(self._file, 1, self._size - 1) != b"\n":
            self._size += os.write(self._file, b"\n")

    def _close(self) -> None:
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)


def read(folder: Path) -> Iterator[Exchange]:
    """What is kept, oldest first. Unreadable lines are passed over, and so is a segment that goes meanwhile. Safe beside a
    writer. Raises OSError.
    """
    for path in _segments(folder):
        with suppress(FileNotFoundError):
            for line in path.read_bytes().splitlines():
                with suppress(Malformed):
                    yield decode_line(line)


def _segments(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.jsonl") if path.stem.isascii() and path.stem.isdecimal())


def _line(exchange: Exchange) -> bytes:
    try:
        return encode(exchange) + b"\n"
    except UnicodeEncodeError:  # a path that a peer asked for and that is no UTF-8
        sound = {name: getattr(exchange, name).encode(errors="backslashreplace").decode() for name in ("said", "reason")}
        return encode(msgspec.structs.replace(exchange, **sound)) + b"\n"


def _sharing(exchange: Exchange) -> Exchange:
    """Texts of which there are few, each once: every line that is read has its own, half of what is remembered."""
    few = {name: sys.intern(getattr(exchange, name)) for name in ("kind", "boot", "plan", "commit", "outcome")}
    return msgspec.structs.replace(exchange, **few)
