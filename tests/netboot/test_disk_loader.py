"""The loader for the disk: made of what the host has, the same each time, and not at all where something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from netboot.disk_loader import TARGETS, build_disk_loader, name_of
from netboot.grub import disk_loader_config

pytestmark = pytest.mark.shell

MKIMAGE = """#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in --config) config=$2 ;; --memdisk) disk=$2 ;; --output) image=$2 ;; esac
  shift
done
cat "$config" "$disk" >"$image"
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """GRUB's modules for x86_64, and a `grub-mkimage` that puts together what it is given."""
    tool = tmp_path / "bin" / "grub-mkimage"
    tool.parent.mkdir()
    tool.write_text(MKIMAGE)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    (tmp_path / "x86_64-efi").mkdir()
    (tmp_path / "x86_64-efi" / "normal.mod").touch()
    return tmp_path


def test_it_is_grub_with_its_configuration_inside(modules: Path) -> None:
    program = build_disk_loader("x86_64", modules)
    assert program
    assert program.startswith(b"normal (memdisk)/grub.cfg\nexit\n")
    assert disk_loader_config().encode() in program


def test_the_same_host_makes_the_same_bytes(modules: Path) -> None:
    assert build_disk_loader("x86_64", modules) == build_disk_loader("x86_64", modules)


def test_a_host_without_the_modules_makes_none(modules: Path) -> None:
    assert build_disk_loader("arm64", modules) is None


def test_a_host_without_grub_makes_none(modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(modules))
    assert build_disk_loader("x86_64", modules) is None


def test_a_grub_that_fails_makes_none(modules: Path) -> None:
    (modules / "bin" / "grub-mkimage").write_text("#!/bin/sh\nexit 1\n")
    assert build_disk_loader("x86_64", modules) is None


def test_it_is_served_by_the_name_that_ipxe_asks_for() -> None:
    assert {"disk-x86_64.efi", "disk-arm64.efi"} == {name_of(arch) for arch in TARGETS}
