"""Where the lab's tests can run, and one sentence at the end of the run where they cannot."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.docker import build_actions
from tests.lab.initrd import Image, build_initrd
from tests.lab.network import Network
from tests.lab.operating_system import Built, kept_os

REPOSITORY = Path(__file__).parents[2]
TOOLS = [
    *("ip", "qemu-system-x86_64", "qemu-img", "dnsmasq", "busybox", "cpio", "zstd", "depmod", "apt-get", "dpkg-deb"),
    *("mmdebstrap", "mksquashfs", "ssh-keygen"),
    *("perfdhcp", "kea-dhcp4", "nft"),
    *("qemu-system-aarch64", "mformat", "grub-mkimage"),
    *("mmdebstrap", "dockerd", "docker", "docker-registry", "skopeo", "capsh"),
    "chromium",
]

_skipped: list[str] = []


def obstacle() -> str | None:
    """Why no lab test can run here, or None."""
    if os.geteuid() != 0:
        return "not root"
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        return f"{', '.join(missing)} not installed (tests/lab/install-tools)"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "no /dev/net/tun"
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        return "network namespaces are not permitted"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lab = [item for item in items if item.get_closest_marker("lab")]
    if lab and (reason := obstacle()):
        _skipped.append(reason)
        for item in lab:
            item.add_marker(pytest.mark.skip(reason=f"end to end: {reason}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skipped and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line(
            f"end-to-end tests were skipped: {_skipped[0]}; run as root on Debian to include them", yellow=True
        )


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The lab's operating system with gitboot's own agent in it."""
    return build_initrd(REPOSITORY / "agent", tmp_path_factory.mktemp("image") / "initrd")


@pytest.fixture(scope="session")
def built_os() -> Built:
    """The in-memory OS, with the kernel for virtual machines."""
    return kept_os()


@pytest.fixture(scope="session")
def actions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive with the images of the standard actions."""
    return build_actions(tmp_path_factory.mktemp("actions") / "actions.tar")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """A network of the test's own with an IPv6 router on it; its programs' logs are in the test's `tmp_path`."""
    with Network(tmp_path) as made:
        made.advertise_ipv6()
        yield made
