"""Artefacts: the files machines boot, told apart by their SHA-256.

Shell. A path of the inventory is looked up in the artefact folder, a URL with a digest in the mirror. A file is hashed when
its inode, size or modification time changed, and what is served under a digest has that digest: a kernel replaced in place
is a new artefact of the next plan, never other bytes under the old name.
"""

from __future__ import annotations

import hashlib
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from netboot.plan import Artifact

CHUNK = 1024 * 1024
TIMEOUT = 30
"""Seconds without a byte from the origin of a mirrored artefact."""


class MirrorError(Exception):
    """The origin did not give the promised bytes: the world's fault, tried again later. The message is a sentence."""


class _Known(msgspec.Struct, frozen=True):
    stamp: tuple[int, int, int]
    sha256: str


class ArtifactStore:
    """`folder`: what `--artifacts` names, or None; `state`: the state directory, for the mirror and the remembered digests.

    Without a state directory nothing is remembered and nothing can be mirrored.

    Safe to use from several threads.
    """

    def __init__(self, folder: Path | None, state: Path | None) -> None:
        self.folder = folder
        self.mirror = state / "artifacts" if state else None
        self._remembered = state / "artifacts.json" if state else None
        self._known = self._recall()
        self._lock = threading.Lock()

    def find(self, paths: Iterable[str]) -> dict[str, Artifact]:
        """Those of `paths` that are files in the folder, hashed. O(bytes) for new or changed files."""
        found: dict[str, Artifact] = {}
        for path in paths:
            file = self._file(path)
            if file is not None:
                found[path] = Artifact(path, self._digest(file), file.stat().st_size)
        self._remember()
        return found

    def locate(self, artifact: Artifact) -> Path | None:
        """The file that holds this artefact's bytes now, or None when it is gone or has changed."""
        mirrored = self.mirror / artifact.sha256 if self.mirror else None
        if mirrored is not None and mirrored.is_file():
            return mirrored
        file = self._file(artifact.path)
        return file if file is not None and self._digest(file) == artifact.sha256 else None

    def fetch(self, url: str, sha256: str) -> Artifact:
        """Mirror a URL once. Raises MirrorError when the origin fails or gives other bytes."""
        if self.mirror is None:
            raise MirrorError(f"{url} cannot be kept without a state directory")
        target = self.mirror / sha256
        if not target.is_file():
            self.mirror.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(sha256 + ".part")
            digest = _download(url, partial)
            if digest != sha256:
                partial.unlink()
                raise MirrorError(f"{url} has the sha256 {digest}, not the {sha256} that git names; correct one of them")
            partial.replace(target)
        return Artifact(url, sha256, target.stat().st_size)

    def _file(self, path: str) -> Path | None:
        """A regular file inside the folder; links may point within it, and nowhere else."""
        if self.folder is None:
            return None
        root = self.folder.resolve()
        file = (root / path).resolve()
        return file if file.is_relative_to(root) and file.is_file() else None

    def _digest(self, file: Path) -> str:
        status = file.stat()
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            known = self._known.get(str(file))
        if known is not None and known.stamp == stamp:
            return known.sha256
        with file.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        with self._lock:
            self._known[str(file)] = _Known(stamp, sha256)
        return sha256

    def _recall(self) -> dict[str, _Known]:
        if self._remembered is None:
            return {}
        try:
            return msgspec.json.decode(self._remembered.read_bytes(), type=dict[str, _Known])
        except (FileNotFoundError, msgspec.MsgspecError):
            return {}

    def _remember(self) -> None:
        """Only saves hashing again after a restart, so a failure to write is none."""
        if self._remembered is None:
            return
        with self._lock:
            data = msgspec.json.encode(self._known)
        partial = self._remembered.with_name("artifacts.json.new")
        try:
            partial.write_bytes(data)
            partial.replace(self._remembered)
        except OSError:
            return


def by_digest(plans: Iterable[Mapping[str, Artifact]]) -> dict[str, Artifact]:
    """Every artefact of these plans that has a digest, by it."""
    return {artifact.sha256: artifact for artifacts in plans for artifact in artifacts.values() if artifact.sha256}


def _download(url: str, target: Path) -> str:
    """Streams to `target`, fsynced; returns its SHA-256."""
    if not url.startswith(("http://", "https://")):
        raise MirrorError(f"{url} is neither http nor https; only those are mirrored")
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, target.open("wb") as file:  # noqa: S310 - scheme checked
            while chunk := answer.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, urllib.error.URLError, ValueError) as error:
        target.unlink(missing_ok=True)
        raise MirrorError(f"{url} could not be fetched ({error}); it is tried again") from error
    return digest.hexdigest()
