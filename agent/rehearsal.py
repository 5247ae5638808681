"""A rehearsal: what of a workflow can be looked at while none of it is started, and how what was found is judged.

Core, standard library only. Law: a finding says what was found in a sentence, and `failed` means that the work could not be
done here. What an action makes of its settings nobody knows but the action: looked at are the disks that it names, its image,
and the URLs that stand whole in its settings or its command.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from agent import marker
from agent.disks import BlockDevice, Disk, NoMatch, disk_from_json, match, mentioned
from agent.messages import Malformed, Rehearsed
from agent.workflow import STANDARD, Action, Workflow

Kind = Literal["disk", "image", "url", "memory", "work"]
State = Literal["ok", "note", "failed"]
MOST = 300
"""Findings that a report has room for."""
LEAST_MEMORY = 0.1
"""Of all that there is: with less left an action may be killed for want of it."""

_DEVICE = re.compile(r"/dev/(?:(?:[svh]d|xvd)[a-z]+|nvme\d+n\d+|mmcblk\d+)")
_LINK = re.compile(r"/dev/disk/by-(?!gitboot/)[\w-]+/[^\s\"'\\,;:]+")
_URL = re.compile(r"https?://[^\s'\"`|&;<>()\\]+")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, for the console and the report."""

    kind: Kind
    subject: str
    state: State
    said: str
    workflow: str = ""
    installed: marker.Marker | None = None

    def __str__(self) -> str:
        return f"{self.state}: {self.kind} {self.subject}: {self.said}"


@dataclass(frozen=True, slots=True)
class Target:
    """A disk that the work speaks of, under the name that it has there."""

    name: str
    device: BlockDevice | None
    trouble: str = ""
    """Why it is no one device."""
    users: tuple[str, ...] = ()
    """Actions that name it and may write to it."""
    readers: tuple[str, ...] = ()


def finding_to_json(finding: Finding) -> dict[str, Any]:
    installed = asdict(finding.installed) if finding.installed else None
    texts = {key: getattr(finding, key)[:1000] for key in ("subject", "said", "workflow")}
    return {"kind": finding.kind, "state": finding.state, **texts, "installed": installed}


def actions(workflow: Workflow) -> Iterator[tuple[str, Action]]:
    """With the name of their task."""
    return ((task.name, action) for task in workflow.tasks for action in task.actions)


def images(workflow: Workflow) -> Iterator[tuple[str, Action]]:
    """The first action of each image, with its task."""
    seen = set()
    for task, action in actions(workflow):
        if (key := (action.image, action.archive)) not in seen:
            seen.add(key)
            yield task, action


def urls(workflow: Workflow) -> list[str]:
    """Each once, in order. What a shell would still change is not known to be one."""
    found: dict[str, None] = {}
    for _, action in actions(workflow):
        whole = (value.strip() for value in action.environment.values())
        found |= dict.fromkeys(value for value in whole if _URL.fullmatch(value))
        for words in (action.command, action.on_failure, action.on_timeout):
            found |= dict.fromkeys(url for word in words for url in _URL.findall(word) if "$" not in url)
    return list(found)


def shown(url: str) -> str:
    """Without what may be secret: user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" + ("?…" if parts.query else "")


def writes(action: Action) -> bool:
    """Whether it may write to a disk: what is no standard action may do anything."""
    name = action.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return STANDARD.get(name, True)


def targets(work: Rehearsed, there: Sequence[BlockDevice]) -> list[Target]:
    """Every disk that the work speaks of. A name that fits no device, or several, is told."""
    said = [(action, json.dumps(_words(action))) for _, action in actions(work.workflow)]
    storage = json.dumps(work.machine.get("storage") or {})
    found: list[Target] = []
    for disk in map(disk_from_json, work.machine.get("disks") or ()):
        named = [action for action, text in said if mentioned(disk.name, text)]
        if mentioned(disk.name, storage):
            named += [action for action, _ in said if "disk-partition" in action.image and action not in named]
        if named or mentioned(disk.name, storage):
            found.append(_target(disk, named, there))
    paths = [(action, _paths(text)) for action, text in said]
    plain = dict.fromkeys([*(path for _, some in paths for path in some), *_paths(storage)])
    users = {path: [action for action, some in paths if path in some] for path in plain}
    return [*found, *(_target(Disk(path, path=path), users[path], there) for path in plain)]


def of_disk(target: Target, partitions: int, block: bytes, work: Rehearsed) -> Finding:
    """What would become of a disk. `block`: what is where a marker would be, as `marking.read_block` has it."""
    name = work.workflow.name
    if target.device is None:
        return Finding("disk", target.name, "failed", target.trouble, name)
    installed, damaged = _marker(block)
    device = _described(target.device, partitions)
    if not target.users:
        how = f"is read by {', '.join(target.readers)}" if target.readers else "is named, and no action writes to it"
        return Finding("disk", target.name, "ok", f"{device} {how}", name, installed)
    why = marker.may_overwrite(block, work.machine)
    state: State = "failed" if why else "note" if installed or damaged or partitions else "ok"
    would = "would not overwrite" if why else "would overwrite"
    said = f"{would} {device}, by {', '.join(target.users)}{damaged}"
    return Finding("disk", target.name, state, f"{said}: {why}" if why else said, name, installed)


def of_memory(total: int, available: int) -> Finding:
    """In bytes, once everything that the work needs is here."""
    left = f"{available >> 20} of {total >> 20} MiB are free with all images here"
    if available < total * LEAST_MEMORY:
        return Finding("memory", "memory", "failed", f"{left}: give the machine more, or take smaller images")
    return Finding("memory", "memory", "ok", left)


def _words(action: Action) -> list[str]:
    return [*action.command, *action.on_failure, *action.on_timeout, *action.volumes, *action.environment.values()]


def _paths(text: str) -> list[str]:
    """The disks that are named by what the kernel or udev calls them; a partition stands for its disk."""
    return [*_DEVICE.findall(text), *(re.sub(r"-part\d+$", "", link) for link in _LINK.findall(text))]


def _target(disk: Disk, named: Sequence[Action], there: Sequence[BlockDevice]) -> Target:
    users = tuple(action.name for action in named if writes(action))
    readers = tuple(action.name for action in named if not writes(action))
    try:
        return Target(disk.name, match(disk, there), "", users, readers)
    except NoMatch as reason:
        return Target(disk.name, None, str(reason), users, readers)


def _marker(block: bytes) -> tuple[marker.Marker | None, str]:
    try:
        return marker.decode(block), ""
    except Malformed as damaged:
        return None, f" ({damaged})"


def _described(device: BlockDevice, partitions: int) -> str:
    serial = f", serial {device.serial}" if device.serial else ""
    counted = "no partition" if not partitions else "1 partition" if partitions == 1 else f"{partitions} partitions"
    return f"{device.path}{serial}, {device.size / 1e9:.1f} GB, {counted}"
