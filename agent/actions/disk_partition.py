"""`disk-partition`: the disks of a machine come to be as the `storage` section in git says.

Shell. Law: every disk that the section names is claimed before anything is written, and what neither this run has made nor git
says to wipe is only filled where it is empty, in every attempt. Carried out again it ends the same.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from agent.actions import devices, layout, stacks
from agent.actions.base import Action, Job, tool
from agent.actions.disk_wipe import clear
from agent.actions.settings import Failed, Parameter

PARAMETERS = (Parameter("MBR", "Whether disks get an MBR in place of a GPT.", "false"),)


def act(job: Job) -> None:
    mbr = job.settings.flag("MBR")
    storage = layout.located(job.machine.get("storage", {}), lambda path: devices.expected(job, path))
    disks = {disk["device"]: disk for disk in storage.get("disks", ())}
    steps, leaves = layout.steps(storage), layout.leaves(storage)
    if not disks and not steps:
        raise Failed("git says nothing about the disks of this machine: give it a `storage` section")
    ours = {path for path, disk in disks.items() if disk.get("wipe_table")} | set(devices.made(job))
    tables = {path: layout.partitions(disk, _disk(devices.device(job, path)), storage, mbr=mbr) for path, disk in disks.items()}
    for path in dict.fromkeys((*disks, *leaves)):
        if path in ours:
            stacks.release(job, path)
    claimed = {path: devices.claim(job, path) for path in (*disks, *leaves)}
    kept = {path for path, table in tables.items() if path not in ours and keeps(job, claimed[path], table)}
    for step in steps:
        protect(job, step, ours)
    for path in [path for path in tables if path not in kept]:
        partition(job, claimed[path], tables[path], mbr=mbr)
        ours.add(path)
    for step in steps:
        make(job, step, ours)
    os.sync()


def keeps(job: Job, device: devices.Device, table: list[layout.Partition]) -> bool:
    """Whether a disk that may not go has its partitions already. Raises Failed if it has anything else."""
    present = devices.signatures(device.path)
    if table and present and not ({"gpt", "dos"} & set(present) and layout.is_on(table, _table(device.path), device.path)):
        raise Failed(
            f"{device.path} is left as it is: there is {', '.join(present)} on it, and not the partitions that git says. "
            "Run disk-wipe before, or set `wipe_table: true` for it"
        )
    if table and present:
        job.say(f"{device.path} has its partitions already")
    return bool(present) or not table


def partition(job: Job, device: devices.Device, table: list[layout.Partition], *, mbr: bool) -> None:
    """A new partition table; no table where there are no partitions."""
    devices.note_made(job, device.path)
    clear(device)
    if table:
        text = layout.script(table, _disk(device), mbr=mbr)
        job.say(f"partitions of {device.path}:\n{text.rstrip()}")
        tool("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", device.path, given=text.encode())
        devices.reread(device.path)


def protect(job: Job, step: layout.Step, ours: set[str]) -> None:
    """Raises Failed if a thing would be put on what is there now and not ours."""
    for path in step.devices:
        found = devices.device(job, path) if os.path.exists(path) and not step.force else None
        if found and found.path not in ours and not set(found.disks) <= ours and (present := devices.signatures(found.path)):
            raise Failed(
                f"{found.path} is left as it is: there is {', '.join(present)} on it. Run disk-wipe before, "
                "or set `wipe_table: true` for its disk or `create: {force: true}` for its filesystem"
            )


def make(job: Job, step: layout.Step, ours: set[str]) -> None:
    """Put one thing on its devices."""
    protect(job, step, ours)
    for path in step.devices:
        found = devices.device(job, path)
        devices.note_made(job, found.path)
        tool("wipefs", "--all", "--force", "--quiet", found.path)
    for command in step.commands:
        tool(*command, given=_key(job, step.key))


def _key(job: Job, source: layout.Map | None) -> bytes:
    if source is None:
        return b""
    if name := source.get("environment"):
        found = job.environ.get(name, "").encode()
        where = f"the variable {name} of this action's environment"
    else:
        found, where = Path(source["file"]).read_bytes().removesuffix(b"\n"), source["file"]
    if not found:
        raise Failed(f"there is no key in {where}")
    return found


def _table(disk: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(tool("sfdisk", "--json", disk))
    return found


def _disk(found: devices.Device) -> layout.Disk:
    sector = Path("/sys/class/block", Path(found.path).name, "queue/logical_block_size")
    return layout.Disk(found.path, found.size, int(sector.read_text()))


ACTION = Action(
    "disk-partition",
    "Makes the disks as the machine's `storage` section says: partitions, arrays, encrypted devices, volumes, filesystems.",
    PARAMETERS,
    act,
)

if __name__ == "__main__":
    ACTION.program()
