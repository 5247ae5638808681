"""A whole gitboot site in a lab network: a git repository, the server at the bridge, and its status over HTTP.

The server is a process of its own, as a user starts it; nothing here knows more of it than its flags and its URLs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.lab.initrd import COMMAND_LINE, Image
from tests.lab.network import Network
from tests.lab.process import Process
from tests.story_goldens import events, held, phases, story
from tests.unix_http import ask

SITE = """
apiVersion: gitboot/v1
kind: Site
metadata: {{name: lab}}
spec:
  domain: lab.example
  server: {server}
  unknown: {unknown}
  subnets:
  - name: lab
    cidr: 10.77.0.0/24
    gateway: {server}
    nameServers: [{server}]
    leaseTime: {lease}
    range: [10.77.0.200, 10.77.0.209]
"""

PROFILE = f"""
apiVersion: gitboot/v1
kind: Profile
metadata: {{name: lab}}
spec: {{kernel: lab/vmlinuz, initrd: [lab/initrd], cmdline: "{COMMAND_LINE}"}}
"""

TEMPLATE = """
version: "0.1"
name: install
tasks:
- name: install
  worker: "{{.device_1}}"
  actions:
  - name: write-disk
    image: none:v1
    timeout: 60
    command:                        # fsync: the disk's own cache is flushed too, as it must be before a power cut
    - sh
    - -c
    - busybox wget -q -O - http://{server}:8000/disk.img | busybox dd of=/dev/vda conv=fsync && echo the disk is written
  - name: look
    image: none:v1
    timeout: 60
    command: [sh, -c, "cat /proc/uptime"]
"""


def hardware(name: str, mac: str, address: str, extra: str = "") -> str:
    return f"""
apiVersion: gitboot/v1
kind: Hardware
metadata: {{name: {name}}}
spec:
  profile: lab
  interfaces: [{{mac: "{mac}", address: {address}}}]
{extra}
"""


def workflow(name: str, machine: str, run: int = 1, template: str = "install") -> str:
    return f"""
apiVersion: gitboot/v1
kind: Workflow
metadata: {{name: {name}}}
spec: {{template: {template}, hardware: {machine}, run: {run}}}
"""


class Gitboot:
    """`commit` what the site should be, `start` the server, look at `status`."""

    def __init__(self, network: Network, folder: Path, image: Image | None = None) -> None:
        self.network = network
        self.repository = folder / "repository"
        self.state = folder / "state"
        self.artifacts = folder / "artifacts"
        self.disk = folder / "www" / "disk.img"
        self._starts = 0
        for path in (self.repository, self.artifacts / "lab", self.disk.parent):
            path.mkdir(parents=True)
        if image is not None:
            (self.artifacts / "lab" / "vmlinuz").write_bytes(image.kernel.read_bytes())
            (self.artifacts / "lab" / "initrd").write_bytes(image.initrd.read_bytes())
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=lab", "-c", "user.email=lab@lab.example"]
        argv = ["git", "-C", str(self.repository), *identity, *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout.strip()

    def commit(self, files: Mapping[str, str]) -> str:
        """Write `files` (path → text), commit, and return the commit's id."""
        for path, text in files.items():
            (self.repository / path).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")
        return self.git("rev-parse", "HEAD")

    def site(self, unknown: str = "ignore", lease: str = "24h") -> str:
        return SITE.format(server=self.network.address, unknown=unknown, lease=lease)

    def template(self) -> str:
        return TEMPLATE.replace("{server}", self.network.address)

    def start(self, *flags: str) -> Process:
        """The server, once it listens. Its log in the network's scratch folder is `serve.log`, later `serve-2.log`…"""
        argv = [sys.executable, "-m", "reconciler", "serve", "--repo", str(self.repository), "--state", str(self.state)]
        argv += ["--artifacts", str(self.artifacts), "--interface", "br0", *flags]
        self._starts += 1
        server = self.network.spawn(argv, "serve.log" if self._starts == 1 else f"serve-{self._starts}.log")
        server.wait_for('"event":"listening"')
        return server

    def bootstrap(self, name: str, path: Path) -> Path:
        """The script that `gitboot render` prints for a machine, as a file for iPXE."""
        argv = [sys.executable, "-m", "reconciler", "render", str(self.repository), name, "--what", "bootstrap"]
        path.write_text(self.network.namespace.run(argv).stdout)
        return path

    def serve_disk(self) -> None:
        """The image that the install template writes, from a plain web server."""
        argv = [sys.executable, "-u", "-m", "http.server", "8000", "--bind", self.network.address]
        self.network.spawn([*argv, "--directory", str(self.disk.parent)]).wait_for("Serving HTTP")

    def get(self, path: str) -> str:
        """GET through the socket in the state directory, as an operator on the host; AssertionError unless it is a 200."""
        status, body = ask(self.state, path)
        assert 200 == status, body
        return body.decode()

    def status(self, path: str) -> Any:
        return json.loads(self.get(f"/status/{path}"))

    def holds_story(self, golden: str, name: str = "node-01", boot: int = -1) -> None:
        """The first boot of a machine, and what its loaders asked for, against `goldens/stories`. `boot`: 0 is the last one."""
        told = self.status(f"stories/{name}.json")["boots"][boot]
        held(golden, *phases(told), *events(told, ("dhcp", "tftp", "script", "artifact")))

    def holds_outcome(self, golden: str, name: str) -> None:
        """What a machine's status tells of its last boot, and of what is expected next, against `goldens/stories`."""
        held(golden, *story(self.status(f"hardware/{name}.json")["story"]))

    def served(self, commit: str, within: float = 20) -> None:
        """Wait until the servers answer from this commit's plan."""
        wait_until(lambda: self._serves(commit), f"commit {commit} is served", within)

    def _serves(self, commit: str) -> bool:
        status = self.status("reconcile.json")
        return bool(status["revision"] == commit and self.get("/readyz").strip() == f"serving plan {status['plan']}")


def wait_until(condition: Callable[[], bool], what: str, within: float = 20) -> None:
    """Ask until it is true; AssertionError with `what` when it has not become so."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.1)
