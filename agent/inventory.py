"""What a machine is made of, from what its kernel says about it.

Core, standard library only. Law: nothing is guessed. What the kernel does not say, or says in a way that is not understood, is
left out of the document, and the rest of it is as it would be otherwise. Sources: the kernel's Documentation/ABI
(stable/sysfs-devices-system-cpu, testing/sysfs-class-net, testing/sysfs-firmware-dmi-tables, stable/sysfs-class-tpm), proc(5)
for cpuinfo and meminfo, UEFI 2.10 section 3.3 for `SecureBoot`. docs/agent-protocol.md has the document's shape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from agent.disks import BlockDevice
from agent.lldp import Neighbour

Files: TypeAlias = Mapping[str, str]
"""Path without the leading slash → the file's text, or what a symbolic link points to. What cannot be read is not in it."""
Document: TypeAlias = dict[str, Any]

CPUS, NETWORK, DMI = "sys/devices/system/cpu/cpu[0-9]*/topology/", "sys/class/net/", "sys/class/dmi/id/"
_SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_PLATFORM, _TREE = "sys/firmware/efi/fw_platform_size", "sys/firmware/devicetree/base/"
READ = (
    "proc/cpuinfo",
    "proc/meminfo",
    *(f"{CPUS}{name}" for name in ("physical_package_id", "thread_siblings_list")),
    *(f"{NETWORK}*{name}" for name in ("", "/device", "/device/driver", "/address", "/carrier", "/speed")),
    f"{DMI}*",
    _PLATFORM,
    _SECURE_BOOT,
    *(f"{_TREE}{name}" for name in ("model", "serial-number")),
    "sys/class/tpm/tpm*/tpm_version_major",
)
"""Patterns of the files that `inventory` looks for."""

LONGEST = 120
"""Characters of one text: what is longer is cut."""
MOST_DISKS, MOST_INTERFACES = 150, 64
"""So many are told of."""
MOST_BYTES = 60 << 10
"""Of the document as JSON: the server takes 64 KiB, what is around it included."""
SPARED = (
    ("interfaces", "neighbour", "description"),
    ("disks", "model"),
    ("disks", "transport"),
    ("interfaces", "pci"),
    ("interfaces", "neighbour", "address"),
    ("board",),
    ("chassis",),
    ("interfaces", "neighbour"),
    ("interfaces", "driver"),
)
"""What a document that is too long is told without, the least important first; what disks are known by is not in it."""


def inventory(
    files: Files,
    arch: str,
    disks: Sequence[BlockDevice],
    permanent: Mapping[str, str] | None = None,
    neighbours: Mapping[str, Neighbour] | None = None,
) -> Document:
    """The `hardware` of a report. `permanent`: interface → the MAC that its card came with; `neighbours`: what was heard."""
    return {
        "cpu": _cpu(files, arch),
        "memory": _memory(files.get("proc/meminfo", "")),
        "disks": [_disk(device) for device in disks if not device.mapped][:MOST_DISKS],
        "interfaces": [
            _interface(files, name, (permanent or {}).get(name, ""), (neighbours or {}).get(name))
            for name in interfaces(files)[:MOST_INTERFACES]
        ],
        "firmware": _firmware(files),
        "system": _dmi(files, vendor="sys_vendor", product="product_name", serial="product_serial", uuid="product_uuid")
        or _known({"product": _text(files, f"{_TREE}model"), "serial": _text(files, f"{_TREE}serial-number")}),
        "board": _dmi(files, vendor="board_vendor", product="board_name", serial="board_serial"),
        "chassis": _dmi(
            files, vendor="chassis_vendor", type="chassis_type", serial="chassis_serial", asset="chassis_asset_tag"
        ),
        "tpm": next((_cut(files[path]) for path in sorted(files) if path.endswith("/tpm_version_major")), ""),
    }


