"""The in-memory OS from power-on to the end of its first container: size, memory, and what each part costs.

    python -m benchmarks.memory_os [cloud|generic|arm64] [MB]

The law: as in `provision.py`, which has what counts for more than one machine. The container's image has 2 MB and is loaded
from the server.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.provision import follow
from tests.lab.debian import newer_loaders
from tests.lab.network import Network
from tests.lab.operating_system import build_os, profile
from tests.lab.qemu import ARM64, BIOS, VM
from tests.lab.site import Gitboot, hardware
from tests.lab.test_os import MAC, working

PARTS = (
    ("the kernel starts", r"initrd\.img\.\.\.[^\n]* ok"),
    ("its init runs", r"gitboot: kernel \S+ runs"),
    ("it has an address", r"gitboot: \S+ has \S+ from"),
    ("the engine runs and the workflow is claimed", r"workflow \S+, run \w"),
    ("the first container has ended", r"workflow look SUCCESS"),
)
BUILDS = {"cloud": ("cloud", "amd64"), "generic": ("generic", "amd64"), "arm64": ("generic", "arm64")}


def main(words: Sequence[str]) -> None:
    kernel, arch = BUILDS[words[0] if words else "cloud"]
    memory = int(words[1]) if len(words) > 1 else 512
    with tempfile.TemporaryDirectory(prefix="gitboot-bench-") as folder, Network(Path(folder)) as network:
        network.advertise_ipv6()
        site = Gitboot(network, Path(folder, "site"))
        built = build_os(Path(folder, "built"), "--kernel", kernel, "--arch", arch)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"{kernel}, {arch}: built in {used.ru_utime + used.ru_stime:.0f} s of processor time; a machine of {memory} MB")
        built.into(site.artifacts, arch)
        for file in ("initrd.img", "vmlinuz"):
            print(f"{(built.folder / 'os' / arch / file).stat().st_size / 1e6:.1f} MB  {file}")
        flags = ["--loaders", str(newer_loaders())] if arch == "arm64" else []
        node = hardware("node-01", MAC, "10.77.0.11", "  arch: aarch64\n" if arch == "arm64" else "")
        site.commit(working(site, command="true") | {"profile.yaml": profile(arch=arch), "node.yaml": node})
        site.start("--new-site", *flags)
        with VM(network, "node-01", MAC, firmware=replace(ARM64 if arch == "arm64" else BIOS, memory=memory)) as vm:
            print("  clock  processor      part")
            follow(vm, PARTS[:4] if arch == "arm64" else PARTS)  # the image is of this host's architecture


if __name__ == "__main__":
    main(sys.argv[1:])
