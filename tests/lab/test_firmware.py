"""Every firmware comes to its script, does its work, and then goes to its disk with the network first in its boot order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.disk import installed_disk
from tests.lab.initrd import Image
from tests.lab.network import Network
from tests.lab.qemu import BIOS, UEFI, UEFI_HTTP, VM, Firmware
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
