"""The commits between two, read from a repository's own objects.

Shell. What git's walk says is only where to look: each commit is read by its id and hashed, and its parents are those in its
bytes. So what a repository's shallow file or another trick of its owner hides is missing, and what is missing is never trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from netboot.errors import Malformed
from reconciler.commits import Commit, Span, read_commit
from reconciler.gitprocess import TooMuchOutput
from reconciler.repository import Damaged, Repository
from reconciler.snapshot import is_inventory
from reconciler.trust import MOST_COMMITS, cut_off, rewritten, too_long

_MOST_BYTES = 64 * 1024 * 1024
"""Of commits between two, and of the names that they touch."""


class Untold(Exception):
    """History does not lead from the one commit to the other, or cannot be read; the message is half a sentence."""


def span_between(repository: Repository, head: str, since: str) -> Span:
    """What is in the history of `head` and not of `since`; with "" for `since` the head alone, taken for one without parents.

    Raises Untold.
    """
    if head == since:
        return Span(head, since, {})
    try:
        if not since:
            return Span(head, "", {head: replace(_read(repository, [head])[head], parents=())})
        span = Span(head, since, dict(_walk(head, _read(repository, _listed(repository, head, since)))))
        if not span.goes_on:
            raise Untold(rewritten(head, since))
        if strangers := repository.outside(span.edge - {since}, since):
            raise Untold(cut_off(head, since, f"parent {strangers[0][:12]} is not here, or of another history"))
        touched = _touched(repository, span)
    except Malformed as malformed:
        raise Untold(cut_off(head, since, malformed.reason)) from None
    except TooMuchOutput:
        raise Untold(cut_off(head, since, f"it is more than {_MOST_BYTES >> 20} MiB")) from None
    commits = {
        name: replace(each, touched=tuple(touched[name, parent] for parent in each.parents))
        for name, each in span.commits.items()
    }
    return Span(head, since, commits)


def _listed(repository: Repository, head: str, since: str) -> list[str]:
    try:
        names = repository.commits_between(head, since, MOST_COMMITS + 1)
    except Damaged as damaged:
        raise Untold(cut_off(head, since, str(damaged).rstrip("."))) from None
    if len(names) > MOST_COMMITS:
        raise Untold(too_long(head, since))
    return names


def _read(repository: Repository, names: Iterable[str]) -> dict[str, Commit]:
    """Those that are here, each as its id says."""
    found = repository.objects(names, "commit", _MOST_BYTES)
    return {name: read_commit(name, data) for name, data in found.items()}


def _walk(head: str, known: Mapping[str, Commit]) -> Iterator[tuple[str, Commit]]:
    """What is reached from the head by the parents that commits have in their own bytes."""
    seen, todo = set(), [head]
    while todo:
        name = todo.pop()
        if name not in seen and name in known:
            seen.add(name)
            todo += known[name].parents
            yield name, known[name]


def _touched(repository: Repository, span: Span) -> dict[tuple[str, str], bool]:
    """For each commit and parent, whether their inventories differ. Where one has none at all they do."""
    trees = repository.trees({*span.commits, *span.edge})
    pairs = {(name, parent) for name, each in span.commits.items() for parent in each.parents}
    asked = {(trees[a], trees[b]) for a, b in pairs if trees[a] and trees[b] and trees[a] != trees[b]}
    differ = {
        pair: any(is_inventory(path) for path in paths)
        for pair, paths in repository.differences(sorted(asked), _MOST_BYTES).items()
    }
    return {(a, b): differ.get((trees[a], trees[b]), trees[a] != trees[b] or not trees[a]) for a, b in pairs}
