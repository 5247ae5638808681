"""What the machines are made of, kept: one file for each, and in memory what their status says of it.

Shell. Law: it is telemetry. What is not there, or cannot be read, is as if it had never been said, and the machine's next boot
says it again. A file is replaced whole. The same said again by the same start of a machine's system changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Container
from pathlib import Path

from netboot.errors import Malformed
from netboot.inventory_document import InventoryRequest, Kept, decode_kept, encode_kept
from netboot.status import StatusFiles


class Inventories:
    def __init__(self, directory: Path) -> None:
        """Reads all that is there. Raises nothing."""
        self.on_change: Callable[[str], None] = lambda name: None
        """Called with the name of a machine of which something new is known."""
        self._files = StatusFiles(directory)
        self._kept = {path.stem: data for path in directory.glob("*.json") if (data := _read(path))}
        """As in the files: of ten thousand machines that is a tenth of what the values take."""
        self._models: dict[str, str] = {}
        self._order = asyncio.Lock()
        """Held while a file is written: of two reports the later one stays."""

    def names(self) -> Collection[str]:
        return self._kept.keys()

    def of(self, name: str) -> Kept | None:
        return decode_kept(self._kept[name]) if name in self._kept else None

    def model_of(self, name: str) -> str:
        """`Dell Inc. PowerEdge R640`; "": not known. As the machine says it, so nothing is decided by it."""
        if name not in self._models and (kept := self.of(name)):
            system = kept.said.hardware.system
            self._models[name] = f"{system.vendor} {system.product}".strip()
        return self._models.get(name, "")

    def written(self, besides: Container[str]) -> dict[str, float]:
        """Machine → when it last said something new, `besides` some machines."""
        return {name: decode_kept(data).reported for name, data in self._kept.items() if name not in besides}

    async def forget(self, name: str) -> None:
        """Raises `store.Unavailable`."""
        async with self._order:
            await asyncio.to_thread(self._files.remove, f"{name}.json")
            self._kept.pop(name, None)
            self._models.pop(name, None)
        self.on_change(name)

    async def keep(self, name: str, said: InventoryRequest, now: float) -> bool:
        """Whether it was new. Raises `store.Unavailable`."""
        async with self._order:
            before = self.of(name)
            if before and before.said == said:
                return False
            data = encode_kept(Kept(now, said))
            await asyncio.to_thread(self._files.put, f"{name}.json", data)
            self._kept[name] = data
            self._models.pop(name, None)
        self.on_change(name)
        return True


def _read(path: Path) -> bytes:
    """Empty when there is nothing to go by."""
    try:
        data = path.read_bytes()
        decode_kept(data)
    except (OSError, Malformed):
        return b""
    return data
