"""Machines as their kernels describe them, and what is told of them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from agent.disks import BlockDevice
from agent.inventory import LONGEST, MOST_BYTES, MOST_DISKS, Document, Files, fitted, interfaces, inventory
from agent.lldp import Neighbour
from netboot.inventory_document import Inventory

CPUINFO = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz
power management:

processor\t: 1
model name\t: something else
"""
SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def cpu(number: int, package: int, siblings: str) -> dict[str, str]:
    at = f"sys/devices/system/cpu/cpu{number}/topology"
    return {f"{at}/physical_package_id": f"{package}\n", f"{at}/thread_siblings_list": f"{siblings}\n"}


def card(name: str, mac: str, driver: str, place: str, carrier: str = "", speed: str = "") -> dict[str, str]:
    at = f"sys/class/net/{name}"
    files = {at: f"../../devices/{place}/net/{name}", f"{at}/device": "../..", f"{at}/address": f"{mac}\n"}
    files |= {f"{at}/device/driver": f"../../../bus/pci/drivers/{driver}"}
    return files | {f"{at}/{name}": f"{text}\n" for name, text in (("carrier", carrier), ("speed", speed)) if text}


SERVER: Files = {
    "proc/cpuinfo": CPUINFO,
    "proc/meminfo": "MemTotal:       394852352 kB\nMemFree:        1 kB\n",
    **cpu(0, 0, "0,4"), **cpu(4, 0, "0,4"), **cpu(1, 1, "1,5"), **cpu(5, 1, "1,5"), **cpu(2, 0, "2,6"), **cpu(6, 0, "2,6"),
    **card("eno1", "e4:43:4b:00:00:01", "i40e", "pci0000:17/0000:17:00.0/0000:18:00.1", "1", "10000"),
    **card("eno2", "e4:43:4b:00:00:02", "i40e", "pci0000:17/0000:17:00.0/0000:18:00.2", "0", "-1"),
    **card("eth0", "52:54:00:00:00:01", "virtio_net", "pci0000:00/0000:00:03.0/virtio0"),
    "sys/class/net/lo": "../../devices/virtual/net/lo",
    "sys/class/net/lo/address": "00:00:00:00:00:00\n",
    "sys/class/net/bonding_masters": "bond0\n",
    "sys/firmware/efi/fw_platform_size": "64\n",
    SECURE_BOOT: "\x06\0\0\0\1",
    **{
        f"sys/class/dmi/id/{name}": f"{text}\n"
        for name, text in (
            ("bios_vendor", "Dell Inc."), ("bios_version", "2.10.2"), ("bios_date", "02/24/2021"), ("sys_vendor", "Dell Inc."),
            ("product_name", "PowerEdge R640"), ("product_serial", "7XYZ123"), ("product_uuid", "4c4c4544-0058"),
            ("board_vendor", "Dell Inc."), ("board_name", "0RGP26"), ("board_serial", " .7XYZ123. "), ("chassis_type", "23"),
            ("chassis_vendor", "Dell Inc."), ("chassis_serial", "7XYZ123"), ("chassis_asset_tag", "\n"),
        )
    },
    "sys/class/tpm/tpm0/tpm_version_major": "2\n",
}  # fmt: skip
DISKS = (
    BlockDevice("/dev/sda", "S3Z9NB0K", "naa.5002538e40b1a2c3", 480103981056, "SAMSUNG MZ7", "sata"),
    BlockDevice("/dev/sdb", size=8 << 30, model="Stick", transport="usb", removable=True, rotational=True),
    BlockDevice("/dev/md0", size=1 << 30, mapped=True),
)
LEAF = Neighbour("52:54:00:aa:00:00", "Ethernet1/7", 120, "to rack 7", "leaf-1", "10.0.0.2", 100)


def test_a_server_tells_what_it_is_made_of() -> None:
    part = {"vendor": "Dell Inc."}
    assert inventory(SERVER, "x86_64", DISKS, {"eno1": "e4:43:4b:99:99:99", "eno2": ""}, {"eno1": LEAF}) == {
        "cpu": {
            "arch": "x86_64", "model": "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz", "sockets": 2, "cores": 3, "threads": 6,
        },
        "memory": 394852352 * 1024,
        "disks": [
            {
                "path": "/dev/sda", "serial": "S3Z9NB0K", "wwn": "naa.5002538e40b1a2c3", "model": "SAMSUNG MZ7",
                "transport": "sata", "size": 480103981056,
            },
            {
                "path": "/dev/sdb", "model": "Stick", "transport": "usb", "size": 8 << 30, "rotational": True,
                "removable": True,
            },
        ],
        "interfaces": [
            {
                "name": "eno1", "mac": "e4:43:4b:99:99:99", "driver": "i40e", "pci": "0000:18:00.1", "link": True,
                "speed": 10000,
                "neighbour": {
                    "chassis": "52:54:00:aa:00:00", "port": "Ethernet1/7", "name": "leaf-1", "description": "to rack 7",
                    "address": "10.0.0.2", "vlan": 100,
                },
            },
            {"name": "eno2", "mac": "e4:43:4b:00:00:02", "driver": "i40e", "pci": "0000:18:00.2", "link": False},
            {"name": "eth0", "mac": "52:54:00:00:00:01", "driver": "virtio_net", "pci": "0000:00:03.0"},
        ],
        "firmware": {
            "type": "uefi", "vendor": "Dell Inc.", "version": "2.10.2", "date": "02/24/2021", "secureBoot": True,
        },
        "system": {**part, "product": "PowerEdge R640", "serial": "7XYZ123", "uuid": "4c4c4544-0058"},
        "board": {**part, "product": "0RGP26", "serial": ".7XYZ123."},
        "chassis": {**part, "type": "23", "serial": "7XYZ123"},
        "tpm": "2",
    }  # fmt: skip


