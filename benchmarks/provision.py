"""From power-on to the login prompt of an installed system: what an emulated machine does, and what each part costs.

    python -m benchmarks.provision [bios] [uefi]

The law: a part ends where the machine's console says so, and what is counted beside the clock is processor time of its QEMU,
which depends far less on the host's other work. Where others keep all processors busy it still grows by half, so compare within
a day. What is installed, and how, is the test's (`tests/lab/test_install.py`).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure import cpu_seconds
from tests.lab.docker import build_actions
from tests.lab.network import Network
from tests.lab.operating_system import kept_os
from tests.lab.qemu import VM
from tests.lab.site import Gitboot
from tests.lab.test_install import inventory, machine, mirror

PARTS = (
    ("its init runs", r"gitboot: kernel \S+ runs"),
    ("it has an address", r"gitboot: \S+ has \S+ from"),
    ("the workflow is claimed", r"workflow \S+, run \w"),
    ("the images are loaded, and disk-wipe has ended", r"disk-wipe SUCCESS"),
    ("disk-partition has ended", r"disk-partition SUCCESS"),
    ("install-root-fs has ended", r"install-root-fs SUCCESS"),
    ("install-grub has ended", r"install-grub SUCCESS"),
    ("the installed kernel is loaded", r"Loading initial ramdisk"),
    ("the installed system asks who is there", r"target login:"),
)
"""What has happened, and the console's words for it, in order."""
PATIENCE = 300.0
"""Seconds for one part."""


def main(firmwares: Sequence[str]) -> None:
    names = [f"node-{firmware}" for firmware in firmwares or ["bios"]]
    with tempfile.TemporaryDirectory(prefix="gitboot-bench-") as folder, ExitStack() as stack, ThreadPoolExecutor() as pool:
        network = stack.enter_context(Network(Path(folder)))
        network.advertise_ipv6()
        _serve(network, Path(folder))
        print("  clock  processor      part")
        vms = [stack.enter_context(machine(network, Path(folder), name)) for name in names]
        list(pool.map(follow, vms))
    print(f"load average {os.getloadavg()[0]:.1f}")


def follow(vm: VM, parts: Sequence[tuple[str, str]] = PARTS) -> None:
    """A row for each part, when it has ended: seconds since power-on by the clock and by the processor, and the part's own."""
    began, before = time.monotonic(), 0.0
    for name, words in parts:
        vm.wait_for(words, within=PATIENCE)
        used = cpu_seconds(vm.pid)
        print(f"{time.monotonic() - began:6.1f} {used:9.1f} {used - before:+9.1f}  {vm.name}: {name}", flush=True)
        before = used


def _serve(network: Network, folder: Path) -> None:
    site = Gitboot(network, folder / "site")
    kept_os().into(site.artifacts)
    build_actions(folder / "actions.tar")
    shutil.move(folder / "actions.tar", site.artifacts / "actions.tar")
    mirror(network, folder / "mirror")
    site.commit(inventory(site))
    site.start("--new-site")


if __name__ == "__main__":
    main(sys.argv[1:])
