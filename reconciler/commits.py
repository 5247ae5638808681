"""A commit object as its bytes say, and how commits follow on each other.

Core. The law: an object is what hashes to its id, and a commit's parents are those in its bytes. What a repository's grafts,
shallow file, replacements and commit graph say of its history does not reach this module, and an object that git and we
might read differently is no commit.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from netboot.errors import Malformed

_HEADER = re.compile(
    rb"tree (?P<tree>[0-9a-f]{40}|[0-9a-f]{64})\n"
    rb"(?P<parents>(?:parent (?:[0-9a-f]{40}|[0-9a-f]{64})\n)*)"
    rb"author (?P<author>[^\n]*)\n"
    rb"committer [^\n]*\n"
    rb"(?P<more>(?:(?!tree |parent |author |committer )[a-zA-Z][^\n]*\n(?: [^\n]*\n)*)*)\n"
)
_TAG = re.compile(rb"object ([0-9a-f]{40}|[0-9a-f]{64})\ntype commit\ntag (?P<name>[^\n]+)\ntagger (?P<tagger>[^\n]*)\n\n")
_SIGNATURE = re.compile(rb"^gpgsig", re.MULTILINE)
_NAME = re.compile(r"(?P<name>[^<]*)(<(?P<mail>[^>]*)>)?")
_WHEN = re.compile(rb" (\d{1,11}) [+-]\d{4}$")
_APPROVES = re.compile(rb"^Gitboot-Approve:[ \t]*([0-9a-f]{64})[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
"""In the last paragraph of a message, as git-interpret-trailers(1) has it."""
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Commit:
    id: str
    parents: tuple[str, ...]
    author: str
    """Name and address as the commit says, fit to be shown."""
    subject: str
    """First line of its message, fit to be shown."""
    signed: bool
    """Whether it carries a signature, whosever."""
    touched: tuple[bool, ...] = ()
    """For each parent, whether the inventory differs from that parent's."""
    approves: tuple[str, ...] = ()
    """The plans that its trailers name."""
    means_to_approve: bool = False
    """Whether its message has the trailer's word, wherever."""
    authored: int = 0
    """When its author made it, as the commit says: seconds since the epoch."""

    @property
    def short(self) -> str:
        return self.id[:12]


def read_commit(name: str, data: bytes) -> Commit:
    """Raises Malformed for what is no commit, or not the one of that id (hex)."""
    if not _is_object(name, b"commit", data):
        raise Malformed(f"object {name} is damaged: it has another digest")
    found = _HEADER.match(data)
    if found is None or b"\0" in data:
        raise Malformed(f"commit {name[:12]} is not as git writes commits")
    signatures = len(_SIGNATURE.findall(found["more"]))
    if signatures > 1:
        raise Malformed(f"commit {name[:12]} has {signatures} signatures, where git writes one")
    parents = tuple(line.split()[1].decode() for line in found["parents"].splitlines())
    if len(set(parents)) != len(parents):
        raise Malformed(f"commit {name[:12]} names a parent twice")
    message = data[found.end() :].strip(b"\n")
    approves = tuple(plan.decode() for plan in _APPROVES.findall(message.rpartition(b"\n\n")[2]))
    author, when = found["author"], _WHEN.search(found["author"])
    return Commit(
        name,
        parents,
        _author(author),
        shown(message.partition(b"\n")[0]),
        bool(signatures),
        authored=int(when[1]) if when else 0,
        approves=approves,
        means_to_approve=b"gitboot-approve" in message.lower(),
    )


