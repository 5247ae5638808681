"""From a storage section to commands, without a disk."""

from __future__ import annotations

from typing import Any

import pytest

from agent.actions import layout
from agent.actions.layout import ESP, LINUX, LVM, MIB, RAID, Disk, Partition, partition_path
from agent.actions.settings import Failed

DISK = Disk("/dev/vda", 4096 * MIB)
GRUB = {"label": "BIOS", "number": 1, "size": 4096}
REST = {"label": "ROOT", "number": 2, "size": 0}


def table(*partitions: dict[str, Any], disk: Disk = DISK, mbr: bool = False, **storage: Any) -> list[Partition]:
    return layout.partitions({"device": disk.path, "partitions": list(partitions)}, disk, storage, mbr=mbr)


def mounted(device: str, **mount: Any) -> dict[str, Any]:
    return {"mount": {"device": device, **mount}}


def commands(**storage: Any) -> list[str]:
    return [" ".join(command) for step in layout.steps(storage) for command in step.commands]


@pytest.mark.parametrize(
    ("disk", "partition"),
    [
        ("/dev/sda", "/dev/sda2"),
        ("/dev/nvme0n1", "/dev/nvme0n1p2"),
        ("/dev/mmcblk0", "/dev/mmcblk0p2"),
        ("/dev/disk/by-gitboot/root", "/dev/disk/by-gitboot/root-part2"),
    ],
)
def test_a_partition_is_named_as_the_kernel_or_udev_names_it(disk: str, partition: str) -> None:
    assert partition == partition_path(disk, 2)


def test_partitions_follow_each_other_and_the_last_takes_what_is_left() -> None:
    expected = [
        Partition(1, MIB, 2 * MIB, layout.BIOS, "BIOS"),
        Partition(2, 3 * MIB, 4092 * MIB, LINUX, "ROOT"),
    ]
    assert expected == table(GRUB, REST)
    assert expected[-1].start + expected[-1].size <= DISK.size - 33 * 512


def test_a_start_is_kept_and_an_odd_size_does_not_misalign_what_follows() -> None:
    first, second, third = table({"number": 5, "size": 2049}, {"number": 6, "start": 8192, "size": 2048}, {"number": 7})
    assert (5, MIB, 2049 * 512) == (first.number, first.start, first.size)
    assert (4 * MIB, MIB) == (second.start, second.size)
    assert 5 * MIB == third.start
    assert 3 * MIB == table({"number": 1, "size": 2049}, REST)[1].start


