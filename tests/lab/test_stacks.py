"""Arrays, LUKS and volume groups, laid out and wiped by the actions in a guest whose kernel has them."""

import json
from pathlib import Path

import pytest

from agent import marker
from tests.lab.guest import Guest, build_guest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

MB = 1 << 20


def _disk(device: str) -> dict[str, object]:
    partitions = [{"label": "EFI", "number": 1, "size": 64 * 2048}, {"number": 2}]
    return {"device": device, "wipe_table": True, "partitions": partitions}


STORAGE = {
    "disks": [_disk("/dev/vda"), _disk("/dev/disk/by-gitboot/second")],
    "raid": [
        {"name": "md0", "level": "1", "devices": ["/dev/vda1", "/dev/vdb1"]},
        {"name": "md1", "level": "1", "devices": ["/dev/vda2", "/dev/disk/by-gitboot/second-part2"]},
    ],
    "luks": [{"name": "crypt", "device": "/dev/md1", "key": {"environment": "LUKS_KEY"}}],
    "volume_groups": [
        {
            "name": "vg-0",
            "physical_volumes": ["/dev/mapper/crypt"],
            "tags": ["system"],
            "logical_volumes": [{"name": "swap", "size": 32 * MB}, {"name": "root", "tags": ["a"]}],
        }
    ],
    "filesystems": [
        {"mount": {"device": "/dev/md0", "format": "vfat", "point": "/boot/efi", "create": {"options": [16, "-n", "EFI"]}}},
        {"mount": {"device": "/dev/vg-0/swap", "format": "swap", "point": "none"}},
        {"mount": {"device": "/dev/vg-0/root", "format": "ext4", "point": "/", "create": {"options": ["-L", "ROOT"]}}},
    ],
}
MACHINE = {
    "site": "home",
    "name": "node-01",
    "run": {"id": "r1", "workflow": "install", "number": 2},
    "disks": [{"name": "second"}],
    "storage": STORAGE,
}
PROGRAM = f"""
import os, pathlib, subprocess, sys
sys.path.insert(0, "/usr/lib/gitboot")
from agent import marking
from agent.actions import base, devices, disk_partition, disk_wipe
folder = pathlib.Path("/gitboot")
folder.mkdir(exist_ok=True)
(folder / "machine.json").write_text({json.dumps(json.dumps(MACHINE))})
os.makedirs("/dev/disk/by-gitboot")
os.symlink("/dev/vdb", "/dev/disk/by-gitboot/second")
environ = {{"LUKS_KEY": "a secret", "DISKS": "/dev/vda /dev/vdb"}}
def kinds(*paths): return [devices.signatures(path) for path in paths]
def mark(name, *said): print("MARK", name, *said, flush=True)
def mdstat(): return sum(line.startswith("md") for line in open("/proc/mdstat"))

mark("laid-out", disk_partition.ACTION.run(environ))
mark("again", disk_partition.ACTION.run(environ))
mark("kinds", kinds("/dev/vda1", "/dev/md0", "/dev/vdb2", "/dev/md1", "/dev/mapper/crypt", "/dev/vg-0/swap", "/dev/vg-0/root"))
job = base.job("a", None, {{}})
mark("disks", devices.device(job, "/dev/vg-0/root").disks, devices.written(job))
os.makedirs("/target")
subprocess.run(["mount", "/dev/vg-0/root", "/target"], check=True)
pathlib.Path("/target/file").write_text("kept")
mark("mounted", disk_wipe.ACTION.run(environ), pathlib.Path("/target/file").read_text())
subprocess.run(["umount", "/target"], check=True)
mark("marked", *marking.mark_all(folder / "written", job.machine))
mark("protected", disk_wipe.ACTION.run(environ), disk_partition.ACTION.run(environ), mdstat())
(folder / "machine.json").write_text((folder / "machine.json").read_text().replace('"number": 2', '"number": 3'))
mark("wiped", disk_wipe.ACTION.run(environ), mdstat(), os.listdir("/dev/mapper"), kinds("/dev/vda", "/dev/vdb"))
"""


@pytest.fixture(scope="module")
def guest(actions: Path, tmp_path_factory: pytest.TempPathFactory) -> Guest:
    return build_guest(actions, tmp_path_factory.mktemp("guest"))


def test_a_mirror_with_encrypted_volumes_is_made_made_again_protected_and_wiped(guest: Guest, tmp_path: Path) -> None:
    disks = [tmp_path / "a.img", tmp_path / "b.img"]
    for disk in disks:
        with disk.open("wb") as file:
            file.truncate(384 * MB)
    console = guest.run(PROGRAM, disks, within=300)
    said = dict(line.removeprefix("MARK ").partition(" ")[::2] for line in console.splitlines() if line.startswith("MARK "))
    # firmware takes a member of the mirror that it boots from for the filesystem itself
    made = [
        ["linux_raid_member", "vfat"],
        ["vfat"],
        ["linux_raid_member"],
        ["crypto_LUKS"],
        ["LVM2_member"],
        ["swap"],
        ["ext4"],
    ]
    ours = marker.Marker("home", "install", "node-01", 2)
    assert said == {
        "laid-out": "0",
        "again": "0",
        "kinds": str(made),
        "disks": "('/dev/vda', '/dev/vdb') ['/dev/vda', '/dev/vdb']",
        "mounted": "1 kept",
        "marked": " ".join(f"{disk} is marked as installed by {ours}" for disk in ("/dev/vda", "/dev/vdb")),
        "protected": "1 1 2",
        "wiped": "0 0 ['control'] [[], []]",
    }, console
    assert "MARK-END 0" in console
    assert "a secret" not in console
