"""The marker of a disk: which run of which workflow an installation on it came from, and who may overwrite it.

Core, standard library only. Law: a block is no marker (None), a marker, or damaged (`Malformed`), for any bytes. A damaged one
protects its disk like a foreign one: something was installed there, and we cannot tell what.

The marker is 4096 bytes that end at the first MiB of the whole disk, where a partition table leaves a gap and no partition
begins: the magic line, one line of JSON, zeros, and the SHA-256 of all that. It is written when a run has succeeded. Whoever
clears a disk's first MiB removes it on purpose: what is interrupted after that may be begun again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from agent.messages import Malformed

SIZE = 4096
OFFSET = (1 << 20) - SIZE
"""Bytes from the start of the whole disk."""
MAGIC = b"gitboot marker 1\n"
_DIGEST = 32


@dataclass(frozen=True, slots=True)
class Marker:
    site: str
    workflow: str
    machine: str
    run: int
    part: int = 0
    """Which part of it, where several machines carry it out in turn; markers from before there were parts say none."""

    def __str__(self) -> str:
        run = f"{self.run}, part {self.part}," if self.part else f"{self.run}"
        said = f"run {run} of workflow {self.workflow} on machine {self.machine} of site {self.site}"
        return "".join(each if each.isprintable() else "?" for each in said)  # a disk may say anything; this is one line


def of_run(machine: Mapping[str, Any]) -> Marker | None:
    """What the run of a machine document leaves on its disks; None if the document names no run."""
    run = machine.get("run")
    if not isinstance(run, Mapping):
        return None
    number, part = run.get("number"), run.get("part", 0)
    if not isinstance(number, int) or not isinstance(part, int):
        return None
    return Marker(str(machine.get("site", "")), str(run.get("workflow", "")), str(machine.get("name", "")), number, part)


def encode(marker: Marker) -> bytes:
    """Exactly `SIZE` bytes. Raises ValueError if the names are too long to fit."""
    text = MAGIC + json.dumps(asdict(marker), sort_keys=True).encode() + b"\n"
    if len(text) > SIZE - _DIGEST:
        raise ValueError(f"{marker} does not fit into a disk's marker")
    block = text.ljust(SIZE - _DIGEST, b"\0")
    return block + sha256(block).digest()


def decode(block: bytes) -> Marker | None:
    """None where there never was a marker. Raises Malformed for what is left of one."""
    if not block.startswith(MAGIC):
        return None
    body, digest = block[: SIZE - _DIGEST], block[SIZE - _DIGEST : SIZE]
    if sha256(body).digest() != digest:
        raise Malformed("the marker of this disk is damaged")
    try:
        document = json.loads(body[len(MAGIC) :].partition(b"\n")[0])
        names = (document["site"], document["workflow"], document["machine"])
        run, part = document["run"], document.get("part", 0)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed("the marker of this disk says nothing we understand") from error
    if not isinstance(run, int) or not isinstance(part, int) or not all(isinstance(name, str) for name in names):
        raise Malformed("the marker of this disk says nothing we understand")
    return Marker(*names, run, part)


def may_overwrite(block: bytes, machine: Mapping[str, Any]) -> str:
    """Why the run of this machine document must leave a disk alone that has `block` at `OFFSET`; "" if it need not."""
    try:
        found = decode(block)
    except Malformed as error:
        return _unless("*", machine, f"{error}, so we cannot tell what is installed on it")
    if found is None:
        return ""
    ours = of_run(machine)
    if ours is None:
        return f"it was installed by {found}, and no machine document says which run this is"
    if (found.site, found.machine) != (ours.site, ours.machine):
        return _unless("*", machine, f"it was installed by {found}")
    if found.workflow != ours.workflow:
        return _unless(found.workflow, machine, f"it was installed by {found}")
    if found.run == ours.run and found.part >= ours.part:
        who = "this run" if found.part == ours.part else "a later part of this run"
        return f"{who} has already installed it ({found}): raise `run` in the Workflow to install it again"
    if found.run > ours.run:
        return f"a later run has already installed it ({found}): raise `run` in the Workflow above {found.run}"
    return ""


def _unless(name: str, machine: Mapping[str, Any], reason: str) -> str:
    overwrites = machine["run"].get("overwrites", ()) if of_run(machine) else ()
    if name in overwrites or "*" in overwrites:
        return ""
    return f"{reason}: if this run may replace that, add {json.dumps(name)} to the Workflow's `overwrites`"
