"""What agents say of their machines: taken, bounded, shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import schemas
from netboot.errors import Malformed
from netboot.inventory_document import (
    Inventory,
    Kept,
    decode_inventory,
    decode_kept,
    encode_kept,
    inventory_document,
    inventory_link,
    summary,
)

SAID: dict[str, Any] = {
    "cpu": {"arch": "x86_64", "model": "Xeon", "sockets": 2, "cores": 32, "threads": 64},
    "memory": 404328808448,
    "disks": [{"path": "/dev/sda", "serial": "S3Z9NB0K", "wwn": "naa.5002538e40b1a2c3", "size": 480103981056}],
    "interfaces": [
        {"name": "eno1", "mac": "52:54:00:12:34:01", "driver": "i40e", "link": True, "speed": 10000,
         "neighbour": {"chassis": "52:54:00:aa:00:00", "port": "Ethernet1/7", "name": "leaf-1", "vlan": 100}},
        {"name": "eno2"},
    ],
    "firmware": {"type": "uefi", "secureBoot": True},
    "system": {"vendor": "Dell Inc.", "product": "PowerEdge R640", "serial": "7XYZ123"},
    "tpm": "2",
}  # fmt: skip


def request(hardware: Any = SAID, **more: Any) -> bytes:
    return json.dumps({"boot": "b1", "system": "os-1", "hardware": hardware, **more}).encode()


KEPT = Kept(1.0, decode_inventory(request()))


def test_what_is_shown_is_what_was_said_and_what_its_schema_promises() -> None:
    for said in (SAID, {}):
        document = inventory_document("node-01", Kept(1.0, decode_inventory(request(said))))
        assert [] == [error.message for error in Draft202012Validator(schemas.load("status-inventory")).iter_errors(document)]
    shown = inventory_document("node-01", KEPT)
    assert ("b1", "1970-01-01T00:00:01.000Z") == (shown["boot"], shown["reported"])
    assert "S3Z9NB0K" == shown["hardware"]["disks"][0]["serial"]
    assert True is shown["hardware"]["firmware"]["secureBoot"]
    assert [10000, None] == [each["speed"] for each in shown["hardware"]["interfaces"]]


def test_a_line_says_the_most_of_it() -> None:
    line = "Dell Inc. PowerEdge R640, 2 x Xeon, 64 threads, 376.6 GiB, 1 disk, 2 network cards, uefi"
    assert line == inventory_link("node-01", KEPT)["summary"]
    assert "0 threads, 0 disks, 0 network cards" == summary(Inventory())


def test_a_newer_agent_may_say_more() -> None:
    said = SAID | {"gpus": [1], "tpm": "2"}
    assert KEPT.said == decode_inventory(request(said, hello=1))


@pytest.mark.parametrize(
    "hardware",
    [
        None, [], {"memory": -1}, {"memory": 1 << 70}, {"memory": "8G"}, {"disks": {}}, {"disks": [{"size": 1.5}]},
        {"disks": [{"serial": "x" * 201}]}, {"interfaces": [{}] * 1001}, {"firmware": {"secureBoot": 1}}, {"tpm": None},
        {"cpu": {"threads": True}},
    ],
    ids=range(12),
)  # fmt: skip
def test_what_is_no_inventory_is_refused(hardware: Any) -> None:
    with pytest.raises(Malformed, match="not a InventoryRequest"):
        decode_inventory(request(hardware))


def test_what_is_kept_is_read_again() -> None:
    assert KEPT == decode_kept(encode_kept(KEPT))
    with pytest.raises(Malformed):
        decode_kept(encode_kept(KEPT)[:-2])