def fitted(document: Document) -> Document:
    """The document in `MOST_BYTES`: without what is `SPARED`, and in the worst case without its last disks and interfaces."""
    for path in SPARED:
        if _fits(document):
            break
        document = _without(document, path)
    while not _fits(document):
        document = {**document, **{name: document[name][: len(document[name]) // 2] for name in ("disks", "interfaces")}}
    return document


def _fits(document: Document) -> bool:
    return len(json.dumps(document)) <= MOST_BYTES


def _without(value: Any, path: Sequence[str]) -> Any:
    """A copy without what the path names, in each item of a list on its way."""
    if isinstance(value, list):
        return [_without(each, path) for each in value]
    first, *rest = path
    return {key: _without(each, rest) if key == first else each for key, each in value.items() if key != first or rest}


def interfaces(files: Files) -> list[str]:
    """Names of those that are hardware, in their order: bridges, VLANs and loopback have no device."""
    return sorted(path.split("/")[3] for path in files if path.startswith(NETWORK) and path.endswith("/device"))


def _cpu(files: Files, arch: str) -> Document:
    """Counted are those that are online. `model` is not what every architecture tells."""
    told = dict(re.findall(r"^([\w ]+?)\s*: (.*)$", files.get("proc/cpuinfo", ""), re.MULTILINE)[::-1])  # the first one counts
    topology = [path for path in files if path.startswith("sys/devices/system/cpu/")]
    threads = [path for path in topology if path.endswith("/thread_siblings_list")]
    return {
        "arch": arch,
        "model": _cut(told.get("model name", "")),
        "sockets": len({files[path] for path in topology if path.endswith("/physical_package_id")}),
        "cores": len({files[path] for path in threads}),
        "threads": len(threads),
    }


def _memory(meminfo: str) -> int:
    """Bytes that the kernel has to give: a little less than what is built in."""
    found = re.search(r"^MemTotal:\s+(\d{1,15}) kB$", meminfo, re.MULTILINE | re.ASCII)
    return int(found[1]) * 1024 if found else 0


def _disk(device: BlockDevice) -> Document:
    texts = {name: _cut(getattr(device, name)) for name in ("path", "serial", "wwn", "model", "transport")}
    switches = {"rotational": device.rotational, "removable": device.removable}
    return {**_known(texts), "size": device.size, **_known(switches)}


def _interface(files: Files, name: str, permanent: str, neighbour: Neighbour | None) -> Document:
    at = f"{NETWORK}{name}"
    address, speed = _text(files, f"{at}/address"), _text(files, f"{at}/speed")
    slots = re.findall(r"(?<=/)[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7](?=/)", files.get(at, ""))
    link = {"0": False, "1": True}.get(_text(files, f"{at}/carrier"))  # of one that is down the kernel will not say
    return {
        "name": _cut(name),
        **_known({"mac": permanent or address, "driver": _text(files, f"{at}/device/driver").rpartition("/")[2]}),
        **_known({"pci": slots[-1] if slots else ""}),
        **({} if link is None else {"link": link}),
        **({"speed": int(speed)} if speed.isdecimal() and len(speed) < 10 else {}),
        **({"neighbour": _neighbour(neighbour)} if neighbour else {}),
    }


def _neighbour(heard: Neighbour) -> Document:
    names = ("chassis", "port", "name", "description", "address", "vlan")
    return _known({name: _cut(value) if isinstance(value := getattr(heard, name), str) else value for name in names})


def _firmware(files: Files) -> Document:
    kinds = {"uefi": _PLATFORM in files, "bios": any(map(_is_dmi, files)), "devicetree": f"{_TREE}model" in files}
    kind = next((name for name, there in kinds.items() if there), "")  # UEFI has DMI too
    state = {"\0": False, "\1": True}.get(files.get(_SECURE_BOOT, "")[4:5])  # behind four bytes of attributes
    known = _known({"type": kind}) | _dmi(files, vendor="bios_vendor", version="bios_version", date="bios_date")
    return known if state is None else {**known, "secureBoot": state}


def _is_dmi(path: str) -> bool:
    return path.startswith(DMI)


def _dmi(files: Files, **names: str) -> Document:
    return _known({key: _text(files, f"{DMI}{name}") for key, name in names.items()})


def _known(facts: Mapping[str, Any]) -> Document:
    """Without what is empty."""
    return {name: value for name, value in facts.items() if value}


def _text(files: Files, path: str) -> str:
    return _cut(files.get(path, ""))


def _cut(text: str) -> str:
    return text.strip().strip("\0").strip()[:LONGEST]
