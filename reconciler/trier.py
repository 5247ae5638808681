"""Tries in git: each commit that somebody asked to try becomes a stored plan for one machine, or the reasons why not.

Shell. The law: `plans/current` never moves here, nothing is tried that `gitboot check` would not let through, and what git says
is written to `STATE/tries.json` before any server may act on it. Who may write the state directory may ask; the commit is held
to the rules of what is served.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict
from pathlib import Path

import msgspec

from netboot.artifacts import ArtifactStore, MirrorError
from netboot.holds import Holds
from netboot.plan import BootPlan, Machine
from netboot.plans import PlanStore
from netboot.tries import Asked, Judged
from netboot.try_files import ask, asked_for, read_judged, read_seen, take_back, told, write_judged, write_seen
from reconciler.commits import read_tag
from reconciler.compile import Compiler
from reconciler.errors import Unavailable, UnknownRef
from reconciler.guard import Guard
from reconciler.policy import approvers, in_force
from reconciler.problems import Problem, Rejected
from reconciler.reader import Reader
from reconciler.reconcile import archives_of, artifacts_of
from reconciler.repository import Repository
from reconciler.signers import counting
from reconciler.tries import forbidden, holds_of, may_write, refusal
from reconciler.try_tags import FOLDER, asked_by

_MOST_TAG_BYTES = 16 * 1024 * 1024


class Trier:
    """Of one state directory. Belongs to the reconciler's thread."""

    def __init__(self, repository: Repository, state: Path, plans: PlanStore, artifacts: ArtifactStore, guard: Guard) -> None:
        self._repository = repository
        self._state = state
        self._plans = plans
        self._artifacts = artifacts
        self._guard = guard
        self._known = {judged.asked.id: judged for judged in read_judged(state)}
        self._seen = read_seen(state)
        """Ids of the tags that asked already, or ask for nothing."""
        self._by: object = None
        """The plan and the holds by which the tries were judged last."""
        self._writing: dict[str, Machine] = {}
        """Id of each try that may write → the machine as it makes it."""

    @property
    def plans(self) -> set[str]:
        """That are not to be pruned."""
        return {judged.plan for judged in self._known.values() if judged.plan}

    def step(self) -> list[Judged]:
        """One look at what is asked for: what is new. Raises OSError; nothing that a commit holds is raised."""
        served = self._load(self._plans.current_id() or "")
        if served is None:
            return []
        with contextlib.suppress(Unavailable):  # the tags are there at the next look too
            self._heed_tags()
        state = {each["id"]: each["state"] for each in told(self._state)}
        for asked in asked_for(self._state):
            if state.get(asked.id) == "over":
                take_back(self._state, asked.machine)
        before, wanted = self._known, asked_for(self._state)
        by = served.id, self._plans.holds_stamp(served.id)
        anew, ids = by != self._by, {asked.id for asked in wanted}
        running = {name for name in state if state[name] == "running"}
        self._writing = {name: to for name, to in self._writing.items() if name in running or (name in ids and not anew)}
        wanted.sort(key=lambda asked: (asked.id not in running, asked.id not in before))  # who was first keeps the place
        self._known = {asked.id: self._judged(asked, served, anew) for asked in wanted}
        self._by = by
        if self._known != before:
            write_judged(self._state, self._known.values())
        return [judged for name, judged in self._known.items() if before.get(name) != judged]

    def _heed_tags(self) -> None:
        """Signed tags ask as an operator does, each once; where nobody is listed, for nothing. Raises Unavailable too."""
        if not self._guard.signers:
            return
        found = self._repository.tags_below(FOLDER, self._seen)
        known = self._repository.objects(found.values(), "tag", _MOST_TAG_BYTES) if found else {}
        signed = self._guard.signed(list(known), self._guard.signers) if known else frozenset()
        for name, each in found.items():
            tag = read_tag(each, known.get(each, b""))
            asked = asked_by(name, tag, time.time()) if tag and each in signed else None
            self._seen.add(each)
            if asked and asked.id not in self._known:
                with contextlib.suppress(FileNotFoundError):  # what can be no machine is none
                    ask(self._state, asked)
        if found:
            write_seen(self._state, self._seen)

    def _judged(self, asked: Asked, served: BootPlan, anew: bool) -> Judged:
        known = self._known.get(asked.id)
        if known is None or known.unavailable:
            return self._look(asked, served)
        if not (anew and known.plan):
            return known
        tried = self._load(known.plan)
        if tried is None:
            return self._look(asked, served)
        allowed = self._allowed(known, served, tried)
        self._hold(allowed, served)
        return allowed

    def _hold(self, allowed: Judged, served: BootPlan) -> None:
        """What is held of what is served now is held of what is tried, whatever its plan was kept with. Raises OSError."""
        if allowed.plan and allowed.plan != served.id:
            holds = holds_of(self._plans.holds(served.id), allowed.plan)
            if holds != self._plans.holds(allowed.plan):
                self._plans.write_holds(holds)

    def _look(self, asked: Asked, served: BootPlan) -> Judged:
        """Compiled anew: what the reconciler remembers of the served commits is not to be mixed with this one."""
        found = Judged(asked)
        try:
            found = Judged(
                asked, asked.commit if self._is_here(asked.commit) else self._repository.bring(asked.commit or asked.ref)
            )
            inventory, problems = Reader().read(self._repository.snapshot(found.revision))
            if inventory is None:
                raise Rejected(problems)
            artifacts = artifacts_of(inventory, self._artifacts)
            compiled = Compiler().compile(inventory, artifacts, archives_of(inventory, artifacts, self._artifacts))
            if compiled.dump is None:
                raise Rejected(tuple(sorted({*problems, *compiled.problems})))
            plan = compiled.dump.plan
            allowed = self._allowed(msgspec.structs.replace(found, plan=plan.id), served, plan)
            if allowed.plan and (self._plans.holds_stamp(plan.id) is None or self._plans.damage(plan.id)):
                self._plans.keep(compiled.dump, anew=True, holds=holds_of(self._plans.holds(served.id), plan.id))
            self._hold(allowed, served)
            return allowed
        except UnknownRef as unknown:
            return msgspec.structs.replace(found, refused=str(unknown))
        except Rejected as rejected:
            return _rejected(found, rejected.problems)
        except (Unavailable, MirrorError, OSError) as error:
            return msgspec.structs.replace(found, unavailable=str(error))
        except Exception as error:
            return msgspec.structs.replace(
                found, refused=f"gitboot failed on this commit ({error!r}): a defect; please report it"
            )

    def _allowed(self, judged: Judged, served: BootPlan, tried: BootPlan) -> Judged:
        """Raises Unavailable and OSError."""
        name, holds = judged.asked.machine, self._plans.holds(served.id)
        if why := refusal(served, tried, name):
            return msgspec.structs.replace(judged, plan="", refused=why)
        writes = may_write(served, tried, name, judged.asked.rehearse)
        others = [machine for each, machine in self._writing.items() if each != judged.asked.id]
        why = forbidden(served, holds, self._guard.floor, tried, name, writes, others)
        if why or (why := self._unapproved(judged.asked, served, holds) if writes else ""):
            return msgspec.structs.replace(judged, plan="", refused=why)
        try:
            self._guard.vouch(judged.revision, writes, always=judged.asked.rehearse)
        except Rejected as rejected:
            return _rejected(judged, rejected.problems)
        if writes:
            self._writing[judged.asked.id] = tried.machines[name]
        return judged

    def _unapproved(self, asked: Asked, served: BootPlan, holds: Holds) -> str:
        """Who may write the state directory may try; whoever asks by a tag is to be one who could approve it in git."""
        if not asked.commit:
            return ""
        may = approvers(in_force(served, holds), self._guard.floor, "destructive", served.site)
        if asked.tag and self._guard.signed([asked.tag], counting(may, time.time())):
            return ""
        return f"{asked.by} is of nobody who may approve what is destructive: let one of them push it, or rehearse it"

    def _is_here(self, commit: str) -> bool:
        return bool(commit and self._repository.objects([commit], "commit", _MOST_TAG_BYTES))

    def _load(self, plan: str) -> BootPlan | None:
        try:
            return self._plans.load(plan) if plan else None
        except (FileNotFoundError, ValueError):
            return None


def _rejected(judged: Judged, problems: tuple[Problem, ...]) -> Judged:
    errors = [asdict(problem) for problem in problems if problem.severity == "error"]
    return msgspec.structs.replace(judged, plan="", problems=errors)
