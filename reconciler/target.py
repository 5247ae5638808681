"""What `gitboot check` reads: a folder as it lies on the disk, or a revision of a repository.

Shell. A folder is read as git would record it: `.git` is skipped, symlinks are entries and never followed, and inside a work
tree what git ignores is ignored, so that the problems found are those a commit of it would have.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import Unavailable
from reconciler.git import open_repository
from reconciler.gitprocess import GitFailed, GitProcess
from reconciler.repository import Repository
from reconciler.snapshot import MAX_FILE_BYTES, Entry, Snapshot, is_inventory
from reconciler.source import Local, Source, locate


@dataclass(frozen=True, slots=True)
class Target:
    """`url` is a path or an address; `rev` is None where none was given."""

    url: str
    rev: str | None = None


def parse_target(text: str, exists: Callable[[str], bool] = os.path.exists) -> Target:
    """Split `PATH_OR_REPO[@REV]`. Raises `BadSource` for an address git must not be given.

    A path is taken as far as it exists, because both paths and revisions may hold an `@`. In an address only an `@` behind
    the host can begin a revision: `git@host:site.git@v1`, `https://user:token@host/site.git@main`.
    """
    if exists(text):
        return Target(text)
    if isinstance(locate(text), Local):
        cuts = [at for at, letter in enumerate(text) if letter == "@" and exists(text[:at])]
        at = cuts[-1] if cuts else text.find("@")
    else:
        scheme = text.find("://")
        at = text.find("@", text.find("/", scheme + 3) if scheme >= 0 else text.find(":"))
    return Target(text[:at], text[at + 1 :] or "HEAD") if at > 0 else Target(text)


def snapshot_of_target(text: str, timeout: float = 60) -> Snapshot:
    """The snapshot `gitboot check` judges. Raises `Unavailable`, `BadSource`, or `Rejected` for an endless commit.

    A folder without a revision is read as it lies; a bare repository or an address without one, at its HEAD.
    """
    source = _source_of(text, timeout)
    if isinstance(source, Path):
        return snapshot_of_folder(source, timeout)
    with _opened(source, timeout) as repository:
        return repository.snapshot(repository.fetch())


@contextmanager
def open_target(text: str, timeout: float = 60) -> Iterator[Repository]:
    """The repository of a target that is a commit. Raises `Unavailable` for a folder as it lies."""
    source = _source_of(text, timeout)
    if isinstance(source, Path):
        raise Unavailable(f"A folder as it lies is no commit, and commits are signed: name one, as {text}@HEAD.")
    with _opened(source, timeout) as repository:
        yield repository


def prefix_of(text: str, timeout: float = 60) -> str:
    """Where a target's files are in its repository, with a slash behind; "" for its top, and where git has no say."""
    location = locate(parse_target(text).url)
    place = _place(location.path.absolute(), timeout) if isinstance(location, Local) else None
    return place.prefix if place else ""


def lies_here(text: str, timeout: float = 60) -> Path | None:
    """The folder that a target without a revision is; None for one that is a commit. Raises as `snapshot_of_target`."""
    source = _source_of(text, timeout)
    return source if isinstance(source, Path) else None


def _source_of(text: str, timeout: float) -> Source | Path:
    """The folder that is to be read as it lies, or what names the commit."""
    target = parse_target(text)
    location = locate(target.url)
    if not isinstance(location, Local):
        return Source(target.url, target.rev or "HEAD")
    path = location.path.absolute()
    if path.is_file():
        raise Unavailable(f"{path} is a file: name the folder of the inventory that it is part of.")
    if not path.is_dir():
        raise Unavailable(f"{path} is no folder: check the path.")
    place = _place(path, timeout)
    if target.rev is None and not (place and place.is_bare):
        return path
    prefix = place.prefix if place else ""
    top = path.parents[prefix.count("/") - 1] if prefix else path
    return Source(str(top), target.rev or "HEAD", prefix)


def snapshot_of_folder(folder: Path, timeout: float = 60) -> Snapshot:
    """The files below a folder as they are now. Raises `Unavailable` for one that cannot be read.

    Only what is read has a blob id (git's own, SHA-1): to hash a disk image that lies beside the inventory is no one's wish.
    """
    contents: dict[str, bytes] = {}
    try:
        kept = _kept_by_git(folder, timeout)
        entries = [_entry(found, path, contents) for found, path in _walk(folder, "", kept)]
    except OSError as error:
        raise Unavailable(f"{error.filename or folder} cannot be read: {error.strerror}; check who may read it.") from None
    return Snapshot("", tuple(sorted(entries, key=lambda entry: entry.path)), contents)


@contextmanager
def _opened(source: Source, timeout: float) -> Iterator[Repository]:
    with (
        tempfile.TemporaryDirectory(prefix="gitboot-") as scratch,
        closing(open_repository(source, Path(scratch, "mirror"), timeout)) as repository,
    ):
        yield repository


class _Place(NamedTuple):
    """Where a folder is in the repository around it."""

    is_bare: bool
    prefix: str
    """The folder's path in the work tree, with a slash behind; "" for its top."""


def _place(folder: Path, timeout: float) -> _Place | None:
    try:
        answer = GitProcess(timeout).run("-C", str(folder), "rev-parse", "--is-bare-repository", "--show-prefix")
    except GitFailed:
        return None
    is_bare, prefix = answer.decode(errors="surrogateescape").split("\n", 1)
    return _Place(is_bare == "true", prefix.removesuffix("\n"))


def _kept_by_git(folder: Path, timeout: float) -> frozenset[str] | None:
    """The paths a commit of this folder would record and the folders above them; None where git has no say.

    A folder that holds a repository of its own, which would be recorded as a submodule, is listed like a file.
    """
    words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    try:
        answer = GitProcess(timeout).run("-C", str(folder.absolute()), *words)
    except GitFailed:
        return None
    files = {path.removesuffix("/") for path in answer.decode(errors="surrogateescape").split("\0") if path}
    above = {path[:at] + "/" for path in files for at, letter in enumerate(path) if letter == "/"}
    return frozenset(files | above) or None


def _walk(folder: Path | str, prefix: str, kept: frozenset[str] | None) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Every file, symlink and submodule with its path from the top. Sockets, pipes and devices are nothing to git."""
    with os.scandir(folder) as found:
        for item in found:
            path = prefix + item.name
            is_folder = item.is_dir(follow_symlinks=False)
            if item.name == ".git" or not (is_folder or item.is_symlink() or item.is_file()):
                continue
            if kept is None or path in kept:
                if is_folder and kept is None:
                    yield from _walk(item.path, f"{path}/", kept)
                else:
                    yield item, path
            elif is_folder and f"{path}/" in kept:
                yield from _walk(item.path, f"{path}/", kept)


def _entry(found: os.DirEntry[str], path: str, contents: dict[str, bytes]) -> Entry:
    """The entry of one thing found; the content of an inventory file is added to `contents`."""
    if found.is_symlink():
        target = os.fsencode(os.readlink(found.path))
        return Entry(path, "symlink", _blob_id(target), len(target))
    if found.is_dir(follow_symlinks=False):
        return Entry(path, "submodule", "", 0)
    size = found.stat(follow_symlinks=False).st_size
    if not is_inventory(path) or size > MAX_FILE_BYTES:
        return Entry(path, "file", "", size)
    content = Path(found.path).read_bytes()
    blob = _blob_id(content)
    contents[blob] = content
    return Entry(path, "file", blob, len(content))


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
