"""Virtual machines with real firmware: SeaBIOS, and the card's own iPXE as its PXE ROM.

The law: a machine is emulated in software and has one processor. A virtual machine's KVM need not be able to boot firmware,
and with two emulated processors one run in ten ends in a soft lock-up; so the lab asks for neither.

The console is the serial port, firmware included, written to a file; `wait_for` reads it forwards.
"""

import json
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.disk import Disk
from tests.lab.network import Network
from tests.lab.process import Process, Transcript

UNDIONLY = Path("/usr/lib/ipxe/undionly.kpxe")
"""The iPXE that a BIOS fetches by TFTP (Debian package `ipxe`)."""

IPXE_KERNEL = Path("/usr/lib/ipxe/ipxe.lkrn")
"""iPXE as a Linux kernel, which takes its script as an initrd (Debian package `ipxe`)."""

FOREIGN_ROM_SCRIPT = """#!ipxe
set user-class PXEClient
ifopen net0
dhcp net0 || shell
echo MARK-ROM ${net0/ip} ${filename} ${next-server}
imgfetch --name nbp tftp://${next-server}/${filename} || shell
chain nbp || shell
"""
"""What makes iPXE a PXE ROM that does not say it is iPXE: another user class, and a ROM's way with the answer.

Debian has no PXE ROM but iPXE. This one sends option 77 `PXEClient` in place of `iPXE`, takes the boot file that a firmware
gets, fetches it by TFTP and hands it its UNDI, as a ROM would. What still tells it from a ROM is that it sends option 175.
"""


@dataclass(frozen=True)
class Kernel:
    """A kernel that QEMU loads by itself, past the firmware's own choice."""

    kernel: Path
    initrd: Path | None = None
    command_line: str = ""


@dataclass(frozen=True)
class Card:
    """Another network card; the machine boots from its first one."""

    mac: str
    tap: str
    """Its port, which may be on another network."""


class VM:
    """A machine on a network, off until `start`; its network card is first in the boot order and its disk second.

        with VM(network, "node-01", mac="52:54:00:77:00:01") as vm:
            vm.wait_for("MARK-INIT", within=60)

    Its UUID follows from its name. `memory` is in MB. `nic` is a QEMU device: `virtio-net-pci`, or `e1000` for another
    ROM (the lab's kernel cannot drive it).
    """

    def __init__(
        self,
        network: Network,
        name: str,
        mac: str,
        *,
        memory: int = 256,
        nic: str = "virtio-net-pci",
        disk: Disk | None = None,
        kernel: Kernel | None = None,
        second: Card | None = None,
    ) -> None:
        self.name = name
        self.mac = mac
        self._network = network
        self._qmp = network.scratch / f"{name}.qmp"
        self.console = Transcript(network.scratch / f"{name}.console")
        self._argv = ["qemu-system-x86_64", "-name", name, "-accel", "tcg", "-smp", "1", "-m", str(memory), "-no-user-config"]
        self._argv += ["-machine", "pc,graphics=off", "-display", "none", "-boot", "n"]
        # Without a UUID option 97 is all zeroes, and a machine without a maker is not one that anybody has.
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        self._argv += ["-uuid", self.uuid, "-smbios", f"type=1,manufacturer=LabCo,product=LabServer,serial={name}"]
        self._argv += ["-chardev", f"file,id=console,path={self.console.path},append=on", "-serial", "chardev:console"]
        self._argv += ["-qmp", f"unix:{self._qmp},server=on,wait=off"]
        self._argv += ["-netdev", f"tap,id=n0,ifname={network.tap()},script=no,downscript=no"]
        self._argv += ["-device", f"{nic},netdev=n0,mac={mac}"]
        if second:
            self._argv += ["-netdev", f"tap,id=n1,ifname={second.tap},script=no,downscript=no"]
            self._argv += ["-device", f"virtio-net-pci,netdev=n1,mac={second.mac}"]
        self._argv += _disk_arguments(disk) + _kernel_arguments(kernel)
        self._process: Process | None = None

    def __enter__(self) -> "VM":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Switch it on; the console goes on where it was."""
        self._process = self._network.spawn(self._argv, f"{self.name}.qemu.log")

    def stop(self) -> None:
        """Switch it off at once; the disk keeps what was written."""
        if self._process:
            self._process.stop()

    def reset(self) -> None:
        """Press the reset button."""
        self._execute("system_reset")

    def power_cycle(self) -> None:
        """Cut the power and give it back: unlike a reset nothing of its memory survives."""
        if self._process:
            self._process.kill()
        self.start()

    def running(self) -> bool:
        return self._process is not None and self._process.running()

    def wait_for(self, pattern: str, within: float = 60) -> str:
        """What the console says next that matches `pattern`; AssertionError with the console's text when it does not."""
        try:
            return self.console.wait_for(pattern, within, self.running).group()
        except AssertionError as missing:
            missing.add_note(f"QEMU says: {self._process.transcript.text() if self._process else 'never started'}")
            raise

    def wait_until_off(self, within: float = 30) -> None:
        """Until it has switched itself off; `subprocess.TimeoutExpired` when it has not."""
        if self._process:
            self._process.wait(within)

    def _execute(self, command: str) -> None:
        """One QMP command over a connection of its own: greeting, capabilities, command."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self._qmp))
            with connection.makefile("rw", encoding="utf-8") as stream:
                json.loads(stream.readline())
                for name in ("qmp_capabilities", command):
                    stream.write(json.dumps({"execute": name}) + "\n")
                    stream.flush()
                    _returned(json.loads(line) for line in stream)


def _returned(messages: Any) -> None:
    """Skip the events before a command's answer; `OSError` when the answer is an error."""
    for message in messages:
        if "error" in message:
            raise OSError(message["error"]["desc"])
        if "return" in message:
            return


def _disk_arguments(disk: Disk | None) -> list[str]:
    # cache=writeback: what the guest has synced survives `power_cycle`, which kills this process, as it would a power cut.
    return ["-drive", f"file={disk.path},format={disk.format},if=virtio,cache=writeback"] if disk else []


def _kernel_arguments(kernel: Kernel | None) -> list[str]:
    if not kernel:
        return []
    arguments = ["-kernel", str(kernel.kernel)]
    if kernel.initrd:
        arguments += ["-initrd", str(kernel.initrd)]
    return [*arguments, "-append", kernel.command_line] if kernel.command_line else arguments
