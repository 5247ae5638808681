"""Approvals: what a signed commit's trailer says of a plan.

Shell. The law: a trailer counts that names the whole id of the very plan that is judged, in a commit since the one that was
served last, signed by whoever may approve that by the rules in force before it. A plan's id is the digest of its content, so
nobody approves what they have not seen.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from netboot.policy import Kind
from netboot.trust import Signer
from reconciler.commits import Commit
from reconciler.lineage import Untold, span_between
from reconciler.repository import Repository
from reconciler.signatures import Verifier, keyring
from reconciler.signers import counting


def approved(
    repository: Repository, revision: str, since: str, plan: str, may: Mapping[Kind, tuple[Signer, ...]], folder: Path
) -> frozenset[Kind]:
    """Which of the kinds the commits after `since` up to `revision` approve for the plan. `may`: who may approve each.
    `folder`: for keys, made and removed. Raises Unavailable and OSError.
    """
    if revision == since or not any(may.values()):
        return frozenset()
    commits = [commit for commit in _commits(repository, revision, since) if plan in commit.approves]
    found: set[Kind] = set()
    now = time.time()
    for signers in dict.fromkeys(may.values()) if commits else ():
        if counted := counting(signers, now):
            with keyring(folder, counted) as keys:
                told = Verifier(repository, counted, keys).commits(commits)
            if not all(told.values()):
                found |= {kind for kind, those in may.items() if those == signers}
    return frozenset(found)


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
