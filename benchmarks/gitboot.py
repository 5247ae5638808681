"""gitboot under measurement: the real `gitboot serve`, following a git repository that holds the fleet.

The law: nothing is left out. What is measured reads git, validates, compiles, publishes, writes status files and its log, and
answers DHCP while it does so.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from benchmarks.peers import LEASE_SECONDS
from benchmarks.perfdhcp import Fleet
from tests.lab.network import Network
from tests.lab.process import Process

SITE = """\
apiVersion: gitboot/v1
kind: Site
metadata: {{name: benchmark}}
spec:
  server: {server}
  subnets: [{{name: fleet, cidr: {cidr}, leaseTime: {lease}s}}]
"""

HARDWARE = """\
---
apiVersion: gitboot/v1
kind: Hardware
metadata: {{name: {name}}}
spec:
  interfaces: [{{mac: "{mac}", address: {address}}}]
"""


class Repository:
    """A git repository with a work tree in `folder`, as its owner works in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, files: Mapping[str, str]) -> str:
        """Write `files` (path → text) and commit them; the commit's id."""
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        self._git("add", "--", *({name.partition("/")[0] for name in files} if len(files) > 100 else files))
        self._git("commit", "--quiet", "--message=change")
        return self._git("rev-parse", "HEAD")

    def push(self, remote: Path) -> None:
        """To the branch main of another repository on this host."""
        self._git("push", "--quiet", str(remote), "HEAD:refs/heads/main")

    def _git(self, *words: str) -> str:
        identity = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@lab.example", "-c", "gc.auto=0")
        argv = ["git", "-C", str(self.folder), *identity, *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120).stdout.strip()


def site(fleet: Fleet) -> str:
    return SITE.format(server=fleet.server.ip, cidr=fleet.subnet, lease=LEASE_SECONDS)


def hardware(number: int, mac: str, address: str) -> str:
    return HARDWARE.format(name=f"node-{number:05}", mac=mac, address=address)


def inventory(fleet: Fleet, machines_per_file: int) -> dict[str, str]:
    """Path → text: the site, and the fleet's machines in files of so many documents."""
    machines = iter([hardware(number, *pair) for number, pair in enumerate(fleet.reservations())])
    files = {"site.yaml": site(fleet)}
    while documents := "".join(islice(machines, machines_per_file)):
        files[f"machines/{len(files):05}.yaml"] = documents
    return files


def serve(network: Network, repository: Path, flags: Iterable[str] = ()) -> Process:
    """`gitboot serve` at the network's bridge."""
    argv = [sys.executable, "-m", "reconciler", "serve", "--repo", str(repository), "--state", str(network.scratch / "state")]
    return network.spawn([*argv, "--interface", "br0", *flags], "gitboot.log")


class Gitboot:
    """As it is started by a user, with two hundred machines in each file."""

    name = "gitboot"

    def start(self, network: Network, fleet: Fleet) -> Process:
        repository = Repository(network.scratch / "repository")
        repository.commit(inventory(fleet, machines_per_file=200))
        return serve(network, repository.folder)
