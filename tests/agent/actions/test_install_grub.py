"""GRUB on real disks behind loop devices, as far as it goes without firmware."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent import marker
from agent.actions import grub, grub2disk, install_grub
from agent.actions.devices import reread
from agent.actions.grub import entries, menu, version_key
from agent.actions.system import Mount, System
from tests.agent.actions.devices import MB, Loop, a_job, environment, machine, mounted, needs_loop_devices, run

KERNELS = ("vmlinuz-6.9.0", "vmlinuz-6.10.0", "initrd.img-6.9.0", "initrd.img-6.10.0")
FAKE = '#!/bin/busybox sh\necho "$0 $*" >>/calls\n'


@pytest.fixture
def disk(loop: Loop, tmp_path: Path) -> str:
    """A GPT with room for GRUB and a root filesystem that has two kernels."""
    device = loop(64 * MB)
    run("sfdisk", "--quiet", device, given="label: gpt\nsize=1MiB,type=21686148-6449-6E6F-744E-656564454649\n,\n")
    reread(device)
    run("mkfs.ext4", "-q", "-U", "66666666-2222-3333-4444-555555555555", f"{device}p2")
    with mounted(f"{device}p2", tmp_path / "mnt") as root:
        (root / "boot").mkdir()
        for name in KERNELS:
            (root / "boot" / name).write_bytes(b"")
    return device


def beginning(device: str) -> bytes:
    with Path(device).open("rb") as file:
        return file.read(512)


def document(disk: str) -> dict[str, object]:
    mounts = [{"mount": {"device": f"{disk}p2", "point": "/", "format": "ext4"}}]
    return machine(storage={"filesystems": mounts})


def give_it_a_grub(root: Path) -> None:
    """Programs that write down how they are called, in place of the system's own."""
    for folder in ("bin", "usr/sbin", "usr/lib/grub/i386-pc", "etc/default"):
        (root / folder).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "", root / "bin" / "busybox")
    for name in ("grub-install", "update-grub"):
        (root / "usr/sbin" / name).write_text(FAKE)
        (root / "usr/sbin" / name).chmod(0o755)
    (root / "usr/lib/grub/i386-pc/modinfo.sh").write_text("")
    (root / "etc/default/grub").write_text("")


