"""Places: where in which file a value was written.

Core. The law: every value of a document has a place, and a value that was not written has the place of the nearest thing
around it; so whatever a value causes, somebody can be pointed to a line.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NamedTuple

Path = tuple[str | int, ...]
"""The way from a document to one of its values: keys and indexes."""


class Place(NamedTuple):
    """A spot in a file; line and column count from 1, and are 0 when the file as a whole is meant."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(slots=True)
class Mark:
    """Where one value was written, and where those within it were."""

    line: int
    column: int
    key: tuple[int, int]
    """Line and column of the key it stands under; its own in a list."""
    within: dict[str, Mark] | list[Mark] | str | None = None
    """Marks by key or by index; for a scalar that is not text, what was written."""
    block: tuple[int, int] | None = None
    """Line and column at which the text of a literal block (`|`) begins."""


_STEP = re.compile(r'\[("(?:[^"\\]|\\.)*")\]|\[(\d+)\]|\.?([^.\[\]]+)')
_BARE = re.compile(r'[^.\[\]"\\]+')


def path_of(text: str) -> Path:
    """`spec.interfaces[0].mac` as a path; a key with dots or brackets is quoted: `metadata.labels["a.b"]`."""
    steps = _STEP.findall(text)
    return tuple(int(index) if index else (str(json.loads(quoted)) if quoted else key) for quoted, index, key in steps)


def path_text(path: Path) -> str:
    """A path as people write it, printable and on one line; the inverse of `path_of`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.isprintable() and _BARE.fullmatch(step):
            text += f".{step}" if text else step
        else:
            quoted = json.dumps(step, ensure_ascii=not step.isprintable())
            text += f"[{quoted}]".replace("\x7f", r"\u007f")  # the one control character that JSON lets stand
    return text


@dataclass(frozen=True, slots=True)
class Source:
    """One document of one file: finds where its values were written."""

    file: str
    root: Mark

    def __contains__(self, key: str) -> bool:
        """Whether the document has a top-level key."""
        return isinstance(self.root.within, dict) and key in self.root.within

    def at(self, path: str | Path) -> Place:
        """Where the value is; when it was not written, where the nearest thing around it is."""
        mark = self._find(path)
        return Place(self.file, mark.line, mark.column)

    def key(self, path: str | Path) -> Place:
        """Where the key is under which the value stands; for a value of a list, the value."""
        return Place(self.file, *self._find(path).key)

    def written(self, path: str | Path) -> str | None:
        """What was written for a number, a truth value or nothing; None for text, lists and maps."""
        within = self._find(path).within
        return within if isinstance(within, str) else None

    def text(self, path: str | Path) -> Place:
        """Where the text of a value begins: the value, and for a literal block (`|`) the lines below."""
        mark = self._find(path)
        return Place(self.file, *(mark.block or (mark.line, mark.column)))

    def _find(self, path: str | Path) -> Mark:
        mark = self.root
        for step in path_of(path) if isinstance(path, str) else path:
            within = mark.within
            if isinstance(within, dict):
                found = within.get(str(step))
            else:
                found = within[step] if isinstance(within, list) and isinstance(step, int) and step < len(within) else None
            if found is None:
                break
            mark = found
        return mark
