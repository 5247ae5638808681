"""What `check` says of signatures, and the floor that it shares with the servers."""

from __future__ import annotations

import tempfile
from pathlib import Path

from netboot.plan import BootPlan
from netboot.trust import Trust
from reconciler.compile import Compiler
from reconciler.errors import BadSource, Unavailable
from reconciler.guard import judge
from reconciler.problems import Problem, Rejected
from reconciler.reader import Reader
from reconciler.repository import Repository
from reconciler.sentence import Sentence
from reconciler.target import open_target
from reconciler.trust import Floor, effective, needed


def floor_of(file: Path | None) -> Floor:
    """Raises Sentence."""
    if file is None:
        return Floor()
    from reconciler.floor import read_floor

    try:
        return read_floor(str(file), file.read_bytes())
    except Rejected as rejected:
        raise Sentence("\n".join(map(str, rejected.problems)), 2) from None
    except OSError as error:
        raise Sentence(f"{file} cannot be read: {error.strerror}; correct --trust-floor, or its owner.", 2) from None


def signatures(target: str, since: str | None, floor: Floor) -> tuple[Problem, ...]:
    """What a server that serves `since` would say of the target's commit. Without it the floor's commit is meant, and without
    that the commit is judged as a server's first one. Raises Sentence.
    """
    try:
        with open_target(target) as repository, tempfile.TemporaryDirectory(prefix="gitboot-") as scratch:
            head = repository.fetch()
            base = ""
            if since or floor.since:
                repository.deepen()
                base = repository.resolve(since or floor.since)
            before = _plan_of(repository, base) if base else None
            rules = effective(before.site.trust if before else Trust(), floor.trust)
            because = needed(rules, floor, before, _plan_of(repository, head))
            return () if because is None else judge(repository, head, base, rules, Path(scratch, "signers"), because)
    except (Unavailable, BadSource) as error:
        raise Sentence(str(error), 2) from None


def _plan_of(repository: Repository, revision: str) -> BootPlan | None:
    """Artefacts are taken at their word."""
    try:
        inventory, _ = Reader().read(repository.snapshot(revision))
    except Rejected:
        return None
    compiled = Compiler().compile(inventory) if inventory else None
    return compiled.dump.plan if compiled and compiled.dump else None
