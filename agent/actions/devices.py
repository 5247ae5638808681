"""The disks of this machine, from an action's point of view: which one is meant, and whether it may be overwritten.

Shell. Law: nothing is written to a device that was not claimed; to be claimed, it must exist, be used by nothing (a mount, a
RAID, a volume group), and bear no marker that protects it, and then its whole disk is in `written` before the first byte. What
writes files beside others (`edit`) asks the marker and notes the disk as well.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.actions.base import Job, tool
from agent.actions.layout import partition_path
from agent.actions.settings import Failed
from agent.marker import may_overwrite
from agent.marking import SECTOR, partitions, read_block
from agent.workflow import STANDARD

BY_NAME = "/dev/disk/by-gitboot/"


@dataclass(frozen=True, slots=True)
class Device:
    """A disk, a partition, or what is made of several of them."""

    path: str
    """The kernel's name for it, without links."""
    size: int
    """Bytes."""
    disks: tuple[str, ...]
    """The whole disks that it lies on; itself, if it is one."""


def claim(job: Job, path: str) -> Device:
    """A device that is ours to overwrite from now on. Raises Failed with the reason why it is not."""
    found = device(job, path)
    named = found.path if found.path == path else f"{found.path} ({path})"
    if user := in_use(found.path):
        raise Failed(f"{named} is left as it is: {user}")
    edit(job, found)
    return found


def edit(job: Job, *found: Device) -> None:
    """Devices that are ours to write to from now on, beside what is on them. Raises Failed if a disk's marker protects it."""
    for each in found:
        permit(job, each)
    note(job, tuple(dict.fromkeys(disk for each in found for disk in each.disks)))


def permit(job: Job, found: Device) -> None:
    """Raises Failed if the marker of a disk of it protects it from this run, or if this action is known to write to none."""
    if not STANDARD.get(job.name, True):
        raise Failed(f"{found.path} is left as it is: {job.name} is one of the actions that write to none")
    for disk in found.disks:
        if reason := may_overwrite(read_block(disk), job.machine):
            raise Failed(f"{disk} is left as it is: {reason}")


def written(job: Job) -> list[str]:
    """The whole disks that this run has written to so far."""
    return _noted(job, "written")


def made(job: Job) -> list[str]:
    """The disks and partitions that this run has begun to make anew, so that what is on them now is its own."""
    return _noted(job, "made")


def note_made(job: Job, path: str) -> None:
    """Before the first byte goes, for another attempt."""
    if job.folder.is_dir():
        _add(job, "made", (path,))


def device(job: Job, path: str) -> Device:
    """What `path` means now. Raises Failed if there is no such block device."""
    real = os.path.realpath(_of_whole(path))
    try:
        status = Path(real).stat()
    except OSError as error:
        raise Failed(f"there is no {path}{_known(job, path)}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise Failed(f"{path} is not a disk or partition")
    entry = _sysfs(status.st_rdev)
    return Device(_path(entry), int((entry / "size").read_text()) * SECTOR, tuple(dict.fromkeys(_disks(entry))))


def expected(job: Job, path: str) -> str:
    """The kernel's name for a device, or for the partition that will be there. Raises Failed if there is no such disk."""
    named = _of_whole(path)
    return named if named != path else device(job, path).path


def reread(disk: str) -> None:
    """Let the kernel know the partitions that are on the disk now, of which none is in use; their nodes are there afterwards.

    `partx --update` would look at as many numbers as there are partitions, and Debian's cloud images have 1, 14 and 15.
    """
    if partitions(disk):
        tool("partx", "--delete", disk)
    if {"gpt", "dos"} & set(signatures(disk)):
        tool("partx", "--add", disk)


def signatures(path: str) -> list[str]:
    """The kinds of what is found on a device, as `ext4` or `gpt`."""
    found = json.loads(tool("wipefs", "--json", path) or "{}")
    return sorted({str(each["type"]) for each in found.get("signatures", ())})


def in_use(path: str) -> str:
    """What uses it, or one of its partitions; "" if nothing does. The kernel decides, and it sees every container's mounts."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        made = [f"{holder} is made of it" for holder in holders(path)]
        return "; ".join([*mounts(path), *made]) or "it is in use: mounted, or part of a RAID or of a volume group"
    return ""


def holders(path: str) -> list[str]:
    """The devices that are made of it or of its partitions, as /dev/md0 or /dev/dm-0."""
    entry = _sysfs(Path(path).stat().st_rdev)
    return [_path(holder) for each in _with_partitions(entry) for holder in sorted((each / "holders").iterdir())]


def mounts(path: str) -> list[str]:
    """What is mounted or swapped to, of it and of its partitions, as far as this container sees."""
    return list(_mounts(_sysfs(Path(path).stat().st_rdev)))


def _of_whole(path: str) -> str:
    """The links of partitions are made after an action; within one, they are told from the link of their disk."""
    partition = re.fullmatch(rf"({BY_NAME}.+)-part(\d+)", path)
    if partition and os.path.exists(partition[1]):
        return partition_path(os.path.realpath(partition[1]), int(partition[2]))
    return path


def _known(job: Job, path: str) -> str:
    names = [str(disk.get("name")) for disk in job.machine.get("disks", ())]
    if not path.startswith(BY_NAME):
        return ""
    return f": git names {', '.join(names)} for this machine" if names else ": git names no disks of this machine"


def note(job: Job, disks: tuple[str, ...]) -> None:
    """Whole disks that this run writes to; they are marked when it has succeeded."""
    if not job.folder.is_dir():
        job.say(f"there is no {job.folder}, so {', '.join(disks)} will not be marked as installed")
        return
    _add(job, "written", disks)


def _noted(job: Job, name: str) -> list[str]:
    place = job.folder / name
    return place.read_text().splitlines() if place.exists() else []


def _add(job: Job, name: str, paths: tuple[str, ...]) -> None:
    noted = _noted(job, name)
    with (job.folder / name).open("a") as file:
        file.writelines(f"{path}\n" for path in paths if path not in noted)


def _sysfs(number: int) -> Path:
    return Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()


def _path(entry: Path) -> str:
    return f"/dev/{entry.name.replace('!', '/')}"


def _disks(entry: Path) -> Iterator[str]:
    if (entry / "partition").exists():
        yield from _disks(entry.parent)
    elif below := sorted((entry / "slaves").iterdir()):
        for each in below:
            yield from _disks(each.resolve())
    else:
        yield _path(entry)


def _with_partitions(entry: Path) -> Iterator[Path]:
    yield entry
    yield from sorted(each for each in entry.iterdir() if (each / "partition").exists())


def _mounts(entry: Path) -> Iterator[str]:
    mounted = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    swaps = [line.split()[0] for line in Path("/proc/swaps").read_text().splitlines()[1:]]
    for each in _with_partitions(entry):
        number = (each / "dev").read_text().strip()
        yield from (f"{_path(each)} is mounted on {mount[4]}" for mount in mounted if mount[2] == number)
        if _path(each) in swaps:
            yield f"{_path(each)} is swapped to"
