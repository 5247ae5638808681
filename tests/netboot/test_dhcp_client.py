"""Clients: whatever firmware leaves out or writes wrongly, it is read as well as it can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.dhcp_client import Client, classify
from netboot.dhcp_packet import DISCOVER
from tests.netboot.dhcp_example import packet
from tests.netboot.plan_example import packet as example_packet

PXE_X64 = b"PXEClient:Arch:00007:UNDI:003000"
IPXE_FEATURES = b"\xb1\x05\x01\x1a\xf4\x10\x00\x13\x01\x01\x14\x01\x00"
"""Bus id, HTTP (19) yes, HTTPS (20) no."""


def client(options: dict[int, bytes]) -> Client:
    return classify(packet(DISCOVER, options))


@pytest.mark.parametrize(
    ("options", "kind", "arch"),
    [
        ({}, "other", None),
        ({60: b"udhcp 1.35.0"}, "other", None),
        ({60: PXE_X64, 93: b"\0\7", 94: b"\1\3\0", 97: bytes(17)}, "pxe", 7),
        ({60: PXE_X64, 93: b"\0\7"}, "pxe", 7),  # 94 and 97 may be missing
        ({60: PXE_X64}, "pxe", 7),  # and 93: the vendor class says it too
        ({60: b"PXEClient"}, "pxe", None),
        ({60: PXE_X64, 93: b"\0\0\0\7"}, "pxe", 0),  # a list of architectures begins with the preferred one
        ({60: PXE_X64, 93: b"\x0b"}, "pxe", 7),  # a broken 93 says nothing
        ({60: b"HTTPClient:Arch:00016:UNDI:003000", 93: b"\0\x10"}, "http", 16),
        ({60: PXE_X64, 93: b"\0\7", 77: b"iPXE", 175: IPXE_FEATURES}, "ipxe", 7),
        ({77: b"iPXE"}, "ipxe", None),  # a user class without the length byte of RFC 3004
        ({77: b"\4iPXE"}, "ipxe", None),  # and with it
        ({77: b"\3foo\4iPXE"}, "ipxe", None),
        ({60: PXE_X64, 77: b"\x08LabClass", 175: IPXE_FEATURES}, "ipxe", 7),  # renamed by a script: 175 tells
        ({60: PXE_X64, 175: b"\x13"}, "ipxe", 7),  # even a broken one
        ({60: b"PXEClient", 77: b"gPXE", 175: IPXE_FEATURES}, "pxe", None),  # runs no iPXE script
        ({60: b"\xffPXEClient"}, "other", None),
        ({60: b"U-Boot.armv8", 93: b"\0\x16"}, "uboot", 22),
        ({60: b"U-Boot.armv7"}, "uboot", None),
        ({93: b"\0\x15"}, "uboot", 21),  # its vendor class is a setting
        ({60: b"PXEClient:Arch:00011:UNDI:003000", 93: b"\0\x0b"}, "pxe", 11),  # the UEFI in U-Boot
    ],
)  # fmt: skip
def test_what_a_client_says_makes_its_kind_and_architecture(options: dict[int, bytes], kind: str, arch: int | None) -> None:
    assert (kind, arch) == (client(options).kind, client(options).arch)


PI_ROM = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 94: b"\1\2\1", 97: b"\0" + b"RPi4" * 4}


@pytest.mark.parametrize(
    ("mac", "options", "kind"),
    [
        *(
            (f"{maker}:01:36:c2", PI_ROM, "rpi")
            for maker in ("b8:27:eb", "dc:a6:32", "e4:5f:01", "d8:3a:dd", "2c:cf:67", "28:cd:c1")
        ),
        ("52:54:00:01:36:c2", PI_ROM, "pxe"),  # a PC
        ("52:54:00:01:36:c2", PI_ROM | {93: b"\0\x29"}, "rpi"),  # if one day it says what it is
        ("dc:a6:32:01:36:c2", {60: PXE_X64.replace(b"7", b"11"), 93: b"\0\x0b"}, "pxe"),  # the UEFI it started
        ("dc:a6:32:01:36:c2", {60: b"U-Boot.armv8", 93: b"\0\x16"}, "uboot"),
        ("dc:a6:32:01:36:c2", {60: b"udhcp 1.35.0"}, "other"),
    ],
)
def test_a_raspberry_pis_rom_is_told_by_its_maker_for_it_poses_as_a_pc(mac: str, options: dict[int, bytes], kind: str) -> None:
    assert kind == classify(example_packet(DISCOVER, mac, options)).kind


@pytest.mark.parametrize(
    ("arch", "uefi"),
    [(None, False), (0, False), (6, True), (7, True), (11, True), (16, True), (20, False), (22, False), (41, False)],
)
def test_every_architecture_but_the_pcs_is_uefi(arch: int | None, uefi: bool) -> None:
    options = {} if arch is None else {93: bytes((0, arch))}
    assert uefi is client({60: b"PXEClient"} | options).uefi


@pytest.mark.parametrize(
    ("data", "user_class"),
    [(b"iPXE", "iPXE"), (b"\4iPXE", "iPXE"), (b"\1a\2bc", "a,bc"), (b"\0abc", "\\x00abc"), (b"\x05abc", "\\x05abc"), (b"", "")],
)
def test_a_user_class_is_read_with_and_without_lengths(data: bytes, user_class: str) -> None:
    assert user_class == client({77: data}).user_class


def test_features_are_those_that_are_switched_on() -> None:
    assert client({175: IPXE_FEATURES}).features == {177, 19}
    assert client({175: b"\x13"}).features == frozenset()


def test_a_guid_is_kept_without_its_type_byte_and_never_of_another_type() -> None:
    assert client({97: b"\0" + b"u" * 16}).guid == b"u" * 16
    assert client({97: b"\1" + b"u" * 16}).guid == b""
    assert client({97: b"\0short"}).guid == b""


@given(st.fixed_dictionaries({code: st.binary(max_size=40) for code in (60, 77, 93, 97, 175)}))
def test_any_bytes_are_read_as_something(options: dict[int, bytes]) -> None:
    assert client(options).kind in ("pxe", "http", "ipxe", "uboot", "rpi", "other")
