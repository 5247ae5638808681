"""A mirror: our own bare copy of what a remote repository's ref names, kept current, replaced when it is damaged.

Shell. A branch or tag is mirrored without its history (`--depth=1`), which costs what the commit holds and not what the
repository ever held, and a pack is asked for only when the ref has moved. Where the server cannot do that, or the ref is an
expression such as `HEAD~1` that only history answers, everything is fetched. Where history is asked for once (`deepen`), for
whom it must be signed, the mirror keeps it from then on.

Only one gitboot and its git children are ever in a mirror: they share one lock, which is free again only when the last of
them is gone, so that what a killed git left behind (`*.lock`) can be told from what a living one is using. A mirror is
made beside its place and renamed into it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Container, Sequence
from pathlib import Path

from reconciler.errors import Unavailable, UnknownRef, advise
from reconciler.gitprocess import GitFailed, GitProcess
from reconciler.repository import Damaged, Repository
from reconciler.snapshot import Snapshot
from reconciler.source import Remote, Source, scrub

_FIRST_PATIENCE = 10  # for what may bring a whole repository; else it is a few objects
_EVERYTHING = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
_FOLLOWED = "refs/gitboot/followed"
_DEEPER = "refs/gitboot/deeper"
_TRIED = "refs/gitboot/tried"
_TRIES = "refs/gitboot/tags-to-try"
_HEAD = "refs/gitboot/HEAD"
_TAGS = "refs/gitboot/tags"
_MOST_TAGS = 20
"""On the commits between two, that are fetched to see who signed them."""
_KEEPS_HISTORY = "gitboot-keeps-history"
"""An empty file in the mirror."""
_FROM_HEAD = re.compile(r"HEAD[~^@].*")
_NEEDS_HISTORY = re.compile(r"[0-9a-f]{4,64}|.*([~^:]|@\{).*")
_FULL_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TAGGED = re.compile(r"([0-9a-f]{40,64})\t(refs/tags/[^\s:*^?~\\\[]+)\^\{\}")
_MAX_REFS_BYTES = 16 * 1024 * 1024
_DAY = 86400

_DAMAGE = re.compile(
    r"^(?!remote:).*(corrupt|bad object|not a git repository|loose object|unable to read|missing (blob|tree|commit|object)|"
    r"packfile|index file|inflate|bad ref|broken|does not point to a valid object|invalid sha1|did not send all|bad config)",
    re.IGNORECASE | re.MULTILINE,
)
_NOT_SHALLOW = re.compile(r"does not support (shallow|--)", re.IGNORECASE)
_NOT_BY_ID = re.compile(r"unadvertised object", re.IGNORECASE)
_NOT_THERE = re.compile(r"couldn't find remote ref|not our ref|unadvertised object|no such remote ref", re.IGNORECASE)


class Mirror(Repository):
    """The bare mirror of a remote source in `directory`. Raises `Unavailable` when its folder cannot be written."""

    def __init__(self, directory: Path, source: Source, timeout: float) -> None:
        location = source.location
        if not isinstance(location, Remote):
            raise TypeError("a mirror is of a remote source; a local one is read in place")
        self._remote = location
        self._directory = directory.absolute()
        self._lock = _open_lock(self._directory)
        self._is_ours = False
        self._is_tidy = False
        self._is_sound = True
        self._name = ""
        """The ref as the server lists it, or a commit's id: fetched without history. "": everything is, history and all."""
        super().__init__(source, GitProcess(timeout, location, inherit=(self._lock,)))

    @property
    def directory(self) -> Path:
        self._own()
        return self._directory

    def fetch(self) -> str:
        self._own()
        try:
            self._name, there = self._advertised(self.source.ref)
            if not self._name and not _NEEDS_HISTORY.fullmatch(self.source.ref):
                raise self._unknown()
            return self._held(there) or self._brought()
        except GitFailed as error:
            raise self.unavailable(error) from None

    def bring(self, ref: str) -> str:
        """Without its history, beside what is followed."""
        self._own()
        try:
            name, _ = self._advertised(ref)
            if not name:
                raise UnknownRef(f"{self.source} lists no {ref!r}: name a branch, a tag, a full commit id or pull/N/head.")
            self._fetch_beside(name)
        except GitFailed as error:
            if _NOT_THERE.search(error.stderr):
                raise UnknownRef(f"{self.source} does not give out {ref!r}: name a branch or tag that holds it.") from None
            raise self.unavailable(error) from None
        return self.resolve(_TRIED)

    def _fetch_beside(self, name: str) -> None:
        refspecs = [f"+{name}:{_TRIED}"]
        try:
            self._fetch(self.directory, _depth(self.directory), refspecs, _FIRST_PATIENCE)
        except GitFailed as error:
            if not _NOT_SHALLOW.search(error.stderr):
                raise
            self._fetch(self.directory, [], refspecs, _FIRST_PATIENCE)

    def follows(self, revision: str, earlier: str) -> bool | None:
        """As for any repository. What lies between the two is fetched for this; a child's commit names its parent itself."""
        if earlier in self._parents(revision):
            return True
        then, now = self._committed(earlier), self._committed(revision)
        if then is None or now is None:
            return None
        since = then - _DAY  # clocks differ: a child may be dated before its parent
        if now < since:
            return False
        if self._name and self._is_shallow():
            try:
                self._fetch(self._directory, [f"--shallow-since={since}"], [f"+{self._name}:{_DEEPER}"])
            except GitFailed:
                return None
            return self._has_ancestor(revision, earlier)
        return super().follows(revision, earlier)

    def deepen(self) -> None:
        try:
            (self.directory / _KEEPS_HISTORY).touch()
            if self._is_shallow():
                self._fetch_into(self._directory, _FIRST_PATIENCE)
        except GitFailed as error:
            raise self.unavailable(error) from None
        except OSError as error:
            raise Unavailable(f"{self._directory} cannot be written: {error.strerror}; {advise(str(error))}.") from None

    def tags_on(self, commits: Container[str]) -> list[str]:
        """As for any repository; tags are fetched for this alone, the last in order of name of those that may matter."""
        words = ("--git-dir=/dev/null", "ls-remote", "--quiet", "--end-of-options", self._remote.url, "refs/tags/*")
        try:
            answer = self._git.run(*words, limit=_MAX_REFS_BYTES).decode(errors="replace")
            named = [found[2] for line in answer.splitlines() if (found := _TAGGED.fullmatch(line)) and found[1] in commits]
            if named:
                wanted = [f"+{name}:{_TAGS}/{at}" for at, name in enumerate(named[-_MOST_TAGS:])]
                self._fetch(self.directory, [], wanted)
        except GitFailed as error:
            raise self.unavailable(error) from None
        return self._tags_below(_TAGS, commits) if named else []

    def tags_below(self, folder: str, known: Container[str]) -> dict[str, str]:
        """As for any repository; those that are not known are fetched, the last in order of name of too many."""
        words = ("--git-dir=/dev/null", "ls-remote", "--quiet", "--end-of-options", self._remote.url, f"refs/tags/{folder}/*")
        try:
            answer = self._git.run(*words, limit=_MAX_REFS_BYTES).decode(errors="replace")
            annotated = {found[2] for line in answer.splitlines() if (found := _TAGGED.fullmatch(line))}
            lines = (line.partition("\t") for line in answer.splitlines())
            new = [name for tag, _, name in lines if name in annotated and tag not in known][-_MOST_TAGS:]
            if not new:
                return {}
            place = f"{_TRIES}/{folder}"
            wanted = [f"+{name}:{_TRIES}/{name.removeprefix('refs/tags/')}" for name in new]
            self._fetch(self.directory, ["--prune", *_depth(self.directory)], wanted, _FIRST_PATIENCE)
        except GitFailed as error:
            raise self.unavailable(error) from None
        brought = self._annotated(f"{place}/", f"{_TRIES}/", known)
        return {name: tag for name, tag in brought.items() if f"refs/tags/{name}" in new}

    def snapshot(self, revision: str, known: Container[str] = ()) -> Snapshot:
        """As for any repository; a damaged mirror is fetched anew once before this fails."""
        try:
            return super().snapshot(revision, known)
        except Damaged:
            self._replace()
            return super().snapshot(revision, known)

    def tidy(self) -> None:
        """Pack what many small fetches left loose, when there is much of it (seconds, rarely): for a quiet moment."""
        with contextlib.suppress(GitFailed):
            self._git.run(
                *("-c", "gc.auto=2000", "-c", "gc.autoDetach=false", f"--git-dir={self.directory}", "gc", "--auto", "--quiet")
            )

    def close(self) -> None:
        super().close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def unavailable(self, error: GitFailed) -> Unavailable:
        if _NOT_THERE.search(error.stderr):
            if self._name in ("", self.source.ref):
                return self._unknown()
            return Unavailable(f"{self.source} lists {self._name} and does not hold it: run `git fsck` there if this repeats.")
        secret = self._remote.password or self._remote.username  # a token may stand alone, as the user
        return Unavailable(scrub(str(super().unavailable(error)), secret))

    def _advertised(self, ref: str) -> tuple[str, str]:
        """The full name of a ref and the object it names at the server; two "" when that lists no such ref."""
        if not ref.isprintable():
            return "", ""
        names = ["HEAD"] if ref == "HEAD" else [f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref}"]
        names += [ref] if ref.startswith("refs/") else []
        # In no repository: the mirror may be damaged, or not be there yet.
        words = ("--git-dir=/dev/null", "ls-remote", "--quiet", "--end-of-options", self._remote.url, *names)
        answer = self._git.run(*words, limit=_MAX_REFS_BYTES).decode(errors="surrogateescape")
        listed = {name: there for there, _, name in (line.partition("\t") for line in answer.splitlines())}
        by_id = (ref, ref) if _FULL_ID.fullmatch(ref) else ("", "")  # no branch may hold it, and the server have it still
        return next(((name, listed[name]) for name in names if name in listed), by_id)

    def _held(self, there: str) -> str:
        """The commit that is mirrored, when it is what the server has; else ""."""
        if not there or not self._is_sound or not self._is_labelled():
            return ""
        try:
            followed, commit = self._look_up([_FOLLOWED, f"{_FOLLOWED}^{{commit}}"])
        except Damaged:
            return ""
        return commit[0] if followed and commit and followed[0] == there else ""

    def _brought(self) -> str:
        """The commit, fetched. Raises `GitFailed` too."""
        try:
            if self._is_sound and self._is_labelled():
                self._clear_stale_locks()
                self._fetch_into(self._directory)
            else:
                self._replace()
        except GitFailed as error:
            self._is_tidy = False
            if not _DAMAGE.search(error.stderr):
                raise
            self._replace()
        try:
            return self.resolve(_FOLLOWED if self._name else self.source.ref)
        except UnknownRef:
            raise self._unknown() from None

    def _unknown(self) -> UnknownRef:
        ref = self.source.ref
        step = "push a first commit, or name the branch to serve" if ref == "HEAD" else "push it, or correct the name"
        return UnknownRef(f"{self.source} has no commit for {ref!r}: {step}.")

    def _own(self) -> None:
        """Make sure that no git of an earlier gitboot is still at work here, then clear away what it left."""
        if self._is_ours:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unavailable(
                f"{self._directory} is still used by another gitboot, or by a git that a killed one left: "
                f"a git left behind ends by itself within {self._git.timeout * _FIRST_PATIENCE:g} s."
            ) from None
        for left in self._directory.parent.glob(f"{self._directory.name}.*-*"):
            shutil.rmtree(left, ignore_errors=True)
        if not self._is_labelled():
            shutil.rmtree(self._directory, ignore_errors=True)  # half made, or of another address: it must not answer
        self._is_ours = True

    def _clear_stale_locks(self) -> None:
        """A git that was killed leaves its `*.lock` files, and every later one would stop at them."""
        if not self._is_tidy:
            for stale in self._directory.rglob("*.lock"):
                stale.unlink(missing_ok=True)
            self._is_tidy = True

    def _is_labelled(self) -> bool:
        try:
            return (self._directory / "description").read_text(encoding="utf-8") == self._label()
        except (OSError, UnicodeDecodeError):
            return False

    def _label(self) -> str:
        return f"gitboot's mirror of {self._remote.url}\n"

    def _fetch_into(self, directory: Path, patience: float = 1) -> None:
        if self._name:
            refspecs = [f"+{self._name}:{_FOLLOWED}"]
            try:
                return self._fetch(directory, _depth(directory), refspecs, patience)
            except GitFailed as error:
                if _NOT_SHALLOW.search(error.stderr):
                    return self._fetch(directory, [], refspecs, _FIRST_PATIENCE)
                if self._name != self.source.ref or not _NOT_BY_ID.search(error.stderr):
                    raise
                self._name = ""
        # Only when it is needed: a server whose HEAD names no commit refuses the whole fetch.
        head = [f"+HEAD:{_HEAD}"] if _FROM_HEAD.fullmatch(self.source.ref) else []
        history = "--unshallow" if (directory / "shallow").exists() else "--update-shallow"
        return self._fetch(directory, ["--prune", history], [*_EVERYTHING, *head], _FIRST_PATIENCE)

    def _fetch(self, directory: Path, options: Sequence[str], refspecs: Sequence[str], patience: float = 1) -> None:
        always = ("--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--quiet")
        words = ("fetch", *always, *options, "--end-of-options", self._remote.url, *refspecs)
        self._git.run(f"--git-dir={directory}", *words, patience=patience)

    def _replace(self) -> None:
        """Fetch everything into a fresh folder and put that in the mirror's place. If it fails the old one stays."""
        self._is_sound = False
        try:
            fresh = Path(tempfile.mkdtemp(prefix=f"{self._directory.name}.new-", dir=self._directory.parent))
            try:
                self._make(fresh)
                self._swap(fresh)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        except GitFailed as error:
            raise self.unavailable(error) from None
        except OSError as error:
            raise Unavailable(f"{self._directory} cannot be written: {error.strerror}; {advise(str(error))}.") from None
        self._is_sound = True

    def _make(self, fresh: Path) -> None:
        self._git.run("init", "--bare", "--quiet", "--template=", "--end-of-options", str(fresh))
        (fresh / "HEAD").write_text(f"ref: {_HEAD}\n", encoding="utf-8")
        (fresh / "description").write_text(self._label(), encoding="utf-8")
        self._fetch_into(fresh, _FIRST_PATIENCE)

    def _swap(self, fresh: Path) -> None:
        old = Path(f"{self._directory}.old-{fresh.name.rpartition('-')[2]}")
        with contextlib.suppress(FileNotFoundError):
            self._directory.rename(old)
        fresh.rename(self._directory)
        shutil.rmtree(old, ignore_errors=True)
        self._sizes = {}


def _depth(directory: Path) -> list[str]:
    if (directory / _KEEPS_HISTORY).exists():
        return ["--unshallow"] if (directory / "shallow").exists() else []
    return ["--depth=1"]


def _open_lock(directory: Path) -> int:
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        return os.open(directory.with_name(f"{directory.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"{directory.parent} cannot be written: {error.strerror}; {advise(str(error))}.") from None
