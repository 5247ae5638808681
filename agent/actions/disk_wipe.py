"""`disk-wipe`: disks become empty, so that nothing of an old life is found, mounted or booted.

Shell. Law: all disks are claimed before the first is touched; what always happens is that the signatures of filesystems, arrays
and volume groups, the partition tables and the first and the last MiB are gone; discarding the rest is for disks that can.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agent.actions import devices, stacks
from agent.actions.base import Action, Job, tool
from agent.actions.settings import Failed, Parameter
from agent.marking import partitions

MB = 1 << 20
PARAMETERS = (
    Parameter(
        "DISKS",
        "Which disks, separated by spaces; else those of the machine's `storage.disks`, but for one with `wipe_table: false`.",
    ),
    Parameter(
        "DISCARD", "Whether the rest is discarded where the disk can. What was on other disks can still be read.", "true"
    ),
    Parameter(
        "SECURE_ERASE",
        "Whether each disk erases every cell by its own command (NVMe format, ATA security erase); one that has none fails.",
        "false",
    ),
)


def act(job: Job) -> None:
    paths = job.settings.text("DISKS").replace(",", " ").split() or list(_of_storage(job))
    if not paths:
        raise Failed("no disk is named: set DISKS, or give the machine a `storage` with `disks`")
    discard, erase = job.settings.flag("DISCARD"), job.settings.flag("SECURE_ERASE")
    for path in paths:
        stacks.release(job, path)
    for disk in [devices.claim(job, path) for path in paths]:
        clear(disk)
        if erase:
            secure_erase(disk.path)
        elif discard and _can_discard(disk.path):
            _discard(job, disk.path)
        job.say(f"{disk.path} is empty")


def clear(disk: devices.Device) -> None:
    """Signatures and tables away, of a disk that is claimed."""
    parts = partitions(disk.path)
    for each in reversed(parts):
        tool("wipefs", "--all", "--force", "--quiet", each.path)
    tool("wipefs", "--all", "--force", "--quiet", disk.path)
    with Path(disk.path).open("r+b", buffering=0) as device:
        for start in (0, max(disk.size - MB, 0)):
            os.pwrite(device.fileno(), bytes(min(MB, disk.size)), start)
        os.fsync(device.fileno())
    devices.reread(disk.path)


def secure_erase(disk: str) -> None:
    """By the disk's own command for it. Raises Failed if it has none or refuses."""
    name = Path(disk).name
    if name.startswith("nvme"):
        tool("nvme", "format", "--force", "--ses=1", disk)
    elif name.startswith("sd"):
        password = "gitboot"  # noqa: S105 - an ATA disk wants one for the erasure, which takes it away again
        tool("hdparm", "--user-master", "u", "--security-set-pass", password, disk)
        tool("hdparm", "--user-master", "u", "--security-erase", password, disk)
    else:
        raise Failed(f"{disk} has no command to erase itself: leave SECURE_ERASE out")


def _of_storage(job: Job) -> Iterator[str]:
    """All that git lays out, but what it says to keep."""
    for disk in job.machine.get("storage", {}).get("disks", ()):
        if disk.get("wipe_table") is not False:
            yield disk["device"]


def _can_discard(disk: str) -> bool:
    limit = Path("/sys/class/block", Path(disk).name, "queue/discard_max_bytes")
    return limit.exists() and int(limit.read_text()) > 0


def _discard(job: Job, disk: str) -> None:
    try:
        tool("blkdiscard", "--force", disk)
    except Failed as error:  # a courtesy to the disk: it is empty without
        job.say(f"going on without: {error}")


ACTION = Action(
    "disk-wipe",
    "Empties disks: signatures of filesystems, arrays and volume groups, partition tables, the first and the last MiB.",
    PARAMETERS,
    act,
)

if __name__ == "__main__":
    ACTION.program()
