"""A part of a status document: some of its fields, and some entries of its list.

Core. The laws: a part says that it is one and of what, so that nobody takes it for the whole; and whoever follows `next` to its
end is given each entry that was there all the while exactly once, whatever came and went meanwhile, for a page goes on behind
the last entry's key and not at a number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from netboot.errors import Malformed

MOST = 10_000
"""Entries of a page."""
MOST_FIELDS = 50
"""Of one question: more than any document has where it pays to leave some out."""
SAID = ("fields", "limit", "after")
Wanted: TypeAlias = "dict[str, Wanted]"
"""Name of a field → what is wanted of it; nothing in particular: all."""


class NoField(Exception):
    """The document has no such field; `reason` is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class List(NamedTuple):
    """What of a kind of document is paged."""

    field: str
    key: Callable[[Any], str]
    """Of an entry; entries with one key are never torn apart."""


def _issue_key(issue: Any) -> str:
    """The site's come first, and those alike in kind are told apart by what they say."""
    return f"{issue['machine'] or ''}/{issue['kind']}/{hashlib.sha256(issue['message'].encode()).hexdigest()[:12]}"


LISTS: Mapping[str, List] = {
    "Index": List("documents", str),
    "Fleet": List("machines", lambda machine: str(machine["name"])),
    "WorkflowStatus": List("machines", lambda machine: str(machine["machine"])),
    "Issues": List("issues", _issue_key),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for."""

    fields: tuple[tuple[str, ...], ...] = ()
    """Each as the names on the way to it, through lists as if they were not there; none: all."""
    limit: int = 0
    """Entries; 0: all."""
    after: str = ""
    """The key of the last entry that is known already."""

    @classmethod
    def of(cls, given: Iterable[tuple[str, str]]) -> Selection:
        """`given`: what stands behind the question mark. Raises Malformed."""
        said: dict[str, str] = {}
        for name, value in given:
            if name in said:
                raise Malformed(f"{name} is said twice.")
            if name in SAID:
                said[name] = value
        limit = said.get("limit", str(MOST))
        if not (limit.isascii() and limit.isdecimal() and len(limit) < 6 and 1 <= int(limit) <= MOST):
            raise Malformed(f"limit is a number from 1 to {MOST}.")
        fields = tuple(tuple(each.split(".")) for each in said["fields"].split(",")) if "fields" in said else ()
        if not all(map(all, fields)):
            raise Malformed("fields are names with commas between them, and dots where one is in another: name,run.state")
        if len(fields) > MOST_FIELDS:
            raise Malformed(f"fields are {MOST_FIELDS} at most; leave it out to have them all.")
        return cls(fields, int(limit) if "limit" in said else 0, said.get("after", ""))

    @property
    def whole(self) -> bool:
        return self == Selection()


class Part(NamedTuple):
    document: dict[str, Any]
    next: str = ""
    """`after` for the next page; "" on the last one."""


def select(document: Mapping[str, Any], asked: Selection) -> Part:
    """Raises NoField. A page is in order of the entries' keys."""
    whole, following = dict(document), ""
    paged = LISTS.get(whole["kind"])
    if paged and (asked.limit or asked.after):
        whole[paged.field], following = _page(whole[paged.field], paged.key, asked)
    return Part(_only(whole, asked.fields) if asked.fields else whole, following)


def _page(entries: Iterable[Any], key: Callable[[Any], str], asked: Selection) -> tuple[list[Any], str]:
    rest = sorted(((key(each), each) for each in entries), key=lambda pair: pair[0])
    rest = [pair for pair in rest if pair[0] > asked.after]
    if not asked.limit or len(rest) <= asked.limit:
        return [each for _, each in rest], ""
    last = rest[asked.limit - 1][0]
    return [each for name, each in rest if name <= last], last if rest[-1][0] > last else ""


def _only(document: Mapping[str, Any], fields: Sequence[Sequence[str]]) -> dict[str, Any]:
    for first, *_ in fields:
        if first not in document:
            raise NoField(f"There is no field {first!r} in this document; it has {', '.join(document)}.")
    names = [".".join(each) for each in fields]
    said = {name: document[name] for name in ("apiVersion", "kind")}
    return {**said, "fields": names, **_within(document, _wanted(fields))}


def _wanted(fields: Iterable[Sequence[str]]) -> Wanted:
    """Put together once: a list has ten thousand entries, and what is done for each must not grow with what is asked for."""
    wanted: Wanted = {}
    for *above, last in sorted(fields, key=len, reverse=True):  # all of a field comes after a part of it, and replaces it
        node = wanted
        for name in above:
            node = node.setdefault(name, {})
        node[last] = {}
    return wanted


def _within(node: Any, wanted: Wanted) -> Any:
    """`node` with nothing but that."""
    if not wanted:
        return node
    if isinstance(node, list):
        return [_within(each, wanted) for each in node]
    if not isinstance(node, Mapping):
        return node
    return {name: _within(value, wanted[name]) for name, value in node.items() if name in wanted}