@pytest.mark.shell
@needs_loop_devices
def test_a_disk_without_a_grub_gets_ours_and_a_menu_with_its_newest_kernel(
    tmp_path: Path, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = environment(tmp_path / "run", document(disk), FIRMWARE="bios", CMD_LINE="console=ttyS0")
    assert 0 == install_grub.ACTION.run(given), capsys.readouterr().err
    assert b"GRUB" in beginning(disk)
    assert beginning(f"{disk}p1").strip(b"\0")
    with mounted(f"{disk}p2", tmp_path / "mnt") as root:
        assert (root / "boot/grub/i386-pc/normal.mod").exists()
        text = (root / "boot/grub/grub.cfg").read_text()
    uuid = "66666666-2222-3333-4444-555555555555"
    assert f"linux /boot/vmlinuz-6.10.0 root=UUID={uuid} ro console=ttyS0\ninitrd /boot/initrd.img-6.10.0\n" in text
    assert [disk] == (tmp_path / "run" / "written").read_text().splitlines()


@pytest.mark.shell
@needs_loop_devices
def test_a_system_with_a_grub_of_its_own_uses_that_in_its_own_words(
    tmp_path: Path, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with mounted(f"{disk}p2", tmp_path / "mnt") as root:
        give_it_a_grub(root)
    settings = {"GRUB_INSTALL_PATH": disk, "GRUB_DISK": f"{disk}p2", "FS_TYPE": "ext4", "CMD_LINE": "quiet x='a b'"}
    status = grub2disk.ACTION.run(environment(tmp_path / "run", machine(), FIRMWARE="bios", **settings))
    assert 0 == status, capsys.readouterr().err
    with mounted(f"{disk}p2", tmp_path / "mnt") as root:
        calls = (root / "calls").read_text().splitlines()
        assert [f"/usr/sbin/grub-install --target=i386-pc {disk}", "/usr/sbin/update-grub "] == calls
        script = f'GRUB_CMDLINE_LINUX=one; . {root}/etc/default/grub.d/90-gitboot.cfg; echo "$GRUB_CMDLINE_LINUX"'
        assert "one quiet x='a b'\n" == run("sh", "-c", script)


@pytest.mark.shell
@needs_loop_devices
def test_a_protected_disk_is_left_as_it_is(tmp_path: Path, disk: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Path(disk).open("r+b") as file:
        file.seek(marker.OFFSET)
        file.write(marker.encode(marker.Marker("home", "other", "node-01", 1)))
    before = beginning(disk)
    assert 1 == install_grub.ACTION.run(environment(tmp_path / "run", document(disk), FIRMWARE="bios"))
    assert f"install-grub: {disk} is left as it is: it was installed by" in capsys.readouterr().err
    assert before == beginning(disk)


@pytest.mark.shell
@needs_loop_devices
def test_a_protected_disk_beside_the_systems_keeps_grub_from_both(
    tmp_path: Path, disk: str, loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    other = loop(4 * MB)
    with Path(other).open("r+b") as file:
        file.seek(marker.OFFSET)
        file.write(marker.encode(marker.Marker("home", "other", "node-01", 1)))
    before = Path(disk).read_bytes()
    given = environment(tmp_path / "run", document(disk), FIRMWARE="bios", GRUB_DISK=f"{disk} {other}")
    assert 1 == install_grub.ACTION.run(given)
    assert f"install-grub: {other} is left as it is: it was installed by" in capsys.readouterr().err
    assert before == Path(disk).read_bytes()


@pytest.mark.shell
@needs_loop_devices
def test_a_machine_without_an_efi_partition_or_a_kernel_is_a_sentence(
    tmp_path: Path, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == install_grub.ACTION.run(environment(tmp_path / "run", document(disk), FIRMWARE="uefi"))
    assert "there is no EFI system partition: give the machine's storage in git a vfat at /boot/efi" in capsys.readouterr().err
    with mounted(f"{disk}p2", tmp_path / "mnt") as root:
        shutil.rmtree(root / "boot")
    assert 1 == install_grub.ACTION.run(environment(tmp_path / "run", document(disk), FIRMWARE="bios"))
    assert "the installed system has no kernel in /boot" in capsys.readouterr().err


@pytest.mark.shell
def test_uefi_gets_it_at_the_removable_path_and_its_own_order_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, ...]] = []
    monkeypatch.setattr(grub, "tool", lambda *words: said.append(tuple(map(str, words))))
    (tmp_path / "root/boot/efi").mkdir(parents=True)
    system = System(tmp_path / "root", (Mount("/dev/sda2", "/", "ext4"), Mount("/dev/sda1", "/boot/efi", "vfat")))
    grub.install_uefi(a_job(tmp_path / "run", machine()), system, "")
    efi = f"--efi-directory={tmp_path}/root/boot/efi"
    boot = f"--boot-directory={tmp_path}/root/boot"
    assert [("grub-install", "--target=x86_64-efi", boot, "--removable", "--no-nvram", efi)] == said


def test_boot_entries_are_known_by_their_whole_name() -> None:
    said = (
        "BootCurrent: 0003\nBootOrder: 0003,0001\nBoot0001* debian\tHD(1,GPT)/File()\nBoot0002* debian 12\nBoot000A  debian\n"
    )
    assert ["0001", "000A"] == entries(said, "debian")


def test_versions_are_sorted_by_their_numbers() -> None:
    names = ["vmlinuz-6.1.0-9-amd64", "vmlinuz-6.10.0", "vmlinuz-6.9.12", "vmlinuz-5.99"]
    assert ["vmlinuz-5.99", "vmlinuz-6.1.0-9-amd64", "vmlinuz-6.9.12", "vmlinuz-6.10.0"] == sorted(names, key=version_key)


def test_a_menu_names_the_filesystem_of_its_kernel_and_leaves_out_an_initrd_that_is_not_there() -> None:
    text = menu("/", "1234", "vmlinuz-6", "", "/dev/mapper/vg-root", "")
    assert ["search --no-floppy --fs-uuid --set=root 1234", "linux /vmlinuz-6 root=/dev/mapper/vg-root ro", "boot"] == (
        text.splitlines()[1:]
    )
