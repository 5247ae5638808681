"""Storage: how a machine's disks are laid out, and whether that can be.

Core. The law: a layout is whole in itself: every device is a disk of the machine, something the layout makes, or a plain path
that nobody here knows better, and no device holds two things. A slip is a line of the commit, not a half-partitioned disk. The
shape is Tinkerbell's (`metadata.instance.storage` there), and so are the units: sectors of 512 bytes for partitions, bytes for
volumes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from reconciler import values
from reconciler.formats.document import check_names
from reconciler.places import Path
from reconciler.shape import Complaints, Suggestions
from reconciler.template.functions.hardware import format_partition

BY_NAME = "/dev/disk/by-gitboot/"
"""Where the agent makes a link for every disk that has a name."""

Map = Mapping[str, Any]
STORAGE: Path = ("spec", "storage")


def by_name(disk: str) -> str:
    """The path under which actions find a disk of the inventory."""
    return f"{BY_NAME}{disk}"


# What is handed over ---------------------------------------------------------------------------------------------------

_PARSED: Mapping[tuple[str, str], Callable[[Any], object]] = {
    ("partitions", "size"): values.sectors,
    ("partitions", "start"): values.sectors,
    ("logical_volumes", "size"): values.volume_size,
    ("raid", "name"): values.array,
}
"""By the list it stands in and its name."""


def lowered(value: Any, around: str = "", name: str = "") -> Any:
    """The layout as it was written, with every size a number."""
    if isinstance(value, Mapping):
        return {key: lowered(each, name, key) for key, each in value.items()}
    if isinstance(value, list):
        return [lowered(each, name, name) for each in value]
    parse = _PARSED.get((around, name))
    return parse(value) if parse else value


# Whether it can be -----------------------------------------------------------------------------------------------------


def check_storage(storage: Map, disks: Collection[str], complaints: Complaints) -> None:
    """Complains of everything in a lowered layout that no machine could be given. `disks`: names of the machine's."""
    for kind, noun in (("raid", "array"), ("luks", "encrypted device"), ("volume_groups", "volume group")):
        check_names([each["name"] for each in storage.get(kind, ())], (*STORAGE, kind), noun, complaints)
    for index, group in enumerate(storage.get("volume_groups", ())):
        volumes, path = group.get("logical_volumes", ()), (*STORAGE, "volume_groups", index, "logical_volumes")
        check_names([each["name"] for each in volumes], path, "volume", complaints)
        _check_rest(volumes, path, "group", complaints)
    for index, disk in enumerate(storage.get("disks", ())):
        _check_partitions(disk.get("partitions", ()), (*STORAGE, "disks", index, "partitions"), complaints)
    _check_mount_points(storage, complaints)
    _check_files(storage, complaints)
    _check_devices(storage, disks, complaints)
    _check_root(storage, complaints)


def _check_partitions(partitions: Iterable[Map], path: Path, complaints: Complaints) -> None:
    seen: set[int] = set()
    for index, partition in enumerate(partitions):
        if partition["number"] in seen:
            message = f"There is a partition {partition['number']} on this disk already: give this one another number."
            complaints.at((*path, index, "number"), "duplicate-name", message)
        seen.add(partition["number"])
    _check_rest(list(partitions), path, "disk", complaints)


def _check_rest(parts: Collection[Map], path: Path, whole: str, complaints: Complaints) -> None:
    """Only the last can have what is left."""
    for index, part in enumerate(parts):
        if not part.get("size", 0) and index < len(parts) - 1:
            message = (
                f"This takes all that is left of the {whole}, and something comes after it: give it a 'size', or put it last."
            )
            complaints.at((*path, index), "bad-value", message)


def _check_mount_points(storage: Map, complaints: Complaints) -> None:
    seen: dict[str, int] = {}
    for index, filesystem in enumerate(storage.get("filesystems", ())):
        point = filesystem["mount"].get("point", "none")
        first = seen.setdefault(point, index)
        if point.startswith("/") and first != index:
            path: Path = (*STORAGE, "filesystems", index, "mount", "point")
            place = complaints.source.at((*STORAGE, "filesystems", first, "mount", "point"))
            message = f"{point} is mounted already, in line {place.line}: give one of the two another mount point."
            complaints.at(path, "duplicate-name", message)


def _check_files(storage: Map, complaints: Complaints) -> None:
    for index, filesystem in enumerate(storage.get("filesystems", ())):
        mount = filesystem["mount"]
        if mount.get("files") and (mount.get("format") == "swap" or not mount.get("point", "none").startswith("/")):
            message = "This is mounted nowhere, so no file is written into it: give it a 'point', or leave 'files' out."
            complaints.at((*STORAGE, "filesystems", index, "mount", "files"), "bad-value", message)


def _check_root(storage: Map, complaints: Complaints) -> None:
    """What nobody here does is said, for it shows when the machine starts from its disk."""
    for index, filesystem in enumerate(storage.get("filesystems", ())):
        mount = filesystem["mount"]
        lying_on = _Devices(storage, ()).below(mount["device"]) if mount.get("point") == "/" else set[str]()
        for each in storage.get("luks", ()):
            if f"/dev/mapper/{each['name']}" in lying_on:
                message = (
                    f"/ is on the encrypted device {each['name']!r}, and no action makes an initramfs that opens it: "
                    "take an image that has one (cryptsetup-initramfs), and run its update-initramfs by `cexec`."
                )
                complaints.at((*STORAGE, "filesystems", index, "mount", "device"), "encrypted-root", message, "warning")