def names_commit(name: str, data: bytes) -> str:
    """The commit that a tag object names; "" when it is no tag of a commit, or not the one of that id."""
    found = _TAG.match(data)
    return found[1].decode() if found and b"\0" not in data and _is_object(name, b"tag", data) else ""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of a commit, as its bytes say, which is what its signature covers."""

    id: str
    name: str
    commit: str
    made: int
    """Seconds since the epoch, by the clock of who made it."""


def read_tag(name: str, data: bytes) -> Tag | None:
    """None for what is no tag of a commit, or not the one of that id (hex), or has no date."""
    commit, found = names_commit(name, data), _TAG.match(data)
    when = _WHEN.search(found["tagger"]) if found else None
    if not commit or not found or not when:
        return None
    return Tag(name, found["name"].decode(errors="replace"), commit, int(when[1]))


def _is_object(name: str, kind: bytes, data: bytes) -> bool:
    algorithm = "sha1" if len(name) == 40 else "sha256"
    return hashlib.new(algorithm, b"%b %d\0" % (kind, len(data)) + data, usedforsecurity=False).hexdigest() == name


def _author(line: bytes) -> str:
    found = _NAME.match(line.decode(errors="replace"))
    name, mail = (found["name"], found["mail"] or "") if found else ("", "")
    return shown(f"{name.strip()} <{mail}>".encode())


def shown(text: bytes) -> str:
    """On one line, without anything that moves a terminal's cursor or turns text round, and cut when it is long."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text[: 8 * _LONGEST].decode(errors="replace"))
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"


@dataclass(frozen=True, slots=True)
class Span:
    """The commits that are in the history of `head` and not in that of `since`; `head` alone when there is no `since`."""

    head: str
    since: str
    """"": nothing was trusted before."""
    commits: Mapping[str, Commit]
    _above: dict[str, frozenset[str]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def edge(self) -> frozenset[str]:
        """Parents that are not among the commits: `since`, or in its history."""
        return frozenset(parent for each in self.commits.values() for parent in each.parents if parent not in self.commits)

    @property
    def goes_on(self) -> bool:
        """Whether `since` is in the history of `head`."""
        return self.since in ("", self.head) or self.since in self.edge

    def history(self, name: str) -> frozenset[str]:
        """A commit of the span with all of its history that is in the span."""
        if name not in self._above:
            seen, todo = set(), [name]
            while todo:
                each = todo.pop()
                if each in self.commits and each not in seen:
                    seen.add(each)
                    todo += self.commits[each].parents
            self._above[name] = frozenset(seen)
        return self._above[name]

    def contains(self, later: str, earlier: str) -> bool:
        """Whether `earlier` is in the history of `later`, as far as this can be said here; a commit is in its own."""
        if later == earlier:
            return True
        if earlier in self.commits:
            return earlier in self.history(later)
        return later == self.since or any(self.since in self.commits[each].parents for each in self.history(later))


def untouched(span: Span) -> frozenset[str]:
    """The commits that leave the inventory as trusted history had it, and so need nobody's word.

    A merge does so when it takes the inventory of one parent as it is, and no other parent brings anything that this one has
    not seen: with two whole trees to choose from, to choose is to change.
    """
    quiet: set[str] = set()
    for name in oldest_first(span):
        commit = span.commits[name]
        same = [parent for parent, touched in zip(commit.parents, commit.touched, strict=True) if not touched]
        if any(all(_adds_nothing(span, quiet, other, parent) for other in commit.parents) for parent in same):
            quiet.add(name)
    return frozenset(quiet)


def _adds_nothing(span: Span, quiet: AbstractSet[str], other: str, parent: str) -> bool:
    """Whether all that `other` says of the inventory is in the history of `parent`."""
    todo, seen = [other], set()
    while todo:
        each = todo.pop()
        if each in seen or span.contains(parent, each):
            continue
        seen.add(each)
        if each not in quiet or each not in span.commits:
            return False
        todo += span.commits[each].parents
    return True


def oldest_first(span: Span) -> list[str]:
    """Parents before their children; otherwise in the order of ids."""
    waiting = {name: sum(parent in span.commits for parent in each.parents) for name, each in span.commits.items()}
    children: dict[str, list[str]] = {}
    for name in sorted(span.commits):
        for parent in span.commits[name].parents:
            children.setdefault(parent, []).append(name)
    ready = sorted((name for name, count in waiting.items() if not count), reverse=True)
    order = []
    while ready:
        name = ready.pop()
        order.append(name)
        for child in children.get(name, ()):
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    return order
