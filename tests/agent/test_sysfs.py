"""Disks read from a /sys of the test's own, laid out as Linux lays it out."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.disks import BlockDevice
from agent.sysfs import block_devices

AHCI = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0"


class Sys:
    """`disk(place, files)` makes /sys/devices/<place>/block/<name> and the link to it in /sys/class/block."""

    def __init__(self, root: Path) -> None:
        self.sys, self.dev = root / "sys", root / "dev"
        (self.sys / "class/block").mkdir(parents=True)
        self.dev.mkdir()

    def disk(self, place: str, name: str, files: dict[str, str | bytes]) -> None:
        folder = self.sys / "devices" / place / "block" / name
        folder.mkdir(parents=True)
        (self.sys / "class/block" / name).symlink_to(folder)
        (self.dev / name).touch()
        if "virtual" not in place:
            (folder / "device").symlink_to(folder.parent.parent)
        for path, content in files.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())

    def partition(self, disk: str, name: str, number: int) -> None:
        folder = (self.sys / "class/block" / disk).resolve() / name
        folder.mkdir()
        (folder / "partition").write_text(f"{number}\n")
        (self.sys / "class/block" / name).symlink_to(folder)

    def found(self) -> list[BlockDevice]:
        return block_devices(self.sys, self.dev)


@pytest.fixture
def machine(tmp_path: Path) -> Sys:
    return Sys(tmp_path)


def test_a_sata_disk_is_read(machine: Sys) -> None:
    page = b"\x00\x80\x00\x0a  S3Z9NB0K and no more"
    files: dict[str, str | bytes] = {
        "size": "937703088",
        "device/vpd_pg80": page,
        "device/wwid": "naa.5002538e40b1a2c3",
        "device/model": "SAMSUNG  ",
    }
    files |= {"queue/rotational": "1", "removable": "0"}
    machine.disk(AHCI, "sda", files)
    expected = BlockDevice(str(machine.dev / "sda"), "S3Z9NB0K", "naa.5002538e40b1a2c3", 480103981056, "SAMSUNG", "sata", True)
    assert [expected] == machine.found()


def test_an_nvme_and_a_virtio_disk_are_read(machine: Sys) -> None:
    nvme: dict[str, str | bytes] = {
        "size": "2000",
        "wwid": "eui.0025385b71b0a1c2",
        "device/serial": "S64GN   ",
        "device/model": "PM9A3",
    }
    machine.disk("pci0000:00/0000:00:01.0/nvme/nvme0", "nvme0n1", {**nvme, "queue/rotational": "0"})
    machine.disk("pci0000:00/0000:00:02.0/virtio1", "vda", {"size": "4", "serial": "root-1"})
    one, other = machine.found()
    assert ("S64GN", "eui.0025385b71b0a1c2", "PM9A3", "nvme") == (one.serial, one.wwn, one.model, one.transport)
    assert ("root-1", 2048, "virtio") == (other.serial, other.size, other.transport)


def test_what_is_no_disk_is_left_out(machine: Sys) -> None:
    for name in ("ram0", "zram0", "sr0", "fd0", "mmcblk0boot0", "mmcblk0rpmb"):
        machine.disk(f"platform/{name}", name, {"size": "8"})
    machine.disk("usb1/1-1", "sdb", {"size": "0", "removable": "1"})  # a card reader without a card
    machine.disk("nvme0c0", "nvme0c0n1", {"size": "8", "hidden": "1"})
    assert [] == machine.found()


def test_what_software_made_is_mapped_and_a_multipath_nvme_is_not(machine: Sys) -> None:
    machine.disk("virtual", "dm-0", {"size": "8"})
    machine.disk("virtual", "loop0", {"size": "8"})
    machine.disk("virtual/nvme-subsystem/nvme-subsys0", "nvme0n1", {"size": "8"})
    assert [("dm-0", True), ("loop0", True), ("nvme0n1", False)] == [(Path(d.path).name, d.mapped) for d in machine.found()]


def test_a_stick_is_removable(machine: Sys) -> None:
    machine.disk("pci0000:00/usb1/1-1/host6", "sdb", {"size": "8", "removable": "1"})
    (stick,) = machine.found()
    assert (True, "usb") == (stick.removable, stick.transport)


def test_a_disk_of_which_nothing_else_can_be_read_is_still_listed(machine: Sys) -> None:
    machine.disk(AHCI, "sda", {"size": "8", "device/vpd_pg80": b"\x00", "device/wwid": b"\xff"})
    (disk,) = machine.found()
    assert (4096, "") == (disk.size, disk.serial)


def test_names_below_dev_disk_are_known_but_never_our_own(machine: Sys) -> None:
    machine.disk(AHCI, "sda", {"size": "8"})
    for folder in ("by-path", "by-gitboot"):
        (machine.dev / "disk" / folder).mkdir(parents=True)
        (machine.dev / "disk" / folder / "x").symlink_to("../../sda")
    (disk,) = machine.found()
    assert (str(machine.dev / "disk/by-path/x"),) == disk.links


def test_partitions_are_no_disks(machine: Sys) -> None:
    machine.disk("pci0000:00/nvme/nvme0", "nvme0n1", {"size": "8"})
    machine.partition("nvme0n1", "nvme0n1p2", 2)
    assert [str(machine.dev / "nvme0n1")] == [disk.path for disk in machine.found()]
