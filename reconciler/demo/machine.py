"""A simulated machine: from power-on through PXE, iPXE, kernel and the real agent to its disk.

Shell. The law: it knows of the server only what comes over the network, as a machine does, and its operating system is the
real agent with a state folder that is empty after every reset.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.boot_script import Disk, Kernel, Script, Unreadable, Wait, read_script
from reconciler.demo import wire
from reconciler.demo.children import PYTHON, leashed, lines_of
from reconciler.demo.rows import Note
from reconciler.demo.wire import Network, NoSuchFile, Silence
from reconciler.firmware import BIOS, Firmware, Lease, Stage

WORDS = ("server", "pin", "http", "boot", "token")
"""Of the kernel's command line, for the agent."""
AGAIN_SECONDS = 2.0
"""Until a machine that is stuck tries once more, and at most until one that waits asks once more."""


class Stuck(Exception):
    """The machine cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a machine is set up."""

    network: Network
    folder: Path
    """Its memory: removed at every reset."""
    environment: Mapping[str, str]
    pace: float
    """Seconds a step takes at least, so that a person can follow it."""


class Machine:
    def __init__(self, name: str, firmware: Firmware, place: Place, tell: Callable[[Note], None]) -> None:
        self.name = name
        self.firmware = firmware
        self.phase = "off"
        self.trouble = ""
        """Why it is stuck, or ""."""
        self.host_name = ""
        """What DHCP called it at its last boot."""
        self._place = place
        self._tell = tell
        self._said: set[Note] = set()

    async def run(self, delay: float = 0) -> None:
        """From power-on until it runs from its disk; what gets stuck begins again, as firmware does."""
        await asyncio.sleep(delay)
        while True:
            try:
                while await self._boot():
                    self._note("reboot", "the agent has nothing more to do")
                self.trouble = ""
                return
            except (Silence, Stuck, Unreadable, NoSuchFile, OSError) as error:
                self.trouble = str(error)
                self._note("stuck", f"{error}; trying again")
                await asyncio.sleep(AGAIN_SECONDS)

    async def _boot(self) -> bool:
        """One power cycle. Whether it ends in another one."""
        self._said.clear()
        await asyncio.to_thread(shutil.rmtree, self._place.folder, ignore_errors=True)
        lease = await self._lease("pxe", "DHCP")
        if not lease.file:
            self._note("disk", "DHCP names nothing to boot")
            return False
        await self._load(lease)
        lease = await self._lease("ipxe", "iPXE")
        self.host_name = lease.host_name
        while True:
            script = await self._script(lease)
            match script.end:
                case Disk():
                    self._note("disk", script.why)
                    return False
                case Wait(seconds):
                    self._note("waits", script.why)
                    await asyncio.sleep(min(seconds, AGAIN_SECONDS))
                case Kernel() as kernel:
                    return await self._start(kernel, script.why)

    async def _lease(self, stage: Stage, phase: str) -> Lease:
        await self._step(phase)
        lease = await wire.lease(self._place.network, self.firmware, stage)
        who = self.firmware.kind if stage == "pxe" else "iPXE"
        self._note(phase, f"{who} is {_address(lease)}, told to load {lease.file.rsplit('/', 1)[-1] or 'nothing'}")
        return lease

    async def _load(self, lease: Lease) -> None:
        """The network boot program. A host without iPXE's binaries is no obstacle: some machines have it in their ROM."""
        await self._step("TFTP")
        network = self._place.network
        options = {"blksize": "1456", "tsize": "0"}
        try:
            if self.firmware.arch != BIOS:
                size = await wire.tftp_size(network, lease.file)
                options = {"tsize": str(size), "blksize": "1468", "windowsize": "4"}
            content = await wire.tftp_read(network, lease.file, options)
        except NoSuchFile:
            self._note("TFTP", f"the server has no {lease.file} (Debian: package ipxe); going on as an iPXE ROM")
            return
        self._note("TFTP", f"{lease.file}, {_size(content)}")

    async def _script(self, lease: Lease) -> Script:
        await self._step("script")
        text = await wire.http_get(lease.file, ".".join(map(str, lease.address)))
        return read_script(text.decode(errors="replace"))

    async def _start(self, kernel: Kernel, why: str) -> bool:
        self._note("script", why)
        for url in (kernel.url, *kernel.initrds):
            await self._fetch("kernel" if url == kernel.url else "initrd", url)
        words = kernel.words
        if not words.keys() >= {"server", "boot", "token"}:
            self._note("diskless", "its system has no work and runs until it is switched off")
            return False
        return await self._work(words)

    async def _fetch(self, phase: str, url: str) -> None:
        """An artefact, held to the digest in its URL."""
        name = url.rsplit("/", 1)[-1]
        await self._step(phase)
        content = await wire.http_get(url)
        named = re.search(r"/sha256/([0-9a-f]{64})/", url)
        digest = hashlib.sha256(content).hexdigest()
        if named and named[1] != digest:
            raise Stuck(f"{name} has the sha256 {digest[:12]}…, but its URL says {named[1][:12]}…")
        self._note(phase, f"{name}, {_size(content)}, sha256 {digest[:12]}… is as named")

    async def _work(self, words: Mapping[str, str]) -> bool:
        """The in-memory OS: the agent, until it says that the machine is to reboot."""
        folder = self._place.folder
        command = agent_command(words, folder)
        while True:
            await self._step("agent")
            folder.mkdir(parents=True, exist_ok=True)
            async with leashed(command, folder, self._place.environment) as agent:
                last = ""
                async for line in lines_of(agent):
                    last = line
                    self._note("agent", line)
                status = await agent.wait()
            if status != 0:
                raise Stuck(f"the agent ended with status {status}: {last or 'it said nothing'}")
            if last != "then: wait":
                return True
            self.phase = "waits"
            await asyncio.sleep(AGAIN_SECONDS)

    async def _step(self, phase: str) -> None:
        self.phase = phase
        await asyncio.sleep(self._place.pace)

    def _note(self, phase: str, text: str) -> None:
        """Once in a boot: a machine that waits says the same every other second."""
        self.phase = phase
        note = Note(self.name, phase, text)
        if note not in self._said:
            self._said.add(note)
            self._tell(note)


def agent_command(words: Mapping[str, str], folder: Path) -> tuple[str, ...]:
    """`words`: of the kernel's command line. Nothing is written outside of the folder: the host's /dev is not the machine's."""
    options = [word for name in WORDS if name in words for word in (f"--{name}", words[name])]
    return (*PYTHON, "-m", "agent", *options, "--state", str(folder), "--links", str(folder / "by-gitboot"))


def _address(lease: Lease) -> str:
    """`10.1.0.11 node-01`, without the name where DHCP says none."""
    return " ".join(filter(None, (".".join(map(str, lease.address)), lease.host_name)))


def _size(content: bytes) -> str:
    return f"{len(content) / 1024:.0f} KiB"
