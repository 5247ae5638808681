"""A machine's ports: without DHCP, in a VLAN, in a bond, and without an IPv6 router in sight."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.initrd import Image
from tests.lab.network import Network
from tests.lab.qemu import IPXE_KERNEL, VM, Kernel
from tests.lab.site import PROFILE, Gitboot, hardware, workflow

pytestmark = pytest.mark.lab

MAC, SECOND = "52:54:00:77:00:01", "52:54:00:77:00:02"


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Network]:
    """A network on which nobody sends router advertisements."""
    with Network(tmp_path) as made:
        yield made


def working(site: Gitboot, node: str) -> dict[str, str]:
    """A machine whose work is to say that it is at work."""
    template = (
        site.template().split("  - name: write-disk")[0] + "  - {name: look, image: 'none:v1', command: [cat, /proc/cmdline]}\n"
    )
    files = {"site": site.site(), "node": node, "profile": PROFILE, "template": template, "work": workflow("look", "node-01")}
    return {f"{name}.yaml": text.replace("install", "look") for name, text in files.items()}


def bootstrap(site: Gitboot, path: Path) -> Path:
    """The script that `gitboot render` prints, as a file for iPXE."""
    argv = [sys.executable, "-m", "reconciler", "render", str(site.repository), "node-01", "--what", "bootstrap"]
    path.write_text(site.network.namespace.run(argv).stdout)
    return path


def test_ipxe_is_spared_its_wait_for_an_ipv6_router(quiet: Network, tmp_path: Path) -> None:
    """`-s` shows how long it took; without the flag it is 16 seconds more (docs/networks.md)."""
    site = Gitboot(quiet, tmp_path / "site")
    commit = site.commit(
        {
            "site.yaml": site.site(),
            "node.yaml": hardware("node-01", MAC, "10.77.0.11", "  idle: wait").replace("  profile: lab\n", ""),
        }
    )
    server = site.start("--router-advertisement")
    site.served(commit)
    began = time.monotonic()
    with VM(quiet, "node-01", MAC) as vm:
        vm.wait_for("gitboot: node-01")
        print(f"from power-on to the script: {time.monotonic() - began:.1f} s")
    server.wait_for('"event":"router","outcome":"advertised","peer":"fe80::5054:ff:fe77:1')


def test_a_machine_with_a_static_address_does_its_work_where_nobody_answers_dhcp(
    quiet: Network, tmp_path: Path, image: Image
) -> None:
    """From iPXE on a stick to the agent's report; our DHCP server is there, and silent for this port."""
    site = Gitboot(quiet, tmp_path / "site", image)
    node = hardware("node-01", MAC, "10.77.0.11").replace("10.77.0.11}", "10.77.0.11, dhcp: false}")
    commit = site.commit(working(site, node))
    server = site.start("--new-site")
    site.served(commit)
    stick = Kernel(IPXE_KERNEL, bootstrap(site, tmp_path / "autoexec.ipxe"))
    with VM(quiet, "node-01", MAC, kernel=stick) as vm:
        vm.wait_for("gitboot: runs workflow look")
        vm.wait_for("MARK-NET interface=eth0 ip=10.77.0.11 hostname=node-01")
        vm.wait_for("MARK-DONE status=0")
    assert "SUCCESS" == site.status("workflows/look.json")["state"]
    assert '"event":"dhcp","outcome":"offer"' not in server.transcript.text()
