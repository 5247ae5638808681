"""Image archives: which container images a tar holds, by its own index and without unpacking it.

Core. The law: whatever the bytes, the answer is a list of names or Malformed, after a bounded number of bounded reads: an
archive is as large as a disk image, and somebody else may have made it. A docker-archive says it in `manifest.json` (RepoTags),
an oci-archive in `index.json` (the annotations below, of the OCI image specification and of containerd); Docker 25 writes both.
"""

from __future__ import annotations

import tarfile
from typing import Any, BinaryIO

import msgspec

from netboot.errors import Malformed

MOST_MEMBERS, MOST_READS, LONGEST_READ = 100_000, 1_000_000, 4 * 1024 * 1024
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
"""The second may be a tag alone; the first, where there is one, is the whole reference."""
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


def image_names(file: BinaryIO) -> tuple[str, ...]:
    """The references under which a docker-archive or oci-archive holds its images, in order. Raises Malformed, and OSError."""
    if file.read(8).startswith(_COMPRESSED):
        raise Malformed("it is compressed: unpack it with gunzip, or whatever it was packed with")
    file.seek(0)
    try:
        indexes = _indexes(file)
    except (tarfile.TarError, ArithmeticError, LookupError, ValueError, EOFError, RecursionError) as error:
        raise Malformed(f"it is no tar file ({error})") from None
    if not indexes:
        raise Malformed("it holds neither manifest.json nor index.json, as a docker-archive or an oci-archive does")
    names = [*_docker(indexes.get("manifest.json")), *_oci(indexes.get("index.json"))]
    return tuple(dict.fromkeys(names))


def _indexes(file: BinaryIO) -> dict[str, Any]:
    found: dict[str, Any] = {}
    bounded: Any = _Bounded(file)  # has what a plain tar is read by, and no more
    with tarfile.open(fileobj=bounded, mode="r:") as tar:
        for count, member in enumerate(tar):
            name = member.name.removeprefix("./")
            if count == MOST_MEMBERS:
                raise ValueError(f"more than {MOST_MEMBERS} files")
            if name in ("manifest.json", "index.json") and member.isreg():
                content = tar.extractfile(member)
                assert content is not None  # noqa: S101 - it is a regular file
                found[name] = msgspec.json.decode(content.read(LONGEST_READ))
            if len(found) == 2:
                break
    return found


def _docker(manifest: Any) -> list[str]:
    images = manifest if isinstance(manifest, list) else []
    tags = [each.get("RepoTags") for each in images if isinstance(each, dict)]
    return [tag for each in tags if isinstance(each, list) for tag in each if isinstance(tag, str)]


def _oci(index: Any) -> list[str]:
    manifests = index.get("manifests") if isinstance(index, dict) else None
    entries = [each.get("annotations") for each in manifests or () if isinstance(each, dict)] if manifests else []
    named = [next((each[key] for key in _NAMES if key in each), None) for each in entries if isinstance(each, dict)]
    return [name for name in named if isinstance(name, str)]


class _Bounded:
    """A file that is not read for ever and never much at once, whatever the tar says of its own sizes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._reads = 0

    def read(self, size: int = -1) -> bytes:
        self._reads += 1
        if not 0 <= size <= LONGEST_READ or self._reads > MOST_READS:
            raise ValueError("a header is longer than any image's")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
