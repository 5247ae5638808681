"""What a path means, as loaders were seen to write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.loader_paths import Asked, Content, First, Owned, Program, Step, asked

MAC = "52:54:00:77:00:0a"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("snponly.efi", Program("snponly.efi")),
        ("ipxe/ipxe.efi", Program("ipxe.efi")),
        ("revocations_sbat.efi", Program("revocations_sbat.efi")),
        ("grub/x86_64-efi/grub.cfg", First()),
        ("grub/grub.cfg", First()),
        ("grub.cfg", First()),
        ("grub/grub.cfg-01-52-54-00-77-00-0a", First()),
        ("grub/grub.cfg-0A4D0001", Program("grub/grub.cfg-0A4D0001")),
        ("grub/x86_64-efi/command.lst", Program("grub/x86_64-efi/command.lst")),
        ("grub/boot.cfg-01-52:54:00:77:00:0a", Step("grub", MAC)),
        ("grub/boot.cfg-01-52-54-00-77-00-0A", Step("grub", MAC)),
        ("pxelinux.cfg/01-52-54-00-77-00-0a", Step("pxelinux", MAC)),
        ("ipxe/pxelinux.cfg/01-52-54-00-77-00-0a", Step("pxelinux", MAC)),
        ("pxelinux.cfg/39087aa4-9d41-2659-9c4a-c66b2e04df1e", Program("pxelinux.cfg/39087aa4-9d41-2659-9c4a-c66b2e04df1e")),
        ("pxelinux.cfg/0A4D000B", Program("pxelinux.cfg/0A4D000B")),
        ("pxelinux.cfg/default", Program("pxelinux.cfg/default")),
        ("pxelinux.cfg/20-52-54-00-77-00-0a", Program("pxelinux.cfg/20-52-54-00-77-00-0a")),
        ("d7bb3e8b/start4.elf", Owned("d7bb3e8b", "start4.elf")),
        ("D7BB3E8B/overlays/vc4.dtbo", Owned("d7bb3e8b", "overlays/vc4.dtbo")),
        ("dc-a6-32-01-36-C2/config.txt", Owned("dc:a6:32:01:36:c2", "config.txt")),
        ("d7bb3e8b/pxelinux.cfg/01-52-54-00-77-00-0a", Step("pxelinux", MAC)),
        ("d7bb3e8/start4.elf", Program("d7bb3e8/start4.elf")),
        ("d7bb3e8b/", Program("d7bb3e8b/")),
        ("artifacts/sha256/" + "a" * 64, Content("a" * 64)),
        ("artifacts/sha256/" + "a" * 64 + "/vmlinuz", Content("a" * 64)),
        ("artifacts/sha256/" + "a" * 63, Program("artifacts/sha256/" + "a" * 63)),
        ("x/artifacts/sha256/" + "a" * 64, Program("x/artifacts/sha256/" + "a" * 64)),
    ],
)
def test_a_path_means_one_thing(path: str, expected: Asked) -> None:
    assert expected == asked(path)


@given(st.text())
def test_any_path_means_something(path: str) -> None:
    assert isinstance(asked(path), Asked)


def test_a_path_of_any_length_is_read_at_once() -> None:
    assert isinstance(asked("grub/" * 400), Program)
