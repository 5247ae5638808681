"""U-Boot's script: an image as U-Boot's own tool writes it, which asks for ever."""

from __future__ import annotations

import struct
from zlib import crc32

from netboot.uboot import SCRIPT, script_image


def test_the_image_is_what_include_image_h_says() -> None:
    image = script_image("echo hello\n")
    magic, _, time, size, load, entry, checksum = struct.unpack(">7I", image[:28])
    assert (0x27051956, 0, len(image) - 64, 0, 0) == (magic, time, size, load, entry)
    assert crc32(image[:4] + bytes(4) + image[8:64]) == struct.unpack(">I", image[4:8])[0]
    assert crc32(image[64:]) == checksum
    assert (5, 22, 6, 0) == tuple(image[28:32])  # Linux, arm64, a script, not compressed
    assert b"gitboot".ljust(32, b"\0") == image[32:64]
    assert struct.pack(">II", 11, 0) + b"echo hello\n" == image[64:]


def test_it_asks_again_whatever_became_of_a_step() -> None:
    loop = SCRIPT[SCRIPT.index("while true") :].splitlines()
    assert ["while true; do", "done"] == [loop[0], loop[-1]]
    assert "  sleep 5" in loop


def test_a_local_boot_leaves_out_the_network() -> None:
    assert "test ${target} != dhcp -a ${target} != pxe" in SCRIPT.partition("while")[0]
