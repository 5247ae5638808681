"""What sits on a disk when an action comes to it: arrays, volumes and open LUKS devices, of an earlier attempt or an old life.

Shell. Law: nothing is stopped that something mounted or swapped rests on, and nothing at all if the disk's marker protects it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent.actions import devices
from agent.actions.base import Job, tool
from agent.actions.settings import Failed


def release(job: Job, path: str) -> None:
    """Stop all that is made of a disk or its partitions, from the top down. Raises Failed if something of it is in use."""
    found = devices.device(job, path)
    devices.permit(job, found)
    stack = list(dict.fromkeys(_above(found.path)))
    for each in (found.path, *stack):
        if users := devices.mounts(each):
            raise Failed(f"{found.path} is left as it is: {'; '.join(users)}")
    for each in stack:
        job.say(f"{each} is made of {found.path}, and is stopped")
        tool(*(("mdadm", "--stop") if each.startswith("/dev/md") else ("dmsetup", "remove", "--retry")), each)
    forget()


def forget(dev: Path = Path("/dev")) -> None:
    """Take away the links of volumes that are no more, and their group's folder: LVM would take it for something else's.

    Where udev runs it does so.
    """
    for folder in (each for each in dev.iterdir() if each.is_dir() and not each.is_symlink()):
        gone = [
            each for each in folder.iterdir() if each.is_symlink() and not each.exists() and "/mapper/" in str(each.readlink())
        ]
        for link in gone:
            link.unlink()
        if gone and not any(folder.iterdir()):
            folder.rmdir()


def _above(path: str) -> Iterator[str]:
    """The highest first."""
    for each in devices.holders(path):
        yield from _above(each)
        yield each
