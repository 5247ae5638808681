"""What GRUB's menu is made of: the answers of grub-probe that the kernel and blkid have given us already.

Shell, standard library only. Law: only what cannot be anything else is answered: ext2 to ext4 or XFS, on a partition of a plain
disk. Every other question goes to the system's own grub-probe, which is in its place again afterwards. update-grub asks 15
times; emulated, that is 6 of its 11 seconds, and 1 with this.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agent.actions.base import Job, tool
from agent.actions.devices import device
from agent.actions.system import STAND_INS, System, mounted

FILESYSTEMS = {"ext2": "ext2", "ext3": "ext2", "ext4": "ext2", "xfs": "xfs"}
TABLES = {"gpt": "gpt", "dos": "msdos"}
"""blkid's word → GRUB's, for each of the two."""
FOLDERS = ("/", "/boot")
"""Whose devices grub-mkconfig asks for."""


@contextmanager
def answered(job: Job, system: System) -> Iterator[None]:
    """Meanwhile the system's grub-probe knows the answers, if there are any."""
    program = system.program("grub-probe", "grub2-probe")
    known = _answers(job, system) if program else {}
    if not known:
        yield
        return
    own, place = f"{STAND_INS}/grub-probe.own", f"{STAND_INS}/grub-probe"
    system.write(own, system.real(program).read_bytes(), 0o755)
    system.write(place, script(known, own).encode(), 0o755)
    with mounted(str(system.real(place)), system.real(program), "", "--bind"):
        yield


def about(path: str, facts: Mapping[str, str]) -> dict[str, str]:
    """What grub-probe is asked of a partition → what it says; {} if that may be something else. `facts`: blkid exports them."""
    kind, table = FILESYSTEMS.get(facts.get("TYPE", "")), TABLES.get(facts.get("PART_ENTRY_SCHEME", ""))
    if not (kind and table and facts.get("UUID") and facts.get("PART_ENTRY_UUID")):
        return {}
    said = {
        "abstraction": "",
        "fs": kind,
        "fs_uuid": facts["UUID"],
        "partmap": table,
        "partuuid": facts["PART_ENTRY_UUID"],
    }
    return {f"--device {path} --target={target}": answer for target, answer in said.items()}


def script(answers: Mapping[str, str], own: str) -> str:
    """A stand-in that answers these, and lets the program `own` answer everything else."""
    cases = [f"  {shlex.quote(question)}) echo {shlex.quote(answer)} ;;" for question, answer in answers.items()]
    return "\n".join(["#!/bin/sh", 'case "$*" in', *cases, f'  *) exec {own} "$@" ;;', "esac", ""])


def _answers(job: Job, system: System) -> dict[str, str]:
    paths = {folder: device(job, system.mount_of(folder).device).path for folder in FOLDERS}
    known = {path: about(path, _facts(job, path)) for path in dict.fromkeys(paths.values())}
    found = {f"--target=device {folder}": path for folder, path in paths.items() if known[path]}
    return found | {question: answer for answers in known.values() for question, answer in answers.items()}


def _facts(job: Job, path: str) -> dict[str, str]:
    """None unless it is a partition of a disk that is nothing but a disk."""
    disk = Path("/sys/class/block", Path(path).name).resolve().parent.name
    if device(job, path).disks != (f"/dev/{disk}",):
        return {}
    lines = tool("blkid", "--probe", "--output", "export", path).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)
