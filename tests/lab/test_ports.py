"""A machine's ports: without DHCP, in a VLAN, in a bond, and without an IPv6 router in sight."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.debian import newer_loaders
from tests.lab.initrd import Image
from tests.lab.network import Network
from tests.lab.process import Transcript
from tests.lab.qemu import IPXE_KERNEL, VM, Card, Kernel
from tests.lab.site import PROFILE, Gitboot, hardware, workflow
from tests.lab.trunk import trunk

pytestmark = pytest.mark.lab

MAC, SECOND = "52:54:00:77:00:01", "52:54:00:77:00:02"
IDLE = f"""
apiVersion: gitboot/v1
kind: Hardware
metadata: {{{{name: node-01}}}}
spec:
  idle: wait
  interfaces: [{{{{mac: "{MAC}", address: 10.77.0.11{{more}}}}}}]
"""
BONDED = f"""
apiVersion: gitboot/v1
kind: Hardware
metadata: {{name: node-01}}
spec:
  profile: lab
  interfaces: [{{mac: "{MAC}"}}, {{mac: "{SECOND}"}}]
  bonds: [{{name: bond0, interfaces: ["{MAC}", "{SECOND}"], address: 10.77.0.11}}]
"""
SOLICIT = """
import socket, struct
with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as asking:
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    asking.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    asking.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    asking.settimeout(1)
    index, kind = socket.if_nametoindex("eth0"), 0
    for _ in range(15):  # the other end's address may be tentative still
        try:
            asking.sendto(bytes((133, 0, 0, 0, 0, 0, 0, 0)), ("ff02::2", 0, 0, index))
            while kind != 134:
                message, ancillary, _, sender = asking.recvmsg(1500, 64)
                kind = message[0]
        except OSError:
            continue
        print(sender[0].partition("%")[0], struct.unpack("@i", ancillary[0][2])[0], message[4:].hex())
        break
"""
"""Asks for a router and prints who answers, the hop limit of the answer and the answer behind its checksum."""


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


def test_ipxe_is_spared_its_wait_for_an_ipv6_router(quiet: Network, tmp_path: Path) -> None:
    """`-s` shows how long it took; without the flag it is 16 seconds more (docs/networks.md)."""
    site = Gitboot(quiet, tmp_path / "site")
    commit = site.commit({"site.yaml": site.site(), "node.yaml": IDLE.format(more="")})
    server = site.start("--router-advertisement")
    site.served(commit)
    began = time.monotonic()
    with VM(quiet, "node-01", MAC) as vm:
        vm.wait_for("gitboot: node-01")
        print(f"from power-on to the script: {time.monotonic() - began:.1f} s")
    server.wait_for('"event":"router","outcome":"advertised","peer":"fe80::5054:ff:fe77:1')


def test_a_router_solicitation_is_answered_with_nothing_promised(quiet: Network, tmp_path: Path) -> None:
    """By the host's own system, as any machine on the wire would see it: RFC 4861 section 6.1.2 wants the hop limit."""
    argv = [sys.executable, "-m", "reconciler", "netboot", "--state", str(tmp_path / "state"), "--interface", "br0"]
    argv += ["--router-advertisement", "--dhcp-port", "-1", "--tftp-port", "-1", "--http-port", "0", "--https-port", "off"]
    quiet.spawn(argv).wait_for('"event":"listening"')
    host = quiet.host()
    host.ip("address", "add", "fe80::77/64", "dev", "eth0", "nodad")
    said = host.run([sys.executable, "-c", SOLICIT])
    assert said.stdout, said.stderr
    sender, hop_limit, promises = said.stdout.split()
    assert sender.startswith("fe80::")
    assert ("255", "00" * 12) == (hop_limit, promises)


