"""UEFI programs of a few instructions, written by hand: what a disk holds that says it was booted.

The law: a program prints its mark through the firmware's own console and stops there; nothing brings it back but a reset.
UEFI 2.10 section 2.1.1 (images), Microsoft's "PE Format" for the headers.
"""

import struct

ALIGNMENT = 0x1000
"""Bytes between sections in memory: a page, which firmware that protects memory by pages asks for."""
HEADERS = 0x200
"""Bytes of headers, and the code's place in the file."""
_APPLICATION = 10
"""IMAGE_SUBSYSTEM_EFI_APPLICATION."""

_X86_64 = (
    b"\x48\x8b\x4a\x40"  # 00          mov rcx, [rdx+0x40]  ; SystemTable->ConOut
    b"\x48\x8d\x15\x0b\x00\x00\x00"  # lea rdx, [rip+11]    ; the text behind this code
    b"\x48\x83\xec\x28"  # 0b          sub rsp, 0x28        ; shadow space, and the stack aligned to 16
    b"\xff\x51\x08"  # 0f              call [rcx+8]         ; ConOut->OutputString(ConOut, text)
    b"\xf4"  # 12 halt:                hlt
    b"\xeb\xfd"  # 13                  jmp halt
    b"\x90"  # 15                      nop                  ; the text is aligned to 2
)
_AARCH64 = struct.pack(
    "<6I",
    0xF9402020,  # 00        ldr x0, [x1, #0x40]  ; SystemTable->ConOut
    0xF9400409,  # 04        ldr x9, [x0, #8]     ; OutputString
    0x10000081,  # 08        adr x1, #16          ; the text behind this code
    0xD63F0120,  # 0c        blr x9
    0xD503207F,  # 10 halt:  wfi
    0x17FFFFFF,  # 14        b halt
)
_MACHINES = {"x86_64": (0x8664, _X86_64), "aarch64": (0xAA64, _AARCH64)}

BOOT_NAMES = {"x86_64": "BOOTX64.EFI", "aarch64": "BOOTAA64.EFI"}
"""Below `\\EFI\\BOOT`: what firmware starts from a disk it has no boot entry for (UEFI 2.10 section 3.5.1.1)."""


def efi_program(arch: str, mark: str) -> bytes:
    """A UEFI application for `x86_64` or `aarch64` that prints `mark` on the firmware's console and halts."""
    machine, code = _MACHINES[arch]
    body = code + f"\r\n{mark}\r\n".encode("utf-16-le") + b"\0\0"
    padded = body.ljust(-(-len(body) // HEADERS) * HEADERS, b"\0")
    return _headers(machine, len(padded)).ljust(HEADERS, b"\0") + padded


def _headers(machine: int, size: int) -> bytes:
    dos = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    # One section, an optional header of 240 bytes; executable, and to be loaded anywhere, for nothing in it is absolute.
    coff = struct.pack("<HHIIIHH", machine, 1, 0, 0, 0, 240, 0x0022)
    optional = struct.pack(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII",
        *(0x20B, 0, 0, size, 0, 0, ALIGNMENT, ALIGNMENT),  # PE32+; the entry point is the first byte of the code
        *(0, ALIGNMENT, HEADERS, 0, 0, 0, 0, 0, 0),
        *(0, 2 * ALIGNMENT, HEADERS, 0, _APPLICATION, 0),
        *(0, 0, 0, 0, 0, 16),
    )
    section = struct.pack("<8sIIIIIIHHI", b".text", size, ALIGNMENT, size, HEADERS, 0, 0, 0, 0, 0x60000020)
    return dos + b"PE\0\0" + coff + optional.ljust(240, b"\0") + section
