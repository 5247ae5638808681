"""How disks are laid out: what is handed over has numbers in Tinkerbell's units, and what cannot be is a line of the commit."""

from __future__ import annotations

from typing import Any

import pytest

from agent.actions.layout import mkfs
from agent.actions.settings import Failed
from netboot.plan import Machine
from reconciler.compile import Compiler
from reconciler.values import FILESYSTEMS, filesystem
from tests.reconciler.inventories import MACHINE, SOUND, brief, problems, read

DISKS = """\
  disks:
  - {name: root, serial: S3Z9}
  - {name: data, wwn: "0x5002538e40b1a2c3"}
  storage:
"""

LAYOUT = """\
    disks:
    - device: /dev/disk/by-gitboot/root
      wipe_table: true
      partitions:
      - {label: EFI, number: 1, size: 512Mi}
      - {label: SWAP, number: 2, size: 3993600}
      - {label: PV, number: 3}
    volume_groups:
    - name: vg-0
      physical_volumes: [/dev/disk/by-gitboot/root-part3, /dev/md0]
      logical_volumes:
      - {name: root, size: 20G}
      - {name: home}
    raid:
    - {name: md0, level: 1, devices: [/dev/disk/by-gitboot/data, /dev/sdz]}
    luks:
    - {name: crypt, device: /dev/vg-0/home, key: {environment: KEY}}
    filesystems:
    - mount: {device: /dev/disk/by-gitboot/root-part1, format: vfat, point: /boot/efi}
    - mount: {device: /dev/disk/by-gitboot/root-part2, format: swap}
    - mount: {device: /dev/mapper/vg--0-root, format: ext4, point: /}
    - mount: {device: /dev/mapper/crypt, format: ext4, point: /home}
"""


def with_layout(*changes: tuple[str, str], layout: str = LAYOUT) -> dict[str, str]:
    for old, new in changes:
        assert old in layout
        layout = layout.replace(old, new, 1)
    return {**SOUND, "hardware.yaml": MACHINE + DISKS + layout}


def compiled(files: dict[str, str]) -> Machine:
    dump = Compiler().compile(read(files)).dump
    assert dump is not None
    return dump.plan.machines["node-01"]


def test_a_layout_reaches_the_plan_with_its_sizes_as_numbers() -> None:
    storage: dict[str, Any] = compiled(with_layout()).storage
    partitions = [
        {"label": "EFI", "number": 1, "size": 1048576},
        {"label": "SWAP", "number": 2, "size": 3993600},
        {"label": "PV", "number": 3},
    ]
    assert {"device": "/dev/disk/by-gitboot/root", "wipe_table": True, "partitions": partitions} == storage["disks"][0]
    assert [{"name": "root", "size": 20 * 1000**3}, {"name": "home"}] == storage["volume_groups"][0]["logical_volumes"]
    raid = {"name": "md0", "level": "1", "devices": ["/dev/disk/by-gitboot/data", "/dev/sdz"]}
    assert [raid] == storage["raid"]


def test_tinkerbells_own_example_moves_unchanged() -> None:
    layout = """\
    disks:
    - {device: /dev/sdb, wipe_table: true, partitions: &both [{label: BIOS, number: 1, size: 4096}, {number: 2, size: 0}]}
    - {device: /dev/sdc, wipe_table: true, partitions: *both}
    raid:
    - {name: md0, level: "1", devices: [/dev/sdb2, /dev/sdc2]}
    filesystems:
    - {mount: {create: {options: [-L, ROOT]}, device: /dev/md0, format: ext4, point: /}}
"""
    storage = compiled(with_layout(layout=layout)).storage
    assert [4096, 0] == [each["size"] for each in storage["disks"][1]["partitions"]]


def test_where_each_part_of_a_layout_was_written_is_known() -> None:
    made = Compiler().compile(read(with_layout()))
    lines = (MACHINE + DISKS + LAYOUT).splitlines()
    for part in ("disks", "raid", "luks", "volume_groups", "filesystems"):
        assert ("hardware.yaml", len(lines) - lines[::-1].index(f"    {part}:") + 1) == made.provenance.machines["node-01"][
            f"storage.{part}"
        ]


ROOT = "/dev/disk/by-gitboot/root"
MOTD = "files: [{path: /etc/motd, contents: welcome}]"


