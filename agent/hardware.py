"""Finds out what this machine is made of and who is at the other end of its cables, and tells the server, beside the work.

Shell, standard library only. Law: this never holds up the work, never ends it and never prints: whatever fails here costs the
report and nothing else. It is sent at once, again when a neighbour was heard, and a last time if something else has changed
until the listening is over; then this start of the system is done with it, whatever agents come after.
"""

from __future__ import annotations

import array
import fcntl
import glob
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from agent import lldp
from agent.client import Refused, Unavailable, pauses
from agent.inventory import READ, Document, Files, fitted, interfaces, inventory
from agent.lldp import Neighbour
from agent.messages import Malformed
from agent.sysfs import block_devices

LISTENING = 35.0
"""Seconds: switches speak every 30 (802.1AB-2016, 9.2.5.7)."""
AT_THE_END = 2.0
"""Seconds for which an agent that has nothing more to do lets its first report go out."""
MOST_READ = 64 << 10
"""Bytes of one file. /proc/cpuinfo is longer where there are many processors, and says the same of each."""

_SIOCETHTOOL, _GPERMADDR = 0x8946, 0x20  # linux/sockios.h, linux/ethtool.h
_SOL_PACKET, _ADD_MEMBERSHIP, _MULTICAST = 263, 1, 0  # linux/socket.h, packet(7)

Tell = Callable[[Document], None]
"""Raises Unavailable or Refused."""


@contextmanager
def reporting(state: Path, system: str, tell: Tell, seconds: float = LISTENING) -> Iterator[None]:
    """Meanwhile the server is told, once per start of the operating system (`system`)."""
    done = state / "inventory"
    if done.exists() and done.read_text(errors="replace") == system:
        yield
        return
    report = Report(tell, lambda: done.write_text(system), seconds)
    try:
        yield
    finally:
        report.stop()


class Report(threading.Thread):
    """Works from its construction to `stop`. `done` is called when the server knows all that there is to know."""

    def __init__(self, tell: Tell, done: Callable[[], object], seconds: float = LISTENING) -> None:
        super().__init__(daemon=True, name="hardware")
        self._tell = tell
        self._done = done
        self._stopped = threading.Event()
        self._told = threading.Event()
        self._ears = Ears(seconds)
        self.start()

    def run(self) -> None:
        try:
            self._ears.listen(interfaces(read_files()))
            if self._report():
                self._done()
        except Exception:  # noqa: S110 - a traceback could be the last line that init reads
            pass
        finally:
            self._told.set()
            self._ears.close()

    def stop(self) -> None:
        self._told.wait(AT_THE_END)
        self._stopped.set()
        self._ears.stop()
        self.join(AT_THE_END)

    def _report(self) -> bool:
        """False: stopped, or refused by the server."""
        last = None
        for hardware in self._looks():
            if hardware != last and not self._insist(hardware):
                return False
            last = hardware
            self._told.set()
        return not self._stopped.is_set()

    def _looks(self) -> Iterator[Document]:
        """At once, whenever a neighbour was heard, and when nobody else will be: links take seconds to come up."""
        yield read_inventory(self._ears.neighbours)
        while self._ears.hear():
            yield read_inventory(self._ears.neighbours)
        if not self._stopped.is_set():
            yield read_inventory(self._ears.neighbours)

    def _insist(self, hardware: Document) -> bool:
        for seconds in pauses():
            try:
                self._tell(hardware)
                return True
            except Unavailable:
                if self._stopped.wait(seconds):
                    return False
            except Refused:
                return False
        raise AssertionError("pauses() never ends")


class Ears:
    """Listens for `seconds` from now on; hears nothing where that is not permitted. Only `stop` is for other threads."""

    def __init__(self, seconds: float = LISTENING) -> None:
        self.neighbours: dict[str, Neighbour] = {}
        self._names: frozenset[str] = frozenset()
        self._until = time.monotonic() + seconds
        self._waker, self._wake = socket.socketpair()
        self._socket: socket.socket | None = None

    def listen(self, names: Iterable[str]) -> None:
        """From now on frames are kept until `hear` takes them."""
        self._names = frozenset(names)
        self._socket = _lldp_socket(sorted(self._names))

    def hear(self) -> bool:
        """Waits for somebody new; False when there will be nobody else."""
        while self._socket and self.neighbours.keys() != self._names and (left := self._until - time.monotonic()) > 0:
            ready, _, _ = select.select([self._socket, self._waker], [], [], left)
            if self._socket not in ready or self._waker in ready:
                return False
            if self._heard(self._socket):
                return True
        return False

    def _heard(self, ear: socket.socket) -> bool:
        try:
            frame, (name, *_) = ear.recvfrom(2048)
            neighbour = lldp.decode(frame)
        except (OSError, Malformed):
            return False
        if name not in self._names or name in self.neighbours or not neighbour.ttl:
            return False
        self.neighbours[name] = neighbour
        return True

    def stop(self) -> None:
        with suppress(OSError):  # it is over already
            self._wake.send(b".")

    def close(self) -> None:
        for each in (self._socket, self._waker, self._wake):
            if each:
                each.close()


def read_files(root: Path = Path("/"), patterns: Sequence[str] = READ) -> Files:
    """What of the patterns there is and can be read."""
    found = {}
    for path in (path for pattern in patterns for path in glob.iglob(pattern, root_dir=root)):
        try:
            found[path] = _text(root / path)
        except OSError:
            continue
    return found


def read_inventory(neighbours: dict[str, Neighbour]) -> Document:
    """As the machine is now."""
    files = read_files()
    permanent = {name: permanent_mac(name) for name in interfaces(files)}
    return fitted(inventory(files, os.uname().machine, block_devices(), permanent, neighbours))


def permanent_mac(name: str) -> str:
    """What the card came with, whatever it was told to use since; empty when its driver does not know."""
    answer = array.array("B", struct.pack("II32x", _GPERMADDR, 32))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, struct.pack("16sP16x", os.fsencode(name), answer.buffer_info()[0]))
    except OSError:
        return ""
    size = struct.unpack_from("I", answer, 4)[0]
    return bytes(answer[8 : 8 + size]).hex(":") if any(answer[8 : 8 + size]) else ""


def _text(path: Path) -> str:
    if path.is_symlink():
        return os.readlink(path)
    with path.open("rb") as file:
        return file.read(MOST_READ).decode(errors="replace")


def _lldp_socket(names: Sequence[str]) -> socket.socket | None:
    """One for all interfaces, whose cards are told to let the groups through; None when it cannot be had."""
    try:
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(lldp.ETHERTYPE))
    except OSError:
        return None
    for name in names:
        for group in lldp.GROUPS:
            try:
                member = struct.pack("IHH8s", socket.if_nametoindex(name), _MULTICAST, len(group), group)
                ear.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, member)
            except OSError:
                continue  # it is gone, or its card lets all through
    return ear
