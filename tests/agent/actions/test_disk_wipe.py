"""Wiping disks, on loop devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent import marker
from agent.actions import disk_wipe
from agent.actions.disk_wipe import ACTION
from agent.actions.settings import Failed
from agent.marking import partitions
from tests.agent.actions.devices import MB, Loop, environment, machine, mounted, needs_loop_devices, run, written

pytestmark = [pytest.mark.shell, needs_loop_devices]


def installed(disk: str) -> str:
    """Two partitions, a filesystem, a boot sector, the marker of run 1."""
    run("sfdisk", "--quiet", disk, given="label: gpt\n2048,8192\n,\n")
    run("partx", "--update", disk)
    run("mkfs.ext4", "-q", f"{disk}p2")
    with Path(disk).open("r+b") as file:
        file.write(b"boot")
        file.seek(marker.OFFSET)
        file.write(marker.encode(marker.Marker("home", "install", "node-01", 1)))
    return disk


def wipe(tmp_path: Path, document: dict[str, Any], **settings: str) -> int:
    return ACTION.run(environment(tmp_path / "run", document, **settings))


def storage(*disks: str, **more: Any) -> dict[str, Any]:
    return {"disks": [{"device": disk, **more} for disk in disks]}


def test_the_disks_of_the_storage_section_are_empty_afterwards(tmp_path: Path, loop: Loop) -> None:
    one, two = installed(loop(32 * MB)), loop(8 * MB)
    assert 0 == wipe(tmp_path, machine(2, storage=storage(one, two)))
    assert [one, two] == written(tmp_path / "run")
    assert "" == run("wipefs", "--noheadings", one)
    assert [] == partitions(one)
    content = Path(one).read_bytes()
    assert content[:MB] == content[-MB:] == bytes(MB)


def test_without_discard_the_first_and_last_mib_and_every_signature_still_go(tmp_path: Path, loop: Loop) -> None:
    disk = installed(loop(32 * MB))
    start = 10240 * 512
    assert Path(disk).read_bytes()[start : start + MB].strip(b"\0")
    assert 0 == wipe(tmp_path, machine(2), DISKS=disk, DISCARD="false")
    content = Path(disk).read_bytes()
    assert content[:MB] == content[-MB:] == bytes(MB)
    assert bytes(2) == content[start + 1080 : start + 1082], "the magic number of ext4"
    assert content.strip(b"\0"), "the rest was not discarded"


@pytest.mark.parametrize("size", [512, MB // 2, MB, 3 * MB // 2])
def test_a_tiny_disk_is_wiped_too(tmp_path: Path, loop: Loop, size: int) -> None:
    disk = loop(size)
    Path(disk).write_bytes(b"x" * size)
    assert 0 == wipe(tmp_path, machine(), DISKS=disk, DISCARD="false")
    assert not Path(disk).read_bytes().strip(b"\0")


def test_an_installation_of_the_same_run_is_left_alone(tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    other, disk = loop(4 * MB), installed(loop(32 * MB))
    Path(other).write_bytes(b"x" * 4 * MB)
    before = Path(disk).read_bytes(), Path(other).read_bytes()
    assert 1 == wipe(tmp_path, machine(1), DISKS=f"{other} {disk}")
    assert f"disk-wipe: {disk} is left as it is: this run has already installed it" in capsys.readouterr().err
    assert before == (Path(disk).read_bytes(), Path(other).read_bytes()), "no disk is touched when one may not be"


def test_a_mounted_disk_is_left_alone(tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    disk = installed(loop(32 * MB))
    with mounted(f"{disk}p2", tmp_path / "mnt"):
        assert 1 == wipe(tmp_path, machine(2), DISKS=disk)
    assert f"{disk}p2 is mounted on {tmp_path}/mnt" in capsys.readouterr().err
    assert "ext4" in run("wipefs", "--noheadings", f"{disk}p2")


def test_a_disk_that_git_says_to_keep_is_kept(tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    disk = installed(loop(32 * MB))
    assert 1 == wipe(tmp_path, machine(2, storage=storage(disk, wipe_table=False)))
    assert capsys.readouterr().err == ("disk-wipe: no disk is named: set DISKS, or give the machine a `storage` with `disks`\n")
    assert "gpt" in run("wipefs", "--noheadings", disk)


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would be run."""
    ran: list[str] = []

    def tool(*words: str) -> str:
        ran.append(" ".join(words))
        return ""

    monkeypatch.setattr(disk_wipe, "tool", tool)
    return ran


def test_a_disk_is_erased_by_its_own_command(tools: list[str]) -> None:
    disk_wipe.secure_erase("/dev/nvme0n1")
    disk_wipe.secure_erase("/dev/sda")
    assert tools == [
        "nvme format --force --ses=1 /dev/nvme0n1",
        "hdparm --user-master u --security-set-pass gitboot /dev/sda",
        "hdparm --user-master u --security-erase gitboot /dev/sda",
    ]
    with pytest.raises(Failed, match="has no command to erase itself"):
        disk_wipe.secure_erase("/dev/vda")
