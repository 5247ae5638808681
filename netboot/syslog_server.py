"""The syslog port: what machines say of themselves, kept beside the console of the boot that it belongs to.

Shell, IPv4 and Linux. Law: nobody waits for it and nothing is decided by it. A peer has its share of lines, a machine and
a boot theirs of the disk, the last of which is left to the journal; what comes faster than it is written is counted and
dropped, and so is what no machine's boot is found for.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from netboot.errors import Malformed
from netboot.issues import LEAST_ROOM, MIB
from netboot.log_names import path, syslog_log
from netboot.rates import Rates
from netboot.run_documents import rfc3339
from netboot.syslog import boot_at, line, parse
from netboot.world import World

BATCH = 64
"""Datagrams read per wake-up: then the loop's other work gets its turn."""
LONGEST = 8192
"""Bytes read of a datagram; what is longer is cut off (RFC 5426 section 3.2 asks for 2048)."""
AT_ONCE, PER_SECOND = 4000, 200
"""Datagrams of one address: a kernel says some 2,000 lines when it starts."""
ALL_AT_ONCE, ALL_PER_SECOND = 100_000, 5000
"""Of all machines together: machines that boot want to be answered by the same loop."""
BOOT_BYTES = 4 << 20
"""Kept of one boot; whoever wants all of a system's log has a log server."""
MACHINE_AT_ONCE, MACHINE_PER_SECOND = 4 << 20, 4000
"""Bytes, as they are kept, of one machine in however many boots: anybody in the network can have boots opened."""
MOST_MACHINES = 16384
MOST_WAITING = 16 << 20
"""Bytes, of all boots together, that wait to be written."""
FLUSH_SECONDS = 0.25
TOLD_SECONDS = 3600.0
"""Between two lines in our own log about a peer that nothing is kept of."""
_BUFFER = 1 << 20
FULL = b"\n[gitboot: more than %d bytes came in this boot; the rest is not kept]\n" % BOOT_BYTES

Whose = tuple[str, str]
"""A machine's name and its boot's id, for a boot may be forgotten before its lines are written."""


def syslog_socket(host: str, port: int, interface: str | None) -> socket.socket:
    """Raises OSError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        if interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


class SyslogServer:
    """Listens on the running loop until closed; `run` writes."""

    def __init__(self, sock: socket.socket, world: World, on_begin: Callable[[str], None]) -> None:
        """`on_begin` is told of the machine, by name, whose boot has now a log of this kind."""
        self._socket, self._world, self._on_begin = sock, world, on_begin
        self._folder = world.settings.state / "logs"
        self._rates = Rates(PER_SECOND, AT_ONCE)
        self._all = Rates(ALL_PER_SECOND, ALL_AT_ONCE, most=1)
        self._of_machine = Rates(MACHINE_PER_SECOND, MACHINE_AT_ONCE, MOST_MACHINES)
        self._told = Rates(1 / TOLD_SECONDS, 1)
        self._waiting: defaultdict[Whose, list[bytes]] = defaultdict(list)
        self._bytes = 0
        self._some = asyncio.Event()
        self._trouble = ""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._drain)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        """What came is written."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._write(self._take())

    async def run(self) -> None:
        """Until cancelled."""
        world = self._world
        while True:
            await self._some.wait()
            lines = self._take()
            begun, trouble, lost = await asyncio.to_thread(self._write, lines)
            for machine, boot in begun:
                world.exchange("syslog", "begins", machine=machine, boot=boot)
                self._on_begin(machine)
            world.counts["syslog", "lost"] += lost
            if trouble and trouble != self._trouble:
                world.log.warning("syslog-not-written", reason=trouble)
            self._trouble = trouble
            await asyncio.sleep(FLUSH_SECONDS)

    def _drain(self) -> None:
        for _ in range(BATCH):
            try:
                datagram, (peer, *_) = self._socket.recvfrom(LONGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue
            outcome = self._heard(datagram, peer)
            self._world.counts["syslog", outcome] += 1

    def _heard(self, datagram: bytes, peer: str) -> str:
        """What became of it."""
        world, now = self._world, time.monotonic()
        if self._rates.wait(peer, now):
            return "too-many"
        boot = boot_at(world.plans, world.observed, world.sightings.mac_at(peer), peer) if world.plans else None
        if boot is None:
            if not self._told.wait(peer, now):
                world.log.info("syslog", outcome="unknown", peer=peer, reason="no boot is known of a machine at this address")
            return "unknown"
        if self._all.wait("", now):
            return "dropped"
        try:
            said = line(parse(datagram), rfc3339(time.time()))
        except Malformed:
            return "malformed"
        if self._bytes + len(said) > MOST_WAITING:
            return "dropped"
        if self._of_machine.wait(boot.machine, now, len(said)):
            return "too-many"
        self._bytes += len(said)
        self._waiting[boot.machine, boot.id].append(said)
        self._some.set()
        return "kept"

    def _take(self) -> dict[Whose, list[bytes]]:
        lines, self._waiting, self._bytes = self._waiting, defaultdict(list), 0
        self._some.clear()
        return lines

    def _write(self, lines: Mapping[Whose, Sequence[bytes]]) -> tuple[list[Whose], str, int]:
        """The boots whose first lines these were; why some lines could not be written, or "", and how many."""
        begun, trouble, lost = [], "", 0
        room = self._world.directory.room()
        if room is not None and room < LEAST_ROOM:
            why = f"less than {LEAST_ROOM // MIB} MiB are left on the disk of {self._folder}; make room"
            return [], why, sum(map(len, lines.values()))
        for (machine, boot), said in lines.items():
            try:
                if _append(self._folder / path(syslog_log(boot)), b"".join(said)):
                    begun.append((machine, boot))
            except OSError as error:
                trouble = f"the logs in {self._folder} cannot be written: {error.strerror}"
                lost += len(said)
        return begun, trouble, lost


def _append(file: Path, data: bytes) -> bool:
    """Whether these are the file's first. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as end:
        size = end.tell()
        left = BOOT_BYTES - size
        if left > 0:
            end.write(data if len(data) <= left else data[:left] + FULL)
    return not size
