"""Network boot programs on this host: which there are, where, and what they are.

Shell. Nothing is shipped and nothing downloaded: the host's packages have them, and a file in `--loaders DIR` beats those.
They are read once at start into a tree in memory, each with its digest and origin, which is all that TFTP and HTTP serve.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from netboot import uboot
from netboot.disk_loader import MODULES, TARGETS, build_disk_loader, name_of
from netboot.fetch import Fetched, origins
from netboot.packages import packages_of

_PLACES = (
    *("/usr/lib/ipxe", "/usr/share/ipxe", "/usr/local/share/ipxe"),
    *("/usr/lib/shim", "/usr/lib/grub", "/usr/lib/PXELINUX", "/usr/lib/syslinux/modules/bios"),
)
FOLDERS = tuple(map(Path, _PLACES))


@dataclass(frozen=True, slots=True)
class Program:
    """`machines`: who needs it; "" for what only hardware that is named so is sent. `files`: where packages put it."""

    machines: str
    files: tuple[str, ...]
    step: str
    """How to get it."""


_DEBIAN = "install the package `ipxe` (Fedora: `ipxe-bootimgs-x86`)"
_SIGNED = "install the packages `shim-signed` and `grub-efi-amd64-signed`"
_SIGNED_ARM = "`gitboot doctor --fetch` gets Debian's `shim-signed` and `grub-efi-arm64-signed` for it"
_PXELINUX = "install the packages `pxelinux` and `syslinux-common`"
_BUILD = "build it from iPXE's source (`make bin-{0}/snponly.efi`) and put it into the folder of --loaders as {1}"

PROGRAMS: Mapping[str, Program] = {
    "undionly.kpxe": Program("BIOS", ("undionly.kpxe",), _DEBIAN),
    "snponly.efi": Program("UEFI x86_64", ("snponly.efi", "ipxe-snponly-x86_64.efi"), _DEBIAN),
    "ipxe-arm64.efi": Program(
        "UEFI aarch64",
        ("ipxe-arm64.efi", "arm64-efi/snponly.efi", "arm64-efi/ipxe.efi"),
        _BUILD.format("arm64-efi", "ipxe-arm64.efi"),
    ),
    uboot.NAME: Program("U-Boot", (uboot.NAME,), "gitboot makes it"),
    "ipxe-i386.efi": Program(
        "32-bit UEFI", ("ipxe-i386.efi", "i386-efi/snponly.efi"), _BUILD.format("i386-efi", "ipxe-i386.efi")
    ),
    "ipxe-arm32.efi": Program("32-bit UEFI on ARM", ("ipxe-arm32.efi",), _BUILD.format("arm32-efi", "ipxe-arm32.efi")),
    "disk-x86_64.efi": Program("", ("disk-x86_64.efi",), "install the packages `grub-common` and `grub-efi-amd64-bin`"),
    "disk-arm64.efi": Program("", ("disk-arm64.efi",), "`gitboot doctor --fetch` gets GRUB's modules for it"),
    "ipxe.efi": Program("", ("ipxe.efi", "ipxe-amd64.efi", "ipxe-x86_64.efi"), _DEBIAN),
    "ipxe.lkrn": Program("", ("ipxe.lkrn",), _DEBIAN),
    "ipxe.pxe": Program("", ("ipxe.pxe",), _DEBIAN),
    "shimx64.efi": Program("", ("shimx64.efi.signed",), _SIGNED),
    "grubx64.efi": Program("", ("x86_64-efi-signed/grubnetx64.efi.signed",), _SIGNED),
    "shimaa64.efi": Program("", ("shimaa64.efi.signed",), _SIGNED_ARM),
    "grubaa64.efi": Program("", ("arm64-efi-signed/grubnetaa64.efi.signed",), _SIGNED_ARM),
    "pxelinux.0": Program("", ("pxelinux.0",), _PXELINUX),
    "ldlinux.c32": Program("", ("ldlinux.c32",), _PXELINUX),
}  # fmt: skip
"""By the name it is served under: all that the table of loaders may name, and what those fetch for themselves."""


@dataclass(frozen=True, slots=True)
class Binary:
    name: str
    content: bytes
    sha256: str
    path: str
    """The file it was read from, or the folder of GRUB's modules that it was made of; "" when gitboot makes it."""
    package: str = ""
    """Debian's, as `version`, where either is known."""
    version: str = ""

    @property
    def origin(self) -> str:
        """For people."""
        return f"{self.path}, from {self.package} {self.version}" if self.package else self.path or "gitboot itself"


def find_binaries(extra: Path | None = None, folders: Iterable[Path] = FOLDERS, modules: Path = MODULES) -> dict[str, Binary]:
    """By name. `extra`: a folder of the operator's, every file of which is served and beats the host's. `modules`: GRUB's, of
    which the loaders for the disk are made. Raises OSError.
    """
    places = tuple(folders)
    found: dict[str, Binary] = {}
    for name, program in PROGRAMS.items():
        there = [place / file for place in places for file in program.files if (place / file).is_file()]
        if there:
            found[name] = _read(name, there[0])
    for arch in TARGETS:
        if content := build_disk_loader(arch, modules):
            found[name_of(arch)] = _binary(name_of(arch), content, str(modules / TARGETS[arch]))
    found = _with_packages(found) | {uboot.NAME: _binary(uboot.NAME, uboot.script_image(), "")}
    fetched = origins(extra) if extra else {}
    for path in sorted(extra.iterdir()) if extra else ():
        if path.is_file() and not path.name.startswith("."):
            found[path.name] = _known(_read(path.name, path), fetched)
    return found


def _read(name: str, path: Path) -> Binary:
    return _binary(name, path.read_bytes(), str(path))


def _known(binary: Binary, fetched: Mapping[str, Fetched]) -> Binary:
    """With the package it was taken from, if it is still what was taken."""
    origin = fetched.get(binary.name)
    if origin is None or origin.sha256 != binary.sha256:
        return binary
    return replace(binary, package=origin.package, version=origin.version)


def _with_packages(found: Mapping[str, Binary]) -> dict[str, Binary]:
    """As the host's dpkg knows them. Several packages share a folder, so one file of it is asked for."""
    files = {name: f"{each.path}/normal.mod" if Path(each.path).is_dir() else each.path for name, each in found.items()}
    packages = packages_of(sorted(files.values()))
    known = {name: packages[path] for name, path in files.items() if path in packages}
    return {
        name: replace(each, package=known[name][0], version=known[name][1]) if name in known else each
        for name, each in found.items()
    }


def _binary(name: str, content: bytes, path: str) -> Binary:
    return Binary(name, content, hashlib.sha256(content).hexdigest(), path)
