"""How the disks come to be as git says: the storage section of a machine document as the commands that make it.

Core. Law: the same section and the same disks are the same commands, in an order in which everything is made before something
is put on it; what does not fit is `Failed` before there is a command. Shape and units are Tinkerbell's (its rootio action):
partitions in sectors of 512 bytes, volumes in bytes, 0 for what is left. Devices are the kernel's names here (`located`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.actions.settings import Failed

Map = Mapping[str, Any]
Locate = Callable[[str], str]

MIB = 1 << 20
UNIT = 512
"""Bytes of the sectors that sizes are written in, whatever the disk's are."""
GPT_TAIL = 33
"""Sectors that the second table takes at the end of the disk (UEFI 2.10, 5.3.1)."""

BIOS = "21686148-6449-6E6F-744E-656564454649"
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
SWAP = "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"
RAID = "A19D880F-05FC-4D3B-A006-743F0F84911E"
LVM = "E6D6D379-F507-44C2-A23C-238F2A3DF928"
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
MBR = {ESP: "ef", SWAP: "82", RAID: "fd", LVM: "8e", LINUX: "83", BIOS: "83"}
"""The types of a GPT in the words of an MBR."""
LABELS = {"BIOS": BIOS, "EFI": ESP, "SWAP": SWAP}
"""Labels that are a type as well, as in Tinkerbell."""


@dataclass(frozen=True, slots=True)
class Disk:
    path: str
    size: int
    """Bytes."""
    sector: int = 512
    """Bytes of one that the disk addresses."""


