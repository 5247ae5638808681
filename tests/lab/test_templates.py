"""The templates that ship with the example inventory do what they say, read from there as they stand.

One machine with UEFI gets a golden image and a boot entry, and is a Debian; one with BIOS and no disk does two jobs in one boot
and then waits for more.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab.disk import Disk
from tests.lab.network import Network
from tests.lab.operating_system import REPOSITORY, Built, profile
from tests.lab.qemu import UEFI, VM
from tests.lab.site import Gitboot, hardware
from tests.lab.target import ESP, MB, ROOT, target_image

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

EXAMPLE = REPOSITORY / "example-inventory"
SHIPPED = ("templates/golden-image", "templates/inspect", "templates/serverless", "workflows/inspect", "workflows/serverless")
WORKER, SERVER = "52:54:00:12:34:01", "52:54:00:12:34:12"
"""As workflows/inspect.yaml has the first."""
DISK = 2 << 30
MEMORY = 768
ENTRY = "Debian on disk"

SERVER_01 = """  disks: [{name: system, serial: server-02}]
  storage:
    filesystems:
    - mount: {device: /dev/disk/by-gitboot/system-part1, format: ext4, point: /}
    - mount: {device: /dev/disk/by-gitboot/system-part15, format: vfat, point: /boot/efi}
"""
GOLDEN = """
apiVersion: gitboot/v1
kind: Workflow
metadata: {{name: image-server-02}}
spec:
  template: golden-image
  hardware: server-02
  hardwareMap: {{image: "{url}", sha256: {sha256}}}
"""
LOADER = f"""
apiVersion: gitboot/v1
kind: Template
metadata: {{name: loader}}
spec:
  tasks:
  - name: loader
    actions:
    - name: install
      image: install-grub:v3
      timeout: 300
      environment: {{BOOT_ENTRY: {ENTRY}}}
    - name: look
      image: shell:v3
      timeout: 60
      command:
      - sh
      - -euc
      - |
        mount -t efivarfs efivarfs /sys/firmware/efi/efivars
        efibootmgr --verbose | tee /tmp/entries
        efibootmgr --quiet --bootnext $(sed -n 's/^Boot\\(....\\). {ENTRY}.*/\\1/p' /tmp/entries)
---
apiVersion: gitboot/v1
kind: Workflow
metadata: {{name: loader-server-02}}
spec: {{template: loader, hardware: server-02, overwrites: [image-server-02]}}
"""


def inventory(site: Gitboot, image: Path) -> dict[str, str]:
    shipped = {f"{name.replace('/', '-')}.yaml": (EXAMPLE / f"{name}.yaml").read_text() for name in SHIPPED}
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    worker = hardware("node-01", WORKER, "10.77.0.11", "  idle: wait\n")
    return shipped | {
        "site.yaml": site.site() + "  images: {archives: [actions.tar]}\n",
        "profile.yaml": profile(),
        "node-01.yaml": worker.replace("name: node-01", "name: node-01, labels: {role: worker}"),
        "node-02.yaml": hardware("node-02", "52:54:00:12:34:02", "10.77.0.12"),
        "server-02.yaml": hardware("server-02", SERVER, "10.77.0.22", SERVER_01),
        "golden.yaml": GOLDEN.format(url=f"http://{site.network.address}:8000/{image.name}", sha256=sha256),
        "loader.yaml": LOADER,
    }


def test_what_ships_images_a_disk_that_boots_inspects_a_machine_and_runs_a_job(
    network: Network, tmp_path: Path, built_os: Built, actions: Path
) -> None:
    site = Gitboot(network, tmp_path / "site")
    built_os.into(site.artifacts)
    shutil.copyfile(actions, site.artifacts / "actions.tar")
    image = target_image()
    os.link(image, site.disk.parent / image.name)
    site.serve_disk()
    site.commit(inventory(site, image))
    disk = Disk(tmp_path / "server-02.raw")
    with disk.path.open("wb") as file:
        file.truncate(DISK)
    site.start("--new-site")
    with (
        VM(network, "node-01", WORKER, memory=MEMORY) as worker,
        VM(network, "server-02", SERVER, firmware=UEFI, memory=MEMORY, disk=disk) as server,
        ThreadPoolExecutor() as pool,
    ):
        jobs = pool.submit(does_its_jobs, worker)
        becomes_a_debian(server)
        jobs.result()
    judge_jobs(site)
    judge_image(site, disk.path)


def does_its_jobs(worker: VM) -> None:
    worker.wait_for("workflow inspect SUCCESS", within=150)
    worker.wait_for("workflow serverless SUCCESS", within=60)
    worker.wait_for("then: reboot")
    worker.wait_for("gitboot: workflow night-job run 1 ended SUCCESS; its idle state is to wait", within=60)


def becomes_a_debian(server: VM) -> None:
    server.wait_for("workflow golden-image SUCCESS", within=240)
    server.wait_for("workflow loader SUCCESS", within=120)
    server.wait_for("then: reboot")
    server.wait_for(rf'BdsDxe: starting Boot.... "{ENTRY}" from HD\({ESP[0]},GPT,', within=60)
    server.wait_for("server-02 login:", within=120)


def judge_jobs(site: Gitboot) -> None:
    inspected = log(site, "inspect-node-01")
    assert [f"this is {WORKER}", "Linux"] == [inspected[0], inspected[1].split()[0]]
    assert [f"node-01 counts {number}" for number in (1, 2, 3)] == log(site, "night-job")


def judge_image(site: Gitboot, disk: Path) -> None:
    digest = hashlib.sha256(target_image().read_bytes()).hexdigest()
    assert f"what came is sha256:{digest}" in "\n".join(log(site, "image-server-02"))

    entries = log(site, "loader-server-02", 1)
    (number,) = re.findall(
        rf"^Boot(....)\* {ENTRY}\s+HD\({ESP[0]},GPT,.*\\EFI\\BOOT\\BOOTX64.EFI", "\n".join(entries), re.MULTILINE
    )
    (order,) = (line.split()[1].split(",") for line in entries if line.startswith("BootOrder:"))
    assert number == order[-1]
    assert len(order) > 1

    table = json.loads(subprocess.run(["sfdisk", "--json", disk], check=True, capture_output=True).stdout)["partitiontable"]
    root = next(each for each in table["partitions"] if each["start"] == ROOT[1] // 512)
    assert table["lastlba"] - (root["start"] + root["size"]) < MB // 512
    with disk.open("rb") as file:
        file.seek(ROOT[1] + 1024)
        blocks, size = struct.unpack("<4xI16xI", file.read(28))  # ext4(5): s_blocks_count_lo, s_log_block_size
    assert 0 <= root["size"] * 512 - (blocks << 10 + size) < MB


def log(site: Gitboot, workflow: str, number: int = 0) -> list[str]:
    """What an action of the workflow's one run said in its one attempt, which succeeded; without our lines about its image."""
    (run,) = site.status(f"workflows/{workflow}.json")["runs"]
    (attempt,) = run["tasks"][0]["actions"][number]["attempts"]
    assert 0 == attempt["exitCode"]
    return [line for line in site.get(attempt["log"]).splitlines() if not line.startswith("gitboot: ")]
