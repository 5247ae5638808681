"""Laying out disks, on loop devices. Arrays, volumes and LUKS need a kernel that has them: see tests/lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent import marker
from agent.actions import disk_partition, layout, writefile
from agent.actions.base import Job
from agent.actions.disk_partition import ACTION
from agent.actions.settings import Failed, Settings
from tests.agent.actions.devices import MB, Loop, environment, machine, mounted, needs_loop_devices, run, written

pytestmark = [pytest.mark.shell, needs_loop_devices]


def storage(disk: str, *, wipe: bool = False, force: bool = False, root: str = "ext4") -> dict[str, Any]:
    filesystems = [
        {"mount": {"device": f"{disk}p1", "format": "vfat", "point": "/boot/efi", "create": {"options": ["-n", "EFI"]}}},
        {"mount": {"device": f"{disk}p2", "format": "swap", "point": "none"}},
        {"mount": {"device": f"{disk}p3", "format": root, "point": "/", "create": {"force": force, "options": ["-L", "ROOT"]}}},
    ]
    partitions = [
        {"label": "EFI", "number": 1, "size": 65536},
        {"label": "SWAP", "number": 2, "size": 65536},
        {"label": "ROOT", "number": 3},
    ]
    return {"disks": [{"device": disk, "wipe_table": wipe, "partitions": partitions}], "filesystems": filesystems}


def lay_out(tmp_path: Path, section: dict[str, Any], number: int = 1, folder: str = "run", **settings: str) -> int:
    return ACTION.run(environment(tmp_path / folder, machine(number, storage=section), **settings))


def kinds(disk: str) -> list[str]:
    """What is on each partition."""
    found = [json.loads(run("wipefs", "--json", f"{disk}p{number}") or "{}").get("signatures", ()) for number in (1, 2, 3)]
    return [" ".join(sorted({each["type"] for each in each_one})) for each_one in found]


def test_an_empty_disk_becomes_what_git_says(tmp_path: Path, loop: Loop) -> None:
    disk = loop(256 * MB)
    assert 0 == lay_out(tmp_path, storage(disk))
    assert [disk] == written(tmp_path / "run")
    table = json.loads(run("sfdisk", "--json", disk))["partitiontable"]
    found = [(each["type"], each["start"], each["size"], each.get("name", "")) for each in table["partitions"]]
    assert found == [
        (layout.ESP, 2048, 65536, "EFI"),
        (layout.SWAP, 67584, 65536, "SWAP"),
        (layout.LINUX, 133120, 389120, "ROOT"),
    ]
    assert ["vfat", "swap", "ext4"] == kinds(disk)
    with mounted(f"{disk}p3", tmp_path / "mnt") as root:
        assert (root / "lost+found").is_dir()


@pytest.mark.parametrize("root", ["xfs", "btrfs"])
def test_other_filesystems_are_made_too(tmp_path: Path, loop: Loop, root: str) -> None:
    disk = loop(512 * MB)
    assert 0 == lay_out(tmp_path, storage(disk, root=root))
    assert root == kinds(disk)[2]


def test_an_mbr_is_made_where_it_is_asked_for(tmp_path: Path, loop: Loop) -> None:
    disk = loop(256 * MB)
    assert 0 == lay_out(tmp_path, storage(disk), MBR="true")
    assert "label: dos" in run("sfdisk", "--dump", disk)


def test_carried_out_again_by_the_same_run_it_ends_the_same(tmp_path: Path, loop: Loop) -> None:
    """Whatever a failed attempt has left, it is the run's own."""
    disk = loop(256 * MB)
    for root in ("ext4", "btrfs", "ext4"):
        assert 0 == lay_out(tmp_path, storage(disk, root=root))
        assert root == kinds(disk)[2]


