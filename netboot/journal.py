"""The journal on disk: append-only segments of lines, made durable together.

Shell. Law: `done(None)` is called only after fsync; what fsync did not confirm is taken back, on disk and in the
numbering, before anybody hears of the failure. Group commit: whatever is submitted while a write runs shares the next
one. Reading never skips: an unfinished last line is cut off with a note (and kept beside it), anything else raises Corrupt.
Compaction is out of scope: segments accumulate and are all read at start.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from netboot.events import Event
from netboot.journal_format import Scan, lines, scan
from netboot.store import Conflict, Corrupt, Done, Unavailable

SEGMENT_BYTES = 16 * 1024 * 1024
PROBE_BYTES = 1024 * 1024
"""What must fit on the disk before the journal trusts it again: less would flap at the brim."""
Sync = Callable[[int, bytes], None]


def write_and_sync(file: int, data: bytes) -> None:
    """Raises OSError, having written all, some or none of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
    os.fdatasync(file)


class Journal:
    """`open` it, hand it the event loop by submitting from within one, `close` it. Not for use by several threads."""

    def __init__(
        self, directory: Path, *, segment_bytes: int = SEGMENT_BYTES, retry: float = 1.0, sync: Sync = write_and_sync
    ) -> None:
        """`retry`: seconds between two attempts to recover from a failed write. `sync` is the seam for faulty disks."""
        self.last = 0
        """Number of the last event submitted."""
        self.committed = 0
        """Number of the last durable event."""
        self.failure: Unavailable | None = None
        """Why nothing can be appended now."""
        self.notes: list[str] = []
        """What a person should know about the last `open`."""
        self.on_failure: Callable[[], None] = lambda: None
        """Called when submitted events turned out lost, before their `done`."""
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._retry = retry
        self._sync = sync
        self._file = -1
        self._size = 0
        self._pending: list[tuple[bytes, Done]] = []
        self._writing: list[tuple[bytes, Done]] = []
        self._flushing = False
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._idle = asyncio.Event()
        self._idle.set()

    def open(self, apply: Callable[[Event], None]) -> None:
        """Reads every event into `apply`, then stands ready to append. Raises Corrupt or OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        segments = _segments(self._directory)
        for path in segments:
            found = _read(path, self.last + 1)
            if found.problem:
                self._cut(path, found, is_last=path == segments[-1])
            for event in found.events:
                apply(event)
            self.last += len(found.events)
        self.committed = self.last
        self._open_segment(segments[-1] if segments else self._path(1))

    def read(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Durable events only: stops before what a failed write left behind."""
        last = 0
        for path in _segments(self._directory):
            events = _read(path, last + 1).events
            for seq, event in enumerate(events, last + 1):
                if after < seq <= self.committed:
                    yield seq, event
            last += len(events)
        if last < self.committed:
            raise Corrupt(f"{self._directory} holds {last} events where {self.committed} were written")

    def submit(self, events: Sequence[Event], done: Done, expected: int | None = None) -> int:
        """Returns the number of the last event at once; calls `done` later, in the loop, never from within this call.

        Without events it is a barrier: done when all that was submitted before is. Raises Conflict or Unavailable, and then
        nothing was submitted.
        """
        if self.failure:
            raise self.failure
        if expected is not None and expected != self.last:
            raise Conflict(f"event {self.last} was appended since event {expected}")
        loop = asyncio.get_running_loop()
        if not events and not self._flushing:
            loop.call_soon(done, None)
            return self.last
        self._pending.append((lines(self.last + 1, events), done))
        self.last += len(events)
        if not self._flushing:
            self._flushing = True
            self._idle.clear()
            loop.call_soon(self._flush)
        return self.last

    async def append(self, expected: int | None, events: Sequence[Event]) -> int:
        """`submit`, then wait until it is durable."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        last = self.submit(events, lambda error: _settle(future, error), expected)
        await future
        return last

    async def close(self) -> None:
        """Waits for what was submitted."""
        await self._idle.wait()
        self._closed = True
        self._thread.shutdown()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    # Writing: one batch at a time, in the thread

    def _flush(self) -> None:
        self._writing, self._pending = self._pending, []
        data = b"".join(data for data, _ in self._writing)
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._write, data, self.committed + 1)
        last = self.last
        work.add_done_callback(lambda work: self._written(work.exception(), last))

    def _write(self, data: bytes, first: int) -> None:
        if not data:
            return
        self._still_there()
        if self._size >= self._segment_bytes:
            self._open_segment(self._path(first))
        self._sync(self._file, data)
        self._size += len(data)

    def _written(self, error: BaseException | None, last: int) -> None:
        finished, self._writing = self._writing, []
        if error is not None:
            self._fail(error, finished)
            return
        self.committed = last
        if self._pending:
            self._flush()
        else:
            self._flushing = False
            self._idle.set()
        for _, done in finished:
            asyncio.get_running_loop().call_soon(done, None)

    # Failure: take back, then try until the disk can be trusted

    def _fail(self, error: BaseException, finished: list[tuple[bytes, Done]]) -> None:
        lost, self._pending = finished + self._pending, []
        self._flushing = False
        self.last = self.committed
        self.failure = Unavailable(f"the journal cannot be written: {error}")
        self.on_failure()
        for _, done in lost:
            asyncio.get_running_loop().call_soon(done, self.failure)
        self._idle.set()
        self._recover_later()

    def _recover_later(self) -> None:
        loop = asyncio.get_running_loop()

        def attempt() -> None:
            if self._closed:
                return
            work = loop.run_in_executor(self._thread, self._recover)
            work.add_done_callback(lambda work: self._recovered(work.exception()))

        loop.call_later(self._retry, attempt)

    def _recover(self) -> None:
        """Cuts off what the failed write left and makes sure that the disk takes more."""
        self._still_there()
        os.ftruncate(self._file, self._size)
        os.fsync(self._file)
        probe = self._directory / ".probe"
        try:
            with probe.open("wb") as file:
                file.write(bytes(PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        finally:
            probe.unlink(missing_ok=True)

    def _recovered(self, error: BaseException | None) -> None:
        if error is not None:
            self._recover_later()
        else:
            self.failure = None

    # Files

    def _still_there(self) -> None:
        """What is written to a file that has no name any more is lost when we end. Raises OSError, now and ever after."""
        if not os.fstat(self._file).st_nlink:
            step = "stop gitboot, put the journal back from a backup, and start again"
            raise OSError(errno.ENOENT, f"its file was removed from {self._directory}; {step}")

    def _path(self, first: int) -> Path:
        return self._directory / f"{first:020d}.jsonl"

    def _open_segment(self, path: Path) -> None:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        sync_directory(path.parent)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = file, os.fstat(file).st_size

    def _cut(self, path: Path, found: Scan, *, is_last: bool) -> None:
        if not (is_last and found.torn):
            raise Corrupt(
                f"{path} is damaged at byte {found.size} (event {self.last + len(found.events) + 1}): {found.problem}. "
                "Nothing was changed. Restore the journal from a backup; or, to give up this event and every later one, "
                f"stop gitboot, run `truncate -s {found.size} {path}` and move later segments away: machines whose runs "
                "are forgotten that way may run their workflows again"
            )
        data = path.read_bytes()
        rest = path.with_suffix(f".torn-{found.size}")
        rest.write_bytes(data[found.size :])
        with path.open("rb+") as file:
            file.truncate(found.size)
            os.fsync(file.fileno())
        self.notes.append(
            f"{path.name}: cut off {len(data) - found.size} bytes that a crash left unfinished, kept in {rest.name}"
        )


def events_of(directory: Path) -> Iterator[Event]:
    """What is on disk, for whoever looks on: an unfinished end is left out, be it of a write under way. Raises Corrupt for
    anything else that is not as it was written, and OSError.
    """
    last = 0
    for path in _segments(directory):
        found = _read(path, last + 1)
        yield from found.events
        last += len(found.events)
        if found.problem and not found.torn:
            raise Corrupt(f"{path} is damaged at byte {found.size}: {found.problem}")


def sync_directory(directory: Path) -> None:
    """Makes the names in it durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.jsonl"))


def _read(path: Path, first: int) -> Scan:
    if not (path.stem.isascii() and path.stem.isdecimal() and path.is_file()):
        raise Corrupt(f"{path} is no segment of the journal: move it away")
    if int(path.stem) != first:
        raise Corrupt(f"{path} begins with event {int(path.stem)}, but event {first} is due: a segment before it is missing")
    return scan(path.read_bytes(), first)


def _settle(future: asyncio.Future[None], error: Unavailable | None) -> None:
    if future.done():
        return  # whoever waited was cancelled; the events count all the same
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
