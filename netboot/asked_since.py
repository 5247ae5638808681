"""Since when each machine is asked for the work that it is asked for now.

Core. The law: a commit that leaves a machine's work as it was begins nothing anew, however many commits there are; only another
run, or another workflow, does.
"""

from __future__ import annotations

from collections.abc import Mapping

from netboot.plan import Machine
from netboot.work import Work

Works = tuple[Work, ...]


class AskedSince:
    def __init__(self) -> None:
        self._known: dict[str, tuple[Works, float]] = {}

    def take(self, machines: Mapping[str, Machine], at: float) -> None:
        """What is asked, `at` this second since the epoch. O(machines); what git does not name any more is forgotten."""
        before = self._known
        self._known = {name: (each.work, self._since(before.get(name), each.work, at)) for name, each in machines.items()}

    def of(self, name: str) -> float | None:
        """Seconds since the epoch; None for a machine that nothing is known of."""
        known = self._known.get(name)
        return known[1] if known else None

    @staticmethod
    def _since(known: tuple[Works, float] | None, work: Works, at: float) -> float:
        if known is None:
            return at
        before, since = known
        return since if before is work or _runs(before) >= _runs(work) else at


def _runs(work: Works) -> set[tuple[str, int, int]]:
    return {(each.workflow, each.run, each.part) for each in work}
