"""A container engine and a registry of a test's own: Debian's dockerd or podman, and docker-registry, in a network namespace.

The law: nothing of the host's is used or changed. The engine has no bridge and no firewall rules, its data is in the test's
folder, and all programs are ended by their own process ids.
"""

import hashlib
import itertools
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.network import Namespace
from tests.lab.process import Process

RUNTIME = f"""#!{sys.executable}
# runc, asked for no capability that this host itself lacks: a privileged container asks for all that there are.
import json, pathlib, subprocess, sys
bundles = [after for flag, after in zip(sys.argv, sys.argv[1:]) if flag in ("-b", "--bundle")]
if bundles and "create" in sys.argv:
    status = pathlib.Path("/proc/self/status").read_text()
    bounding = status.partition("CapBnd:")[2].split()[0]
    names = subprocess.run(["capsh", "--decode=" + bounding], capture_output=True, text=True, check=True).stdout
    allowed = {{name.upper() for name in names.strip().partition("=")[2].split(",")}}
    config = pathlib.Path(bundles[0], "config.json")
    document = json.loads(config.read_text())
    sets = document["process"].get("capabilities") or {{}}
    for name in sets:
        sets[name] = [each for each in sets[name] if each in allowed]
    config.write_text(json.dumps(document))
import os
os.execvp("runc", ["runc", *sys.argv[1:]])
"""

PODMAN = """[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file" # not in memory that all podmans of this host share
runtime = "allowed"
runtimes = {{allowed = ["{runtime}"]}}
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"] # may not be raised beyond this host's own
"""
CONFIGURED = {"CONTAINERS_CONF": "containers.conf", "CONTAINERS_REGISTRIES_CONF": "registries.conf"}


def build_actions(out: Path) -> Path:
    """The images of the standard actions, `disk-wipe:v3` and so on, from Debian's packages; half a minute."""
    command = [sys.executable, "-m", "reconciler", "actions", "build", "--out", str(out), "--tag", "v3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    assert hashlib.sha256(out.read_bytes()).hexdigest() in done.stdout
    return out


BCRYPT = "$2b$05$llodTKIP/rbz1TE9NUAeeOvAf1hWio7toneuXlETGQ6qiKJGesdTS"
"""Of `Docker.login`'s password, with the least work that bcrypt allows."""


class Docker:
    """A running engine, and a registry at `registry` that it and others in the same namespace reach."""

    registry = "127.0.0.1:5000"
    locked_registry = "127.0.0.1:5001"
    login = ("puller", "pass word of tests")
    """What opens it."""

    def __init__(self, folder: Path) -> None:
        """Its data is kept in `folder`, which must be on a file system that overlayfs accepts."""
        self.folder = folder
        self._processes: list[Process] = []
        self._starts = itertools.count(1)

    def __enter__(self) -> Self:
        self._namespace = Namespace(self.folder)
        try:
            self.start_registry()
            self._start_engine()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if left := self.run("docker", "ps", "--all", "--quiet").stdout.split():
            self.run("docker", "rm", "--force", *left)
        for process in reversed(self._processes):
            process.stop()
        self._unmount()
        self._namespace.close()

    def _unmount(self) -> None:
        """What an engine leaves mounted, so that the folder can be removed."""
        mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for place in reversed([each for each in mounted if Path(each).is_relative_to(self.folder)]):
            subprocess.run(["umount", place], capture_output=True, check=False)

    @property
    def socket(self) -> str:
        return f"unix://{self.folder}/socket"

    def run(self, *words: str | Path, within: float = 60) -> subprocess.CompletedProcess[str]:
        """A program in the engine's network, with DOCKER_HOST set; the caller judges its exit code."""
        environment = {**os.environ, "DOCKER_HOST": self.socket}
        argv = self._inside(words)
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=within, check=False)

    def ask(self, *words: str | Path) -> str:
        """What a program that succeeds prints."""
        done = self.run(*words)
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout

    def _inside(self, words: Sequence[str | Path]) -> list[str | Path]:
        # not `ip netns exec`, which gives a program a /sys without cgroups
        return ["nsenter", f"--net=/run/netns/{self._namespace.name}", *words]

    def start_registry(self) -> None:
        """What was pushed to an earlier one is still there."""
        self._registry = self._serve("registry", self.registry, "")

    def start_locked_registry(self) -> None:
        """One that asks who is there."""
        users = self.folder / "htpasswd"
        users.write_text(f"{self.login[0]}:{BCRYPT}\n")
        self._serve("locked", self.locked_registry, f"auth: {{htpasswd: {{realm: tests, path: {users}}}}}\n")

    def _serve(self, name: str, address: str, auth: str) -> Process:
        config = self.folder / f"{name}.yml"
        storage = f"storage: {{filesystem: {{rootdirectory: {self.folder / name}}}}}"
        config.write_text(f"version: 0.1\n{storage}\nhttp: {{addr: '{address}'}}\n{auth}")
        process = Process(self._inside(["docker-registry", "serve", config]), self.folder / f"{name}-{next(self._starts)}.log")
        self._processes.append(process)
        process.wait_for("listening on")
        return process

    def stop_registry(self) -> None:
        self._registry.stop()

    def push(self, archive: Path, image: str, name: str, registry: str = "") -> str:
        """Push an archive's image to a registry under `name`; its digest."""
        digest = self.folder / "digest"
        target = f"docker://{registry or self.registry}/{name}"
        copy = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"--digestfile={digest}"]
        copy += [f"--dest-creds={':'.join(self.login)}"] if registry == self.locked_registry else []
        self.ask(*copy, f"docker-archive:{archive}:{image}", target)
        return digest.read_text().strip()

    def _start_engine(self) -> None:
        places = ["--data-root", "root", "--exec-root", "exec", "--pidfile", "pid", "--host", self.socket]
        places = [str(self.folder / each) if each in ("root", "exec", "pid") else each for each in places]
        network = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
        runtime = ["--add-runtime", f"allowed={self._runtime()}", "--default-runtime", "allowed"]
        self._run_engine(["dockerd", *places, *network, *runtime], "API listen on")

    def _runtime(self) -> Path:
        runtime = self.folder / "runtime"
        runtime.write_text(RUNTIME)
        runtime.chmod(runtime.stat().st_mode | stat.S_IXUSR)
        return runtime

    def _run_engine(self, command: Sequence[str | Path], ready: str) -> None:
        self.engine = Process(self._inside(command), self.folder / "engine.log")
        self._processes.append(self.engine)
        self.engine.wait_for(ready)


class Podman(Docker):
    """The same by podman, which serves Docker's API as well."""

    def _start_engine(self) -> None:
        (self.folder / "containers.conf").write_text(PODMAN.format(runtime=self._runtime()))
        registry = f'[[registry]]\nlocation = "{self.registry}"\ninsecure = true\n'
        (self.folder / "registries.conf").write_text(registry)
        settings = [f"{name}={self.folder}/{file}" for name, file in CONFIGURED.items()]
        places = [f"--{name}={self.folder}/{name}" for name in ("root", "runroot", "tmpdir")]
        service = ["podman", "--log-level=info", *places, "--storage-driver=overlay", "system", "service", "--time=0"]
        here = f"--chdir={self.folder}"  # conmon notes in its folder that a container starved
        self._run_engine(["env", here, *settings, *service, self.socket], "API service listening on")
