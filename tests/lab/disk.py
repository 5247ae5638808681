"""Disks for virtual machines: an empty one, and one that says it was booted.

The law: what prints the mark is code on the disk, started by the firmware and by nothing else.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512


@dataclass(frozen=True)
class Disk:
    """A virtio disk (`/dev/vda` in Linux); `format` is `raw` or `qcow2`."""

    path: Path
    format: str = "raw"


def empty_disk(path: Path, size: str = "1G") -> Disk:
    """A disk nothing was ever written to; `size` as qemu-img takes it."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, size], check=True, timeout=30)
    return Disk(path, "qcow2")


def installed_disk(path: Path, mark: str = "MARK-DISK") -> Disk:
    """A disk of 1 MiB with an "operating system" on it: its boot sector writes `mark` on the console and stops."""
    path.write_bytes(boot_sector(mark).ljust(1 << 20, b"\0"))
    return Disk(path)


def boot_sector(mark: str) -> bytes:
    """The 512 bytes of a master boot record that prints `mark` on the first serial port and halts.

    16-bit code, loaded at 0000:7c00. It drives the port itself instead of asking the firmware, so the mark is the disk's own.
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
    return (code + text).ljust(SECTOR - 2, b"\0") + b"\x55\xaa"
