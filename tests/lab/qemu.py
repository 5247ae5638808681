"""Virtual machines with real firmware: SeaBIOS with the card's own iPXE as its PXE ROM, and EDK2 with its own network drivers.

The law: a machine is emulated in software and has one processor. A virtual machine's KVM need not be able to boot firmware,
and with two emulated processors one run in ten ends in a soft lock-up; so the lab asks for neither.

The console is the serial port, firmware included, written to a file; `wait_for` reads it forwards.
"""

import json
import re
import shutil
import socket
import struct
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

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
class Firmware:
    """What a machine is before anything boots: its architecture, its board and what is in its flash."""

    name: str
    machine: tuple[str, ...]
    """QEMU's program and flags for the board."""
    memory: int
    """MB in which it boots the lab's system."""
    code: Path | None = None
    """The flash with the program, which stays as it is; None where QEMU loads it by itself."""
    variables: Path | None = None
    """The flash with the settings, if it has one: each machine gets a copy."""
    nic: str = "virtio-net-pci,romfile="
    """A card without a ROM: the firmware's own driver boots from it."""


_ONLY_HTTP = tuple(word for version in "46" for word in ("-fw_cfg", f"name=opt/org.tianocore/IPv{version}PXESupport,string=n"))
"""Without these HTTP Boot comes after a minute of PXE by IPv4 and one by IPv6."""
_OVMF, _AAVMF = Path("/usr/share/OVMF"), Path("/usr/share/AAVMF")
_Q35 = ("qemu-system-x86_64", "-machine", "q35")
_VIRT = ("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a57")
_SMM = ("qemu-system-x86_64", "-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on")

# graphics=off puts what SeaBIOS and its ROMs say on the serial port.
BIOS = Firmware("bios", ("qemu-system-x86_64", "-machine", "pc,graphics=off"), 256, nic="virtio-net-pci")
UEFI = Firmware("uefi", _Q35, 512, _OVMF / "OVMF_CODE_4M.fd", _OVMF / "OVMF_VARS_4M.fd")
UEFI_HTTP = replace(UEFI, name="uefi-http", machine=(*_Q35, *_ONLY_HTTP))
ARM64 = Firmware("arm64", _VIRT, 512, _AAVMF / "AAVMF_CODE.fd", _AAVMF / "AAVMF_VARS.fd")
ARM64_HTTP = replace(ARM64, name="arm64-http", machine=(*_VIRT, *_ONLY_HTTP))
SECURE = Firmware("secure", _SMM, 512, _OVMF / "OVMF_CODE_4M.secboot.fd", _OVMF / "OVMF_VARS_4M.ms.fd")
"""Secure Boot, with the keys enrolled that shim is signed with."""
SECURE_HTTP = replace(SECURE, name="secure-http", machine=(*_SMM, *_ONLY_HTTP))
UBOOT_CODE = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
# The driver reads the MAC of a card of the older kind wrongly.
UBOOT = Firmware("u-boot", (*_VIRT, "-bios", str(UBOOT_CODE)), 512, nic="virtio-net-pci,romfile=,disable-legacy=on")


def network_first(environment: Path) -> Firmware:
    """U-Boot whose settings, written to `environment`, are its own but for the boot order: the network and then the disk."""
    program = UBOOT_CODE.read_bytes()
    at = program.index(b"boot_targets=")
    settings = program[program.rindex(b"\0\0", 0, at) + 2 : program.index(b"\0\0", at) + 1]
    settings = re.sub(rb"boot_targets=[^\0]*", b"boot_targets=dhcp virtio0", settings).ljust(_UBOOT_SETTINGS - 4, b"\0")
    environment.write_bytes((struct.pack("<I", crc32(settings)) + settings).ljust(_FLASH, b"\xff"))
    return replace(UBOOT, variables=environment)


_UBOOT_SETTINGS, _FLASH = 0x40000, 64 << 20
"""Bytes: CONFIG_ENV_SIZE of the board, and each of its two flashes."""


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

    Its UUID follows from its name, which is its disk's serial number too. `memory` is in MB and `nic` a QEMU device, where the
    firmware's own will not do: `e1000` is another ROM (and the lab's kernel cannot drive it).
    """

    def __init__(
        self,
        network: Network,
        name: str,
        mac: str,
        *,
        firmware: Firmware = BIOS,
        memory: int | None = None,
        nic: str | None = None,
        disk: Disk | None = None,
        spare: Disk | None = None,
        kernel: Kernel | None = None,
        second: Card | None = None,
        netdev: str | None = None,
    ) -> None:
        """`netdev`: QEMU's, for a port that is not the bridge's own (`trunk`)."""
        self.name = name
        self.mac = mac
        self._network = network
        self._qmp = network.scratch / f"{name}.qmp"
        self.console = Transcript(network.scratch / f"{name}.console")
        self._argv = [*firmware.machine, "-name", name, "-accel", "tcg", "-smp", "1", "-m", str(memory or firmware.memory)]
        self._argv += ["-no-user-config", "-display", "none", *_flash_arguments(firmware, network.scratch / f"{name}.vars")]
        # Without a UUID option 97 is all zeroes, and a machine without a maker is not one that anybody has.
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        self._argv += ["-uuid", self.uuid, "-smbios", f"type=1,manufacturer=LabCo,product=LabServer,serial={name}"]
        self._argv += ["-chardev", f"file,id=console,path={self.console.path},append=on", "-serial", "chardev:console"]
        self._argv += ["-qmp", f"unix:{self._qmp},server=on,wait=off"]
        self._argv += ["-netdev", netdev or f"tap,id=n0,ifname={network.tap()},script=no,downscript=no"]
        self._argv += ["-device", f"{nic or firmware.nic},netdev=n0,mac={mac},bootindex=1"]
        if second:
            self._argv += ["-netdev", f"tap,id=n1,ifname={second.tap},script=no,downscript=no"]
            self._argv += ["-device", f"virtio-net-pci,netdev=n1,mac={second.mac}"]
        self._argv += disk.arguments(0, name) if disk else []
        self._argv += spare.arguments(1, f"{name}-spare") if spare else []
        self._argv += _kernel_arguments(kernel)
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

    @property
    def pid(self) -> int:
        """Of its QEMU."""
        assert self._process, f"{self.name} was never started"
        return self._process.pid

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


def _flash_arguments(firmware: Firmware, variables: Path) -> list[str]:
    flash = [f"unit=0,readonly=on,file={firmware.code}"] if firmware.code else []
    if firmware.variables:
        shutil.copyfile(firmware.variables, variables)
        flash.append(f"unit=1,file={variables}")
    return [word for part in flash for word in ("-drive", f"if=pflash,format=raw,{part}")]


def _kernel_arguments(kernel: Kernel | None) -> list[str]:
    if not kernel:
        return []
    arguments = ["-kernel", str(kernel.kernel)]
    if kernel.initrd:
        arguments += ["-initrd", str(kernel.initrd)]
    return [*arguments, "-append", kernel.command_line] if kernel.command_line else arguments
