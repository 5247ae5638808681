"""Which of a machine's disks a name means: by what the disk is, never by where the kernel happened to put it.

Core, standard library only. Law: a name means exactly one device or none. Every attribute that is given must hold; where
nothing holds, or several devices do, `NoMatch` says in a sentence what was looked for and what is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BY_NAME = "/dev/disk/by-gitboot/"
"""Where templates and actions find a disk by its name; `<name>-part<n>` is its n-th partition."""
TOLERANCE = 0.01
"""By how much of itself a size may be off: a 480 GB disk has 480 103 981 056 bytes."""

_SIZE = re.compile(r"(\d+)\s*(?:([KMGTPE])(i?))?B?", re.IGNORECASE)


class NoMatch(ValueError):
    """No device, or more than one, is the disk that is meant."""


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A whole disk as the kernel describes it; what is not known is empty."""

    path: str
    """Such as `/dev/sda`."""
    serial: str = ""
    wwn: str = ""
    """World wide name as the kernel writes it, such as `naa.5002538e40b1a2c3` or `eui.0025385b71b0a1c2`."""
    size: int = 0
    """Bytes."""
    model: str = ""
    transport: str = ""
    """`nvme`, `virtio`, `sata`, `sas`, `usb`, `mmc`, … or empty."""
    rotational: bool = False
    removable: bool = False
    mapped: bool = False
    """Made by software of other devices or files (device mapper, RAID, loop): meant only when its path is given."""
    links: tuple[str, ...] = ()
    """Its other names below /dev/disk, where there are any."""

    def __str__(self) -> str:
        known = (f"{self.size} bytes", f"serial {self.serial}" * bool(self.serial), f"wwn {self.wwn}" * bool(self.wwn))
        return f"{self.path} ({', '.join(text for text in known if text)})"


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that a person named, and what it is recognised by."""

    name: str
    path: str = ""
    serial: str = ""
    wwn: str = ""
    size: int = 0
    """Bytes; 0: any."""

    def __str__(self) -> str:
        given = [f"{key} {value}" for key in ("path", "serial", "wwn", "size") if (value := getattr(self, key))]
        return f"disk {self.name} ({', '.join(given) or 'any disk'})"


def disk_from_json(document: Mapping[str, Any]) -> Disk:
    """One of `disks` of the machine document. Raises KeyError or ValueError when it is not one."""
    texts = {key: str(document.get(key) or "").strip() for key in ("path", "serial", "wwn")}
    return Disk(str(document["name"]), **texts, size=size_in_bytes(document.get("size") or 0))


def size_in_bytes(size: str | int) -> int:
    """`480G` (powers of 1000), `512Gi` (powers of 1024), or bytes. Raises ValueError."""
    found = _SIZE.fullmatch(str(size).strip())
    if not found:
        raise ValueError(f"{size!r} is not a size such as 480G, 512Gi or a number of bytes")
    number, unit, binary = found.groups()
    base: int = 1024 if binary else 1000
    return int(number) * int(base ** " KMGTPE".index((unit or " ").upper()))


def match(disk: Disk, devices: Sequence[BlockDevice]) -> BlockDevice:
    """The one device that `disk` means. Raises NoMatch."""
    found = [device for device in devices if _is(device, disk)]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(map(str, found))
        raise NoMatch(f"{disk} is several devices here: {several}; give it a serial or wwn that only one of them has")
    there = ", ".join(str(device) for device in devices if not device.mapped) or "no disk at all"
    raise NoMatch(f"{disk} is not in this machine; there is {there}")


def mentioned(name: str, text: str) -> bool:
    """Whether `text` has the disk's path or that of one of its partitions, and not only that of `<name>-something`."""
    return re.search(re.escape(BY_NAME + name) + r"(-part\d+)?(?![\w.-])", text) is not None


def same_wwn(one: str, other: str) -> bool:
    """The same world wide name, however it is written: `0x5002538e40b1a2c3`, `naa.5002…`, `wwn-0x5002…`, in either case."""
    return _bare_wwn(one) == _bare_wwn(other) != ""


def _is(device: BlockDevice, disk: Disk) -> bool:
    if disk.path and disk.path not in (device.path, *device.links):
        return False
    if disk.serial and disk.serial != device.serial:
        return False
    if disk.wwn and not same_wwn(disk.wwn, device.wwn):
        return False
    if disk.size and abs(device.size - disk.size) > disk.size * TOLERANCE:
        return False
    # A stick that somebody forgot in the machine, or an array made of the disks, is not meant by a size.
    by_identity = bool(disk.path or disk.serial or disk.wwn)
    return bool(disk.path) if device.mapped else by_identity or not device.removable


def _bare_wwn(wwn: str) -> str:
    return re.sub(r"^(wwn-|nvme-)?(0x|naa\.|eui\.|uuid\.)?", "", wwn.strip().lower())
