"""Where git stands, as the reconciler last said: one small file between the two processes.

Shell. The reconciler writes it after every look at git; the servers read it when it changed and show it in their status. A
reader sees the old word or the new one, whole; a word that cannot be read is as good as none.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from netboot.reconcile_document import Reconciliation

NAME = "reconcile.json"
MOST_COMMITS = 256
"""Whose plans are remembered."""


def write_reconciliation(state: Path, word: Reconciliation) -> None:
    """Raises OSError."""
    partial = state / f"{NAME}.new"
    partial.write_bytes(msgspec.json.encode(word))
    partial.replace(state / NAME)


def read_reconciliation(state: Path) -> Reconciliation | None:
    """The last word, or None when there is none that can be read."""
    reader = ReconciliationReader(state)
    reader.look()
    return reader.latest


class ReconciliationReader:
    """`latest` is the word as of the last `look`."""

    def __init__(self, state: Path) -> None:
        self._path = state / NAME
        self._stamp: tuple[int, int, int] | None = None
        self.latest: Reconciliation | None = None
        self._commits: dict[str, str] = {}
        """Plan → the commit that it was made of, of those that were looked at lately."""

    def commit_of(self, plan: str) -> str:
        """The commit that a plan was made of; "": not known."""
        return self._commits.get(plan, "")

    def look(self) -> bool:
        """Whether there was something new."""
        try:
            status = self._path.stat()
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
            if stamp == self._stamp:
                return False
            self.latest = msgspec.json.decode(self._path.read_bytes(), type=Reconciliation)
            self._stamp = stamp
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        self._commits[self.latest.plan] = self.latest.revision
        for old in list(self._commits)[:-MOST_COMMITS]:
            del self._commits[old]
        return True
