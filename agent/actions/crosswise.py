"""Images that have to be read crosswise (qcow2, vdi, vhdx, vpc), so that they cannot be written as they come.

Shell. Law: memory need not hold one, and nothing else of this machine is read for one. It waits at the far end of the disk that
it is for until its digest was right; then qemu-img unpacks it to the beginning, the first MiB last.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from agent.actions.base import Job, tool
from agent.actions.devices import Device
from agent.actions.settings import Failed

MB = 1 << 20
SECTOR = 512
FORMATS = ("qcow2", "vdi", "vhdx", "vpc")
"""Not vmdk, which may name any file as a part of itself; and not raw, which everything is."""


def place(size: int | None, device: Device) -> int:
    """Where on its disk an image of so many bytes waits; if nobody knows how many, in the middle."""
    return max(device.size - size if size is not None else device.size // 2, MB) // MB * MB


def unpack(job: Job, name: str, device: Device, start: int, size: int) -> None:
    """From where it waits. Raises Failed if it is none, or has no room."""
    sectors = -(-size // SECTOR) * SECTOR  # what follows an image in its last sector is no part of it
    waiting = {"driver": "raw", "offset": start, "size": sectors, "file": _file(device)}
    found = json.loads(tool("qemu-img", "info", "--output=json", _json({"file": waiting})))
    kind, needed = str(found.get("format")), int(found.get("virtual-size", 0))
    if kind not in FORMATS:
        raise Failed(f"{name} is no image that we know ({', '.join(FORMATS)}), but {kind}: image2disk writes raw ones")
    if found.get("backing-filename") or found.get("format-specific", {}).get("data", {}).get("data-file"):
        raise Failed(f"{name} is only a part of an image, and names a file for the rest: convert it with qemu-img before")
    if needed > start:
        raise Failed(
            f"{name} becomes {needed} bytes, and its own {size} have to wait on {device.path} meanwhile, "
            f"which has only {device.size}"
        )
    job.say(f"{name} is {kind}, and becomes {needed} bytes")
    arguments = shlex.split(job.settings.values.get("EXTRA_ARGS", ""))
    for begin, end in ((MB, needed), (0, min(MB, needed))):
        if end > begin:
            part = {"driver": "raw", "offset": begin, "size": end - begin}
            source, target = ({**part, "file": {"driver": kind, "file": waiting}}, {**part, "file": _file(device)})
            tool("qemu-img", "convert", "-n", *arguments, "--target-image-opts", _json(source), _options(target))
            tool("blockdev", "--flushbufs", device.path)  # what is down is down, before the first MiB is


def _file(device: Device) -> Mapping[str, Any]:
    """Source and target are one device, in places that do not meet: no lock."""
    return {"driver": "host_device", "filename": device.path, "locking": "off"}


def _json(options: Mapping[str, Any]) -> str:
    return f"json:{json.dumps(options)}"


def _options(options: Mapping[str, Any], under: str = "") -> str:
    """The same, in the words of the command line."""
    pairs = ((f"{under}{key}", value) for key, value in options.items())
    return ",".join(_options(value, f"{key}.") if isinstance(value, Mapping) else f"{key}={value}" for key, value in pairs)
