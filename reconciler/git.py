"""The way in to git: a source becomes a repository whose commits can be fetched and read.

Shell. A local path is read in place, so that a commit is there the moment it is made, and nothing is ever written where
the user works; anything else is fetched into a mirror of ours. Whatever goes wrong is `Unavailable` with a next step.
One repository object belongs to one thread at a time; `close` may be called from any.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.errors import Unavailable, complaint_of
from reconciler.gitprocess import NOT_FOUND, GitFailed, GitProcess
from reconciler.mirror import Mirror
from reconciler.repository import Repository
from reconciler.source import Local, Source, scrub


def open_repository(source: Source, mirror: Path, timeout: float = 60) -> Repository:
    """The repository of a source; a remote one through a mirror in the folder `mirror` (`STATE/git`).

    `timeout` is seconds for any one git command. Raises `Unavailable` when the mirror's place cannot be written.
    """
    if isinstance(source.location, Local):
        return LocalRepository(source, timeout)
    return Mirror(mirror, source, timeout)


class LocalRepository(Repository):
    """A repository on this host: bare, or the one of a work tree. It is read in place and never written to."""

    def __init__(self, source: Source, timeout: float) -> None:
        super().__init__(source, GitProcess(timeout))
        self._directories: tuple[Path, Path] | None = None

    def deepen(self) -> None:
        """It is as deep as its owner has it."""

    def fetch(self) -> str:
        self._directories = None  # the repository may have been replaced since
        return self.resolve(self.source.ref)

    def bring(self, ref: str) -> str:
        return self.resolve(ref)

    @property
    def directory(self) -> Path:
        return self.directories[0]

    @property
    def directories(self) -> tuple[Path, Path]:
        """Where HEAD is, and where the refs are: two places in a linked work tree. What `Watcher` is to watch."""
        if self._directories is None:
            self._directories = self._find()
        return self._directories

    def _find(self) -> tuple[Path, Path]:
        path = Path(str(self.source)).absolute()
        words = ("-C", str(path), "rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir")
        try:
            found = self._git.run(*words, environment={"GIT_CEILING_DIRECTORIES": str(path.resolve().parent)})
        except GitFailed as error:
            if error.status == NOT_FOUND:
                raise self.unavailable(error) from None
            raise Unavailable(f"{path} is no git repository: {scrub(complaint_of(error.stderr))}; check the path.") from None
        git_dir, common_dir = found.removesuffix(b"\n").decode(errors="surrogateescape").split("\n")
        return Path(git_dir), Path(common_dir)
