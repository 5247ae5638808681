"""What is answered in grub-probe's place, beside what it says itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent.actions.devices import reread
from agent.actions.grub_probe import about, answered
from agent.actions.system import STAND_INS, installed
from tests.agent.actions.devices import MB, Loop, a_job, machine, mounted, needs_loop_devices, run

FACTS = {"UUID": "1234", "TYPE": "ext4", "PART_ENTRY_SCHEME": "dos", "PART_ENTRY_UUID": "12345678-02"}
ASKED = ("--target=device /", "--target=device /boot", "--device {root} --target=fs", "-t drive /boot", "--version")


def partition(loop: Loop, table: str, format: str) -> str:  # noqa: A002 - mkfs's word for it
    device = loop(400 * MB)
    run("sfdisk", "--quiet", device, given=f"label: {table}\nsize=1MiB\n,\n")
    reread(device)
    run(f"mkfs.{format}", "-q", f"{device}p2")
    return f"{device}p2"


@pytest.mark.shell
@needs_loop_devices
@pytest.mark.parametrize(("table", "format"), [("gpt", "ext4"), ("dos", "ext2"), ("gpt", "xfs")])
def test_every_answer_is_what_grub_probe_says_itself(loop: Loop, table: str, format: str) -> None:  # noqa: A002
    path = partition(loop, table, format)
    facts = dict(line.split("=", 1) for line in run("blkid", "--probe", "--output", "export", path).splitlines() if line)
    answers = about(path, facts)
    assert {question: run("grub-probe", *question.split()).strip() for question in answers} == answers
    assert len(answers) == 5


@pytest.mark.shell
@needs_loop_devices
def test_the_systems_own_grub_probe_is_asked_the_rest_and_is_as_it_was_afterwards(loop: Loop, tmp_path: Path) -> None:
    path = partition(loop, "gpt", "ext4")
    own = '#!/bin/sh\necho "$*" >>/asked\n'
    with mounted(path, tmp_path / "mnt") as root:
        for folder in ("bin", "usr/sbin", "boot", STAND_INS.strip("/")):
            (root / folder).mkdir(parents=True)
        shutil.copy(shutil.which("busybox") or "", root / "bin/sh")
        (root / "usr/sbin/grub-probe").write_text(own)
        (root / "usr/sbin/grub-probe").chmod(0o755)
    job = a_job(tmp_path / "run", machine())
    with installed(job, path, "ext4", "DEST_DISK") as system:
        with answered(job, system):
            said = [system.run("/usr/sbin/grub-probe", *each.format(root=path).split()) for each in ASKED]
        assert [f"{path}\n", f"{path}\n", "ext2\n", "", ""] == said
        assert "-t drive /boot\n--version\n" == system.real("/asked").read_text()
        assert own == system.real("/usr/sbin/grub-probe").read_text()


@pytest.mark.parametrize("other", [{"TYPE": "btrfs"}, {"PART_ENTRY_SCHEME": ""}, {"UUID": ""}])
def test_of_anything_else_nothing_is_answered(other: dict[str, str]) -> None:
    assert about("/dev/sda2", FACTS)
    assert {} == about("/dev/sda2", FACTS | other)
