"""A snapshot: one commit's inventory files as values, wherever they came from.

Core. `reconciler.git` makes snapshots from commits, `gitboot check FOLDER` makes one from a plain folder; everything after
them sees only this. Blobs the caller already parsed need not be carried again, so `contents` may lack them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MAX_FILE_BYTES = 1024 * 1024
"""Larger files are not read: their entry is kept (the reader reports it), their content is not."""

EntryKind = Literal["file", "symlink", "submodule"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of the tree. `blob` is the content's object id (hex), the key into `Snapshot.contents`."""

    path: str
    """Relative to the inventory's folder, `/`-separated, as git stores it; undecodable bytes are surrogate-escaped."""
    kind: EntryKind
    blob: str
    size: int
    """Bytes; 0 for a submodule."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one revision says, whole."""

    revision: str
    """The commit's full object id, or "" for a plain folder that is no commit."""
    entries: tuple[Entry, ...]
    """Sorted by path."""
    contents: Mapping[str, bytes]
    """By blob id. Holds inventory files (`is_inventory`) up to `MAX_FILE_BYTES` that the caller did not already know."""


def is_inventory(path: str) -> bool:
    """Whether the path is read as inventory: YAML and JSON files outside hidden folders (`.github/…`, `.gitlab-ci.yml`)."""
    if any(part.startswith(".") for part in path.split("/")):
        return False
    return path.endswith((".yaml", ".yml", ".json"))
