"""Which disk is meant, and whether it may be overwritten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent import marker
from agent.actions import devices
from agent.actions.devices import claim, device
from agent.actions.settings import Failed
from agent.marking import partitions
from tests.agent.actions.devices import MB, Loop, a_job, machine, mounted, needs_loop_devices, run, written

INSTALLED = marker.Marker("home", "install", "node-01", 1)


@pytest.mark.shell
def test_what_is_no_disk_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    job = a_job(tmp_path, {"disks": [{"name": "root"}, {"name": "data"}]})
    with pytest.raises(Failed, match=r"^there is no /dev/disk/by-gitboot/rot: git names root, data for this machine$"):
        claim(job, "/dev/disk/by-gitboot/rot")
    with pytest.raises(Failed, match=r"^there is no /dev/nothing$"):
        claim(job, "/dev/nothing")
    with pytest.raises(Failed, match=r"is not a disk or partition$"):
        claim(job, str(tmp_path))


@pytest.mark.shell
@needs_loop_devices
def test_a_claimed_disk_is_noted_once_before_anything_is_written(tmp_path: Path, loop: Loop) -> None:
    disk = loop(4 * MB)
    job = a_job(tmp_path / "run", machine())
    for _ in range(2):
        assert devices.Device(disk, 4 * MB, (disk,)) == claim(job, disk)
    assert [disk] == written(job.folder)


@pytest.mark.shell
@needs_loop_devices
def test_a_partition_is_claimed_with_its_disk(tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = loop(8 * MB)
    run("sfdisk", "--quiet", disk, given="label: gpt\n2048,2048\n,\n")
    devices.reread(disk)
    job = a_job(tmp_path / "run", machine())
    link = tmp_path / "by-gitboot" / "root"
    link.parent.mkdir()
    link.symlink_to(disk)
    monkeypatch.setattr(devices, "BY_NAME", f"{link.parent}/")
    assert devices.Device(f"{disk}p1", MB, (disk,)) == claim(job, f"{link}-part1")
    assert [disk] == written(job.folder)


@pytest.mark.shell
@needs_loop_devices
def test_partitions_are_known_whatever_their_numbers(loop: Loop) -> None:
    """Debian's cloud images have a root that is number 1 and an EFI system partition that is number 15."""
    disk = loop(8 * MB)
    for table in ({15: 2048, 1: 4096}, {3: 2048}):
        lines = [f"disk{number} : start={start}, size=2048" for number, start in table.items()]
        run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", disk, given="\n".join(["label: gpt", *lines, ""]))
        devices.reread(disk)
        assert sorted(table) == [each.number for each in partitions(disk)]


@pytest.mark.shell
@needs_loop_devices
def test_a_mounted_disk_is_refused_and_so_is_the_disk_of_a_mounted_partition(tmp_path: Path, loop: Loop) -> None:
    disk = loop(16 * MB)
    run("sfdisk", "--quiet", disk, given="label: gpt\n,\n")
    devices.reread(disk)
    run("mkfs.ext4", "-q", f"{disk}p1")
    job = a_job(tmp_path / "run", machine())
    with mounted(f"{disk}p1", tmp_path / "mnt") as point:
        for path in (disk, f"{disk}p1"):
            with pytest.raises(Failed, match=f"{path} is left as it is: {disk}p1 is mounted on {point}"):
                claim(job, path)
    assert not (job.folder / "written").exists()
    claim(job, disk)


@pytest.mark.shell
@needs_loop_devices
def test_a_disk_of_another_installation_is_refused(tmp_path: Path, loop: Loop) -> None:
    disk = loop(4 * MB)
    with Path(disk).open("r+b") as file:
        file.seek(marker.OFFSET)
        file.write(marker.encode(INSTALLED))
    same, other, later = (
        a_job(tmp_path / name, machine(number, name)) for number, name in [(1, "install"), (1, "u"), (2, "install")]
    )
    for job, reason in ((same, "this run has already installed it"), (other, "it was installed by run 1 of workflow install")):
        with pytest.raises(Failed, match=f"^{disk} is left as it is: {reason}"):
            claim(job, disk)
        assert not (job.folder / "written").exists()
    claim(later, disk)


@pytest.mark.shell
@needs_loop_devices
def test_by_hand_there_is_no_run_to_mark_a_disk_with(tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    disk = loop(4 * MB)
    job = a_job(tmp_path / "run", {})
    job.folder.rmdir()
    claim(job, disk)
    assert f"{disk} will not be marked" in capsys.readouterr().out
    assert disk == device(job, disk).path


@pytest.mark.shell
def test_an_action_that_is_known_to_write_to_no_disk_is_refused_one(tmp_path: Path) -> None:
    job = replace(a_job(tmp_path, {}), name="slurp")
    with pytest.raises(Failed, match=r"slurp is one of the actions that write to none$"):
        devices.edit(job, devices.Device("/dev/sda", 4 * MB, ("/dev/sda",)))
    assert [] == devices.written(job)