@dataclass(frozen=True, slots=True)
class Partition:
    number: int
    start: int
    """Bytes."""
    size: int
    """Bytes."""
    type: str
    """GUID, or the two digits of an MBR."""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One device or filesystem that is made, of `devices`, which hold nothing else afterwards."""

    makes: tuple[str, ...]
    devices: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    force: bool = False
    """Whether git says that what is on the devices may go."""
    key: Map | None = None
    """Where the standard input of the commands comes from; it is never shown."""


def located(value: Any, locate: Locate) -> Any:
    """The section with every device as `locate` knows it: the links of partitions are not there before the partitions are."""
    if isinstance(value, Mapping):
        return {key: each if key in ("files", "key", "create") else located(each, locate) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [located(each, locate) for each in value]
    return locate(value) if isinstance(value, str) and value.startswith("/dev/disk/") else value


# Partitions ----------------------------------------------------------------------------------------------------------------


def partitions(layout: Map, disk: Disk, storage: Map, *, mbr: bool = False) -> list[Partition]:
    """The table of one of `storage.disks`. Raises Failed if it does not fit."""
    tail = 0 if mbr else GPT_TAIL * disk.sector
    end = (disk.size - tail) // MIB * MIB
    at, found = MIB, []
    for each in layout.get("partitions", ()):
        number = int(each["number"])
        start = int(each.get("start") or 0) * UNIT or at
        size = int(each.get("size") or 0) * UNIT or max(end - start, 0)
        if not size or start + size > end:
            wanted = f"{size // MIB} MiB" if size else "what is left"
            raise Failed(
                f"partition {number} does not fit on {disk.path}: it wants {wanted} from {start // MIB} MiB on, of {end // MIB}"
            )
        if start % disk.sector or size % disk.sector:
            raise Failed(f"partition {number} of {disk.path} must begin and end at multiples of {disk.sector} bytes")
        kind = each.get("type_guid") or _type(f"{each.get('label', '')}", disk.path, number, storage)
        found.append(
            Partition(number, start, size, MBR.get(kind.upper(), "83") if mbr else kind.upper(), each.get("label", ""))
        )
        at = -(-(start + size) // MIB) * MIB
    if mbr and any(each.number > 4 for each in found):
        raise Failed(f"the MBR of {disk.path} has room for 4 partitions: leave MBR out to have a GPT")
    return found


def partition_path(disk: str, number: int) -> str:
    """As the kernel names it: /dev/sda1 of /dev/sda, /dev/nvme0n1p1 of /dev/nvme0n1; and /dev/disk/…-part1 of a link."""
    if disk.startswith("/dev/disk/"):
        return f"{disk}-part{number}"
    return f"{disk}{'p' if disk[-1].isdigit() else ''}{number}"


def script(table: Sequence[Partition], disk: Disk, *, mbr: bool = False) -> str:
    """What sfdisk is told. Raises Failed for a label it could take for something else."""
    lines = [f"label: {'dos' if mbr else 'gpt'}", "unit: sectors"]
    if not mbr:
        lines.append(f"first-lba: {min([MIB, *(each.start for each in table)]) // disk.sector}")
    for each in table:
        if '"' in each.label or "\\" in each.label or not each.label.isprintable():
            raise Failed(f"partition {each.number} of {disk.path} cannot have the label {each.label!r}")
        where = f"{partition_path(disk.path, each.number)} : start={each.start // disk.sector}, size={each.size // disk.sector}"
        lines.append(f"{where}, type={each.type}" + (f', name="{each.label}"' if each.label and not mbr else ""))
    return "\n".join(lines) + "\n"


def is_on(table: Sequence[Partition], found: Map, disk: str) -> bool:
    """Whether what `sfdisk --json` says of a disk is this table."""
    there = found.get("partitiontable", {})
    sector = int(there.get("sectorsize", UNIT))
    wanted = [(partition_path(disk, each.number), each.start, each.size, each.type.lower()) for each in table]
    present = [
        (each["node"], each["start"] * sector, each["size"] * sector, str(each["type"]).lower())
        for each in there.get("partitions", ())
    ]
    return sorted(wanted) == sorted(present)


def _type(label: str, disk: str, number: int, storage: Map) -> str:
    """By its label, or by what is put on it."""
    device = partition_path(disk, number)
    if label in LABELS:
        return LABELS[label]
    if any(device in each["devices"] for each in storage.get("raid", ())):
        return RAID
    if any(device in each["physical_volumes"] for each in storage.get("volume_groups", ())):
        return LVM
    mount: Map = next((each["mount"] for each in storage.get("filesystems", ()) if each["mount"]["device"] == device), {})
    if mount.get("format") == "swap":
        return SWAP
    return ESP if mount.get("format") == "vfat" and mount.get("point") in ("/boot/efi", "/efi") else LINUX


# What is put on them -------------------------------------------------------------------------------------------------------


def steps(storage: Map) -> list[Step]:
    """Everything that is made of partitions and disks, each after what it is made of. Raises Failed if that is a circle."""
    waiting = [_array(raid, storage) for raid in storage.get("raid", ())]
    waiting += [*map(_encrypted, storage.get("luks", ())), *map(_group, storage.get("volume_groups", ()))]
    waiting += _filesystems(storage)
    done: list[Step] = []
    while waiting:
        unmade = {device for step in waiting for device in step.makes}
        ready = next((step for step in waiting if not unmade & set(step.devices)), None)
        if ready is None:
            raise Failed(f"{', '.join(waiting[0].makes)} would be made of itself")
        waiting.remove(ready)
        done.append(ready)
    return done


def leaves(storage: Map) -> list[str]:
    """The devices that are filled and must be there before: disks and partitions that the section does not make."""
    planned = steps(storage)
    made = {device for step in planned for device in step.makes}
    for disk in storage.get("disks", ()):
        made |= {partition_path(disk["device"], int(each["number"])) for each in disk.get("partitions", ())}
    return [device for step in planned for device in step.devices if device not in made]


def _array(raid: Map, storage: Map) -> Step:
    device, members = f"/dev/{raid['name'].removeprefix('/dev/')}", tuple(raid["devices"])
    spare = int(raid.get("spare") or 0)
    create = ["mdadm", "--create", device, "--run", f"--level={raid['level']}", f"--raid-devices={len(members) - spare}"]
    create += [f"--spare-devices={spare}"] * bool(spare)
    firmware_reads = any(
        each["mount"]["device"] == device and each["mount"].get("format") == "vfat" for each in storage.get("filesystems", ())
    )
    create.append(f"--metadata={'1.0' if firmware_reads else '1.2'}")  # 1.0 is at the end: a member looks like its filesystem
    create += ["--homehost=any", f"--name={raid['name']}", *members]
    return Step((device, f"/dev/md/{raid['name']}"), members, (tuple(create),))


def _encrypted(luks: Map) -> Step:
    device, name = luks["device"], luks["name"]
    make = ("cryptsetup", "luksFormat", "--batch-mode", "--type=luks2", "--key-file=-", device)
    return Step(
        (f"/dev/mapper/{name}",), (device,), (make, ("cryptsetup", "open", "--key-file=-", device, name)), key=luks["key"]
    )


def _group(group: Map) -> Step:
    name, below = group["name"], tuple(group["physical_volumes"])
    commands = [("pvcreate", "--yes", "-ff", *below), ("vgcreate", "--yes", *_tags(group), name, *below)]
    makes = []
    for each in group.get("logical_volumes", ()):
        size = int(each.get("size") or 0)
        room = ("--size", f"{size}b") if size else ("--extents", "100%FREE")
        options = (*_tags(each), *room, "--name", each["name"], name, *each.get("opts", ()))
        commands.append(("lvcreate", "--yes", "--wipesignatures=y", *options))
        mapped = "-".join(part.replace("-", "--") for part in (name, each["name"]))
        makes += [f"/dev/{name}/{each['name']}", f"/dev/mapper/{mapped}"]
    return Step(tuple(makes), below, tuple(commands))


def _tags(thing: Map) -> list[str]:
    return [f"--addtag={tag}" for tag in thing.get("tags", ()) if tag]


def _filesystems(storage: Map) -> Iterator[Step]:
    for each in storage.get("filesystems", ()):
        mount = each["mount"]
        create = mount.get("create") or {}
        options = [str(option) for option in create.get("options", ())]
        command = mkfs(mount.get("format", ""), mount["device"], options)
        if command:
            yield Step((), (mount["device"],), (command,), force=bool(create.get("force")))


def mkfs(format: str, device: str, options: Sequence[str]) -> tuple[str, ...]:  # noqa: A002 - Tinkerbell's word for it
    """The command that makes a filesystem; () for one that nobody makes. Raises Failed for one we do not know."""
    match format:
        case "" | "none" | "bios":
            return ()
        case "ext2" | "ext3" | "ext4":
            return (f"mkfs.{format}", "-q", "-F", *options, device)
        case "xfs" | "btrfs":
            return (f"mkfs.{format}", "-q", "-f", *options, device)
        case "vfat":
            bits = ["-F"] * bool(options and options[0].isdigit())  # Tinkerbell's [32, "-n", "EFI"]
            return ("mkfs.vfat", *bits, *options, device)
        case "swap":
            return ("mkswap", *options, device)
    raise Failed(f"{device} cannot be formatted as {format}: btrfs, ext2, ext3, ext4, swap, vfat and xfs are known")
