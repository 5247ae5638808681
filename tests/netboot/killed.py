"""Kill a piece of code at each of its steps on disk: Python's audit events are its system calls by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WATCHED = frozenset({"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.link", "os.truncate"})


class Killed(BaseException):
    """No `except Exception` may catch it, as none catches SIGKILL."""


class _Hook:
    """There is one for the whole test run, for audit hooks cannot be taken back; outside of `steps` it does nothing."""

    def __init__(self) -> None:
        self.folder = ""
        self.left = 0
        self.taken = 0
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.folder or event not in _WATCHED or not str(args[0]).startswith(self.folder):
            return
        self.taken += 1
        if self.taken > self.left:
            raise Killed(f"{event} {args}")


_hook: _Hook | None = None


@contextmanager
def _armed(folder: Path, left: int) -> Iterator[_Hook]:
    global _hook
    _hook = _hook or _Hook()
    _hook.folder, _hook.left, _hook.taken = str(folder), left, 0
    try:
        yield _hook
    finally:
        _hook.folder = ""


def survivals(folder: Path, prepare: Callable[[], None], work: Callable[[], None]) -> Iterator[int]:
    """For n = 0, 1, …: prepare, kill `work` before its (n+1)-th step below `folder`, yield n; ends when it is done."""
    step = 0
    while True:
        prepare()
        with _armed(folder, step):
            try:
                work()
            except Killed:
                finished = False
            else:
                finished = True
        yield step
        if finished:
            return
        step += 1
