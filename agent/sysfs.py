"""What the kernel says about this machine's disks.

Shell, standard library only: it reads /sys and /dev and decides nothing. Law: a disk of which something cannot be read is
listed without it, for a dying disk must not keep the others from being found. Sources: the kernel's
Documentation/ABI/stable/sysfs-block, Documentation/ABI/testing/sysfs-bus-scsi (`vpd_pg80`, `wwid`) and sysfs-nvme.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from agent.disks import BlockDevice

SECTOR = 512
"""Bytes: the unit of /sys/class/block/*/size, whatever the disk's own sectors are."""
_TRANSPORTS = {"/usb": "usb", "/nvme": "nvme", "/virtio": "virtio", "/ata": "sata", "/end_device-": "sas", "/mmc": "mmc"}
_NOT_DISKS = re.compile(r"(z?ram|sr|fd|mtdblock)\d+|mmcblk\d+(boot|gp)\d+|mmcblk\d+rpmb")


def block_devices(sys: Path = Path("/sys"), dev: Path = Path("/dev")) -> list[BlockDevice]:
    """All whole disks that have a size, by path. Memory, floppies, optical drives and the boot areas of MMC cards are none."""
    links = _links(dev)
    return [_device(folder, dev, links) for folder in _disks(sys)]


def _disks(sys: Path) -> Iterator[Path]:
    for folder in _entries(sys / "class/block"):
        whole = not (folder / "partition").exists() and not _NOT_DISKS.fullmatch(folder.name)
        if whole and _number(folder / "size") and not _number(folder / "hidden"):  # hidden: one path of a multipath NVMe
            yield folder


def _device(folder: Path, dev: Path, links: dict[str, list[str]]) -> BlockDevice:
    path = str(dev / folder.name.replace("!", "/"))
    place = str(folder.resolve())
    return BlockDevice(
        path=path,
        serial=_text(folder / "serial") or _text(folder / "device/serial") or _unit_serial(folder / "device/vpd_pg80"),
        wwn=_text(folder / "wwid") or _text(folder / "device/wwid"),
        size=_number(folder / "size") * SECTOR,
        model=_text(folder / "device/model") or _text(folder / "device/name"),
        transport=next((name for mark, name in _TRANSPORTS.items() if mark in place), ""),
        rotational=bool(_number(folder / "queue/rotational")),
        removable=bool(_number(folder / "removable")),
        mapped="/virtual/" in place and "/nvme-subsystem/" not in place,
        links=tuple(sorted(links.get(str(Path(path).resolve()), ()))),
    )


def _links(dev: Path) -> dict[str, list[str]]:
    """Device file → what points to it below /dev/disk; empty where no udev runs."""
    found: dict[str, list[str]] = {}
    for folder in _entries(dev / "disk"):
        if folder.name != "by-gitboot":  # ours; what a name means now must not depend on what it meant before
            for link in _entries(folder):
                found.setdefault(str(link.resolve()), []).append(str(link))
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace").strip().strip("\0").strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdecimal() else 0


def _unit_serial(page: Path) -> str:
    """The Unit Serial Number page (SPC-4, 7.8.15): four bytes of header, the last two of them the length, then the text."""
    try:
        raw = page.read_bytes()
    except OSError:
        return ""
    return raw[4 : 4 + int.from_bytes(raw[2:4], "big")].decode(errors="replace").strip().strip("\0").strip()
