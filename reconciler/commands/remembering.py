"""The user's cache folder, and what is kept in it of a repository: safe to lose, and never believed without a look."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import agent
import netboot
import reconciler
import schemas
from reconciler.memory import Memory, decode, encode

MOST_KEPT = 8
"""Repositories."""


class Remembered:
    """Of one inventory, by `name`. What cannot be read or written is not remembered, and nobody is told."""

    def __init__(self, name: str, cache: Path | None = None) -> None:
        self._gitboot = _gitboot()
        self._folder = cache or _cache()
        self._file = self._folder / f"{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:32]}.plan"

    def recall(self) -> Memory | None:
        with contextlib.suppress(OSError):
            if self._file.stat().st_uid == os.getuid():  # another one's word counts for nothing
                return decode(self._file.read_bytes(), self._gitboot)
        return None

    def keep(self, memory: Memory) -> None:
        fresh = self._file.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError, ValueError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            data = encode(memory, self._gitboot)
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
            fresh.replace(self._file)
            kept = sorted(self._folder.glob("*.plan"), key=lambda path: path.stat().st_mtime, reverse=True)
            for old in kept[MOST_KEPT:]:
                old.unlink(missing_ok=True)


def _cache() -> Path:
    """As the XDG Base Directory Specification has it."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ.get("HOME") or "/nonexistent", ".cache")
    return Path(home, "gitboot")


def _gitboot() -> str:
    """Stands for this program: by the size and the time of each of its files, so that no change to it is missed."""
    digest = hashlib.sha256()
    for package in (agent, netboot, reconciler, schemas):
        for folder in package.__path__:
            for place, below, names in os.walk(folder):
                below.sort()
                for name in sorted(name for name in names if name.endswith((".py", ".json"))):
                    status = os.stat(os.path.join(place, name))
                    digest.update(f"{place}/{name} {status.st_size} {status.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()
