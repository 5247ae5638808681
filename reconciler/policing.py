"""Policing: what policy holds of a commit before its plan is published.

Shell. The law: a plan is published with its holds or not at all, and they are judged by what lies beside the plan that is
served. Where that cannot be read, everything is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from netboot.holds import Holds
from netboot.journal import events_of
from netboot.observed import Observed, fold
from netboot.plan import BootPlan
from netboot.plans import PlanStore
from netboot.policy import KINDS, NO_POLICY
from netboot.store import Corrupt
from reconciler.approvals import approved
from reconciler.changes import HeldBack
from reconciler.policy import approvers, how_to_release, in_force, judge, released, said, with_release
from reconciler.problems import Problem
from reconciler.repository import Repository
from reconciler.trust import Floor

KEYRING = "approvers"


@dataclass(frozen=True, slots=True)
class Judged:
    holds: Holds
    """Of the plan, if it is served."""
    said: tuple[HeldBack, ...]
    problems: tuple[Problem, ...] = ()
    """Warnings about commits that would approve what is left, and do not."""

    @property
    def waits(self) -> bool:
        """The plan is not to be served."""
        return any(each.whole for each in self.said)


class Policing:
    """Of one state directory. Every method may raise `Unavailable` and OSError."""

    def __init__(self, repository: Repository, state: Path, plans: PlanStore, floor: Floor) -> None:
        self._repository = repository
        self._state = state
        self._plans = plans
        self._floor = floor

    def mend(self) -> None:
        """A plan that was published before there were holds has none; where no policy says anything, nothing is held of it.

        That is of a store where none has: elsewhere they are lost, and with them what is held of a plan that drops its policy.
        """
        current = self._plans.current_id()
        if current is None or self._plans.ever_judged():
            return
        served = self._served(current)
        if served is not None and self._is_free(served):
            self._plans.write_holds(Holds(current))

    def judge(self, revision: str, plan: BootPlan) -> Judged:
        """With what was approved released, and with how the rest is."""
        current = self._plans.current_id()
        before = self._plans.holds(current) if current else None
        served = (plan if current == plan.id else self._served(current, plan)) if current else None
        verdict = judge(served, plan, before, self._floor)
        if current != plan.id and (verdict.lacks or verdict.holds.held):
            verdict = judge(served, plan, before, self._floor, self._observed())
        since = before.revision if before else ""
        rules = in_force(served, before or Holds(""))
        may = {kind: approvers(rules, self._floor, kind, plan.site) for kind in KINDS}
        how = {kind: how_to_release(plan.id, kind, signers) for kind, signers in may.items()}
        unheeded: tuple[str, ...] = ()
        if verdict.lacks:
            asked = {kind: may[kind] for kind in KINDS if kind in verdict.lacks}
            word = approved(self._repository, revision, since, plan.id, asked, self._state / KEYRING)
            verdict = with_release(released(verdict, word.kinds, plan.site, self._floor), how)
            unheeded = word.unheeded if verdict.lacks else ()
        holds = msgspec.structs.replace(verdict.holds, revision=since if verdict.lacks else revision)
        problems = tuple(Problem("", 0, 0, "", "unheeded-approval", "warning", each) for each in unheeded)
        return Judged(holds, said(verdict, how), problems)

    def _is_free(self, plan: BootPlan) -> bool:
        protected = any(machine.protect for machine in plan.machines.values())
        return plan.site.policy == NO_POLICY == self._floor.policy and not protected

    def _served(self, plan: str, known: BootPlan | None = None) -> BootPlan | None:
        try:
            return self._plans.load(plan, known)
        except (FileNotFoundError, ValueError):
            return None

    def _observed(self) -> Observed | None:
        """What has run; where the journal cannot be read nothing is known, and every run counts as not begun."""
        try:
            return fold(events_of(self._state / "journal"))
        except (OSError, Corrupt):
            return None
