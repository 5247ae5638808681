"""YAML with places: text in, plain data and the line and column of every value out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Path = tuple[str | int, ...]
"""The way from a document to one of its values: keys and indexes."""


class Place(NamedTuple):
    """A spot in a file; line and column count from 1."""

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
    within: Mapping[str, Mark] | Sequence[Mark] | str | None = None
    """Marks by key or index; for a scalar that is no text, what was written."""


_STEP = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|\.?([^.\[\]]+)')


def path_of(text: str) -> Path:
    """`spec.interfaces[0].mac` as a path; a key with dots or brackets is written `labels["a.b"]`."""
    return tuple(
        int(index) if index else (re.sub(r"\\(.)", r"\1", quoted) if quoted else key)
        for quoted, index, key in _STEP.findall(text)
    )


@dataclass(frozen=True, slots=True)
class Source:
    """One document of one file: finds the place of its values."""

    file: str
    root: Mark

    def at(self, path: str | Path) -> Place:
        """Where the value is; when it was not written, where the nearest thing around it is."""
        mark = self._find(path)
        return Place(self.file, mark.line, mark.column)

    def _find(self, path: str | Path) -> Mark:
        mark = self.root
        for step in path_of(path) if isinstance(path, str) else path:
            within = mark.within
            if isinstance(within, Mapping) and step in within:
                mark = within[str(step)]
            elif isinstance(within, list) and isinstance(step, int) and step < len(within):
                mark = within[step]
            else:
                break
        return mark
