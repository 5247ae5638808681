"""Disks for virtual machines: an empty one, and one that says it was booted.

The law: what prints the mark is code on the disk, started by the firmware and by nothing else.
"""

import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.lab.efi import BOOT_NAMES, efi_program

SECTOR = 512
START = 64
"""The partition's first sector."""
SMALLEST = 2048
"""Sectors of the partition beside its files."""
EFI_SYSTEM = 0xEF
"""Partition type (UEFI 2.10 section 5.2.2)."""


@dataclass(frozen=True)
class Disk:
    """`format` is `raw` or `qcow2`; `bus` is `virtio` (`/dev/vda` in Linux), `nvme` or `ahci`."""

    path: Path
    format: str = "raw"
    bus: str = "virtio"

    def arguments(self, number: int, serial: str) -> list[str]:
        """QEMU's; the disk's place in the boot order is after the network card and the disks before it."""
        # cache=writeback: what the guest has synced survives the kill of this process, as it would a power cut.
        drive = f"file={self.path},format={self.format},if=none,id=d{number},cache=writeback"
        controller = ["-device", f"ahci,id=ahci{number}"] if self.bus == "ahci" else []
        device = {"virtio": "virtio-blk-pci", "nvme": "nvme", "ahci": f"ide-hd,bus=ahci{number}.0"}[self.bus]
        return ["-drive", drive, *controller, "-device", f"{device},drive=d{number},bootindex={2 + number},serial={serial}"]


def empty_disk(path: Path, size: str = "1G") -> Disk:
    """A disk nothing was ever written to; `size` as qemu-img takes it."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, size], check=True, timeout=30)
    return Disk(path, "qcow2")


def installed_disk(path: Path, mark: str = "MARK-DISK", files: Mapping[str, bytes] | None = None) -> Disk:
    """A disk with an "operating system" on it, which writes `mark` on the console and stops.

    A BIOS runs its boot sector; UEFI finds an EFI system partition with a program for each architecture, or with `files`
    (path below the root → content) instead of those.
    """
    programs = {f"EFI/BOOT/{name}": efi_program(arch, mark) for arch, name in BOOT_NAMES.items()}
    contents = programs if files is None else files
    sectors = SMALLEST + sum(map(len, contents.values())) // SECTOR
    path.write_bytes(boot_sector(mark, sectors).ljust((START + sectors) * SECTOR, b"\0"))
    volume = f"{path}@@{START * SECTOR}"
    _mtools("mformat", "-i", volume, "-T", str(sectors), "-h", "16", "-s", "63", "::")
    folders = {str(parent): None for name in contents for parent in reversed(PurePosixPath(name).parents[:-1])}
    for folder in folders:
        _mtools("mmd", "-i", volume, f"::{folder}")
    for name, content in contents.items():
        _mtools("mcopy", "-i", volume, "-", f"::{name}", stdin=content)
    return Disk(path)


def _mtools(*words: str, stdin: bytes = b"") -> None:
    subprocess.run(words, input=stdin, check=True, capture_output=True, timeout=30)


def boot_sector(mark: str, sectors: int = SMALLEST) -> bytes:
    """The 512 bytes of a master boot record that prints `mark` on the first serial port and halts.

    16-bit code, loaded at 0000:7c00. It drives the port itself instead of asking the firmware, so the mark is the disk's own.
    Its one partition, of `sectors` sectors, is an EFI system partition.
    """
    code = (
        b"\x31\xc0"  # 00        xor ax, ax
        b"\x8e\xd8"  # 02        mov ds, ax
        b"\xfc"  # 04            cld
        b"\xbe\x21\x7c"  # 05    mov si, 0x7c21       ; the text behind this code
        b"\xac"  # 08 next:      lodsb
        b"\x84\xc0"  # 09        test al, al
        b"\x74\x11"  # 0b        jz halt
        b"\x88\xc4"  # 0d        mov ah, al
        b"\xba\xfd\x03"  # 0f    mov dx, 0x3fd        ; line status register
        b"\xec"  # 12 wait:      in al, dx
        b"\xa8\x20"  # 13        test al, 0x20        ; transmitter empty?
        b"\x74\xfb"  # 15        jz wait
        b"\x88\xe0"  # 17        mov al, ah
        b"\xb2\xf8"  # 19        mov dl, 0xf8         ; 0x3f8, the data register
        b"\xee"  # 1b            out dx, al
        b"\xeb\xea"  # 1c        jmp next
        b"\xf4"  # 1e halt:      hlt                  ; until an interrupt
        b"\xeb\xfd"  # 1f        jmp halt
    )
    text = f"\r\n{mark}\r\n".encode("ascii") + b"\0"
    partition = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", EFI_SYSTEM, b"\xfe\xff\xff", START, sectors)
    return (code + text).ljust(446, b"\0") + partition.ljust(64, b"\0") + b"\x55\xaa"
