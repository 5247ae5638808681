"""The reader: a snapshot becomes an inventory, or every problem of it.

Core. The law: a file is parsed once. What a file says depends on its bytes alone and is remembered by blob, so that the same
blob gives the identical objects in every revision; only the checks across documents look at everything anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.formats import FileContent, read_file
from reconciler.inventory import Inventory
from reconciler.problems import Problem
from reconciler.snapshot import MAX_FILE_BYTES, Entry, Snapshot, is_inventory
from reconciler.validate import Findings, validate


class Reader:
    """Reads one snapshot after another. Holds what the last one said. Not safe for two threads at once."""

    def __init__(self, files: Mapping[tuple[str, str], FileContent] | None = None) -> None:
        """`files`: what is known already, as `files` has it."""
        self._files = dict(files or {})
        self._paths: dict[str, str] = dict(self._files.keys())

    @property
    def files(self) -> Mapping[tuple[str, str], FileContent]:
        """Blob and path → content, of the last snapshot."""
        return self._files

    @property
    def known(self) -> frozenset[str]:
        """The blobs that the next snapshot need not carry."""
        return frozenset(self._paths)

    def read(self, snapshot: Snapshot) -> tuple[Inventory | None, tuple[Problem, ...]]:
        """The inventory, None when there is an error; and all problems, in order of place.

        Raises KeyError when the snapshot lacks the content of an inventory file that is not `known` either.
        """
        problems = [problem for entry in snapshot.entries if (problem := _unreadable(entry)) is not None]
        entries = [entry for entry in snapshot.entries if _is_read(entry)]
        if not entries and not problems:
            message = "There is no inventory here: add YAML files with a Site and your machines, or look in another folder."
            return None, (Problem("", 0, 0, "", "empty-inventory", "error", message),)
        files = {(entry.blob, entry.path): self._content(entry, snapshot) for entry in entries}
        self._files = files
        self._paths = dict(files.keys())
        findings = Findings.of(files.values())
        inventory = validate(findings, snapshot.revision)
        problems += findings.problems
        failed = any(problem.severity == "error" for problem in problems)
        return None if failed else inventory, tuple(sorted(set(problems)))

    def _content(self, entry: Entry, snapshot: Snapshot) -> FileContent:
        if (known := self._files.get((entry.blob, entry.path))) is not None:
            return known
        file = printable(entry.path)
        if (path := self._paths.get(entry.blob)) is not None:
            return self._files[entry.blob, path].moved(file)
        return read_file(file, snapshot.contents[entry.blob])


def _is_read(entry: Entry) -> bool:
    return entry.kind == "file" and entry.size <= MAX_FILE_BYTES and is_inventory(entry.path)


def _unreadable(entry: Entry) -> Problem | None:
    """What is wrong with an entry that is not read, when it looks as if it should be."""
    if entry.kind == "submodule":
        message = "Submodules are not read: copy the files in, or give gitboot the folder beside it with --path."
        return _about(entry, "unread-submodule", message)
    if entry.kind == "symlink" and is_inventory(entry.path):
        return _about(entry, "unread-symlink", "Symbolic links are not followed: put a file in its place.")
    if entry.kind == "file" and entry.size > MAX_FILE_BYTES and is_inventory(entry.path):
        message = f"The file is larger than {MAX_FILE_BYTES} bytes and is not read: split it, or move it elsewhere."
        return _about(entry, "file-too-large", message)
    return None


def _about(entry: Entry, code: str, message: str) -> Problem:
    return Problem(printable(entry.path), 0, 0, "", code, "error", message)


def printable(path: str) -> str:
    """A path that can be printed on one line, whatever bytes git stores."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
