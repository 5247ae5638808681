"""The state directory: the store on local disk, and the rule that one server owns it.

Shell. Law: whoever constructs one holds its lock until `close`, so two servers on one directory cannot exist; a second one gets
a sentence. What is in it is in docs/design.md.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from netboot.events import Event
from netboot.journal import Journal, sync_directory, write_and_sync
from netboot.ledger import Ledger
from netboot.logs import Logs
from netboot.status import StatusFiles
from netboot.store import Corrupt, LogName
from netboot.tokens import KEY_BYTES


class Locked(Exception):
    """Another server owns this state directory."""


class StateDirectory:
    """A `store.Store`. Servers decide and commit through `ledger`, which is this store's journal with its fold."""

    def __init__(self, path: Path) -> None:
        """Makes what is missing. Raises Locked, `store.Corrupt` or OSError."""
        path.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = _lock(path / "lock")
        try:
            self.key = _key(path / "key")
            self.journal = Journal(path / "journal")
            self.ledger = Ledger(self.journal)
        except BaseException:
            os.close(self._lock)
            raise
        self.logs = Logs(path / "logs")
        self.status = StatusFiles(path / "status")

    async def append(self, expected: int | None, events: Sequence[Event]) -> int:
        return await self.ledger.append(expected, events)

    def read(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        return self.journal.read(after)

    def put_status(self, path: str, document: bytes) -> None:
        self.status.put(path, document)

    def append_log(self, log: LogName, offset: int, data: bytes) -> int:
        return self.logs.append(log, offset, data)

    def read_log(self, log: LogName, offset: int = 0, size: int = -1) -> bytes:
        return self.logs.read(log, offset, size)

    def room(self) -> int | None:
        """Bytes that are left on its disk for whoever is not root; None: nobody can tell."""
        try:
            disk = os.statvfs(self._path)
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize

    async def close(self) -> None:
        await self.ledger.close()
        os.close(self._lock)


def _lock(path: Path) -> int:
    """An flock, which the kernel gives back however the process ends."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(file, 64).decode(errors="replace").strip() or "unknown"
        os.close(file)
        raise Locked(
            f"{path.parent} is in use by another gitboot (process {owner}). "
            "Stop that one, or give this one another directory with --state"
        ) from None
    os.ftruncate(file, 0)
    os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    return file


def _key(path: Path) -> bytes:
    """The server key, made once. Whoever reads it can speak for every boot, and whoever knows that it is empty, too."""
    if not path.exists():
        fresh = path.with_suffix(".new")
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_and_sync(file, os.urandom(KEY_BYTES))
        finally:
            os.close(file)
        fresh.rename(path)
        sync_directory(path.parent)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise Corrupt(
            f"{path} holds {len(key)} bytes where a key has {KEY_BYTES}. Restore it from a backup; or remove it and start "
            "again, and a new one is made: machines that are at work then must boot again"
        )
    return key
