"""What was served after each commit of a history, compiled when somebody asks.

Shell. One reader and one compiler go from commit to commit, so that each costs what it changed; a commit that touches no file
of the inventory is not even read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from netboot.plan import BootPlan
from reconciler.compile import Compiler
from reconciler.problems import Rejected
from reconciler.reader import Reader
from reconciler.repository import Repository
from reconciler.snapshot import is_inventory

_MOST_BYTES = 64 * 1024 * 1024
"""Of the names that one commit touches."""
_KEPT = 16
"""Plans at hand: a walk goes from a commit to its parents."""


class Past:
    """Every commit in the history of one. Its methods may raise `Unavailable`."""

    def __init__(self, repository: Repository, head: str) -> None:
        self._repository = repository
        self.parents: Mapping[str, Sequence[str]] = repository.ancestry(head)
        """Children before parents."""
        self._trees = repository.trees(self.parents)
        self._reader, self._compiler = Reader(), Compiler()
        self._means: dict[str, str] = {}
        self.rejected: dict[str, None] = {}
        """Commits that were asked for and cannot be served."""
        self._compiled = lru_cache(_KEPT)(self._compile)

    def served(self, commit: str) -> BootPlan | None:
        """What the last commit that can be served, back from this one, compiles to; None when there is none."""
        passed = []
        while True:
            passed.append(commit)
            commit = self._means.get(commit, commit)
            parent = next(iter(self.parents[commit]), None)
            if parent is not None and not self._touches(commit, parent):
                commit = parent
            elif (plan := self._compiled(commit)) is not None or parent is None:
                self._means |= dict.fromkeys(passed, commit)
                return plan
            else:
                self.rejected[commit] = None
                commit = parent

    def _touches(self, commit: str, parent: str) -> bool:
        """Whether a commit changes a file of the inventory."""
        now, before = self._trees[commit], self._trees[parent]
        if now == before or not now or not before:
            return now != before
        paths = self._repository.differences([(before, now)], _MOST_BYTES).get((before, now), [])
        return any(map(is_inventory, paths))

    def _compile(self, commit: str) -> BootPlan | None:
        try:
            inventory, _ = self._reader.read(self._repository.snapshot(commit, self._reader.known))
        except Rejected:
            return None
        dump = self._compiler.compile(inventory).dump if inventory else None
        return dump.plan if dump else None