def _check_devices(storage: Map, disks: Collection[str], complaints: Complaints) -> None:
    devices = _Devices(storage, disks)
    for device, path in _laid_out(storage):
        if why := devices.whole(device):
            complaints.at(path, "unknown-device", why)
    fills: dict[str, Path] = {}
    for device, path in _filled(storage):
        if why := devices.objection(device):
            complaints.at(path, "unknown-device", why)
        first = fills.setdefault(devices.known_as(device), path)
        if first != path:
            place = complaints.source.at(first)
            message = f"{device} is in use already, in line {place.line}: a device holds one thing; correct one of the two."
            complaints.at(path, "device-in-use", message)
    for path in devices.loops():
        message = "This is made of itself, by way of the others: begin with a partition or a disk."
        complaints.at(path, "device-in-use", message)


def _laid_out(storage: Map) -> Iterator[tuple[str, Path]]:
    for index, disk in enumerate(storage.get("disks", ())):
        yield disk["device"], (*STORAGE, "disks", index, "device")


def _filled(storage: Map) -> Iterator[tuple[str, Path]]:
    """Every device that something is put on, and where that is written."""
    for name in ("raid", "volume_groups"):
        field = "devices" if name == "raid" else "physical_volumes"
        for index, each in enumerate(storage.get(name, ())):
            for at, device in enumerate(each[field]):
                yield device, (*STORAGE, name, index, field, at)
    for index, each in enumerate(storage.get("luks", ())):
        yield each["device"], (*STORAGE, "luks", index, "device")
    for index, each in enumerate(storage.get("filesystems", ())):
        yield each["mount"]["device"], (*STORAGE, "filesystems", index, "mount", "device")


class _Devices:
    """What there is to be put something on."""

    def __init__(self, storage: Map, disks: Collection[str]) -> None:
        self._disks = disks
        self._suggest = Suggestions(disks)
        self._tables = {
            disk["device"]: {each["number"] for each in disk.get("partitions", ())} for disk in storage.get("disks", ())
        }
        self._seen: set[str] = set()
        self._aliases: dict[str, str] = {}
        self._of: dict[str, tuple[str, ...]] = {}
        """What is made → what it is made of."""
        self._paths: dict[str, Path] = {}
        for made in _made(storage):
            name, aliases, parts, path = made
            self._aliases |= dict.fromkeys(aliases, name)
            self._of.setdefault(name, parts)
            self._paths.setdefault(name, path)

    def known_as(self, device: str) -> str:
        return self._aliases.get(device, device)

    def whole(self, device: str) -> str:
        """What is wrong with a disk that is partitioned here."""
        if device in self._seen:
            return f"{device} is laid out already: put all of its partitions in one place."
        self._seen.add(device)
        name = device.removeprefix(BY_NAME)
        return "" if name == device else self._unnamed(name)

    def objection(self, device: str) -> str:
        """What is wrong with a device that something is put on; "" for nothing."""
        if device in self._aliases:
            return ""
        if self._tables.get(device):
            return f"{device} is cut into partitions: name one of them, such as {format_partition(device, 1)}."
        for disk, numbers in self._tables.items():
            found = re.fullmatch(re.escape(disk) + r"(?:-part|p)?([0-9]{1,3})", device)
            if found and numbers and device == format_partition(disk, int(found[1]) or 1):
                listed = ", ".join(map(str, sorted(numbers)))
                return "" if int(found[1]) in numbers else f"{disk} has no partition {found[1]} here: there are {listed}."
        if device.startswith(BY_NAME):
            name = device.removeprefix(BY_NAME)
            return self._unnamed(name if name in self._disks else re.sub(r"-part[1-9][0-9]*$", "", name))
        group = next((each for each in self._of if each.startswith("group ") and device.startswith(f"/dev/{each[6:]}/")), None)
        return f"The volume group {group[6:]!r} has no such volume: add it, or correct the name." if group else ""

    def _unnamed(self, name: str) -> str:
        if name in self._disks:
            return ""
        hint = self._suggest(name) or ": name it in 'disks', with what it is recognised by."
        return f"This machine has no disk named {name!r}{hint}"

    def loops(self) -> Iterator[Path]:
        """Where something stands that is made of itself."""
        for start in self._of:
            if start in self.below(*self._of[start]):
                yield self._paths[start]

    def below(self, *devices: str) -> set[str]:
        """These, and all that they are made of."""
        reached, todo = set[str](), [*devices]
        while todo:
            part = self.known_as(todo.pop())
            if part not in reached:
                reached.add(part)
                todo += self._of.get(part, ())
        return reached


def _made(storage: Map) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...], Path]]:
    """Name, device paths, what it is made of, and place of everything that becomes a device."""
    for index, each in enumerate(storage.get("raid", ())):
        device = f"/dev/{each['name']}"
        yield device, (device, f"/dev/md/{each['name']}"), tuple(each["devices"]), (*STORAGE, "raid", index)
    for index, each in enumerate(storage.get("luks", ())):
        device = f"/dev/mapper/{each['name']}"
        yield device, (device,), (each["device"],), (*STORAGE, "luks", index)
    for index, group in enumerate(storage.get("volume_groups", ())):
        path: Path = (*STORAGE, "volume_groups", index)
        yield f"group {group['name']}", (), tuple(group["physical_volumes"]), path
        for at, volume in enumerate(group.get("logical_volumes", ())):
            device = f"/dev/{group['name']}/{volume['name']}"
            mapped = "-".join(each["name"].replace("-", "--") for each in (group, volume))
            yield device, (device, f"/dev/mapper/{mapped}"), (f"group {group['name']}",), (*path, "logical_volumes", at)
