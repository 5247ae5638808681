"""Artefacts: the files machines boot, told apart by their SHA-256.

Shell. A path of the inventory is looked up in the artefact folder, a URL with a digest in the mirror. A file is hashed when
its identity, size or times changed, and what is served under a digest has that digest: a kernel replaced is a new artefact of
the next plan, never other bytes under the old name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from netboot.download import MirrorError, download
from netboot.image_archive import image_names
from netboot.plan import Artifact

__all__ = ["ArtifactStore", "MirrorError", "Stamp", "by_digest", "stamp_of"]

CHUNK = 1024 * 1024
SETTLED_NS = 100_000_000
"""A file changed less than this ago may change again without its times telling (they advance with the kernel's tick): its
digest is not remembered."""


class Stamp(NamedTuple):
    """Equal for as long as nobody wrote to the file."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


def stamp_of(descriptor: int) -> Stamp:
    status = os.fstat(descriptor)
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class _Known(msgspec.Struct, frozen=True):
    stamp: Stamp
    sha256: str


class ArtifactStore:
    """`folder`: what `--artifacts` names, or None; `state`: the state directory, for the mirror and the remembered digests.

    Without a state directory nothing is remembered and nothing can be mirrored. Several processes may share one, and several
    threads one store.
    """

    def __init__(self, folder: Path | None, state: Path | None) -> None:
        self.folder = folder
        self.mirror = state / "artifacts" if state else None
        self._remembered = state / "artifacts.json" if state else None
        self._read_at = 0
        """Modification time of the remembered digests as last read."""
        self._known: dict[str, _Known] = {}
        self._images: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends whatever hashes or downloads, from any thread: it raises MirrorError. The store cannot be used afterwards."""
        self._stopped.set()

    def find(self, paths: Iterable[str]) -> dict[str, Artifact]:
        """Those of `paths` that are files in the folder, hashed. O(bytes) for new or changed files. Raises OSError for a file
        that cannot be read."""
        found: dict[str, Artifact] = {}
        before = dict(self._known)
        for path in paths:
            file = self._file(path)
            if file is not None:
                found[path] = Artifact(path, *self._digest(file))
        if self._known != before:
            self._remember()
        return found

    def below(self, folder: str) -> list[str]:
        """The path of every file in a folder of the folder; none when there is no such folder. Raises OSError."""
        root = self.folder.resolve() if self.folder else None
        if root is None or not (root / folder).resolve().is_relative_to(root):
            return []
        return sorted(str(path.relative_to(root)) for path in (root / folder).rglob("*") if path.is_file())

    def open(self, artifact: Artifact) -> BinaryIO | None:
        """The file with this artefact's bytes, or None when it is gone, has changed or cannot be read. O(bytes) once."""
        mirrored = self.mirror / artifact.sha256 if self.mirror else None
        for file in (mirrored, self._file(artifact.path)):
            with suppress(OSError, MirrorError), contextlib.ExitStack() as stack:
                if file is not None:
                    content = stack.enter_context(file.open("rb"))
                    if self._digest_of(content, file) == artifact.sha256:
                        content.seek(0)
                        stack.pop_all()
                        return content
        return None

    def images(self, artifact: Artifact) -> tuple[str, ...]:
        """The images that an archive holds; read once for each digest. Raises Malformed, MirrorError and OSError."""
        if artifact.sha256 not in self._images:
            content = self.open(artifact)
            if content is None:
                raise MirrorError(f"{artifact.path} changed while it was read")
            with content:
                self._images[artifact.sha256] = image_names(content)
        return self._images[artifact.sha256]

    def fetch(self, url: str, sha256: str) -> Artifact:
        """Mirror a URL once. Raises MirrorError when the origin fails or gives other bytes, OSError when the disk does."""
        if self.mirror is None:
            raise MirrorError(f"{url} cannot be kept without a state directory")
        target = self.mirror / sha256
        if target.is_file():
            digest, size = self._digest(target)
            if digest == sha256:
                return Artifact(url, sha256, size)
        self.mirror.mkdir(parents=True, exist_ok=True)
        for left in self.mirror.glob(f"{sha256}.*.part"):
            left.unlink()
        partial, digest = download(url, target, self._stopped)
        if digest != sha256:
            partial.unlink()
            raise MirrorError(f"{url} has the sha256 {digest}, not the {sha256} that git names; correct one of them")
        partial.replace(target)
        return Artifact(url, sha256, target.stat().st_size)

    def forget(self, wanted: Iterable[str]) -> None:
        """Remove from the mirror what no plan needs any more. `wanted`: digests."""
        if self.mirror is not None and self.mirror.is_dir():
            keep = set(wanted)
            for file in self.mirror.iterdir():
                if file.name not in keep:
                    file.unlink()

    def _file(self, path: str) -> Path | None:
        """A regular file inside the folder; links may point within it, and nowhere else."""
        if self.folder is None or "\0" in path:
            return None
        root = self.folder.resolve()
        try:
            file = (root / path).resolve()
            return file if file.is_relative_to(root) and file.is_file() else None
        except (OSError, RuntimeError):  # a name too long, links in a circle
            return None

    def _digest(self, file: Path) -> tuple[str, int]:
        """SHA-256 and size of one and the same content. Raises OSError."""
        with file.open("rb") as content:
            return self._digest_of(content, file), os.fstat(content.fileno()).st_size

    def _digest_of(self, content: BinaryIO, file: Path) -> str:
        stamp = stamp_of(content.fileno())
        known = self._recall(str(file), stamp)
        if known is None:
            known = self._hash(content)
            if time.time_ns() - max(stamp.modified, stamp.changed) > SETTLED_NS and stamp == stamp_of(content.fileno()):
                with self._lock:
                    self._known[str(file)] = _Known(stamp, known)
        return known

    def _hash(self, content: BinaryIO) -> str:
        digest = hashlib.sha256()
        while chunk := content.read(CHUNK):
            if self._stopped.is_set():
                raise MirrorError("gitboot is stopping")
            digest.update(chunk)
        return digest.hexdigest()

    def _recall(self, file: str, stamp: Stamp) -> str | None:
        with self._lock:
            known = self._known.get(file)
            if known is None or known.stamp != stamp:
                self._read_remembered()  # the reconciler may have hashed it meanwhile
                known = self._known.get(file)
        return known.sha256 if known is not None and known.stamp == stamp else None

    def _read_remembered(self) -> None:
        """What cannot be read is as good as never remembered."""
        if self._remembered is None:
            return
        with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            changed = self._remembered.stat().st_mtime_ns
            if changed != self._read_at:
                self._read_at = changed
                self._known |= msgspec.json.decode(self._remembered.read_bytes(), type=dict[str, _Known])

    def _remember(self) -> None:
        """Only saves hashing again, so a failure to write is none."""
        if self._remembered is None:
            return
        with self._lock:
            self._known = {file: known for file, known in self._known.items() if Path(file).exists()}
            data = msgspec.json.encode(self._known)
        partial = self._remembered.with_name("artifacts.json.new")
        with suppress(OSError):
            partial.write_bytes(data)
            partial.replace(self._remembered)


def by_digest(plans: Iterable[Mapping[str, Artifact]]) -> dict[str, Artifact]:
    """Every artefact of these plans that has a digest, by it."""
    return {artifact.sha256: artifact for artifacts in plans for artifact in artifacts.values() if artifact.sha256}
