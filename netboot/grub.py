"""GRUB as a network loader: configurations as text a person at the console can follow.

Core. The law: a configuration either boots what the plan says or goes on to the disk, and never ends at GRUB's prompt, where
a machine without a person would stand for ever.
"""

from __future__ import annotations

from collections.abc import Mapping

VENDORS = ("debian", "ubuntu", "fedora", "centos", "redhat", "rocky", "almalinux", "opensuse", "sles")
"""Folders in `\\EFI` of the systems that install no loader under the name every firmware looks for."""
_SUFFIXES = {"x86_64": "x64", "arm64": "aa64"}

ON_DISK: Mapping[str, tuple[str, ...]] = {
    arch: (
        f"/EFI/BOOT/BOOT{suffix.upper()}.EFI",  # UEFI 2.10 section 3.5.1.1: what starts without a boot entry
        *(f"/EFI/{vendor}/{program}{suffix}.efi" for vendor in VENDORS for program in ("shim", "grub")),
        f"/EFI/systemd/systemd-boot{suffix}.efi",
        "/EFI/Microsoft/Boot/bootmgfw.efi",
    )
    for arch, suffix in _SUFFIXES.items()
}
"""Architecture as iPXE's `buildarch` names it → loaders looked for on every disk, in this order."""


def disk_config(arch: str) -> str:
    """Start the loader of the system that is installed; where there is none, back to whoever started GRUB."""
    return "\n".join(
        [
            "echo 'gitboot: booting from the local disk'",
            f"for loader in {' '.join(ON_DISK[arch])}; do",
            "  if search --no-floppy --file --set=root $loader; then",
            '    echo "gitboot: starting $loader of $root"',
            "    if chainloader $loader; then boot; fi",
            "  fi",
            "done",
            "echo 'gitboot: no disk has a loader for UEFI'",
            "exit",
            "",
        ]
    )
