"""Marking a disk, on loop devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import marker, marking
from tests.agent.actions.devices import MB, loop_device, machine, needs_loop_devices, run

pytestmark = [pytest.mark.shell, needs_loop_devices]

OURS = marker.Marker("home", "install", "node-01", 1)


def partitioned(disk: str, table: str) -> None:
    run("sfdisk", "--quiet", disk, given=table)
    run("partx", "--update", disk)


def test_every_disk_that_was_written_to_is_marked_and_may_not_be_installed_again(tmp_path: Path) -> None:
    with loop_device(tmp_path / "a.img", 8 * MB) as one, loop_device(tmp_path / "b.img", 8 * MB) as two:
        for disk in (one, two):
            partitioned(disk, "label: gpt\n,\n")
        (tmp_path / "written").write_text(f"{one}\n{two}\n{one}\n")
        said = [f"{disk} is marked as installed by {OURS}" for disk in (one, two)]
        assert said == marking.mark_all(tmp_path / "written", machine())
        assert OURS == marker.decode(marking.read_block(one)) == marker.decode(marking.read_block(two))
        assert "this run has already" in marker.may_overwrite(marking.read_block(one), machine())
        later = marker.Marker("home", "install", "node-01", 2)
        assert "is marked as installed" in marking.mark(one, later)
        assert later == marker.decode(marking.read_block(one))
        assert "label: gpt" in run("sfdisk", "--dump", one)


def test_without_a_run_or_a_written_disk_nothing_is_marked(tmp_path: Path) -> None:
    assert [] == marking.mark_all(tmp_path / "written", machine())
    (tmp_path / "written").write_text("/dev/nothing\n")
    assert [] == marking.mark_all(tmp_path / "written", {})
    (said,) = marking.mark_all(tmp_path / "written", machine())
    assert said.startswith("/dev/nothing cannot be marked as installed: ")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("", "it has no partitions"),
        ("label: gpt\nfirst-lba: 34\n34,2014\n,\n", "p1 covers the place of the marker"),
        ("label: dos\nstart=1,size=4000\n", "p1 covers the place of the marker"),
    ],
)
def test_where_the_gap_is_not_free_nothing_is_written(tmp_path: Path, table: str, reason: str) -> None:
    with loop_device(tmp_path / "a.img", 8 * MB) as disk:
        if table:
            partitioned(disk, table)
        before = (tmp_path / "a.img").read_bytes()
        assert reason in marking.mark(disk, OURS)
        assert before == (tmp_path / "a.img").read_bytes()


def test_what_is_in_the_gap_is_left_there(tmp_path: Path) -> None:
    """A boot loader may be."""
    with loop_device(tmp_path / "a.img", 8 * MB) as disk:
        partitioned(disk, "label: dos\n2048,\n")
        with Path(disk).open("r+b") as file:
            file.seek(marker.OFFSET)
            file.write(b"core.img")
        assert "something else is at the place of the marker" in marking.mark(disk, OURS)
        assert marking.read_block(disk).startswith(b"core.img")
