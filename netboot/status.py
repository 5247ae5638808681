"""Status files: documents put where a web server, a person or a backup can read them.

Shell. Law: a reader sees the old document or the new one, whole (rename). They are not fsynced: they are derived from the
journal, and every one is written again at start. Changes are gathered for a moment, so that a busy run does not write a file
per report.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from netboot.store import Unavailable

Render = Callable[[str], bytes | None]
"""Path → the document's bytes, or None when there is no such document (any more)."""


class StatusFiles:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, path: str, document: bytes) -> None:
        """Raises Unavailable, or ValueError for a path that leads out of the directory."""
        file = self._file(path)
        fresh = file.with_name(f".{file.name}.new")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(document)
            fresh.rename(file)
        except OSError as error:
            raise Unavailable(f"{file} cannot be written: {error}") from error

    def remove(self, path: str) -> None:
        """Raises as `put` does."""
        try:
            self._file(path).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"{path} cannot be removed: {error}") from error

    def paths(self, folders: Iterable[str]) -> list[str]:
        """The documents that are there in these folders."""
        return [f"{folder}/{file.name}" for folder in folders for file in (self._directory / folder).glob("[!.]*.json")]

    def _file(self, path: str) -> Path:
        file = (self._directory / path).absolute()
        if ".." in file.parts or not file.is_relative_to(self._directory.absolute()):
            raise ValueError(f"{path!r} is not below the status directory")
        return file


class StatusWriter:
    """`mark` what changed; `run` writes it soon after. A disk that is full delays it and loses nothing."""

    def __init__(self, files: StatusFiles, render: Render, delay: float = 0.2, retry: float = 2.0) -> None:
        """`delay`: seconds in which changes are gathered. `retry`: seconds after a failed write."""
        self._files = files
        self._render = render
        self._delay = delay
        self._retry = retry
        self._dirty: dict[str, None] = {}
        self._changed = asyncio.Event()
        self.failure: Unavailable | None = None
        """Why the files are behind; None when the last write succeeded."""

    def mark(self, paths: Iterable[str]) -> None:
        self._dirty.update(dict.fromkeys(paths))
        if self._dirty:
            self._changed.set()

    async def run(self) -> None:
        """Until cancelled; then what is marked is written once more, if the disk allows."""
        try:
            while True:
                await self._changed.wait()
                await asyncio.sleep(self._retry if self.failure else self._delay)
                await self.flush()
        finally:
            with contextlib.suppress(Unavailable):
                self._write(self._take())

    async def flush(self) -> None:
        """Writes what is marked now. A failure is kept in `failure`, what is not written stays marked."""
        documents = self._take()
        try:
            await asyncio.to_thread(self._write, documents)
            self.failure = None
        except Unavailable as error:
            self.failure = error
            self.mark(documents)

    def _take(self) -> dict[str, bytes | None]:
        """Rendered in the event loop, where observed state does not change meanwhile."""
        dirty, self._dirty = self._dirty, {}
        self._changed.clear()
        return {path: self._render(path) for path in dirty}

    def _write(self, documents: dict[str, bytes | None]) -> None:
        for path, document in documents.items():
            if document is None:
                self._files.remove(path)
            else:
                self._files.put(path, document)
