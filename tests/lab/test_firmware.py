"""Every firmware comes to its script, does its work, and then goes to its disk with the network first in its boot order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.disk import Disk, installed_disk
from tests.lab.initrd import Image
from tests.lab.network import Network
from tests.lab.qemu import BIOS, IPXE_KERNEL, SECURE, UEFI, UEFI_HTTP, VM, Firmware, Kernel
from tests.lab.site import PROFILE, Gitboot, hardware, workflow

pytestmark = pytest.mark.lab

MAC = "52:54:00:77:00:01"
LOOK = """
version: "0.1"
name: look
tasks:
- name: look
  worker: "{{.device_1}}"
  actions:
  - {name: look, image: "none:v1", timeout: 60, command: [cat, /proc/uptime]}
"""


SIGNED = {
    "EFI/BOOT/BOOTX64.EFI": Path("/usr/lib/shim/shimx64.efi.signed"),
    "EFI/BOOT/grubx64.efi": Path("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"),
}
"""What Debian puts on a disk, which is all that Secure Boot starts."""


def signed_disk(path: Path) -> Disk:
    """A disk whose GRUB says MARK-DISK and stops: shim lets a signed one alone be started."""
    files = {name: file.read_bytes() for name, file in SIGNED.items()}
    return installed_disk(path, files={**files, "EFI/debian/grub.cfg": b"echo MARK-DISK\nsleep 9999\n"})


@pytest.mark.parametrize("firmware", [BIOS, UEFI, UEFI_HTTP], ids=lambda firmware: firmware.name)
def test_a_machine_does_its_work_and_then_starts_its_disk(
    firmware: Firmware, network: Network, tmp_path: Path, image: Image
) -> None:
    site = Gitboot(network, tmp_path / "site", image)
    node = hardware("node-01", MAC, "10.77.0.11")
    work = {"template.yaml": LOOK, "workflow.yaml": workflow("look-node-01", "node-01", template="look")}
    site.commit({"site.yaml": site.site(), "profile.yaml": PROFILE, "node.yaml": node, **work})
    site.start("--new-site")
    with VM(network, "node", MAC, firmware=firmware, disk=installed_disk(tmp_path / "disk.img")) as vm:
        vm.wait_for("gitboot: runs workflow look-node-01 run 1")
        vm.wait_for("workflow look SUCCESS")
        vm.wait_for("gitboot: workflow look-node-01 run 1 ended SUCCESS")
        vm.wait_for("MARK-DISK")
    machine = site.status("hardware/node-01.json")
    assert ("disk", "SUCCESS") == (machine["boot"]["phase"], machine["run"]["state"])


def test_secure_boot_starts_what_is_signed_and_nothing_else(network: Network, tmp_path: Path, image: Image) -> None:
    site = Gitboot(network, tmp_path / "site", image)
    node = hardware("node-01", MAC, "10.77.0.11", "  loader: shim")
    work = {"template.yaml": LOOK, "workflow.yaml": workflow("look-node-01", "node-01", template="look")}
    site.commit({"site.yaml": site.site(), "profile.yaml": PROFILE, "node.yaml": node, **work})
    site.start("--new-site")
    with VM(network, "node", MAC, firmware=SECURE, disk=signed_disk(tmp_path / "disk.img")) as vm:
        vm.wait_for("gitboot: runs workflow look-node-01 run 1")
        vm.wait_for("workflow look SUCCESS")
        vm.wait_for("gitboot: workflow look-node-01 run 1 ended SUCCESS")
        vm.wait_for("MARK-DISK")


PXELINUX_ROM = """#!ipxe
dhcp net0 || shell
set net0/filename pxelinux.0
chain tftp://${next-server}/pxelinux.0 || shell
"""


def test_pxelinux_boots_what_git_says_and_goes_to_the_disk(network: Network, tmp_path: Path, image: Image) -> None:
    """Debian has no PXE ROM but iPXE, which is sent its script; here it fetches PXELINUX, as another ROM is told to."""
    site = Gitboot(network, tmp_path / "site", image)
    node = hardware("node-01", MAC, "10.77.0.11", "  loader: pxelinux")
    work = {"template.yaml": LOOK, "workflow.yaml": workflow("look-node-01", "node-01", template="look")}
    site.commit({"site.yaml": site.site(), "profile.yaml": PROFILE, "node.yaml": node, **work})
    site.start("--new-site")
    (tmp_path / "rom.ipxe").write_text(PXELINUX_ROM)
    kernel = Kernel(IPXE_KERNEL, tmp_path / "rom.ipxe")
    with VM(network, "node", MAC, disk=installed_disk(tmp_path / "disk.img"), kernel=kernel) as vm:
        vm.wait_for("gitboot: runs workflow look-node-01 run 1")
        vm.wait_for("workflow look SUCCESS")
        vm.wait_for("gitboot: workflow look-node-01 run 1 ended SUCCESS")
        vm.wait_for("MARK-DISK")
