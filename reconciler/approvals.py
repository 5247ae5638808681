"""Approvals: what a signed commit's trailer says of a plan.

Shell. The law: a trailer counts that names the whole id of the very plan that is judged, in a commit since the one that was
served last, signed by whoever may approve that by the rules in force before it. A plan's id is the digest of its content, so
nobody approves what they have not seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from netboot.policy import Kind
from netboot.trust import Signer
from reconciler.commits import Commit
from reconciler.lineage import Untold, span_between
from reconciler.repository import Repository
from reconciler.signatures import Verifier, keyring
from reconciler.signers import counting

MOST_SAID = 3


@dataclass(frozen=True, slots=True)
class Approved:
    kinds: frozenset[Kind] = frozenset()
    unheeded: tuple[str, ...] = ()
    """Why commits that would approve do not, as sentences."""


def approved(
    repository: Repository, revision: str, since: str, plan: str, may: Mapping[Kind, tuple[Signer, ...]], folder: Path
) -> Approved:
    """Which of the kinds the commits after `since` up to `revision` approve for the plan. `may`: who may approve each.
    `folder`: for keys, made and removed. Raises Unavailable and OSError.
    """
    if revision == since or not any(may.values()):
        return Approved()
    commits = _commits(repository, revision, since)
    named = [commit for commit in commits if plan in commit.approves]
    found: set[Kind] = set()
    told: dict[str, str] = {}
    now = time.time()
    for signers in dict.fromkeys(may.values()) if named else ():
        if counted := counting(signers, now):
            with keyring(folder, counted) as keys:
                why = Verifier(repository, counted, keys).commits(named)
            if all(why.values()):
                told = why | told
            else:
                found |= {kind for kind, those in may.items() if those == signers}
    return Approved(frozenset(found), tuple(islice(_unheeded(commits, revision, plan, told), MOST_SAID)))


def _unheeded(commits: Iterable[Commit], revision: str, plan: str, told: Mapping[str, str]) -> Iterator[str]:
    """`told`: why the signatures of commits that name the plan do not count for what nobody approved. Of other plans the newest
    commit alone speaks.
    """
    for commit in commits:
        this = f"Commit {commit.short}"
        if why := told.get(commit.id):
            yield f"{this} does not release all that is held, for {why}: let somebody who may approve sign one like it."
        elif commit.id == revision and commit.approves and plan not in commit.approves:
            yield f"{this} approves plan {commit.approves[0][:12]}, and {plan[:12]} is the one that is held: name that."
        elif commit.id == revision and commit.means_to_approve and not commit.approves:
            yield f"{this} approves nothing: a trailer stands in the last paragraph and has the whole id of the plan."


def _commits(repository: Repository, revision: str, since: str) -> list[Commit]:
    """The head alone where history cannot be told, as after it was rewritten."""
    if since:
        repository.deepen()
        try:
            return list(span_between(repository, revision, since).commits.values())
        except Untold:
            pass
    try:
        return list(span_between(repository, revision, "").commits.values())
    except Untold:
        return []