def test_a_machine_with_a_static_address_does_its_work_where_nobody_answers_dhcp(
    quiet: Network, tmp_path: Path, image: Image
) -> None:
    """From iPXE on a stick to the agent's report; our DHCP server is there, and silent for this port."""
    site = Gitboot(quiet, tmp_path / "site", image)
    node = hardware("node-01", MAC, "10.77.0.11").replace("10.77.0.11}", "10.77.0.11, dhcp: false}")
    commit = site.commit(working(site, node))
    server = site.start("--new-site")
    site.served(commit)
    stick = Kernel(IPXE_KERNEL, site.bootstrap("node-01", tmp_path / "autoexec.ipxe"))
    with VM(quiet, "node-01", MAC, kernel=stick) as vm:
        vm.wait_for("gitboot: runs workflow look")
        vm.wait_for("MARK-NET interface=eth0 ip=10.77.0.11 hostname=node-01")
        vm.wait_for("MARK-DONE status=0")
    assert "SUCCESS" == site.status("workflows/look.json")["state"]
    assert '"event":"dhcp","outcome":"offer"' not in server.transcript.text()


def test_a_machine_in_a_vlan_tags_from_its_loader_to_its_agent(network: Network, tmp_path: Path, image: Image) -> None:
    """Debian 13's iPXE makes the VLAN, and the kernel is told to make it again: nothing untagged reaches the network."""
    site = Gitboot(network, tmp_path / "site", image)
    commit = site.commit(working(site, hardware("node-01", MAC, "10.77.0.11").replace(".11}", ".11, vlan: 42}")))
    site.start("--new-site")
    site.served(commit)
    stick = Kernel(newer_loaders() / "ipxe.lkrn", site.bootstrap("node-01", tmp_path / "autoexec.ipxe"))
    with VM(network, "node-01", MAC, kernel=stick, netdev=trunk(network, 42)) as vm:
        vm.wait_for("gitboot: runs workflow look")
        vm.wait_for("MARK-NET interface=vlan42 ip=10.77.0.11 hostname=node-01")
        vm.wait_for("MARK-DONE status=0")
    assert "SUCCESS" == site.status("workflows/look.json")["state"]


def test_an_ipxe_that_cannot_tag_says_so_and_finds_nobody_behind_a_trunk(network: Network, tmp_path: Path) -> None:
    site = Gitboot(network, tmp_path / "site")
    site.commit({"site.yaml": site.site(), "node.yaml": IDLE.format(more=", vlan: 42")})
    stick = Kernel(IPXE_KERNEL, site.bootstrap("node-01", tmp_path / "autoexec.ipxe"))
    with VM(network, "node-01", MAC, kernel=stick, netdev=trunk(network, 42)) as vm:
        vm.wait_for("this iPXE cannot tag for VLAN 42, going on untagged")
        network_log = tmp_path / "tap0.trunk.log"
        Transcript(network_log).wait_for(f"from {MAC}: dropped", within=30)
    assert "tagged" not in network_log.read_text()


def test_a_bonded_machine_has_one_address_by_whichever_port_it_boots(network: Network, tmp_path: Path, image: Image) -> None:
    """First by its second port, to do its work, and at once by the first: nobody minds that the address has moved."""
    site = Gitboot(network, tmp_path / "site", image)
    commit = site.commit(working(site, BONDED))
    server = site.start("--new-site")
    site.served(commit)
    with VM(network, "second", SECOND, second=Card(MAC, network.tap())) as vm:
        vm.wait_for("gitboot: runs workflow look")
        vm.wait_for("MARK-NET interface=eth0 ip=10.77.0.11 hostname=node-01")
        vm.wait_for("MARK-DONE status=0")
    with VM(network, "first", MAC, second=Card(SECOND, network.tap())) as vm:
        vm.wait_for("gitboot: workflow look run 1 ended SUCCESS")
    for mac in (SECOND, MAC):
        server.wait_for(f'"event":"script","outcome":"ok","mac":"{mac}","peer":"10.77.0.11"')
    assert f"ifname=bootnet0:{MAC} ifname=bootnet1:{SECOND} bond=bond0" in site.get(only_log(site))


def only_log(site: Gitboot) -> str:
    """The URL of what the machine's one action printed, which is its kernel's command line."""
    ((run,),) = [site.status("workflows/look.json")["runs"]]
    found = re.search(r'"(/logs/[^"]+)"', json.dumps(run))
    assert found, run
    return found[1]
