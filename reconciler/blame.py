"""Who wrote a line, when and what for: the commit behind each line of an inventory.

Shell. Git's blame says which commit a line is from; what is said of that commit is read from its own bytes. That a line is in
no commit, or its history not here, is an answer too: a sentence in place of a commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from netboot.errors import Malformed
from reconciler.commits import Commit, read_commit
from reconciler.errors import Unavailable
from reconciler.repository import Repository

Line = tuple[str, int]
"""File below the inventory's folder, and line from 1."""

UNCOMMITTED = "not committed yet"
_MOST_BYTES = 64 * 1024 * 1024
"""Of the commits that are read."""


@dataclass(frozen=True, slots=True)
class Written:
    """The commit that a line is from."""

    commit: Commit
    cut: bool = False
    """History is not here before this commit, so that it may be from an earlier one."""


Author = Written | str
"""Or why there is none: half a sentence."""


def authors(
    repository: Repository, revision: str, lines: Iterable[Line], folder: Mapping[str, bytes] | None = None
) -> dict[Line, Author]:
    """Of each line of a commit; with `folder`, of the files as they lie there, by path, which that commit may not have."""
    wanted: dict[str, set[int]] = {}
    for file, line in lines:
        wanted.setdefault(file, set()).add(line)
    found: dict[Line, Author] = {}
    commits: dict[Line, str] = {}
    for file, numbers in wanted.items():
        try:
            committed = _committed(repository, revision, file, numbers, folder)
            blamed = repository.blame(revision, file, committed.values()) if committed else {}
        except Unavailable as unavailable:
            found |= {(file, number): str(unavailable) for number in numbers}
            continue
        found |= {(file, number): UNCOMMITTED for number in numbers}
        commits |= {(file, number): blamed[there][0] for number, there in committed.items() if there in blamed}
    known = told(repository, commits.values())
    return found | {line: known[commit] for line, commit in commits.items()}


def _committed(
    repository: Repository, revision: str, file: str, numbers: Iterable[int], folder: Mapping[str, bytes] | None
) -> dict[int, int]:
    """Those of the lines that the commit has → their lines there."""
    if folder is None:
        return {number: number for number in numbers}
    before = repository.blob(revision, file)
    if before is None or file not in folder:
        return {}
    same = _kept(before.split(b"\n"), folder[file].split(b"\n"))
    return {number: same[number] for number in numbers if number in same}


def _kept(before: list[bytes], now: list[bytes]) -> dict[int, int]:
    """Line now → line before, from 1, of what did not change."""
    blocks = SequenceMatcher(None, before, now).get_matching_blocks()
    return {block.b + step + 1: block.a + step + 1 for block in blocks for step in range(block.size)}


def told(repository: Repository, names: Iterable[str]) -> dict[str, Author]:
    """The commits, each as its own bytes say."""
    wanted = sorted(set(names))
    objects = repository.objects(wanted, "commit", _MOST_BYTES)
    found: dict[str, Commit] = {}
    for name in wanted:
        try:
            found[name] = read_commit(name, objects[name])
        except (Malformed, KeyError):
            continue
    here = repository.objects({parent for each in found.values() for parent in each.parents}, "commit", _MOST_BYTES)
    return {
        name: Written(found[name], cut=not here.keys() >= set(found[name].parents))
        if name in found
        else f"commit {name[:12]}, which cannot be read"
        for name in wanted
    }
