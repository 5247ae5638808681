"""What actions print, as files: appended where the writer says the end is, and bounded.

Shell. Law: a byte is kept once and in order: an append at any other place than the end is refused with the place of the end. A
run that prints without end gets its first `limit` bytes kept, then one line that says so; the rest is taken and dropped, so
that the agent goes on. Logs are not fsynced: they explain, they do not decide.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from netboot.log_names import path, safe
from netboot.store import LogName, Misplaced, Unavailable

RUN_BYTES = 64 * 1024 * 1024


class Logs:
    def __init__(self, directory: Path, limit: int = RUN_BYTES) -> None:
        """`limit`: bytes kept of one run, all its actions together."""
        self._directory = directory
        self._limit = limit
        self._held: dict[str, int] = {}

    def append(self, log: LogName, offset: int, data: bytes) -> int:
        """Returns the bytes now held, dropped ones included. Raises Misplaced or Unavailable."""
        file = self._directory / path(log)
        held = self._held_by(log.run)
        if held > self._limit:
            return offset + len(data)
        size = file.stat().st_size if file.exists() else 0
        if offset != size:
            raise Misplaced(size)
        kept = data[: self._limit - held]
        if len(kept) < len(data):
            kept += f"\n[gitboot: this run has printed more than {self._limit} bytes; the rest is not kept]\n".encode()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as end:
                end.write(kept)
        except OSError as error:
            self._held.pop(log.run, None)
            raise Unavailable(f"the log cannot be written: {error}") from error
        self._held[log.run] = held + len(kept)
        return offset + len(data)

    def read(self, log: LogName, offset: int = 0, size: int = -1) -> bytes:
        try:
            with (self._directory / path(log)).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            return b""

    def folders(self) -> dict[str, float]:
        """What is kept of each run and boot, by its folder: when a log was last begun in it. Raises OSError."""
        if not self._directory.exists():
            return {}
        with os.scandir(self._directory) as entries:
            return {entry.name: entry.stat().st_mtime for entry in entries if entry.is_dir(follow_symlinks=False)}

    def remove(self, folder: str) -> None:
        """With all logs in it. Raises OSError."""
        shutil.rmtree(self._directory / folder)

    def _held_by(self, run: str) -> int:
        if run not in self._held:
            files = (self._directory / safe(run)).rglob("*.log")
            self._held[run] = sum(file.stat().st_size for file in files)
        return self._held[run]
