"""What is asked for to be tried, and what git says to it: the files between an operator, the reconciler and the servers.

Shell. `STATE/tries/<machine>.json` is the operator's, of whom only one at a time can want something of a machine;
`STATE/tries.json` is the reconciler's word on all of them. Each is replaced whole; one that cannot be read asks for nothing and
pins nobody, so that every machine boots what is served.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from netboot.tries import Asked, Judged

FOLDER = "tries"
NAME = "tries.json"
SEEN = ".tags.json"
_UNREADABLE = (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
Shape = TypeVar("Shape")


def ask(state: Path, asked: Asked) -> None:
    """In place of what was asked of this machine before. Raises OSError. The name of a machine is that of a file."""
    (state / FOLDER).mkdir(exist_ok=True)
    _write(_file(state, asked.machine), asked)


def take_back(state: Path, machine: str) -> bool:
    """Whether there was something to take back. Raises OSError."""
    try:
        _file(state, machine).unlink()
    except FileNotFoundError:
        return False
    return True


def asked_for(state: Path) -> list[Asked]:
    """In the order of the machines' names."""
    found = (_read(path, Asked) for path in sorted((state / FOLDER).glob("[!.]*.json")))
    return [asked for asked in found if asked is not None]


def write_judged(state: Path, judged: Iterable[Judged]) -> None:
    """Raises OSError."""
    _write(state / NAME, list(judged))


def read_judged(state: Path) -> list[Judged]:
    return _read(state / NAME, list[Judged]) or []


def read_seen(state: Path) -> set[str]:
    """Ids of the signed tags that were heeded."""
    return set(_read(state / FOLDER / SEEN, list[str]) or ())


def write_seen(state: Path, seen: Iterable[str]) -> None:
    """Raises OSError."""
    (state / FOLDER).mkdir(exist_ok=True)
    _write(state / FOLDER / SEEN, sorted(seen))


def told(state: Path) -> list[dict[str, Any]]:
    """What the servers' status said last of each try (`try_status.try_document`)."""
    status = _read(state / "status" / NAME, _Status)
    return [] if status is None else status.tries


class _Status(msgspec.Struct):
    tries: list[dict[str, Any]]


class JudgedReader:
    """`latest` is the word as of the last `look`."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._stamp: tuple[int, int] | None = None
        self.latest: list[Judged] = []

    def look(self) -> bool:
        """Whether it was written anew."""
        try:
            status = (self._state / NAME).stat()
            stamp = status.st_ino, status.st_mtime_ns
        except OSError:
            stamp = None
        if stamp == self._stamp:
            return False
        self._stamp, self.latest = stamp, read_judged(self._state)
        return True


def _file(state: Path, machine: str) -> Path:
    if not machine or machine.startswith(".") or "/" in machine or "\0" in machine:
        raise FileNotFoundError(f"no machine can be called {machine!r}")
    return state / FOLDER / f"{machine}.json"


def _write(path: Path, value: object) -> None:
    partial = path.with_name(f".{path.name}.new")
    partial.write_bytes(msgspec.json.encode(value))
    partial.replace(path)


def _read(path: Path, shape: type[Shape]) -> Shape | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except _UNREADABLE:
        return None
