"""What a repository's commits say, read from its object store: never a work tree, never a write.

Shell. Branch names, paths and revisions reach git on standard input or behind an object id, so that none can become an
option. A tree without files is an empty snapshot: what that means is for the compiler. A commit crafted to be endless is
`Rejected` at a limit.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from reconciler.errors import Unavailable, UnknownRef, advise, complaint_of
from reconciler.gitprocess import MAX_OUTPUT_BYTES, NOT_FOUND, GitFailed, GitProcess, TimedOut, TooMuchOutput
from reconciler.problems import Problem, Rejected
from reconciler.snapshot import MAX_FILE_BYTES, Entry, EntryKind, Snapshot, is_inventory
from reconciler.source import Source, scrub

MAX_LISTING_BYTES = 256 * 1024 * 1024
"""Of `ls-tree`: some two million paths. Nested copies of one folder can list for ever in a commit of a few kilobytes."""

MAX_CONTENT_BYTES = 448 * 1024 * 1024
"""Of all inventory files of a commit that must be read at once."""

_OBJECT = re.compile(rb"([0-9a-f]{40,64}) (\w+) (\d+)")
_BLAMED = re.compile(rb"([0-9a-f]{40,64}) (\d+) (\d+)(?: \d+)?")
_KINDS: dict[bytes, EntryKind] = {b"100": "file", b"120": "symlink", b"160": "submodule"}


class Damaged(Unavailable):
    """The object store lacks, or cannot decode, something that its own refs or trees name."""


class Listed(NamedTuple):
    """One line of `ls-tree`."""

    path: str
    kind: EntryKind
    blob: str


class Repository(ABC):
    """What a source's commits say. Every method may raise `Unavailable`."""

    def __init__(self, source: Source, git: GitProcess) -> None:
        self.source = source
        self._git = git
        self._sizes: dict[str, int] = {}
        """Of the blobs in the last snapshot: most of the next one's, and each costs git a look-up."""

    @abstractmethod
    def deepen(self) -> None:
        """See to it that the history of what was fetched last is here, as far as anybody has it."""

    @abstractmethod
    def fetch(self) -> str:
        """The id of the commit that the source's ref names now. Raises `UnknownRef` when it names none."""

    @abstractmethod
    def bring(self, ref: str) -> str:
        """The id of the commit that another ref of the same repository names now: it can be read then. Raises `UnknownRef`."""

    @property
    @abstractmethod
    def directory(self) -> Path:
        """The git directory."""

    def close(self) -> None:
        """End a command that is under way. The object cannot be used afterwards."""
        self._git.stop()

    def resolve(self, rev: str) -> str:
        """The commit id of a branch, tag, commit or revision expression (`HEAD~1`). Raises `UnknownRef`."""
        if not rev.isprintable():
            raise UnknownRef(f"{self.source} has no {rev!r}: a name holds no control character.")
        names = [rev] if rev == "HEAD" else [f"refs/heads/{rev}", f"refs/tags/{rev}", rev]
        for answer in self._look_up(f"{name}^{{commit}}" for name in names):
            if answer:
                return answer[0]
        if rev == "HEAD":
            raise UnknownRef(f"{self.source} has no commit on its HEAD yet: push one, or name the branch to serve.")
        raise UnknownRef(f"{self.source} has no branch, tag or commit {rev!r}: push it, or correct the name.")

    def follows(self, revision: str, earlier: str) -> bool | None:
        """Whether the commit `earlier` is in the history of `revision`. None: it can no longer be said, for lack of history."""
        if self._committed(earlier) is None:
            return None
        return self._has_ancestor(revision, earlier) or (None if self._is_shallow() else False)

    def snapshot(self, revision: str, known: Container[str] = ()) -> Snapshot:
        """The inventory files of a commit, below the source's folder; without the contents of blobs that are `known`.

        Raises `Rejected` for a commit too large to be read whole.
        """
        commit, tree = self._look_up([f"{revision}^{{commit}}", f"{revision}:{self.source.path}"])
        if commit is None:
            raise Damaged(f"{self.source} no longer holds commit {revision}: fetch again.")
        if tree is None or tree[1] != "tree":
            return Snapshot(revision, (), {})
        listing = list(_parse_listing(self._list(tree[0])))
        sizes = self._sizes_of(file.blob for file in listing if file.kind != "submodule")
        entries = tuple(sorted((Entry(*file, sizes.get(file.blob, 0)) for file in listing), key=lambda entry: entry.path))
        wanted = {entry.blob: entry.size for entry in entries if _is_wanted(entry, known)}
        if sum(wanted.values()) > MAX_CONTENT_BYTES:
            raise _too_large(f"more than {MAX_CONTENT_BYTES >> 20} MiB of inventory files")
        self._sizes = sizes
        return Snapshot(revision, entries, self._contents(wanted))

    # History, for whom it must be signed (`reconciler.lineage`); object ids are hex that was checked ---------------------

    def objects(self, names: Iterable[str], kind: str, limit: int) -> dict[str, bytes]:
        """The bytes of those objects that are here and of this kind. Raises TooMuchOutput."""
        output, found, at = self._read("cat-file", "--batch", "--buffer", feed=_lines(names), limit=limit), {}, 0
        while at < len(output):
            start = output.index(b"\n", at) + 1
            if not (match := _OBJECT.fullmatch(output[at : start - 1])):
                at = start  # `ID missing`
                continue
            if match[2].decode() == kind:
                found[match[1].decode()] = output[start : start + int(match[3])]
            at = start + int(match[3]) + 1
        return found

    def merge_base(self, one: str, other: str) -> str:
        """Where two histories part. Raises `Unavailable` when they have no commit in common, as far as they are here."""
        try:
            words = ("merge-base", "--end-of-options", one, other)
            return self._git.run(f"--git-dir={self.directory}", *words).decode().split()[0]
        except GitFailed as error:
            if error.status != 1 or error.stderr:
                raise self.unavailable(error) from None
        raise Unavailable(f"{one[:12]} and {other[:12]} have no commit in common here: fetch the whole history.")

    def is_in_history(self, earlier: str, revision: str) -> bool:
        """Whether it is, as far as history is here; a commit is in its own."""
        found = self._look_up([f"{earlier}^{{commit}}", f"{revision}^{{commit}}"])
        return None not in found and self._has_ancestor(revision, earlier)

    def commits_between(self, head: str, since: str, most: int) -> list[str]:
        """The first ids of what is in the history of `head` and not of `since`."""
        return self._read("rev-list", f"--max-count={most}", head, f"^{since}").decode().split()

    def first_parents(self, head: str, since: str) -> list[str]:
        """The ids from after `since` to `head`, oldest first, a merge for its branch; those of a branch that was served."""
        return self._read("rev-list", "--first-parent", "--reverse", head, f"^{since}").decode().split()

    def latest(self, head: str, most: int) -> list[str]:
        """The last ids of a branch, newest first, a merge for its branch; as far as they are here."""
        return self._read("rev-list", "--first-parent", f"--max-count={most}", head).decode().split()

    def ancestry(self, head: str) -> dict[str, tuple[str, ...]]:
        """The commits of a history, as far as it is here, with their parents; children before parents."""
        lines = self._read("rev-list", "--topo-order", "--parents", head).decode().splitlines()
        return {commit: tuple(parents) for commit, *parents in map(str.split, lines)}

    def outside(self, names: Iterable[str], since: str) -> list[str]:
        """Those commits that are not in the history of `since`, as far as that is here: one of them, or none."""
        wanted = sorted(names)
        found = dict(zip(wanted, self._look_up(wanted), strict=True))
        if missing := [name for name in wanted if found[name] is None]:
            return missing
        return self._read("rev-list", "--max-count=1", *wanted, f"^{since}").decode().split() if wanted else []

    def trees(self, names: Iterable[str]) -> dict[str, str]:
        """The id of the inventory's folder in each commit; "" where there is none."""
        wanted = sorted(names)
        found = self._look_up(f"{name}:{self.source.path}" for name in wanted)
        return {name: tree[0] if tree and tree[1] == "tree" else "" for name, tree in zip(wanted, found, strict=True)}

    def differences(self, pairs: Iterable[tuple[str, str]], limit: int) -> dict[tuple[str, str], list[str]]:
        """The paths in which each two trees differ. Raises TooMuchOutput."""
        feed = "".join(f"{a} {b}\n" for a, b in pairs).encode()
        output = self._read("diff-tree", "--stdin", "-r", "-z", "--raw", "--no-renames", feed=feed, limit=limit)
        paths: list[str] = []
        found: dict[tuple[str, str], list[str]] = {}
        at = 0
        while at < len(output):
            if output[at : at + 1] == b":":  # `:MODES IDS STATUS NUL PATH NUL`; else `ID ID LF`, of the next pair
                start = output.index(b"\0", at) + 1
                at = output.index(b"\0", start) + 1
                paths.append(output[start : at - 1].decode(errors="surrogateescape"))
            else:
                start, at = at, output.index(b"\n", at) + 1
                a, b = output[start : at - 1].decode().split(" ")
                paths = found[a, b] = []
        return found

    def blob(self, revision: str, path: str) -> bytes | None:
        """A file of a commit, by its path below the source's folder; None where there is none."""
        found = self._look_up([f"{revision}:{self.below(path)}"])[0] if path.isprintable() else None
        return self.objects([found[0]], "blob", MAX_CONTENT_BYTES).get(found[0]) if found else None

    def blame(self, revision: str, path: str, lines: Iterable[int]) -> dict[int, tuple[str, int]]:
        """Line (from 1) of a file of the commit → the commit that git says it is from, and its line there.

        No filter or text conversion of the repository's is run, and its settings pass over no commit.
        """
        asked = (f"-L{line},{line}" for line in sorted(set(lines)))
        options = ("--porcelain", "--root", "--no-textconv", "--ignore-revs-file=")
        output = self._read("blame", *options, *asked, revision, "--", self.below(path))
        found = map(_BLAMED.fullmatch, output.split(b"\n"))  # content begins with a tab, whatever else is said with a word
        return {int(match[3]): (match[1].decode(), int(match[2])) for match in found if match}

    def below(self, path: str) -> str:
        """A path below the source's folder, from the top of the repository."""
        return f"{self.source.path}/{path}" if self.source.path else path

    def tags_on(self, commits: Container[str]) -> list[str]:
        """The annotated tags that name one of these commits."""
        return self._tags_below("refs/tags", commits)

    def tags_below(self, folder: str, known: Container[str]) -> dict[str, str]:
        """Name (`try/node-01/x`) → id of the annotated tags in a folder that are not `known`. They can be read then."""
        return self._annotated(f"refs/tags/{folder}/", "refs/tags/", known)

    def _annotated(self, place: str, above: str, known: Container[str]) -> dict[str, str]:
        listed = self._read("for-each-ref", "--format=%(objecttype) %(objectname) %(refname)", place).decode(errors="replace")
        lines = (line.split(" ", 2) for line in listed.splitlines())
        return {name.removeprefix(above): tag for kind, tag, name in lines if kind == "tag" and tag not in known}

    def _tags_below(self, place: str, commits: Container[str]) -> list[str]:
        listed = self._read("for-each-ref", "--format=%(objecttype) %(objectname) %(*objectname)", place).decode()
        tags = [line.split(" ") for line in listed.splitlines() if line.startswith("tag ")]
        return [tag for _, tag, commit in tags if commit in commits]

    def verify(
        self, kind: Literal["commit", "tag"], names: Sequence[str], settings: Sequence[str], environment: Mapping[str, str]
    ) -> str:
        """ "" when git says by its status that all of these are signed by somebody whom the settings allow; else why not."""
        words = [word for setting in settings for word in ("-c", setting)]
        try:
            self._git.run(*words, f"--git-dir={self.directory}", f"verify-{kind}", "--raw", *names, environment=environment)
        except GitFailed as error:
            if isinstance(error, TimedOut) or error.status == NOT_FOUND:
                raise self.unavailable(error) from None
            return error.stderr or "git says no more"
        return ""

    def _look_up(self, names: Iterable[str]) -> list[tuple[str, str] | None]:
        """Object id and type of each name, None where there is no such object or the name is ambiguous."""
        feed = "".join(f"{name}\n" for name in names).encode(errors="surrogateescape")
        matches = map(_OBJECT.fullmatch, self._read("cat-file", "--batch-check", feed=feed).splitlines())
        return [(match[1].decode(), match[2].decode()) if match else None for match in matches]

    def _has_ancestor(self, revision: str, earlier: str) -> bool:
        """In the history that is here."""
        try:
            self._git.run(f"--git-dir={self.directory}", "merge-base", "--is-ancestor", "--end-of-options", earlier, revision)
        except GitFailed as error:
            if error.status == 1 and not error.stderr:
                return False
            raise self.unavailable(error) from None
        return True

    def _is_shallow(self) -> bool:
        return self._read("rev-parse", "--is-shallow-repository") == b"true\n"

    def _header(self, revision: str) -> list[list[str]]:
        """The words of each line of a commit's header, as the commit itself has them; none when it is not here."""
        found = self._look_up([f"{revision}^{{commit}}"])[0]
        if found is None:
            return []
        text = self._read("cat-file", "commit", found[0]).decode(errors="replace")
        return [line.split(" ") for line in text.partition("\n\n")[0].splitlines()]

    def _parents(self, revision: str) -> list[str]:
        return [words[1] for words in self._header(revision) if words[0] == "parent" and len(words) == 2]

    def _committed(self, revision: str) -> int | None:
        """When, in seconds since the epoch; None when it is not here, or has no date."""
        dates = [words[-2] for words in self._header(revision) if words[0] == "committer"]
        return int(dates[0]) if dates and dates[0].isdecimal() else None

    def _list(self, tree: str) -> bytes:
        try:
            return self._read("ls-tree", "-r", "-z", "--full-tree", tree, limit=MAX_LISTING_BYTES)
        except TooMuchOutput:
            raise _too_large("too many files") from None

    def _sizes_of(self, blobs: Iterable[str]) -> dict[str, int]:
        sizes = {blob: self._sizes.get(blob, -1) for blob in blobs}
        fresh = [blob for blob, size in sizes.items() if size < 0]
        if fresh:
            answers = self._read("cat-file", "--batch-check", "--buffer", feed=_lines(fresh)).splitlines()
            for blob, answer in zip(fresh, answers, strict=True):
                if not (match := _OBJECT.fullmatch(answer)):
                    raise Damaged(f"{self.source} lacks object {blob}: run `git fsck` there, or clone it anew and in full.")
                sizes[blob] = int(match[3])
        return sizes

    def _contents(self, wanted: dict[str, int]) -> dict[str, bytes]:
        """The blobs' bytes, from one `cat-file --batch`, whose answers are `ID blob SIZE`, the bytes, and a line end."""
        if not wanted:
            return {}
        output = self._read("cat-file", "--batch", "--buffer", feed=_lines(wanted))
        contents, at = {}, 0
        for blob, size in wanted.items():
            start = output.index(b"\n", at) + 1
            contents[blob] = output[start : start + size]
            at = start + size + 1
        return contents

    def _read(self, *words: str, feed: bytes = b"", limit: int = MAX_OUTPUT_BYTES) -> bytes:
        """Run a reading command. `TooMuchOutput` is left to the caller who set the limit."""
        try:
            return self._git.run(f"--git-dir={self.directory}", *words, feed=feed, limit=limit)
        except TooMuchOutput:
            raise
        except TimedOut as error:
            raise self.unavailable(error) from None
        except GitFailed as error:
            raise Damaged(str(self.unavailable(error))) from None

    def unavailable(self, error: GitFailed) -> Unavailable:
        """The error as the user is told it."""
        if isinstance(error, TimedOut):
            seconds = f"{self._git.timeout:g} s"
            return Unavailable(f"{self.source} did not answer within {seconds}: check the network and the git server.")
        if error.status == NOT_FOUND:
            return Unavailable("git is not installed: install the package `git`.")
        complaint = scrub(complaint_of(error.stderr))
        return Unavailable(f"{self.source} cannot be read: {complaint}; {advise(complaint)}.")


def _is_wanted(entry: Entry, known: Container[str]) -> bool:
    readable = entry.kind == "file" and entry.size <= MAX_FILE_BYTES
    return readable and entry.blob not in known and is_inventory(entry.path)


def _parse_listing(listing: bytes) -> Iterator[Listed]:
    """`MODE TYPE ID TAB PATH NUL …`: the mode's first three digits say what the path is, the rest whether it may be run."""
    for line in listing.split(b"\0")[:-1]:
        head, path = line.split(b"\t", 1)
        mode, _, blob = head.split(b" ")
        yield Listed(path.decode(errors="surrogateescape"), _KINDS[mode[:3]], blob.decode())


def _lines(blobs: Iterable[str]) -> bytes:
    return "".join(f"{blob}\n" for blob in blobs).encode()


def _too_large(what: str) -> Rejected:
    message = f"the commit holds {what}: keep artefacts and unrelated trees out of the inventory's folder"
    return Rejected([Problem("", 0, 0, "", "tree-too-large", "error", message)])
