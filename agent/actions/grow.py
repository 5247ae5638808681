"""The last partition of an image takes the rest of its disk, and so does the filesystem in it.

Shell. Law: only a partition with nothing behind it grows, and nothing moves; a filesystem that cannot grow ends the action with
a sentence, its partition grown and its content whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from agent.actions import devices
from agent.actions.base import Job, tool
from agent.actions.layout import partition_path
from agent.actions.settings import Failed
from agent.marking import partitions

LAST = 0


def which(job: Job) -> int | None:
    """The number of the partition that is to grow, `LAST`, or None. Raises Failed."""
    said = job.settings.text("GROW").strip()
    if said.isdigit() and said not in ("0", "1"):
        return int(said)
    return LAST if job.settings.flag("GROW") else None


def grow(job: Job, device: devices.Device, number: int) -> None:
    """Raises Failed."""
    present = partitions(device.path)
    if not present:
        raise Failed(f"{device.path} has no partitions, so none can grow: leave GROW out")
    last = max(present, key=lambda each: each.start)
    if number not in (LAST, last.number):
        raise Failed(f"partition {number} is not the last one on {device.path}, which is {last.number}: only that can grow")
    tool("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "-N", str(last.number), device.path, given=b", +\n")
    devices.reread(device.path)
    path = partition_path(device.path, last.number)
    kinds = devices.signatures(path)
    for kind in kinds:
        _filesystem(path, kind)
    job.say(f"{path} now ends where {device.path} does" + (f", with {', '.join(kinds)} in it" if kinds else ""))


def _filesystem(path: str, kind: str) -> None:
    match kind:
        case "ext2" | "ext3" | "ext4":
            tool("e2fsck", "-f", "-y", path, good=(0, 1))  # 1: it has mended something
            tool("resize2fs", path)
        case "xfs":
            with _mounted(path) as point:
                tool("xfs_growfs", point)
        case "btrfs":
            with _mounted(path) as point:
                tool("btrfs", "filesystem", "resize", "max", point)
        case "LVM2_member":
            tool("pvresize", path)
        case _:
            raise Failed(f"{path} has grown, but not the {kind} in it, which we cannot make larger: leave GROW out")


@contextmanager
def _mounted(path: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as point:
        tool("mount", path, point)
        try:
            yield point
        finally:
            tool("umount", point)
