"""Every firmware comes to its script, does its work, and then goes to its disk with the network first in its boot order.

All machines are one site's. Two of them run at a time, since a machine keeps one processor busy: each test waits for its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import pytest

from tests.lab.debian import COMMAND_LINE, arm64_image, newer_loaders
from tests.lab.disk import Disk, installed_disk
from tests.lab.initrd import Image
from tests.lab.network import Network
from tests.lab.qemu import (
    ARM64,
    ARM64_HTTP,
    BIOS,
    IPXE_KERNEL,
    SECURE,
    SECURE_HTTP,
    UBOOT,
    UEFI,
    UEFI_HTTP,
    VM,
    Firmware,
    Kernel,
    network_first,
)
from tests.lab.site import PROFILE, Gitboot, hardware, workflow

pytestmark = [pytest.mark.lab, pytest.mark.timeout(480)]

PATIENCE = 150
"""Seconds for one step of a machine: a tenth of it is used where nothing else runs."""
LOOK = """
version: "0.1"
name: look
tasks:
- name: look
  worker: "{{.device_1}}"
  actions:
  - {name: look, image: "none:v1", timeout: 60, command: [cat, /proc/uptime]}
"""
ARM64_PROFILE = f"""
apiVersion: gitboot/v1
kind: Profile
metadata: {{name: arm64}}
spec: {{kernel: arm64/vmlinuz, initrd: [arm64/initrd], cmdline: "{COMMAND_LINE}"}}
"""
SIGNED = {
    "EFI/BOOT/BOOTX64.EFI": Path("/usr/lib/shim/shimx64.efi.signed"),
    "EFI/BOOT/grubx64.efi": Path("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"),
}
"""What Debian puts on a disk, which is all that Secure Boot starts."""
PXELINUX_ROM = """#!ipxe
dhcp net0 || shell
set net0/filename pxelinux.0
chain tftp://${next-server}/pxelinux.0 || shell
"""


@dataclass(frozen=True)
class Case:
    name: str
    firmware: Firmware
    loader: str = "auto"
    fetched: str = ""
    """The loader's file, as the server's log names it; "" where the firmware brings iPXE itself."""
    handed: str = ""
    """What the console says when it goes to its disk."""

    @property
    def arm64(self) -> bool:
        return self.firmware in (ARM64, ARM64_HTTP, UBOOT)

    @property
    def mac(self) -> str:
        return f"52:54:00:77:01:{CASES.index(self) + 1:02x}"

    @property
    def address(self) -> str:
        return f"10.77.0.{CASES.index(self) + 11}"

    def hardware(self, idle: str) -> str:
        text = hardware(self.name, self.mac, self.address, f"  loader: {self.loader}\n  idle: {idle}")
        return text.replace("profile: lab", "profile: arm64\n  arch: aarch64") if self.arm64 else text

    def workflow(self) -> str:
        return workflow(f"look-{self.name}", self.name, template="look")


CASES = [
    Case("bios", BIOS, handed="gitboot: booting from the local disk"),
    Case("pxelinux", BIOS, "pxelinux", "pxelinux.0", "gitboot: booting from the local disk"),
    Case("uefi", UEFI, fetched="snponly.efi", handed="gitboot: starting /EFI/BOOT/BOOTx64.EFI"),
    Case("uefi-ipxe", UEFI, "ipxe", "ipxe.efi", "gitboot: starting /EFI/BOOT/BOOTx64.EFI"),
    Case("uefi-http", UEFI_HTTP, fetched="snponly.efi", handed="gitboot: starting /EFI/BOOT/BOOTx64.EFI"),
    Case("secure-boot", SECURE, "shim", "shimx64.efi", "gitboot: starting /EFI/BOOT/BOOTx64.EFI"),
    Case("secure-http", SECURE_HTTP, "shim", "shimx64.efi", "gitboot: starting /EFI/BOOT/BOOTx64.EFI"),
    Case("arm64", ARM64, fetched="ipxe-arm64.efi", handed="Booting from SAN device 0x80"),
    Case("u-boot", UBOOT, fetched="boot.scr.uimg", handed="its idle state is the disk"),
    Case("arm64-http", ARM64_HTTP, fetched="ipxe-arm64.efi", handed="Booting from SAN device 0x80"),
]


class Matrix:
    """The site of all these machines, and what each of them is to go through."""

    def __init__(self, network: Network, folder: Path, image: Image) -> None:
        self.network = network
        self.folder = folder
        self.site = Gitboot(network, folder / "site", image)
        self._committing = Lock()
        arm64 = arm64_image()
        (self.site.artifacts / "arm64").mkdir()
        for file in (arm64.kernel, arm64.initrd):
            (self.site.artifacts / "arm64" / file.name).write_bytes(file.read_bytes())
        machines = {f"{case.name}.yaml": case.hardware("profile:arm64" if case.arm64 else "disk") for case in CASES}
        works = {f"look-{case.name}.yaml": case.workflow() for case in CASES if not case.arm64}
        profiles = {"profile.yaml": PROFILE, "arm64.profile.yaml": ARM64_PROFILE, "template.yaml": LOOK}
        self.site.commit({"site.yaml": self.site.site(), **profiles, **machines, **works})
        self.server = self.site.start("--new-site", "--loaders", str(newer_loaders()))

    def play(self, case: Case) -> None:
        """Its system, which it leaves by itself or by a reset, and then its disk."""
        disk = (signed_disk if case.loader == "shim" else installed_disk)(self.folder / f"{case.name}.img")
        firmware = network_first(self.folder / "u-boot.flash") if case.firmware is UBOOT else case.firmware
        with VM(self.network, case.name, case.mac, firmware=firmware, disk=disk, kernel=self._rom(case)) as vm:
            (self._sleep if case.arm64 else self._work)(case, vm)
            vm.wait_for(case.handed, within=PATIENCE)
            vm.wait_for("MARK-DISK", within=PATIENCE)

    def _work(self, case: Case, vm: VM) -> None:
        vm.wait_for(f"gitboot: runs workflow look-{case.name} run 1", within=PATIENCE)
        vm.wait_for("workflow look SUCCESS", within=PATIENCE)
        vm.wait_for(f"gitboot: workflow look-{case.name} run 1 ended SUCCESS", within=PATIENCE)

    def _sleep(self, case: Case, vm: VM) -> None:
        """There is no agent for arm64 in the lab: its system only says that it runs."""
        vm.wait_for("gitboot: git names no work for it; its idle state is profile arm64", within=PATIENCE)
        vm.wait_for("MARK-INIT aarch64", within=PATIENCE)
        with self._committing:
            self.site.served(self.site.commit({f"{case.name}.yaml": case.hardware("disk")}))
        vm.reset()

    def _rom(self, case: Case) -> Kernel | None:
        """Debian has no PXE ROM but iPXE, which is sent its script: here it fetches PXELINUX, as another ROM is told to."""
        if case.loader != "pxelinux":
            return None
        script = self.folder / "rom.ipxe"
        script.write_text(PXELINUX_ROM)
        return Kernel(IPXE_KERNEL, script)


def signed_disk(path: Path) -> Disk:
    """A disk whose GRUB says MARK-DISK and stops: shim lets a signed one alone be started."""
    files = {name: file.read_bytes() for name, file in SIGNED.items()}
    return installed_disk(path, files={**files, "EFI/debian/grub.cfg": b"echo MARK-DISK\nsleep 9999\n"})


Playing = Mapping[str, Future[None]]


@pytest.fixture(scope="module")
def matrix(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    folder = tmp_path_factory.mktemp("matrix")
    with Network(folder) as network:
        network.advertise_ipv6()
        yield Matrix(network, folder, image)


@pytest.fixture(scope="module")
def playing(matrix: Matrix, request: pytest.FixtureRequest) -> Iterator[Playing]:
    """By name, every case that was chosen for this run, two at a time."""
    chosen = [item.callspec.params["case"] for item in request.session.items if item.name.startswith(NAME)]  # type: ignore[attr-defined] # pytest has no public type for an item with parameters
    with ThreadPoolExecutor(2) as pool:
        yield {case.name: pool.submit(matrix.play, case) for case in chosen}
        pool.shutdown(cancel_futures=True)


NAME = "test_a_machine_does_its_work_and_then_starts_its_disk"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_machine_does_its_work_and_then_starts_its_disk(case: Case, matrix: Matrix, playing: Playing) -> None:
    playing[case.name].result()
    machine = matrix.site.status(f"hardware/{case.name}.json")
    assert ("disk", None if case.arm64 else "SUCCESS") == (machine["boot"]["phase"], (machine["run"] or {}).get("state"))
    matrix.site.holds_story(f"firmware-{case.name}", case.name)
    log = matrix.server.transcript.text()
    if case.fetched:
        assert f'"peer":"{case.address}","path":"{case.fetched}"' in log or case.firmware in (
            UEFI_HTTP,
            ARM64_HTTP,
            SECURE_HTTP,
        )
