"""An image on its way to a disk.

Shell. Law: while it is written, the disk's first and last MiB are zeros, on the disk and not only in memory; what belongs there
comes last, when all the rest is down and its digest was right. Whenever it ends before, nothing boots from this disk: there is
no boot sector, and no partition table, of which the second one is at the end.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from agent.actions.devices import Device
from agent.actions.settings import Failed

MB = 1 << 20


class Target:
    """A claimed device, written from `start` on to wherever the image ends."""

    def __init__(self, device: Device, start: int = 0) -> None:
        self._device = device
        self._start = self._at = start
        self._head = self._tail = b""
        self._last = max(device.size - MB, MB)
        self._file = os.open(device.path, os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        """Raises Failed if the device does not take it."""
        for place in (0, max(self._device.size - MB, 0)):
            self._put(bytes(min(MB, self._device.size)), place)
        self._sync()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._file)

    @property
    def written(self) -> int:
        """Bytes of the image so far."""
        return self._at - self._start

    def write(self, data: bytes) -> None:
        """Raises Failed if the device is full or fails."""
        if self._at + len(data) > self._device.size:
            raise Failed(f"the image does not fit on {self._device.path}, which has {self._device.size} bytes")
        first, last = max(MB - self._at, 0), max(self._last - self._at, 0)
        self._head += data[:first]
        self._put(data[first:last], self._at + first)
        self._tail += data[last:]
        self._at += len(data)

    def finish(self) -> None:
        """From here on it is a disk that boots. Raises Failed if the device fails."""
        self._sync()
        self._put(self._tail, self._at - len(self._tail))
        self._put(self._head, self._start)
        self._sync()

    def _put(self, data: bytes, at: int) -> None:
        rest = memoryview(data)
        while rest:
            try:
                done = os.pwrite(self._file, rest, at)
            except OSError as error:
                raise Failed(f"{self._device.path} cannot be written to at byte {at}: {error.strerror}") from error
            rest, at = rest[done:], at + done

    def _sync(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as error:
            raise Failed(f"{self._device.path} does not keep what is written to it: {error.strerror}") from error
