"""What a rehearsal looks at, and how it judges what it finds."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from agent import marker, rehearser
from agent.disks import BlockDevice
from agent.marker import Marker
from agent.messages import Rehearsed
from agent.rehearsal import finding_to_json, images, of_disk, of_memory, shown, targets, urls, writes
from agent.workflow import Action, Archive, Task, Workflow

DISKS = [BlockDevice("/dev/vda", "S1", size=8 << 30), BlockDevice("/dev/vdb", "S2", size=8 << 30)]
ROOT = {"name": "root", "serial": "S1"}
LINK = "/dev/disk/by-gitboot/root"


def work(*actions: Action, **machine: Any) -> Rehearsed:
    known = {"site": "home", "name": "node-01", "run": {"workflow": "install", "number": 2}, "disks": [ROOT], **machine}
    return Rehearsed(2, Workflow("install", (Task("os", "w", actions),)), known)


def action(image: str = "image2disk:v3", name: str = "write", **more: Any) -> Action:
    return Action(name, image, **more)


def test_a_disk_that_an_action_names_is_resolved_by_what_it_is() -> None:
    (target,) = targets(work(action(environment={"DEST_DISK": LINK})), DISKS)
    assert ("root", "/dev/vda", ("write",)) == (target.name, target.device and target.device.path, target.users)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"command": ("dd", "of=/dev/vdb", "bs=1M")}, "/dev/vdb"),
        ({"environment": {"DISK": "/dev/vdb3"}}, "/dev/vdb"),
        ({"environment": {"DISK": f"{LINK}-part3"}}, "root"),
        ({"command": ("cat", "/dev/null")}, None),
        ({"volumes": ("/dev:/dev",)}, None),
        ({"environment": {"DISK": f"{LINK}-other"}}, None),
    ],
)
def test_a_disk_is_found_wherever_it_is_named(said: dict[str, Any], expected: str | None) -> None:
    assert [expected] * (expected is not None) == [target.name for target in targets(work(action(**said)), DISKS)]


def test_what_the_machine_s_layout_names_is_written_to_by_who_partitions() -> None:
    layout = {"disks": [{"device": LINK}]}
    (target,) = targets(work(action("disk-partition:v3", "partition"), storage=layout), DISKS)
    assert ("root", ("partition",)) == (target.name, target.users)


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        ({"name": "root", "serial": "S9"}, "is not in this machine; there is /dev/vda"),
        ({"name": "root", "size": "8589934592"}, "is several devices here: /dev/vda"),
    ],
)
def test_a_disk_that_is_none_or_several_fails(disk: dict[str, str], said: str) -> None:
    asked = work(action(environment={"DEST_DISK": LINK}), disks=[disk])
    (target,) = targets(asked, DISKS)
    finding = of_disk(target, 0, b"", asked)
    assert ("failed", True) == (finding.state, said in finding.said)


def block(run: int = 1, workflow: str = "install", machine: str = "node-01") -> bytes:
    return marker.encode(Marker("home", workflow, machine, run))


@pytest.mark.parametrize(
    ("there", "partitions", "state", "said"),
    [
        (b"", 0, "ok", "would overwrite /dev/vda, serial S1, 8.6 GB, no partition, by write"),
        (b"", 3, "note", "would overwrite /dev/vda, serial S1, 8.6 GB, 3 partitions, by write"),
        (block(), 3, "note", "would overwrite /dev/vda, serial S1, 8.6 GB, 3 partitions, by write"),
        (
            block(2),
            3,
            "failed",
            "would not overwrite /dev/vda, serial S1, 8.6 GB, 3 partitions, by write: this run has already",
        ),
        (block(1, "debian"), 1, "failed", 'add "debian" to the Workflow\'s `overwrites`'),
        (block()[:100], 3, "failed", "by write (the marker of this disk is damaged): "),
    ],
)
def test_what_is_on_a_disk_is_told_and_what_protects_it_is_a_failure(
    there: bytes, partitions: int, state: str, said: str
) -> None:
    asked = work(action(environment={"DEST_DISK": LINK}))
    (target,) = targets(asked, DISKS)
    finding = of_disk(target, partitions, there, asked)
    assert (state, True) == (finding.state, said in finding.said), finding.said
    assert (len(there) == marker.SIZE) == (finding.installed is not None)


def test_what_only_reads_is_told_apart() -> None:
    asked = work(action("kexec:v3", "load", environment={"BLOCK_DEVICE": f"{LINK}-part3"}))
    (target,) = targets(asked, DISKS)
    assert "is read by load" in of_disk(target, 3, block(5), asked).said
    assert not writes(action("registry.example:5000/tools/kexec:v3"))
    assert writes(action("kexec-and-more:v1"))


def test_each_image_is_brought_once_and_each_url_asked_once() -> None:
    archive = Archive("/a.tar", "0" * 64, 1)
    asked = work(
        action(
            "a:1", "one", environment={"IMG_URL": " http://10.1.0.1/a.img ", "MESSAGE": "see http://10.1.0.1/help for more"}
        ),
        action("a:1", "two", command=("sh", "-c", "wget -q http://10.1.0.1/a.img && curl 'https://b/c?d=1' http://$HOST/x")),
        action("a:1", "three", archive=archive),
    )
    assert ["one", "three"] == [each.name for _, each in images(asked.workflow)]
    assert ["http://10.1.0.1/a.img", "https://b/c?d=1"] == urls(asked.workflow)


def test_what_may_be_secret_of_a_url_is_not_shown() -> None:
    assert "https://host:8443/a/b?…" == shown("https://ann:pass@host:8443/a/b?token=1#x")


def test_too_little_memory_is_a_failure() -> None:
    assert ("ok", "failed") == (of_memory(1 << 30, 512 << 20).state, of_memory(1 << 30, 60 << 20).state)


def test_a_finding_fits_a_report_however_long_it_is() -> None:
    asked = work(action(environment={"DEST_DISK": LINK}), disks=[{"name": "root", "serial": "x" * 5000}])
    (target,) = targets(asked, DISKS)
    assert 1000 == len(finding_to_json(of_disk(target, 0, b"", asked))["said"])


def test_nothing_of_what_rehearses_can_start_or_write_anything() -> None:
    """By its imports: no runtime, no engine, of marking what reads alone; and no file is opened but for reading."""
    tree = ast.parse(Path(rehearser.__file__).read_text())
    ours = {f"{node.module}.{name.name}" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names}
    assert {"agent.marking.partitions", "agent.marking.read_block"} == {name for name in ours if "marking" in name}
    foreign = {"subprocess", "os", "fcntl", "shutil", "ctypes", "socket"}
    plain = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert set() == foreign & {name.split(".")[0] for name in plain | ours}
    assert set() == {
        name for name in ours if name.startswith(("agent.runtime", "agent.docker", "agent.engine", "agent.worker"))
    }
    assert set() == {
        node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    } & {"open"}
    touched = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set() == touched & {"write", "write_text", "write_bytes", "open", "unlink", "create", "start", "run"}
