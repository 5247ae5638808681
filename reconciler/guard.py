"""The guard: no commit is served that the rules of trust do not let through.

Shell. What was trusted last is in `STATE/trusted.json`: the commit, the folder of it that was judged, and the rules that it
says the next one is judged by. It is written before the plan of that commit is published: killed in between, the commit that
was judged stays judged. Without that file the rules are those of the served plan, and the floor's always.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from netboot.holds import Holds
from netboot.plan import BootPlan
from netboot.plans import PlanStore
from netboot.trust import Signer, Trust
from reconciler.commits import Span
from reconciler.errors import Unavailable
from reconciler.lineage import Untold, span_between
from reconciler.problems import Problem, Rejected, Severity
from reconciler.repository import Repository
from reconciler.signatures import Verifier, keyring
from reconciler.signers import counting
from reconciler.trust import (
    LEAVES_FLOOR,
    Floor,
    about_commits,
    about_history,
    effective,
    merges,
    needed,
    to_verify,
    until_approved,
    unvouched,
)

NAME = "trusted.json"
KEYRING = "signers"


class Trusted(msgspec.Struct, frozen=True):
    """The last commit that was let through, "" when none is known, and what it says of trust."""

    commit: str = ""
    path: str = ""
    """The inventory's folder."""
    trust: Trust = Trust()


class Guard:
    """Of one state directory. Every method may raise `Unavailable` and OSError."""

    def __init__(self, repository: Repository, state: Path, plans: PlanStore, floor: Floor) -> None:
        self._repository = repository
        self._state = state
        self._plans = plans
        self._floor = floor
        self._last = _read(state / NAME) or Trusted(trust=_trusted(plans))

    def admit(self, revision: str) -> tuple[Problem, ...]:
        """Before anything of the commit is read: its problems, which are warnings. Raises Rejected."""
        match self._rules.commits:
            case "required":
                return self._judged(revision, ())
            case "warn":
                try:
                    return self._judged(revision, ())
                except Unavailable as error:  # a warning holds nothing up
                    return (about_history(str(error).rstrip("."), "warning"),)
        return ()

    def weigh(self, revision: str, after: BootPlan) -> None:
        """The same, where it matters what the commit changes. Raises Rejected."""
        if self._rules.commits == "destructive":
            because = needed(self._rules, self._floor, _served(self._plans, after), after) or ()
            if not self._stands_on_floor(revision):
                because = (*because, LEAVES_FLOOR)
            if because:
                self._judged(revision, because)

    def vouch(self, revision: str, because: Sequence[str], always: bool) -> None:
        """For a commit that is to be tried: it is signed itself, or by a tag, where it must be. Raises Rejected.

        `because`: what it may do that must be signed where `destructive` is the rule, as ends of a sentence after "it".
        `always`: that must be signed whatever the rule is.
        """
        rules = self._rules
        if always and because and rules.commits in ("off", "warn"):
            if problems := judge(
                self._repository, revision, "", Trust("required", rules.signers), self._state / KEYRING, because
            ):
                raise Rejected(problems)
            return
        asked = rules.commits == "required" or (rules.commits == "destructive" and because)
        if asked and revision != self._last.commit:
            problems = judge(self._repository, revision, "", rules, self._state / KEYRING, because)
            if problems:
                raise Rejected(problems)

    @property
    def floor(self) -> Floor:
        return self._floor

    @property
    def signers(self) -> tuple[Signer, ...]:
        """Whose signature counts now, by what was trusted last and the floor."""
        return tuple(counting(self._rules.signers, time.time()))

    def signed(self, tags: Sequence[str], signers: Sequence[Signer]) -> frozenset[str]:
        """Those of the tags, by id, that one of the signers signed."""
        with keyring(self._state / KEYRING, signers) as keys:
            verifier = Verifier(self._repository, signers, keys)
            return frozenset(tag for tag in tags if verifier.tag(tag))

    def keep(self, revision: str, trust: Trust, holds: Holds) -> None:
        """The commit was let through: the next one is judged from here, by what it says of trust as far as that is approved."""
        before = self._last.trust if holds.everything else trust  # nobody knows then what was approved
        now = Trusted(revision, self._repository.source.path, _approved(trust, holds, before))
        if now != self._last:
            partial = self._state / f"{NAME}.new"
            partial.write_bytes(msgspec.json.encode(now))
            partial.replace(self._state / NAME)
            self._last = now

    @property
    def _rules(self) -> Trust:
        return effective(self._last.trust, self._floor.trust)

    def _judged(self, revision: str, because: Sequence[str]) -> tuple[Problem, ...]:
        problems = judge(self._repository, revision, self._since(revision), self._rules, self._state / KEYRING, because)
        if any(problem.severity == "error" for problem in problems):
            raise Rejected(problems)
        return problems

    def _stands_on_floor(self, revision: str) -> bool:
        if self._floor.since:
            self._repository.deepen()
        return not self._floor.since or self._repository.is_in_history(self._floor.since, revision)

    def _since(self, revision: str) -> str:
        """The last trusted commit, or the one that the operator vouches for, where that is not in its history."""
        last = self._last.commit if self._last.path == self._repository.source.path else ""
        floor = self._floor.since
        if not floor or last in (floor, revision):
            return last
        self._repository.deepen()
        return last if last and self._repository.is_in_history(floor, last) else floor


def judge(
    repository: Repository, revision: str, since: str, rules: Trust, folder: Path, because: Sequence[str] = ()
) -> tuple[Problem, ...]:
    """What is to be said of the commits up to `revision`, of which `since` is the last that is trusted ("": none is)."""
    severity: Severity = "warning" if rules.commits == "warn" else "error"
    if revision == since:
        return ()
    if since:
        repository.deepen()
    try:
        span = span_between(repository, revision, since)
    except Untold as untold:
        return (about_history(str(untold), severity),)
    return _verified(repository, span, counting(rules.signers, time.time()), folder, severity, because)


def _verified(
    repository: Repository, span: Span, signers: Sequence[Signer], folder: Path, severity: Severity, because: Sequence[str]
) -> tuple[Problem, ...]:
    """Signatures are verified as far as they are needed: tags are looked for last, for they may have to be fetched."""
    with keyring(folder, signers) as keys:
        verifier = Verifier(repository, signers, keys)
        told = verifier.commits([span.commits[name] for name in to_verify(span)])
        left = unvouched(span, _good(told))
        if left:
            told |= verifier.commits([span.commits[name] for name in merges(span) if name not in told])
            left = unvouched(span, _good(told))
        if left:
            left = unvouched(span, _good(told), verifier.tagged(span.commits))
    return about_commits([span.commits[name] for name in left], told, severity, because)


def _good(told: dict[str, str]) -> frozenset[str]:
    return frozenset(name for name, why in told.items() if not why)


def _read(path: Path) -> Trusted | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Trusted)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # as good as lost: the plan's rules hold, and no commit is known to be trusted


def _trusted(plans: PlanStore) -> Trust:
    served = _served(plans)
    return _approved(served.site.trust, plans.holds(served.id), served.site.trust) if served else Trust()


def _approved(trust: Trust, holds: Holds, before: Trust) -> Trust:
    """Of what a plan with these holds says of trust. `before`: what it is held to where the holds do not say that."""
    return until_approved(holds.kept.trust if holds.kept else before, trust)


def _served(plans: PlanStore, known: BootPlan | None = None) -> BootPlan | None:
    """None when there is none that can be read: then all that machines are to do is new."""
    current = plans.current_id()
    try:
        return plans.load(current, known) if current else None
    except (FileNotFoundError, ValueError):
        return None
