"""Networks of a test's own, made of namespaces.

The law: nothing is done to the machine's own network, and when a `Network` is left, for whatever reason, nothing of it remains.
A run that was killed outright cannot clean up; its namespaces carry its process id, and the next run removes them.

    with Network(tmp_path) as network:      # a bridge `br0` with 10.77.0.1/24, where the server under test runs
        network.spawn(["dnsmasq", …])
        network.capture()                   # all that passes, as a file
        network.tap()                       # a port for a virtual machine
        network.host("10.77.0.2/24")        # a machine of its own: a namespace with an `eth0` on the same bridge
"""

import itertools
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.process import Process

PREFIX = "gitboot-lab"
BRIDGE_MAC = "02:67:62:00:00:01"
_numbers = itertools.count(1)


class Namespace:
    """A network namespace with a loopback, and the programs started in it."""

    def __init__(self, scratch: Path) -> None:
        self.name = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
        self.scratch = scratch
        self._processes: list[Process] = []
        _run(["ip", "netns", "add", self.name])
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments: str) -> None:
        """Run `ip` on this namespace's links and addresses."""
        _run(["ip", "-n", self.name, *arguments])

    def command(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """The command that runs `argv` in here; `ip netns exec` replaces itself, so the process id is the program's own."""
        return ["ip", "netns", "exec", self.name, *argv]

    def run(self, argv: Sequence[str | Path], within: float = 30) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; the caller judges its exit code."""
        return subprocess.run(self.command(argv), capture_output=True, text=True, timeout=within, check=False)

    def spawn(self, argv: Sequence[str | Path], log: str | None = None) -> Process:
        """Start a program that runs until it or this network is stopped; its output goes to `log` in the scratch folder."""
        log = log or f"{self.name}-{len(self._processes)}-{Path(argv[0]).name}.log"
        process = Process(self.command(argv), self.scratch / log)
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in reversed(self._processes):
            process.stop()
        remove_namespace(self.name)


class Network:
    """A bridge in a namespace, with ports for virtual machines and for hosts in namespaces of their own.

    `address` and `address6` are the bridge's, in CIDR form: what the server under test listens on.
    """

    def __init__(self, scratch: Path, address: str = "10.77.0.1/24", address6: str = "fd00:77::1/64") -> None:
        self.scratch = scratch
        self.cidr = address
        self.address = address.partition("/")[0]
        self._address6 = address6
        self._ports = itertools.count()
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        remove_leftovers()
        try:
            self.namespace = self._namespace()
            # Without a MAC of its own a bridge takes the lowest of its ports', and hosts lose it when another port comes.
            bridge = ("type", "bridge", "stp_state", "0", "forward_delay", "0")
            self.namespace.ip("link", "add", "br0", "address", BRIDGE_MAC, *bridge)
            self.namespace.ip("address", "add", self.cidr, "dev", "br0")
            # Without nodad the address would be tentative for a second, and nothing could be bound to it.
            self.namespace.ip("address", "add", self._address6, "dev", "br0", "nodad")
            self.namespace.ip("link", "set", "br0", "up")
        except BaseException:
            self._resources.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._resources.close()

    def spawn(self, argv: Sequence[str | Path], log: str | None = None) -> Process:
        """Start a program at the bridge: a server under test."""
        return self.namespace.spawn(argv, log)

    def capture(self, name: str = "wire.pcap") -> Path:
        """From now on the file gets whatever passes the bridge, as whoever listens there would have it."""
        file = self.scratch / name
        options = ["--immediate-mode", "--packet-buffered", "--relinquish-privileges=root"]
        self.spawn(["tcpdump", "-i", "br0", *options, "-w", str(file)], f"{name}.log").wait_for("listening on")
        return file

    def tap(self) -> str:
        """A new port for a virtual machine; returns its interface's name."""
        tap = f"tap{next(self._ports)}"
        self.namespace.ip("tuntap", "add", tap, "mode", "tap")
        self.namespace.ip("link", "set", tap, "master", "br0", "up")
        return tap

    def host(self, address: str | None = None, mac: str | None = None) -> Namespace:
        """A new host with an `eth0` on the bridge; without an `address` it is for a DHCP client to configure."""
        host, port = self._namespace(), f"port{next(self._ports)}"
        self.namespace.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        if mac:
            host.ip("link", "set", "eth0", "address", mac)
        if address:
            host.ip("address", "add", address, "dev", "eth0")
        host.ip("link", "set", "eth0", "up")
        self.namespace.ip("link", "set", port, "master", "br0", "up")
        return host

    def advertise_ipv6(self) -> Process:
        """Send router advertisements, as a network's router does.

        iPXE waits for one whenever it configures an interface, 13 to 16 seconds where there is none; with it a machine is at
        its script in three. dnsmasq serves neither DHCP nor DNS here.
        """
        prefix = self._address6.partition("::")[0]
        argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--log-facility=-", "--port=0"]
        argv += ["--pid-file", "--interface=br0", "--enable-ra", f"--dhcp-range={prefix}::,ra-only,64"]
        router = self.spawn(argv, "router.log")
        router.wait_for("router advertisement on")
        return router

    def _namespace(self) -> Namespace:
        namespace = Namespace(self.scratch)
        self._resources.callback(namespace.close)
        return namespace


def remove_leftovers() -> None:
    """Remove the namespaces of runs whose process no longer exists, with the programs that still run in them."""
    for name in _output(["ip", "netns", "list"]).split():
        owner = name.removeprefix(f"{PREFIX}-").partition("-")[0]
        if name.startswith(f"{PREFIX}-") and owner.isdecimal() and not _exists(int(owner)):
            remove_namespace(name)


def remove_namespace(name: str) -> None:
    """Delete a namespace made here, after whatever its programs left running in it."""
    for pid in _output(["ip", "netns", "pids", name]).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    # Two runs that start together may find the same leftover: the slower one finds it gone.
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, timeout=30, check=False)


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(argv)}: {done.stderr.strip()}")


def _output(argv: Sequence[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False).stdout
