"""What an agent says its machine is made of: the shape of it, and what is shown.

Core. Law: `decode_inventory` raises `Malformed` and nothing else, for any bytes; every text and every list is bounded, and
what is shown is what was said, field by field: a field that is not known here is dropped, for a newer agent may know more than
we do. It comes from machines, so nothing is decided by it. The shapes are in docs/agent-protocol.md and
`schemas/status-inventory.json`.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from netboot.errors import Malformed
from netboot.run_documents import Document, rfc3339

Text: TypeAlias = Annotated[str, Meta(max_length=200)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 62)]


class Cpu(Struct, frozen=True):
    """Counted are those that are online; 0: not known."""

    arch: Text = ""
    model: Text = ""
    sockets: Count = 0
    cores: Count = 0
    threads: Count = 0


class Disk(Struct, frozen=True):
    """`size` in bytes. `path`, `serial`, `wwn` and `size` are what `Hardware.spec.disks` takes."""

    path: Text = ""
    serial: Text = ""
    wwn: Text = ""
    size: Count = 0
    model: Text = ""
    transport: Text = ""
    rotational: bool = False
    removable: bool = False


class Neighbour(Struct, frozen=True):
    """The other end of a cable, by LLDP."""

    chassis: Text = ""
    port: Text = ""
    name: Text = ""
    description: Text = ""
    address: Text = ""
    vlan: Count = 0


class Interface(Struct, frozen=True):
    """`link` is None where the interface is down; `speed` is in Mb/s, None when it is not known."""

    name: Text = ""
    mac: Text = ""
    driver: Text = ""
    pci: Text = ""
    link: bool | None = None
    speed: Count | None = None
    neighbour: Neighbour | None = None


class Firmware(Struct, frozen=True, rename="camel"):
    type: Text = ""
    vendor: Text = ""
    version: Text = ""
    date: Text = ""
    secure_boot: bool | None = None


class Part(Struct, frozen=True):
    """A system, a board or a chassis, as DMI has it."""

    vendor: Text = ""
    product: Text = ""
    serial: Text = ""
    uuid: Text = ""
    type: Text = ""
    asset: Text = ""


class Inventory(Struct, frozen=True):
    cpu: Cpu = Cpu()
    memory: Count = 0
    disks: Annotated[tuple[Disk, ...], Meta(max_length=1000)] = ()
    interfaces: Annotated[tuple[Interface, ...], Meta(max_length=1000)] = ()
    firmware: Firmware = Firmware()
    system: Part = Part()
    board: Part = Part()
    chassis: Part = Part()
    tpm: Text = ""


class InventoryRequest(Struct, frozen=True):
    """Body of POST /agent/inventory."""

    boot: Text
    system: Text
    hardware: Inventory


class Kept(Struct, frozen=True):
    """What is known of one machine since `reported`, in seconds since the epoch. This is also what is in the file."""

    reported: float
    said: InventoryRequest


def decode_inventory(body: bytes) -> InventoryRequest:
    """Raises Malformed, and nothing else, for any bytes."""
    return _decode(body, InventoryRequest)


def encode_kept(kept: Kept) -> bytes:
    return msgspec.json.encode(kept)


def decode_kept(data: bytes) -> Kept:
    """Raises Malformed, and nothing else, for any bytes."""
    return _decode(data, Kept)


def inventory_path(name: str) -> str:
    return f"inventory/{name}.json"


def inventory_document(name: str, kept: Kept) -> Document:
    hardware: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(kept.said.hardware))
    return {
        "apiVersion": "gitboot/v1",
        "kind": "InventoryStatus",
        "name": name,
        "boot": kept.said.boot,
        "reported": rfc3339(kept.reported),
        "hardware": hardware,
    }


def inventory_link(name: str, kept: Kept) -> Document:
    """What the machine's own status says of it."""
    return {
        "document": f"/status/{inventory_path(name)}",
        "boot": kept.said.boot,
        "reported": rfc3339(kept.reported),
        "summary": summary(kept.said.hardware),
    }


def summary(hardware: Inventory) -> str:
    """`Dell Inc. PowerEdge R640, 2 x Intel …, 64 threads, 384 GiB, 10 disks, 4 network cards, uefi`: one line, for people."""
    cpu, system = hardware.cpu, hardware.system
    times = f"{cpu.sockets} x " if cpu.sockets > 1 and cpu.model else ""
    parts = (
        f"{system.vendor} {system.product}".strip(),
        f"{times}{cpu.model or cpu.arch}",
        _number(cpu.threads, "thread"),
        f"{hardware.memory / (1 << 30):.1f} GiB" if hardware.memory else "",
        _number(len(hardware.disks), "disk"),
        _number(len(hardware.interfaces), "network card"),
        hardware.firmware.type,
    )
    return ", ".join(filter(None, parts))


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


_Shape = TypeVar("_Shape", InventoryRequest, Kept)


def _decode(data: bytes, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not a {shape.__name__}: {error}") from error
