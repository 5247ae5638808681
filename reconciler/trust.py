"""Trust: whether a commit may be served, by what was trusted before it.

Core. The law: every commit since the last trusted one that changed the inventory is signed by a listed signer, or was vouched
for by one, and history only goes on. Who is listed is said by what was served before and by the server's own floor, and by
nothing that a new commit says: what it would loosen counts only once it is served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import get_args

from netboot.plan import BootPlan
from netboot.policy import NO_POLICY, Policy
from netboot.trust import Commits, Signer, Trust
from reconciler.commits import Commit, Span, oldest_first, untouched
from reconciler.diff import begun
from reconciler.problems import Problem, Severity

MOST_COMMITS = 1000
"""That are looked at between two trusted ones."""
MOST_SAID = 20
"""Commits that are named one by one."""
_STRICTNESS = get_args(Commits)
_WAY = "docs/signing.md has the ways on"


@dataclass(frozen=True, slots=True)
class Floor:
    """What the server's own configuration says of trust and policy."""

    trust: Trust = field(default_factory=Trust)
    since: str = ""
    """The id of a commit that the operator vouches for; "": none."""
    policy: Policy = NO_POLICY


NO_FLOOR = Floor()


def effective(served: Trust, floor: Trust) -> Trust:
    """The stricter rule of the two, and the signers of both: with the floor's, who lost every key comes back."""
    commits = max(served.commits, floor.commits, key=_STRICTNESS.index)
    return Trust(commits, tuple(dict.fromkeys((*served.signers, *floor.signers))))


def until_approved(before: Trust, after: Trust) -> Trust:
    """While nobody approved that the second loosens the first: the stricter rule, and the signers that both list."""
    still = {_key(signer) for signer in after.signers}
    commits = max(before.commits, after.commits, key=_STRICTNESS.index)
    return Trust(commits, tuple(signer for signer in before.signers if _key(signer) in still))


# What a commit changes ---------------------------------------------------------------------------------------------------


def needed(rules: Trust, floor: Floor, before: BootPlan | None, after: BootPlan | None) -> tuple[str, ...] | None:
    """Whether the change needs a signature: None when not, else what about it does, nothing when every change would.

    `after` is None for a commit that is rejected anyhow.
    """
    if rules.commits != "destructive":
        return None if rules.commits == "off" else ()
    if after is None:
        return None
    return (*loosened(rules, effective(after.site.trust, floor.trust)), *destructive(before, after)) or None


LEAVES_FLOOR = "leaves the commit behind that the floor names"
"""What loosens trust beside the setting."""


def loosened(before: Trust, after: Trust) -> tuple[str, ...]:
    """In what the second is easier to satisfy than the first, as ends of a sentence that begins with "it"."""
    found = list(lowered(before, after))
    known = {_key(signer) for signer in before.signers}
    keys = {_key(signer)[:2] for signer in before.signers}
    for signer in after.signers:
        if _key(signer) not in known:
            what = "changes when the key of {} counts" if _key(signer)[:2] in keys else "adds the signer {}"
            found.append(what.format(signer.name))
    return tuple(found)


def lowered(before: Trust, after: Trust) -> tuple[str, ...]:
    """`loosened`, of the rule alone."""
    if _STRICTNESS.index(after.commits) >= _STRICTNESS.index(before.commits):
        return ()
    return (f"lowers the rule for commits from {before.commits} to {after.commits}",)


def _key(signer: Signer) -> tuple[str, str, int, int]:
    """Whoever it is said to belong to."""
    return signer.ssh, signer.gpg, signer.valid_after, signer.valid_before


def destructive(before: BootPlan | None, after: BootPlan) -> tuple[str, ...]:
    """The runs that begin and may write to disks, as `loosened` says it; whether they have begun before is not asked."""
    return tuple(
        f"has {machine.name} do run {start.run} of the workflow {start.workflow}"
        for machine, start in begun(before, after)
        if start.destructive
    )


# Who vouches for what ----------------------------------------------------------------------------------------------------


def to_verify(span: Span) -> tuple[str, ...]:
    """The commits whose signature is asked for, oldest first."""
    quiet = untouched(span)
    return tuple(name for name in oldest_first(span) if name not in quiet)


def merges(span: Span) -> tuple[str, ...]:
    """The commits whose signature would vouch for others."""
    return tuple(name for name in oldest_first(span) if len(span.commits[name].parents) > 1)


def unvouched(span: Span, verified: AbstractSet[str], tagged: AbstractSet[str] = frozenset()) -> tuple[str, ...]:
    """The commits that nobody listed stands behind, oldest first. `tagged`: those that carry a listed signer's signed tag.

    A signed commit stands behind what it changed. A signed merge stands behind what it brings in, which is the history of
    its later parents, not that of its first; a signed tag behind the whole history of its commit.
    """
    vouched: set[str] = set(verified)
    for name in tagged:
        vouched |= span.history(name)
    for name in merges(span):
        if name in verified:
            first, *others = span.commits[name].parents
            for other in others:
                vouched |= span.history(other) - span.history(first)
    return tuple(name for name in to_verify(span) if name not in vouched)


# What is said about it ---------------------------------------------------------------------------------------------------


def about_commits(
    commits: Sequence[Commit], reasons: Mapping[str, str], severity: Severity, because: Sequence[str] = ()
) -> tuple[Problem, ...]:
    """One problem for each commit that nobody stands behind, with why its own signature does not count, by id."""
    why = f" A signature is needed because the change {because_of(because)}." if because else ""
    problems = [
        Problem("", 0, 0, "", "untrusted-commit", severity,
                f'Commit {each.short} by {each.author}, "{each.subject}": {reasons.get(each.id) or "nobody stands behind it"}. '
                f"Sign it, or let a listed signer vouch for it with a signed merge or tag ({_WAY}).{why}")
        for each in commits[:MOST_SAID]
    ]  # fmt: skip
    if (more := len(commits) - MOST_SAID) > 0:
        problems.append(_about(severity, "untrusted-commit", f"{more} more commits are not signed by a listed signer"))
    return tuple(problems)


def because_of(found: Sequence[str], most: int = 3) -> str:
    said = ", ".join(found[:most])
    return said if len(found) <= most else f"{said}, and {len(found) - most} more such things"


def about_history(what: str, severity: Severity) -> Problem:
    return _about(severity, "untrusted-history", what)


def _about(severity: Severity, code: str, what: str) -> Problem:
    return Problem("", 0, 0, "", code, severity, f"{what}: {_WAY}.")


def rewritten(head: str, since: str) -> str:
    return (
        f"History was rewritten: commit {head[:12]} does not follow on {since[:12]}, the last trusted one, and whoever may "
        "push could bring back any older state so; put the change on top of that one, or name this one in the floor's `since`"
    )


def too_long(head: str, since: str) -> str:
    return (
        f"More than {MOST_COMMITS} commits lie between {since[:12]}, the last trusted one, and {head[:12]}, "
        "and none is trusted unread; name a commit that you vouch for in the floor's `since`"
    )


def cut_off(head: str, since: str, what: str) -> str:
    if not since:
        return f"Commit {head[:12]} cannot be read ({what})"
    return f"The history between {since[:12]}, the last trusted commit, and {head[:12]} cannot be read ({what})"
