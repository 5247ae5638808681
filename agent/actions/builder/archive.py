"""Images as one file, the way `docker save` writes them: layers that all of them share, and a configuration for each.

Shell, standard library only. Law: the same trees give the same bytes. What a file system says of time, owner and order is
not kept: entries are sorted by name, belong to root and are of 1970, as is the archive itself.

Format: the Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset Format"; read by `docker load`,
podman and skopeo (`docker-archive:`). Layers are gzip inside of a plain tar: an engine in memory holds less while it loads.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LEVEL = 6
"""Of gzip. 9 is 1 % smaller and takes three times as long."""


@dataclass(frozen=True, slots=True)
class Image:
    names: Sequence[str]
    """References with their tags."""
    program: Sequence[str]
    replaced: bool = False
    """Whether a container's own command runs in the program's place; else those words are handed to it."""


@dataclass(frozen=True, slots=True)
class Layer:
    file: Path
    """A compressed tar."""
    digest: str
    """SHA-256 of the tar before it was compressed, as a configuration names it."""


class _Hashing(io.RawIOBase):
    """Hands on what is written, and knows its digest."""

    def __init__(self, to: IO[bytes] | gzip.GzipFile) -> None:
        self._to = to
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:  # type: ignore[override]  # tarfile writes bytes
        self.sha256.update(data)
        return self._to.write(data)


def layer(tree: Path, file: Path) -> Layer:
    """The folder `tree` as a compressed tar in `file`."""
    with file.open("wb") as raw, gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed:
        hashing = _Hashing(packed)
        with tarfile.open(fileobj=hashing, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            _add_tree(tar, tree)
    return Layer(file, hashing.sha256.hexdigest())


def write(out: Path, images: Iterable[Image], layers: Sequence[Layer], environment: Mapping[str, str], arch: str) -> None:
    """The archive; `out` appears whole or not at all."""
    manifest, configs = [], {}
    for image in images:
        config = _config(image, layers, environment, arch)
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        configs[name] = config
        manifest.append({"Config": name, "RepoTags": list(image.names), "Layers": [_place(each) for each in layers]})
    with begun(out) as partial:
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
            _add_bytes(tar, "manifest.json", _json(manifest))
            for name, config in sorted(configs.items()):
                _add_bytes(tar, name, config)
            for each in layers:
                with each.file.open("rb") as content:
                    tar.addfile(_entry(_place(each), size=each.file.stat().st_size), content)
        partial.replace(out)


@contextmanager
def begun(out: Path) -> Iterator[Path]:
    """The file that becomes `out`, gone again if it did not. Raises OSError if there can be none, before anything is done."""
    if out.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.part")
    partial.touch()
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _config(image: Image, layers: Sequence[Layer], environment: Mapping[str, str], arch: str) -> bytes:
    created = "1970-01-01T00:00:00Z"
    told = {"Env": [f"{name}={value}" for name, value in environment.items()]}
    return _json(
        {
            "architecture": arch,
            "os": "linux",
            "created": created,
            "config": {"Cmd" if image.replaced else "Entrypoint": list(image.program)} | told,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each.digest}" for each in layers]},
            "history": [{"created": created, "created_by": "gitboot actions build"} for _ in layers],
        }
    )


def _place(layer: Layer) -> str:
    return f"{layer.digest}/layer.tar"


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _add_tree(tar: tarfile.TarFile, tree: Path) -> None:
    links: dict[tuple[int, int], str] = {}
    for path in _sorted_below(tree):
        name = str(path.relative_to(tree))
        about = path.lstat()
        entry = _entry(name, mode=stat.S_IMODE(about.st_mode) & 0o1777)  # a container's root needs no setuid
        if stat.S_ISLNK(about.st_mode):
            entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(path)
            tar.addfile(entry)
        elif stat.S_ISDIR(about.st_mode):
            entry.type = tarfile.DIRTYPE
            tar.addfile(entry)
        elif first := links.get((about.st_dev, about.st_ino)):
            entry.type, entry.linkname = tarfile.LNKTYPE, first
            tar.addfile(entry)
        elif stat.S_ISREG(about.st_mode):
            links[about.st_dev, about.st_ino] = name
            entry.size = about.st_size
            with path.open("rb") as content:
                tar.addfile(entry, content)


def _sorted_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _sorted_below(path)


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_entry(name, size=len(content)), io.BytesIO(content))


def _entry(name: str, mode: int = 0o644, size: int = 0) -> tarfile.TarInfo:
    """Of root and of 1970, as TarInfo's defaults are."""
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = mode, size
    return entry
