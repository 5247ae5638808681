"""`gitboot plan` between two commits of a repository of ten thousand machines, one file each: the first time, and afterwards.

    python -m benchmarks.plan [machines]

The law: a process is started for every figure and nothing of it is left out. "Cold": nothing is remembered. "Warm": the base
was compared before, as the branch that everybody's pull request is compared with has been; the other commit is not remembered.
Wall time counts whatever else the machine does; processor time is user and system time of gitboot and of its git.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.gitboot import Repository

ROUNDS = 3
CHANGES = 2

SITE = """\
apiVersion: gitboot/v1
kind: Site
metadata: {name: benchmark}
spec:
  domain: lab.example
  subnets: [{name: fleet, cidr: 10.0.0.0/8, gateway: 10.0.0.1, nameServers: [10.0.0.1]}]
"""
PROFILE = """\
apiVersion: gitboot/v1
kind: Profile
metadata: {name: worker}
spec: {kernel: os/vmlinuz, initrd: [os/initrd.img], cmdline: "console=ttyS0 change=0"}
"""
WORK = """\
apiVersion: gitboot/v1
kind: Template
metadata: {name: image}
spec:
  tasks:
  - name: install
    actions:
    - {name: wipe, image: "disk-wipe:v3", timeout: 60}
    - name: stream
      image: image2disk:v3
      timeout: 600
      environment: {IMG_URL: "http://10.0.0.2/{{ .hardware.metadata.name }}.img", IMG_SHA256: "", DEST_DISK: /dev/sda}
---
apiVersion: gitboot/v1
kind: Workflow
metadata: {name: install}
spec: {template: image, hardware: {matchLabels: {role: worker}}, run: 1}
"""
MACHINE = """\
apiVersion: gitboot/v1
kind: Hardware
metadata: {{name: node-{number:05}, labels: {{role: worker, rack: r{rack}}}}}
spec:
  profile: worker
  interfaces: [{{mac: "52:54:00:00:{high:02x}:{low:02x}", address: 10.{net}.{high}.{low}, hostname: node-{number:05}}}]
"""


class Took(NamedTuple):
    wall: float
    processor: float


def machine(number: int, net: int = 1) -> str:
    return MACHINE.format(number=number, rack=number // 40, high=number >> 8, low=number & 255, net=net)


def inventory(machines: int) -> dict[str, str]:
    files = {f"machines/{number:05}.yaml": machine(number) for number in range(machines)}
    return {"site.yaml": SITE, "profile.yaml": PROFILE, "work.yaml": WORK, **files}


def take(repository: Repository, commits: str, cache: Path) -> Took:
    """One `gitboot plan`. It must find a change."""
    argv = [sys.executable, "-m", "reconciler", "plan", commits, "--repo", str(repository.folder)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=600, check=False)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != CHANGES:
        raise RuntimeError(f"`gitboot plan` ended with {done.returncode}: {done.stdout}{done.stderr}")
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def measure(scratch: Path, machines: int, rounds: int = ROUNDS) -> Mapping[str, list[Took]]:
    """What was changed, and how it was compared → every round."""
    repository, cache = Repository(scratch / "repository"), scratch / "cache"
    base = repository.commit(inventory(machines))
    took: dict[str, list[Took]] = {}
    for at in range(1, rounds + 1):
        shutil.rmtree(cache, ignore_errors=True)
        moved = repository.commit({"machines/00000.yaml": machine(0, net=1 + at)})
        took.setdefault("an address, cold", []).append(take(repository, f"{base}..{moved}", cache))
        took.setdefault("an address, warm", []).append(take(repository, f"{base}..{moved}", cache))
        booted = repository.commit({"profile.yaml": PROFILE.replace("change=0", f"change={at}")})
        took.setdefault("the kernel of all, warm", []).append(take(repository, f"{base}..{booted}", cache))
    return took


def main(machines: int) -> None:
    with tempfile.TemporaryDirectory(prefix="gitboot-bench-") as scratch:
        took = measure(Path(scratch), machines)
    print(
        f"{machines:,} machines, one file each, one changed line, median of {ROUNDS}; load average {os.getloadavg()[0]:.1f}\n"
    )
    print("| changed | wall time | processor time |\n|---|--:|--:|")
    for what, rounds in took.items():
        print(f"| {what} | {median(each.wall for each in rounds):.2f} s | {median(each.processor for each in rounds):.2f} s |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