BOARD: Files = {
    "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\n",
    "sys/firmware/devicetree/base/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "sys/firmware/devicetree/base/serial-number": "10000000abcdef\0",
}


def test_a_board_without_dmi_is_told_by_its_device_tree() -> None:
    found = inventory(BOARD, "aarch64", ())
    assert {"product": "Raspberry Pi 4 Model B Rev 1.4", "serial": "10000000abcdef"} == found["system"]
    assert ({"type": "devicetree"}, "") == (found["firmware"], found["cpu"]["model"])


@pytest.mark.parametrize(
    ("variable", "expected"), [("\x06\0\0\0\0", {"secureBoot": False}), ("\x06\0\0\0", {}), ("\x06\0\0\0\ufffd", {})]
)
def test_secure_boot_is_told_as_its_variable_says(variable: str, expected: dict[str, Any]) -> None:
    found = inventory({"sys/class/dmi/id/uevent": "", SECURE_BOOT: variable}, "x86_64", ())
    assert {"type": "bios", **expected} == found["firmware"]


def test_of_a_machine_that_says_nothing_nothing_is_told() -> None:
    found = inventory({}, "x86_64", ())
    cpu = {"arch": "x86_64", "model": "", "sockets": 0, "cores": 0, "threads": 0}
    empty = {"firmware": {}, "system": {}, "board": {}, "chassis": {}, "tpm": ""}
    assert {"cpu": cpu, "memory": 0, "disks": [], "interfaces": [], **empty} == found


@pytest.mark.parametrize("text", ["x kB", "", "1 MB", "٣ kB", f"{'9' * 99} kB"])
def test_memory_that_is_no_number_is_not_known(text: str) -> None:
    assert 0 == inventory({"proc/meminfo": f"MemTotal: {text}\n"}, "x86_64", ())["memory"]


def test_only_hardware_is_an_interface() -> None:
    assert ["eno1", "eno2", "eth0"] == interfaces(SERVER)


def test_what_is_told_is_bounded() -> None:
    found = inventory(SERVER, "x86_64", [BlockDevice(f"/dev/sd{number}", model="x" * 999) for number in range(999)])
    assert (MOST_DISKS, LONGEST) == (len(found["disks"]), len(found["disks"][0]["model"]))


def test_what_fits_is_told_whole() -> None:
    whole = inventory(SERVER, "x86_64", DISKS, {}, {"eno1": LEAF})
    assert whole == fitted(whole)


def crowded(letter: str = "x", each: int = 64) -> Document:
    """A machine that talks as much as one may."""
    long = letter * 999
    files = dict(SERVER)
    for n in range(each):
        files |= card(f"card{n}", long, long, "0000:00:03.0")
    disks = [BlockDevice(f"/dev/sd{n}", long, long, 1 << 40, model=long, transport=long) for n in range(each)]
    leaf = Neighbour(long, long, 120, long, long, long, 100)
    return inventory(files, "x86_64", disks, {}, {f"card{n}": leaf for n in range(each)})


@pytest.mark.parametrize(("letter", "each"), [("x", 64), ("\u00e4", 64), ("\U0001f5a5", 200)])
def test_of_a_machine_that_says_too_much_what_matters_least_is_left_out(letter: str, each: int) -> None:
    told = fitted(crowded(letter, each))
    assert MOST_BYTES / 2 < len(json.dumps(told)) <= MOST_BYTES
    assert {"path", "serial", "wwn", "size"} == told["disks"][0].keys()
    assert {"name", "mac"} <= told["interfaces"][0].keys()
    assert [] == list(lost(told, msgspec.to_builtins(msgspec.convert(told, Inventory)), "hardware"))


def test_no_more_is_left_out_than_must_be() -> None:
    each = next(each for each in range(64) if len(json.dumps(crowded(each=each))) > MOST_BYTES)
    told = fitted(crowded(each=each))
    assert {"chassis", "port", "name", "address", "vlan"} == told["interfaces"][0]["neighbour"].keys()
    assert told["disks"][0]["model"]


@pytest.mark.parametrize("files", [SERVER, BOARD, {}], ids=["server", "board", "nothing"])
def test_the_server_takes_all_of_it_and_loses_nothing(files: Files) -> None:
    told = inventory(files, "x86_64", DISKS, {}, {"eno1": LEAF})
    taken = msgspec.to_builtins(msgspec.convert(told, Inventory))
    assert [] == list(lost(told, taken, "hardware"))


def lost(told: Any, taken: Any, at: str) -> list[str]:
    """Paths of what is in the first and not the same in the second."""
    if isinstance(told, dict):
        return [path for key, value in told.items() for path in lost(value, taken.get(key), f"{at}.{key}")]
    if isinstance(told, list):
        return [path for one, other in zip(told, taken, strict=True) for path in lost(one, other, f"{at}[]")]
    return [] if told == taken else [at]
