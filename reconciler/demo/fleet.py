"""The simulated machines of the site, and what the server's status files say of each.

Shell. The law: which machines there are, and whether one is to be switched on, is read from `/status/` and nowhere else. An
operator would do the same: see that there is work, and press the button.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from reconciler.demo.machine import Machine, Place
from reconciler.demo.rows import Note, Row, has_new_work, row_of
from reconciler.demo.wire import Silence, http_get
from reconciler.firmware import ARM64, BIOS, UEFI, Firmware

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at the status files."""

    reconcile: Document
    hardware: Mapping[str, Document]
    """By name; empty until a commit is served."""

    def without(self, names: Container[str]) -> Observation:
        return replace(self, hardware={name: each for name, each in self.hardware.items() if name not in names})


async def observe(url: str) -> Observation:
    """Raises Silence."""
    reconcile = await _document(f"{url}/status/reconcile.json")
    if not reconcile["plan"]:
        return Observation(reconcile, {})
    try:
        index = await _document(f"{url}/status/index.json")
        paths = sorted(path for path in index["documents"] if path.startswith("/status/hardware/"))
        documents = [await _document(url + path) for path in paths]
    except Silence:  # a machine left the inventory between two requests: the next look is whole again
        return Observation(reconcile, {})
    return Observation(reconcile, {document["name"]: document for document in documents})


async def _document(url: str) -> Document:
    document: Document = json.loads(await http_get(url))
    return document


class Fleet:
    """Used as a context: when it is left, every machine is cut from power."""

    def __init__(self, place: Place, tell: Callable[[Note], None]) -> None:
        """Every machine gets a folder of its own below the place's."""
        self.machines: dict[str, Machine] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._place = place
        self._tell = tell

    async def __aenter__(self) -> Fleet:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def follow(self, hardware: Mapping[str, Document]) -> None:
        """Build and switch on what is new, remove what is gone, switch on what has work that it has not seen."""
        for name in self.machines.keys() - hardware.keys():
            self._tasks[name].cancel()
            del self.machines[name]
        for name, document in hardware.items():
            if name not in self.machines:
                self._build(name, document)
                self.switch_on(name, delay=self._place.pace * len(self.machines))
            elif self.rests(name) and self._tasks[name].done() and has_new_work(document):
                self.switch_on(name)

    def rests(self, name: str) -> bool:
        """It runs from its disk, or has nothing to do and waits. Raises what the simulation itself failed with."""
        task = self._tasks[name]
        if task.done():
            task.result()
        return task.done() or self.machines[name].phase == "waits"

    @property
    def at_rest(self) -> bool:
        return bool(self.machines) and all(self.rests(name) for name in self.machines)

    def switch_on(self, name: str, delay: float = 0) -> None:
        """Or press its reset button."""
        if name in self._tasks:
            self._tasks[name].cancel()
        self._tasks[name] = asyncio.create_task(self.machines[name].run(delay))

    def rows(self, hardware: Mapping[str, Document]) -> tuple[Row, ...]:
        return tuple(
            row_of(machine.phase, machine.trouble, hardware[name])
            for name, machine in sorted(self.machines.items())
            if name in hardware
        )

    def _build(self, name: str, document: Document) -> None:
        place = replace(self._place, folder=self._place.folder / name)
        self.machines[name] = Machine(name, _firmware(document), place, self._tell)


def _firmware(document: Document) -> Firmware:
    """A BIOS or a UEFI, by whether the MAC is even or odd."""
    mac = document["macs"][0]
    arch = ARM64 if document["arch"] == "aarch64" else (BIOS, UEFI)[int(mac[-1], 16) % 2]
    return Firmware(mac, arch, uuid5(NAMESPACE_URL, mac).bytes)
