"""The ground under a run's actions: disks by name, never by guess, and a folder that tells what was written to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agent.disks import BlockDevice, NoMatch, mentioned
from agent.machine import Machine
from agent.marking import Partition
from agent.workflow import Action, Task, Workflow

ROOT = {"name": "root", "serial": "S1"}
DATA = {"name": "data", "serial": "S2"}


def work(**environment: str) -> Workflow:
    return Workflow("w", (Task("t", "m", (Action("a", "i", environment=environment),)),))


WIPE_ROOT = work(DEST_DISK="/dev/disk/by-gitboot/root")


class Ground:
    """A machine whose disks are files; `partitions` are those of every disk."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.links, self.dev = folder / "run", folder / "by-gitboot", folder / "dev"
        self.dev.mkdir()
        self.said: list[str] = []
        self.there: list[BlockDevice] = []
        self.partitions: list[Partition] = []

    def plug(self, name: str, serial: str) -> None:
        (self.dev / name).touch()
        self.there.append(BlockDevice(str(self.dev / name), serial))

    def agent(self, **document: Any) -> Machine:
        where = (self.folder, {"name": "node-01", **document}, self.said.append, self.links)
        return Machine(*where, lambda: self.there, lambda disk: self.partitions if disk in map(str, self.dev.iterdir()) else [])

    def names(self) -> dict[str, str]:
        return {link.name: Path(os.readlink(link)).name for link in sorted(self.links.iterdir())}


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    made = Ground(tmp_path)
    made.plug("sda", "S1")
    made.plug("sdb", "S2")
    return made


def test_disks_are_found_by_name_and_the_document_by_its_path(ground: Ground) -> None:
    ground.agent(disks=[ROOT, DATA]).prepare(WIPE_ROOT)
    assert {"root": "sda", "data": "sdb"} == ground.names()
    assert {"name": "node-01", "disks": [ROOT, DATA]} == json.loads((ground.folder / "machine.json").read_text())
    assert (ground.folder / "written").read_text() == ""


@pytest.mark.parametrize(
    ("workflow", "storage"), [(WIPE_ROOT, {}), (work(), {"disks": [{"device": "/dev/disk/by-gitboot/root-part1"}]})]
)
def test_a_disk_that_the_work_speaks_of_must_be_there_before_anything_starts(
    ground: Ground, workflow: Workflow, storage: dict[str, Any]
) -> None:
    ground.there.clear()
    with pytest.raises(NoMatch, match="disk root"):
        ground.agent(disks=[ROOT], storage=storage).prepare(workflow)
    assert not (ground.folder / "machine.json").exists()
    with pytest.raises(NoMatch):  # nor does another agent find it prepared
        ground.agent(disks=[ROOT], storage=storage).prepare(workflow)


def test_two_disks_of_one_name_are_none(ground: Ground) -> None:
    ground.plug("sdc", "S1")
    with pytest.raises(NoMatch, match="several devices"):
        ground.agent(disks=[ROOT]).prepare(WIPE_ROOT)


def test_a_machine_whose_other_disk_is_dead_still_works(ground: Ground) -> None:
    ground.there.pop()
    ground.agent(disks=[ROOT, DATA]).prepare(WIPE_ROOT)
    assert {"root": "sda"} == ground.names()
    assert ground.said[0].startswith("disk data (serial S2) is not in this machine; there is /")
    assert ground.said[0].endswith("; no action asks for it")


def test_a_name_keeps_its_meaning_for_the_next_agent(ground: Ground) -> None:
    ground.agent(disks=[ROOT]).prepare(WIPE_ROOT)
    ground.there.clear()
    ground.plug("sdz", "S1")
    ground.agent(disks=[ROOT]).prepare(WIPE_ROOT)
    assert {"root": "sda"} == ground.names()


def test_names_of_an_earlier_run_are_gone(ground: Ground) -> None:
    ground.links.mkdir()
    (ground.links / "old").symlink_to("/dev/sdq")
    (ground.links / "root").symlink_to("/dev/sdq")
    ground.agent(disks=[ROOT]).prepare(WIPE_ROOT)
    assert {"root": "sda"} == ground.names()


def test_partitions_that_came_and_went_are_known_after_the_action(ground: Ground) -> None:
    ground.partitions = [Partition("/dev/sda1", 1, 0, 0), Partition("/dev/sda9", 9, 0, 0)]
    machine = ground.agent(disks=[ROOT])
    machine.prepare(WIPE_ROOT)
    assert {"root": "sda", "root-part1": "sda1", "root-part9": "sda9"} == ground.names()
    ground.partitions = [Partition("/dev/sda2", 2, 0, 0), Partition("/dev/sda10", 9, 0, 0)]
    machine.refresh()
    assert {"root": "sda", "root-part2": "sda2", "root-part9": "sda10"} == ground.names()


def test_a_disk_is_not_taken_for_the_partition_of_another(ground: Ground) -> None:
    odd = {"name": "root-part1", "serial": "S2"}
    ground.agent(disks=[ROOT, odd]).prepare(WIPE_ROOT)
    ground.partitions = [Partition("/dev/sda2", 2, 0, 0)]
    ground.agent(disks=[ROOT, odd]).refresh()
    assert {"root": "sda", "root-part1": "sdb", "root-part1-part2": "sda2", "root-part2": "sda2"} == ground.names()


def test_a_disk_that_vanished_meanwhile_is_told_and_stops_nothing(ground: Ground) -> None:
    machine = ground.agent(disks=[ROOT])
    machine.prepare(WIPE_ROOT)

    def dead(disk: str) -> list[Partition]:
        raise OSError(5, "Input/output error")

    machine._partitions = dead
    machine.refresh()
    assert "the links of partitions could not be renewed: [Errno 5] Input/output error" == ground.said[-1]


def test_a_machine_of_which_git_names_no_disks_is_left_alone(ground: Ground) -> None:
    ground.agent().prepare(WIPE_ROOT)
    assert not ground.links.exists()


def test_what_was_written_to_is_marked_or_the_reason_is_told(ground: Ground, tmp_path: Path) -> None:
    machine = ground.agent(site="s", run={"workflow": "w", "number": 1})
    machine.prepare(work())
    (ground.folder / "written").write_text("/no/such/disk\n")
    machine.mark()
    assert ground.said[-1].startswith("/no/such/disk cannot be marked as installed: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DISK=/dev/disk/by-gitboot/root", True),
        ('"/dev/disk/by-gitboot/root-part12"', True),
        ("mount /dev/disk/by-gitboot/root;", True),
        ("/dev/disk/by-gitboot/root2", False),
        ("/dev/disk/by-gitboot/root-data", False),
        ("/dev/disk/by-gitboot/rootfs", False),
        ("/dev/disk/by-id/root", False),
    ],
)
def test_work_speaks_of_a_disk_by_its_whole_name(text: str, expected: bool) -> None:
    assert expected == mentioned("root", text)