@pytest.mark.parametrize(
    ("old", "new", "path", "code", "said"),
    [
        (f"device: {ROOT}\n", "device: /dev/disk/by-gitboot/rot\n", "disks[0].device", "unknown-device", "did you mean 'root'"),
        (f"{ROOT}-part1", f"{ROOT}-part4", "filesystems[0].mount.device", "unknown-device", "there are 1, 2, 3"),
        (f"{ROOT}-part1", ROOT, "filesystems[0].mount.device", "unknown-device", f"such as {ROOT}-part1"),
        (f"{ROOT}-part1", f"{ROOT}-part2", "filesystems[1].mount.device", "device-in-use", "in line 30"),
        ("by-gitboot/data", "by-gitboot/nodata-part1", "raid[0].devices[0]", "unknown-device", "did you mean 'data'"),
        ("/dev/vg-0/home", "/dev/vg-0/hom", "luks[0].device", "unknown-device", "'vg-0' has no such volume"),
        ("/dev/vg-0/home", "/dev/mapper/crypt", "luks[0]", "device-in-use", "made of itself"),
        ("number: 2", "number: 1", "disks[0].partitions[1].number", "duplicate-name", "partition 1 on this disk already"),
        ("size: 512Mi", "size: 0", "disks[0].partitions[0]", "bad-value", "all that is left of the disk"),
        ("{name: root, size: 20G}", "{name: root}", "volume_groups[0].logical_volumes[0]", "bad-value", "left of the group"),
        ("{name: home}", "{name: root}", "volume_groups[0].logical_volumes[1].name", "duplicate-name", "volume named 'root'"),
        ("point: /boot/efi", "point: /", "filesystems[2].mount.point", "duplicate-name", "/ is mounted already"),
        ("size: 512Mi", "size: 512Q", "disks[0].partitions[0].size", "bad-value", "'512Q' is not a partition size"),
        ("size: 20G", "size: much", "volume_groups[0].logical_volumes[0].size", "bad-value", "'much' is not a volume size"),
        ("level: 1", "level: 7", "raid[0].level", "bad-value", "it takes linear, 0, 1"),
        ("name: md0", "name: array", "raid[0].name", "bad-value", "it takes md and a number"),
        ("{environment: KEY}", "{}", "luks[0].key", "missing-field", "one of file, environment"),
        ("format: swap}", f"format: swap, {MOTD}}}", "filesystems[1].mount.files", "bad-value", "is mounted nowhere"),
        ("point: /boot/efi}", f"point: none, {MOTD}}}", "filesystems[0].mount.files", "bad-value", "give it a 'point'"),
    ],
)
def test_a_layout_that_cannot_be_is_rejected_where_it_is_wrong(old: str, new: str, path: str, code: str, said: str) -> None:
    found = [each for each in problems(with_layout((old, new))) if each.path == f"spec.storage.{path}"]
    assert [code] == [each.code for each in found]
    assert said in found[0].message


@pytest.mark.parametrize(
    "changes",
    [
        [("vg--0-root, format: ext4, point: /", "vg--0-root, format: ext4, point: /x"), ("point: /home", "point: /")],
        [
            ("[/dev/disk/by-gitboot/root-part3, /dev/md0]", "[/dev/mapper/crypt]"),
            ("device: /dev/vg-0/home", "device: /dev/disk/by-gitboot/root-part3"),
            ("{device: /dev/mapper/crypt,", "{device: /dev/vg-0/home,"),
        ],
    ],
    ids=["root", "volume group"],
)
def test_what_opens_an_encrypted_root_is_said_to_be_the_images_to_have(changes: list[tuple[str, str]]) -> None:
    found = problems(with_layout(*changes))
    assert [("encrypted-root", "warning")] == [(each.code, each.severity) for each in found]
    assert "no action makes an initramfs that opens it" in found[0].message
    assert () == problems(with_layout())


def test_a_layout_can_be_put_on_what_is_already_there() -> None:
    layout = """\
    filesystems:
    - mount: {device: /dev/disk/by-gitboot/data-part2, format: ext4, point: /srv}
    - mount: {device: /dev/disk/by-path/pci-0000, format: ext4, point: /srv/more}
    - mount: {device: /dev/disk/by-gitboot/root, format: xfs, point: /srv/whole}
"""
    assert [] == brief(with_layout(layout=layout))


def test_groups_and_encrypted_devices_in_a_circle_are_found() -> None:
    circle = ("/dev/disk/by-gitboot/root-part3, /dev/md0", "/dev/mapper/crypt")
    assert {"device-in-use", "encrypted-root"} == {each.split()[0] for each in brief(with_layout(circle))}


def test_tinkerbells_arguments_for_mkfs_may_be_numbers() -> None:
    options = ("format: vfat, point: /boot/efi", "format: vfat, point: /boot/efi, create: {options: [32, -n, EFI]}")
    assert ["32", "-n", "EFI"] == compiled(with_layout(options)).storage["filesystems"][0]["mount"]["create"]["options"]


def test_a_filesystem_is_one_that_the_action_makes() -> None:
    """So a slip rejects the commit, and does not end a run whose disk is empty by then."""
    for format in FILESYSTEMS:  # noqa: A001 - the field's name
        mkfs(format, "/dev/vda1", ())
    with pytest.raises(ValueError, match="one of bios, btrfs"):
        filesystem("etx4")
    with pytest.raises(Failed):
        mkfs("etx4", "/dev/vda1", ())
