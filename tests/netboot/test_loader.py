"""Loaders: firmware gets iPXE, iPXE gets its script, and nobody gets what it already runs."""

from __future__ import annotations

import msgspec
import pytest

from netboot.dhcp_client import Client, Kind, classify
from netboot.dhcp_options import unpack
from netboot.dhcp_packet import DISCOVER
from netboot.loader import ARCHITECTURES, LOADERS, boot_file, file_of
from tests.netboot.dhcp_example import URLS, packet
from tests.netboot.plan_example import packet as pi_packet

SCRIPT = "http://10.77.0.1/ipxe/52-54-00-77-00-01/boot.ipxe"
VENDOR: dict[Kind, bytes] = {
    "pxe": b"PXEClient", "http": b"HTTPClient", "ipxe": b"PXEClient", "uboot": b"U-Boot.armv8", "other": b"MSFT 5.0",
}  # fmt: skip


def client(kind: Kind, arch: int | None) -> Client:
    options = {60: VENDOR[kind]} | ({} if arch is None else {93: bytes((0, arch))}) | ({77: b"iPXE"} if kind == "ipxe" else {})
    return classify(packet(DISCOVER, options))


@pytest.mark.parametrize(
    ("kind", "arch", "file"),
    [
        ("pxe", None, "undionly.kpxe"),
        ("pxe", 0, "undionly.kpxe"),
        ("pxe", 6, "ipxe-i386.efi"),
        ("pxe", 7, "snponly.efi"),
        ("pxe", 9, "snponly.efi"),
        ("pxe", 10, "ipxe-arm32.efi"),
        ("pxe", 11, "ipxe-arm64.efi"),
        ("pxe", 12, None),
        ("http", 15, "http://10.77.0.1/ipxe/ipxe-i386.efi"),
        ("http", 16, "http://10.77.0.1/ipxe/snponly.efi"),
        ("http", 18, "http://10.77.0.1/ipxe/ipxe-arm32.efi"),
        ("http", 19, "http://10.77.0.1/ipxe/ipxe-arm64.efi"),
        ("http", 31, None),
        ("uboot", None, "boot.scr.uimg"),
        ("uboot", 21, "boot.scr.uimg"),
        ("uboot", 22, "boot.scr.uimg"),
        ("other", None, None),
        ("other", 7, None),
    ],
)
def test_firmware_is_sent_the_loader_of_its_architecture(kind: Kind, arch: int | None, file: str | None) -> None:
    boot = boot_file(client(kind, arch), URLS)
    assert file == (boot.file if boot else None)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_ipxe_is_sent_its_script_and_never_its_own_binary_again(arch: int | None) -> None:
    boot = boot_file(client("ipxe", arch), msgspec.structs.replace(URLS, loader="ipxe.efi"))
    assert boot is not None
    assert boot.file == SCRIPT


@pytest.mark.parametrize(
    ("loader", "arch", "file"),
    [
        ("ipxe", 0, "ipxe.pxe"),
        ("ipxe", 7, "ipxe.efi"),
        ("ipxe", 11, "ipxe-arm64.efi"),
        ("grub", 7, "grubx64.efi"),
        ("grub", 19, "grubaa64.efi"),
        ("shim", 16, "shimx64.efi"),
        ("shim", 0, "undionly.kpxe"),
        ("pxelinux", None, "pxelinux.0"),
        ("pxelinux", 7, "snponly.efi"),
        ("pxelinux", 12, None),
        ("pxelinux", 22, "boot.scr.uimg"),
        ("grub", 22, None),  # it asks again as UEFI
        ("custom.efi", 12, "custom.efi"),
    ],
)
def test_hardware_is_sent_the_loader_it_names_or_the_default_where_that_does_not_exist(
    loader: str, arch: int | None, file: str | None
) -> None:
    assert file == file_of(loader, arch)


def test_every_architecture_has_a_loader() -> None:
    assert set(ARCHITECTURES.values()) == set(LOADERS["snponly"])
    assert all(set(row) <= set(LOADERS["snponly"]) for row in LOADERS.values())


def test_hardware_may_name_a_file() -> None:
    urls = msgspec.structs.replace(URLS, loader="ipxe.efi")
    by_tftp, by_http = boot_file(client("pxe", 7), urls), boot_file(client("http", 16), urls)
    assert by_tftp
    assert by_http
    assert (by_tftp.file, by_http.file) == ("ipxe.efi", "http://10.77.0.1/ipxe/ipxe.efi")


def test_pxe_firmware_is_told_to_load_the_file_without_looking_for_a_menu() -> None:
    boot = boot_file(client("pxe", 0), URLS)
    assert boot
    assert unpack(boot.options) == {43: b"\x06\x01\x08\xff", 60: b"PXEClient"}


def test_http_firmware_is_told_that_its_class_is_understood() -> None:
    boot = boot_file(client("http", 16), URLS)
    assert boot
    assert unpack(boot.options) == {60: b"HTTPClient"}


def test_a_raspberry_pi_is_shown_the_menu_that_its_rom_looks_for() -> None:
    """As dnsmasq answers with `pxe-service=0,"Raspberry Pi Boot"`, which is what its documentation says to write."""
    asked = pi_packet(DISCOVER, "dc:a6:32:01:36:c2", {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"})
    boot = boot_file(classify(asked), URLS)
    assert boot
    assert ("bootcode.bin", URLS.server) == (boot.file, boot.server)
    told = unpack(boot.options)
    assert b"PXEClient" == told[60]
    assert b"\x06\x01\x03" + b"\x09\x14\0\0\x11Raspberry Pi Boot" + b"\x0a\x04\0PXE" + b"\xff" == told[43]
