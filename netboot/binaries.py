"""Network boot programs on this host: which there are, where, and what they are.

Shell. Nothing is shipped and nothing downloaded: the host's packages have them, and a file in `--loaders DIR` beats those.
They are read once at start into a tree in memory, each with its digest and origin, which is all that TFTP and HTTP serve.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDERS = tuple(Path(name) for name in ("/usr/lib/ipxe", "/usr/share/ipxe", "/usr/local/share/ipxe"))

PACKAGES: Mapping[str, str] = {
    "undionly.kpxe": "BIOS machines",
    "ipxe.efi": "UEFI machines whose firmware has no network driver of its own to lend",
    "snponly.efi": "UEFI machines",
}
"""The programs the loader table may name → who needs them. Debian has all of them in the package `ipxe`."""


@dataclass(frozen=True, slots=True)
class Binary:
    name: str
    content: bytes
    sha256: str
    origin: str
    """The path it was read from."""


def find_binaries(extra: Path | None = None, folders: Iterable[Path] = FOLDERS) -> dict[str, Binary]:
    """By name. `extra`: a folder of the operator's, every file of which is served and beats the host's. Raises OSError."""
    found: dict[str, Binary] = {}
    for name in PACKAGES:
        for folder in folders:
            if (folder / name).is_file():
                found.setdefault(name, _read(folder / name))
    for path in sorted(extra.iterdir()) if extra else ():
        if path.is_file():
            found[path.name] = _read(path)
    return found


def _read(path: Path) -> Binary:
    content = path.read_bytes()
    return Binary(path.name, content, hashlib.sha256(content).hexdigest(), str(path))