def test_what_is_on_a_disk_that_git_does_not_say_to_wipe_stays(
    tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = loop(256 * MB)
    assert 0 == lay_out(tmp_path, storage(disk))
    before = Path(disk).read_bytes()
    assert 1 == lay_out(tmp_path, storage(disk), folder="after-a-reset")
    said = capsys.readouterr()
    assert f"disk-partition: {disk} has its partitions already" in said.out
    assert f"disk-partition: {disk}p1 is left as it is: there is vfat on it. Run disk-wipe before, or set" in said.err
    assert before == Path(disk).read_bytes()


def test_asked_again_it_leaves_alone_what_it_left_alone_before(tmp_path: Path, loop: Loop) -> None:
    """An action may have several attempts, and to have looked at a disk is not to have made what is on it."""
    disk = loop(256 * MB)
    run("mkfs.ext4", "-q", disk)
    before = Path(disk).read_bytes()
    for _ in range(2):
        assert 1 == lay_out(tmp_path, storage(disk))
        assert before == Path(disk).read_bytes()


def test_a_partition_that_stays_stays_when_one_beside_it_was_filled(tmp_path: Path, loop: Loop) -> None:
    disk = loop(256 * MB)
    assert 0 == lay_out(tmp_path, storage(disk))
    run("mkfs.ext4", "-q", "-F", "-L", "KEPT", f"{disk}p2")
    run("wipefs", "--all", "--quiet", f"{disk}p3")
    section = storage(disk, root="xfs")
    section["filesystems"] = section["filesystems"][2:]
    before = Path(f"{disk}p2").read_bytes()
    for root in ("ext4", "btrfs"):
        section["filesystems"][0]["mount"]["format"] = root
        assert 0 == lay_out(tmp_path, section, folder="after-a-reset")
        assert root == kinds(disk)[2]
        assert before == Path(f"{disk}p2").read_bytes()


def test_a_disk_that_another_action_has_only_written_files_to_is_not_the_runs_own(tmp_path: Path, loop: Loop) -> None:
    disk = loop(256 * MB)
    run("mkfs.ext4", "-q", disk)
    settings = {"DEST_DISK": disk, "DEST_PATH": "/note", "CONTENTS": "x"}
    assert 0 == writefile.ACTION.run(environment(tmp_path / "run", machine(), **settings))
    before = Path(disk).read_bytes()
    assert 1 == lay_out(tmp_path, storage(disk))
    assert before == Path(disk).read_bytes()


def test_a_filesystem_that_may_go_is_made_anew_in_a_partition_that_stays(tmp_path: Path, loop: Loop) -> None:
    disk = loop(256 * MB)
    assert 0 == lay_out(tmp_path, storage(disk))
    table = run("sfdisk", "--dump", disk)
    section = storage(disk, root="btrfs", force=True)
    section["filesystems"] = section["filesystems"][2:]
    assert 0 == lay_out(tmp_path, section, folder="after-a-reset")
    assert table == run("sfdisk", "--dump", disk)
    assert ["vfat", "swap", "btrfs"] == kinds(disk)


@pytest.mark.parametrize("there", ["label: gpt\n,\n", ""])
def test_other_partitions_or_a_filesystem_without_any_are_not_overwritten(
    tmp_path: Path, loop: Loop, there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = loop(256 * MB)
    run("sfdisk", "--quiet", disk, given=there) if there else run("mkfs.ext4", "-q", disk)
    before = Path(disk).read_bytes()
    assert 1 == lay_out(tmp_path, storage(disk))
    assert "and not the partitions that git says. Run disk-wipe before" in capsys.readouterr().err
    assert before == Path(disk).read_bytes()
    assert 0 == lay_out(tmp_path, storage(disk, wipe=True), folder="told-to")
    assert ["vfat", "swap", "ext4"] == kinds(disk)


def test_no_disk_is_touched_when_one_may_not_be(tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    mine, theirs = loop(256 * MB), loop(256 * MB)
    with Path(theirs).open("r+b") as file:
        file.seek(marker.OFFSET)
        file.write(marker.encode(marker.Marker("home", "database", "node-01", 9)))
    section = storage(mine, wipe=True)
    section["disks"] += storage(theirs, wipe=True)["disks"]
    assert 1 == lay_out(tmp_path, section)
    assert f"{theirs} is left as it is: it was installed by run 9 of workflow database" in capsys.readouterr().err
    assert not Path(mine).read_bytes().strip(b"\0")
    section["disks"][1]["partitions"].append({"number": 4, "size": 2048})
    assert 1 == lay_out(tmp_path, section)
    assert f"partition 4 does not fit on {theirs}" in capsys.readouterr().err


def test_without_a_storage_section_it_says_what_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == lay_out(tmp_path, {})
    assert "give it a `storage` section" in capsys.readouterr().err


def test_a_filesystem_on_a_whole_disk_needs_no_table(tmp_path: Path, loop: Loop) -> None:
    disk = loop(64 * MB)
    section = {"filesystems": [{"mount": {"device": disk, "format": "ext4", "point": "/data"}}]}
    assert 0 == lay_out(tmp_path, section)
    assert [disk] == written(tmp_path / "run")
    assert "ext4" in run("wipefs", "--noheadings", disk)


def test_a_key_comes_from_a_file_or_a_variable_and_is_never_shown(
    tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, bytes]] = []
    monkeypatch.setattr(disk_partition, "tool", lambda *words, given_=given, given=b"": given_.append((words[0], given)) or "")
    (tmp_path / "key").write_text("from a file\n")
    job = Job("disk-partition", Settings({}), {}, tmp_path, {"KEY": "from a variable"})
    for source in ({"environment": "KEY"}, {"file": str(tmp_path / "key")}):
        disk_partition.make(job, layout.Step((), (), (("cryptsetup",),), key=source), set())
    assert [("cryptsetup", b"from a variable"), ("cryptsetup", b"from a file")] == given
    assert "from a" not in capsys.readouterr().out + repr(job)
    with pytest.raises(Failed, match="there is no key in the variable OTHER of this action's environment"):
        disk_partition.make(job, layout.Step((), (), (("cryptsetup",),), key={"environment": "OTHER"}), set())


def test_a_filesystem_that_may_not_go_is_found_before_another_disk_is_written_to(
    tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, full = loop(256 * MB), loop(64 * MB)
    run("mkfs.ext4", "-q", full)
    section = storage(mine, wipe=True)
    section["filesystems"].append({"mount": {"device": full, "format": "xfs", "point": "/data"}})
    assert 1 == lay_out(tmp_path, section)
    assert f"{full} is left as it is: there is ext4 on it" in capsys.readouterr().err
    assert not Path(mine).read_bytes().strip(b"\0")