@pytest.mark.parametrize(
    ("partitions", "reason"),
    [
        ([{"number": 1, "size": 8388608}], "partition 1 does not fit on /dev/vda: it wants 4096 MiB from 1 MiB on, of 4095"),
        ([REST, {"number": 3, "size": 0}], "partition 3 does not fit on /dev/vda: it wants what is left from 4095 MiB on"),
        ([REST, {"number": 3, "size": 2048}], "partition 3 does not fit"),
    ],
)
def test_what_does_not_fit_is_refused_before_there_is_a_command(partitions: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(Failed, match=reason):
        table(*partitions)


def test_a_partition_has_the_type_of_its_label_its_guid_or_of_what_is_put_on_it() -> None:
    found = table(
        {"number": 1, "size": 2048, "label": "EFI"},
        {"number": 2, "size": 2048},
        {"number": 3, "size": 2048},
        {"number": 4, "size": 2048},
        {"number": 5, "size": 2048},
        {"number": 6, "type_guid": "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"},
        raid=[{"name": "md0", "level": "1", "devices": ["/dev/vda2"]}],
        volume_groups=[{"name": "vg", "physical_volumes": ["/dev/vda3"]}],
        filesystems=[mounted("/dev/vda4", format="swap"), mounted("/dev/vda5", format="vfat", point="/boot/efi")],
    )
    assert [ESP, RAID, LVM, layout.SWAP, ESP, "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"] == [each.type for each in found]


def test_sfdisk_is_told_every_number_so_that_it_guesses_none() -> None:
    assert layout.script(table(GRUB, REST), DISK) == (
        "label: gpt\nunit: sectors\nfirst-lba: 2048\n"
        '/dev/vda1 : start=2048, size=4096, type=21686148-6449-6E6F-744E-656564454649, name="BIOS"\n'
        '/dev/vda2 : start=6144, size=8380416, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="ROOT"\n'
    )


def test_sfdisk_counts_the_sectors_of_the_disk() -> None:
    nvme = Disk("/dev/nvme0n1", 4096 * MIB, 4096)
    text = layout.script(table(GRUB, disk=nvme), nvme)
    assert "first-lba: 256\n/dev/nvme0n1p1 : start=256, size=512, " in text
    with pytest.raises(Failed, match="multiples of 4096 bytes"):
        table({"number": 1, "size": 2049}, disk=nvme)


def test_a_partition_before_the_first_mib_moves_the_first_sector() -> None:
    assert "first-lba: 34\n/dev/vda1 : start=34, size=2014, " in layout.script(
        table({"number": 1, "start": 34, "size": 2014}), DISK
    )


def test_an_mbr_has_types_of_two_digits_no_names_and_four_partitions() -> None:
    found = table({"number": 1, "label": "SWAP", "size": 2048}, REST, mbr=True)
    assert layout.script(found, DISK, mbr=True) == (
        "label: dos\nunit: sectors\n/dev/vda1 : start=2048, size=2048, type=82\n/dev/vda2 : start=4096, size=8384512, type=83\n"
    )
    with pytest.raises(Failed, match="room for 4 partitions"):
        table({"number": 5}, mbr=True)


@pytest.mark.parametrize("label", ['a"b', "a\nb", "a\\b"])
def test_a_label_cannot_become_another_line_or_field(label: str) -> None:
    with pytest.raises(Failed, match="cannot have the label"):
        layout.script(table({"number": 1, "label": label}), DISK)


def test_a_table_is_found_again_whatever_the_order_and_case() -> None:
    rows = [
        {"node": "/dev/vda2", "start": 6144, "size": 8380416, "type": LINUX.lower()},
        {"node": "/dev/vda1", "start": 2048, "size": 4096, "type": layout.BIOS},
    ]
    found = {"partitiontable": {"label": "gpt", "sectorsize": 512, "partitions": rows}}
    assert layout.is_on(table(GRUB, REST), found, "/dev/vda")
    assert not layout.is_on(table(GRUB), found, "/dev/vda")
    assert not layout.is_on(table(GRUB, REST), {}, "/dev/vda")


def test_everything_is_made_after_what_it_is_made_of() -> None:
    """A mirror, encrypted, with volumes in it, written down from the top."""
    made = commands(
        filesystems=[
            mounted("/dev/vg0/root", format="ext4", point="/", create={"options": ["-L", "ROOT"]}),
            mounted("/dev/vda1", format="vfat", point="/boot/efi", create={"options": [32, "-n", "EFI"]}),
            mounted("/dev/vg0/swap", format="swap", point="none"),
        ],
        volume_groups=[
            {
                "name": "vg0",
                "physical_volumes": ["/dev/mapper/crypt"],
                "tags": ["system"],
                "logical_volumes": [
                    {"name": "swap", "size": 1 << 30},
                    {"name": "root", "opts": ["--stripes=1"], "tags": ["a"]},
                ],
            }
        ],
        luks=[{"name": "crypt", "device": "/dev/md0", "key": {"environment": "KEY"}}],
        raid=[{"name": "md0", "level": "1", "devices": ["/dev/vda2", "/dev/vdb2", "/dev/vdc2"], "spare": 1}],
    )
    assert made == [
        "mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --spare-devices=1 --metadata=1.2 --homehost=any --name=md0 "
        "/dev/vda2 /dev/vdb2 /dev/vdc2",
        "cryptsetup luksFormat --batch-mode --type=luks2 --key-file=- /dev/md0",
        "cryptsetup open --key-file=- /dev/md0 crypt",
        "pvcreate --yes -ff /dev/mapper/crypt",
        "vgcreate --yes --addtag=system vg0 /dev/mapper/crypt",
        "lvcreate --yes --wipesignatures=y --size 1073741824b --name swap vg0",
        "lvcreate --yes --wipesignatures=y --addtag=a --extents 100%FREE --name root vg0 --stripes=1",
        "mkfs.ext4 -q -F -L ROOT /dev/vg0/root",
        "mkfs.vfat -F 32 -n EFI /dev/vda1",
        "mkswap /dev/vg0/swap",
    ]


def test_a_mirror_that_firmware_reads_has_its_metadata_at_the_end() -> None:
    raid = [{"name": "md1", "level": "1", "devices": ["/dev/vda1", "/dev/vdb1"]}]
    made = commands(raid=raid, filesystems=[mounted("/dev/md1", format="vfat", point="/boot/efi")])
    assert " --metadata=1.0 " in made[0]


def test_a_circle_and_an_unknown_filesystem_are_refused() -> None:
    circle = [{"name": name, "device": f"/dev/mapper/{other}", "key": {}} for name, other in (("a", "b"), ("b", "a"))]
    with pytest.raises(Failed, match=r"^/dev/mapper/a would be made of itself$"):
        commands(luks=circle)
    with pytest.raises(Failed, match="cannot be formatted as zfs: btrfs, ext2"):
        commands(filesystems=[mounted("/dev/vda1", format="zfs")])
    assert [] == commands(filesystems=[mounted("/dev/vda1", format="none")])


def test_what_the_section_does_not_make_must_be_there_before() -> None:
    storage = {
        "disks": [{"device": "/dev/vda", "partitions": [GRUB, REST]}],
        "raid": [{"name": "md0", "level": "1", "devices": ["/dev/vda2", "/dev/vdb2"]}],
        "filesystems": [mounted("/dev/md0", format="ext4"), mounted("/dev/vdc", format="xfs")],
    }
    assert ["/dev/vdb2", "/dev/vdc"] == layout.leaves(storage)


def test_links_become_the_kernels_names_and_what_is_no_device_stays() -> None:
    storage = {
        "disks": [{"device": "/dev/disk/by-gitboot/root", "wipe_table": True}],
        "luks": [{"device": "/dev/disk/by-gitboot/root-part1", "key": {"file": "/dev/disk/key"}}],
        "filesystems": [mounted("/dev/md0", files=[{"path": "/dev/disk/x"}])],
    }
    found = layout.located(storage, lambda path: path.replace("/dev/disk/by-gitboot/root", "/dev/vda").replace("-part", ""))
    assert found == {
        "disks": [{"device": "/dev/vda", "wipe_table": True}],
        "luks": [{"device": "/dev/vda1", "key": {"file": "/dev/disk/key"}}],
        "filesystems": [mounted("/dev/md0", files=[{"path": "/dev/disk/x"}])],
    }
