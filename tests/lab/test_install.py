"""The article's workflow as it stands: a push makes an empty machine an installed Debian, and it stays one.

Everything is real: firmware, the in-memory OS of `gitboot os build`, its container engine, the images of `gitboot actions
build`, and a Debian made by somebody else's tool (`target.py`).
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.lab.disk import empty_disk
from tests.lab.network import Network
from tests.lab.operating_system import REPOSITORY, Built, profile
from tests.lab.qemu import BIOS, UEFI, VM
from tests.lab.site import Gitboot
from tests.lab.target import target_archive

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

MACHINES = {"node-bios": ("52:54:00:77:00:01", "10.77.0.11", BIOS), "node-uefi": ("52:54:00:77:00:02", "10.77.0.12", UEFI)}
MIRROR = "192.168.2.3"
MEMORY = 1024
ACTIONS = ["disk-wipe", "disk-partition", "install-root-fs", "install-grub"]

TEMPLATE = (REPOSITORY / "example-inventory/templates/ubuntu_provisioning.yaml").read_text()
LOAD = """  - name: "load-kernel"
    image: kexec:v3
    timeout: 60
then: kexec
"""

HARDWARE = """
apiVersion: gitboot/v1
kind: Hardware
metadata: {{name: {name}}}
spec:
  profile: lab
  interfaces: [{{mac: "{mac}", address: {address}}}]
  disks: [{{name: root, serial: {name}}}]
  storage:
    disks:
    - device: /dev/disk/by-gitboot/root
      wipe_table: true
      partitions:
      - {{label: BIOS, number: 1, size: 1Mi}}
      - {{label: EFI, number: 2, size: 64Mi}}
      - {{label: ROOT, number: 3}}
    filesystems:
    - mount: {{device: /dev/disk/by-gitboot/root-part2, format: vfat, point: /boot/efi}}
    - mount: {{device: /dev/disk/by-gitboot/root-part3, format: ext4, point: /}}
"""

WORKFLOW = """
apiVersion: gitboot/v1
kind: Workflow
metadata: {{name: install-{name}}}
spec: {{template: ubuntu_provisioning, hardware: {name}, hardwareMap: {{device_1: "{mac}"}}, run: {run}}}
"""


def mirror(network: Network, folder: Path) -> None:
    """A web server on another network, with the system that is to be installed."""
    place = folder / "rootfs" / "x86_64.tar.zst"
    place.parent.mkdir(parents=True)
    shutil.copyfile(target_archive(), place)
    place.with_name(f"{place.name}.sha256").write_text(hashlib.sha256(place.read_bytes()).hexdigest() + "\n")
    host = network.host(f"{MIRROR}/24")
    host.ip("route", "add", "10.77.0.0/24", "dev", "eth0")
    network.namespace.ip("route", "add", "192.168.2.0/24", "dev", "br0")
    assert network.namespace.run(["sysctl", "--write", "net.ipv4.ip_forward=1"]).returncode == 0
    server = host.spawn([sys.executable, "-u", "-m", "http.server", "80", "--bind", MIRROR, "--directory", str(folder)])
    server.wait_for("Serving HTTP")


def inventory(site: Gitboot, run: int = 1) -> dict[str, str]:
    files = {
        "site.yaml": site.site() + "  images: {archives: [actions.tar]}\n",
        "profile.yaml": profile(),
        "template.yaml": TEMPLATE + (LOAD if run > 1 else ""),
    }
    for name, (mac, address, _) in MACHINES.items():
        files[f"{name}.yaml"] = HARDWARE.format(name=name, mac=mac, address=address)
        files[f"install-{name}.yaml"] = WORKFLOW.format(name=name, mac=mac, run=run)
    return files


def test_a_push_installs_empty_machines_and_they_boot_their_disk_until_git_asks_again(
    network: Network, tmp_path: Path, built_os: Built, actions: Path
) -> None:
    site = Gitboot(network, tmp_path / "site")
    built_os.into(site.artifacts)
    shutil.copyfile(actions, site.artifacts / "actions.tar")
    mirror(network, tmp_path / "mirror")
    site.commit(inventory(site))
    site.start("--new-site")
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        vms = {name: stack.enter_context(machine(network, tmp_path, name)) for name in MACHINES}
        list(pool.map(installs, vms.values()))
        for name in MACHINES:
            judge(site, name)
        list(pool.map(stays_installed, vms.values()))
        for name in MACHINES:
            assert [1] == [run["number"] for run in runs(site, name)]
        site.served(site.commit(inventory(site, run=2)))
        is_installed_again(vms["node-bios"])
    assert [2, 1] == [run["number"] for run in runs(site, "node-bios")]
    assert [1] == [run["number"] for run in runs(site, "node-uefi")]


def machine(network: Network, folder: Path, name: str) -> VM:
    mac, _, firmware = MACHINES[name]
    return VM(network, name, mac, firmware=firmware, memory=MEMORY, disk=empty_disk(folder / f"{name}.qcow2", "4G"))


def installs(vm: VM) -> None:
    does_its_run(vm, 1)
    vm.wait_for("then: reboot")
    boots_its_disk(vm)
    asks_who_is_there(vm)


def stays_installed(vm: VM) -> None:
    for _ in range(3):
        vm.power_cycle()
        boots_its_disk(vm)
    asks_who_is_there(vm)


def is_installed_again(vm: VM) -> None:
    """And goes on to its disk past firmware and loader."""
    vm.power_cycle()
    does_its_run(vm, 2)
    vm.wait_for("then: kexec")
    before = vm.console.text()
    asks_who_is_there(vm)
    assert "iPXE" not in vm.console.text().removeprefix(before)


def does_its_run(vm: VM, run: int) -> None:
    vm.wait_for(f"gitboot: runs workflow install-{vm.name} run {run}", within=90)
    vm.wait_for("workflow ubuntu_provisioning SUCCESS", within=300)


def boots_its_disk(vm: VM) -> None:
    """The installed loader starts the installed kernel, on the way the firmware takes to it with the network card first."""
    vm.wait_for(f"gitboot: workflow install-{vm.name} run . ended SUCCESS", within=90)
    vm.wait_for("Loading initial ramdisk", within=120)


def asks_who_is_there(vm: VM) -> None:
    vm.wait_for("target login:", within=240)


def runs(site: Gitboot, name: str) -> Any:
    return site.status(f"workflows/install-{name}.json")["runs"]


def judge(site: Gitboot, name: str) -> None:
    """The status tells all of it: every action with times, exit code and log."""
    run = site.status(f"hardware/{name}.json")["run"]
    (task,) = run["tasks"]
    assert "SUCCESS" == run["state"]
    assert [(each, "SUCCESS") for each in ACTIONS] == [(each["name"], each["state"]) for each in task["actions"]]
    for action in task["actions"]:
        (attempt,) = action["attempts"]
        assert 0 == attempt["exitCode"]
        assert attempt["started"] <= attempt["ended"]
        assert site.get(attempt["log"])
