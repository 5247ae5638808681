"""The marker on a real disk: read before it is overwritten, written when the run has succeeded.

Shell. Law: it is written only between a partition table and the first partition, and only over zeros or an older marker; where
that gap is not, or holds something, the disk is left as it is and a sentence says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent import marker

SECTOR = 512
"""Bytes of the unit that sysfs counts in, whatever the disk's own is."""


@dataclass(frozen=True, slots=True)
class Partition:
    path: str
    number: int
    start: int
    """Bytes from the start of the disk."""
    size: int
    """Bytes."""


def mark_all(written: Path, machine: Mapping[str, Any]) -> list[str]:
    """Mark every disk that this run has written to (a path on each line of `written`); a line for the log about each."""
    ours = marker.of_run(machine)
    if ours is None or not written.exists():
        return []
    disks = dict.fromkeys(line.strip() for line in written.read_text().splitlines())
    return [mark(disk, ours) for disk in disks if disk]


def mark(disk: str, ours: marker.Marker) -> str:
    """What became of it, as a sentence; never an exception for what a disk may be like."""
    try:
        block = marker.encode(ours)
        if reason := _unmarkable(disk):
            return f"{disk} cannot be marked as installed: {reason}"
        with Path(disk).open("r+b", buffering=0) as device:
            os.pwrite(device.fileno(), block, marker.OFFSET)
            os.fsync(device.fileno())
    except (OSError, ValueError) as error:
        return f"{disk} cannot be marked as installed: {error}"
    return f"{disk} is marked as installed by {ours}"


def read_block(disk: str) -> bytes:
    """What is where a marker would be; shorter on a disk of less than a MiB. Raises OSError."""
    with Path(disk).open("rb", buffering=0) as device:
        return os.pread(device.fileno(), marker.SIZE, marker.OFFSET)


def partitions(disk: str) -> list[Partition]:
    """As the kernel has them now, in the order of their numbers."""
    return sorted(_partitions(disk), key=lambda each: each.number)


def _partitions(disk: str) -> Iterator[Partition]:
    for entry in _sysfs(disk).iterdir():
        if (entry / "partition").exists():
            number, start, size = (int((entry / name).read_text()) for name in ("partition", "start", "size"))
            yield Partition(f"/dev/{entry.name.replace('!', '/')}", number, start * SECTOR, size * SECTOR)


def _sysfs(disk: str) -> Path:
    number = Path(disk).stat().st_rdev
    return Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()


def _unmarkable(disk: str) -> str:
    present = partitions(disk)
    if not present:
        return "it has no partitions, so nothing says that the place of the marker is free"
    for each in present:
        if each.start < marker.OFFSET + marker.SIZE and each.start + each.size > marker.OFFSET:
            return f"{each.path} covers the place of the marker"
    block = read_block(disk)
    if block.strip(b"\0") and not block.startswith(marker.MAGIC):
        return "something else is at the place of the marker"
    return ""
