"""The program that starts what is installed on a machine's disk, for UEFI firmware that does not come to it by itself.

Shell. It is GRUB with `grub.disk_loader_config` inside: it needs no network, nothing of ours and no decision. It is put
together at start from the host's own packages; a host without them serves none, and machines get along by the other ways of
`ipxe.disk_script`.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from netboot.grub import disk_loader_config

TARGETS: Mapping[str, str] = {"x86_64": "x86_64-efi", "arm64": "arm64-efi"}
"""Architecture as iPXE's `buildarch` names it → GRUB's name for it."""
MODULES = Path("/usr/lib/grub")
_NEEDED = "memdisk tar normal test echo minicmd part_gpt part_msdos fat search search_fs_file chain boot"
_FIRST = "normal (memdisk)/grub.cfg\nexit\n"
"""What GRUB obeys before it can read a file; the second line for the day on which the first fails."""


def name_of(arch: str) -> str:
    """What it is served as."""
    return f"disk-{arch}.efi"


def build_disk_loader(arch: str, modules: Path = MODULES) -> bytes | None:
    """The program, or None where the host has no `grub-mkimage` or no modules for this architecture (Debian's packages
    `grub-common` and `grub-efi-amd64-bin`). The same host builds the same bytes.
    """
    folder = modules / TARGETS[arch]
    if not (folder / "normal.mod").is_file():
        return None
    with tempfile.TemporaryDirectory(prefix="gitboot-") as scratch:
        first, archive, image = (Path(scratch, name) for name in ("first.cfg", "memdisk.tar", "image.efi"))
        first.write_text(_FIRST)
        archive.write_bytes(_tar("grub.cfg", disk_loader_config().encode()))
        files: list[str | Path] = ["--directory", folder, "--config", first, "--memdisk", archive, "--output", image]
        argv = ["grub-mkimage", "--format", TARGETS[arch], "--prefix", "(memdisk)", *files, *_NEEDED.split()]
        try:
            subprocess.run(argv, check=True, capture_output=True)
        except (FileNotFoundError, subprocess.CalledProcessError):
            return None
        return image.read_bytes()


def _tar(name: str, content: bytes) -> bytes:
    """An archive of one file, whose time is 1970: no build differs from the next."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
