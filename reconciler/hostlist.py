"""Host lists: `node[01-16,20],rack[1-2]n[1-4]` as people and cluster tools write many names at once.

Core. The law: a range is as wide as it is written, so `node[01-03]` begins with `node01`, and what has no bracket is a name
as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

MOST = 100_000
"""Names of one list: what is longer is a slip of the pen."""
_PART = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")


def is_list(text: str) -> bool:
    """Whether it is more than one name as it stands."""
    return any(letter in text for letter in "[],")


def expand(text: str) -> list[str]:
    """The names in the order in which they are written, each once. Raises ValueError with a sentence."""
    names: dict[str, None] = {}
    for item in _items(text):
        for name in _names(item):
            names[name] = None
            if len(names) > MOST:
                raise ValueError(f"{text!r} means more than {MOST} names.")
    return list(names)


def _items(text: str) -> Iterator[str]:
    """Commas inside of brackets separate nothing here."""
    for item in re.split(r",(?![^\[]*\])", text):
        if item := item.strip():
            yield item


def _names(item: str) -> Iterator[str]:
    pieces = _PART.split(item)
    if any(letter in piece for piece in pieces[::2] for letter in "[]"):
        raise ValueError(f"{item!r} has a bracket without its other half; write node[01-16].")
    values = [[piece] if at % 2 == 0 else _values(piece, item) for at, piece in enumerate(pieces)]
    return ("".join(each) for each in product(*values))


def _values(inside: str, item: str) -> list[str]:
    found: list[str] = []
    for piece in inside.split(","):
        match = _RANGE.fullmatch(piece.strip())
        if match is None:
            raise ValueError(f"{piece.strip()!r} in {item!r} is neither a number nor a range like 01-16.")
        first, last = match[1], match[2] or match[1]
        if int(last) < int(first) or int(last) - int(first) >= MOST:
            raise ValueError(f"The range {piece.strip()} in {item!r} ends before it begins, or is endless.")
        found += [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]
    return found
