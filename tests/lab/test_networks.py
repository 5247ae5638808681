"""DHCP beside somebody else's: proxies, a provider's network before ours, and servers that nobody asked for."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netboot.dhcp_packet import decode
from reconciler.firmware import Firmware, Lease, discover, request
from tests.lab.clients import udhcpc
from tests.lab.disk import installed_disk
from tests.lab.network import Namespace, Network
from tests.lab.process import Process
from tests.lab.qemu import UEFI, VM, Card
from tests.lab.site import Gitboot, wait_until

pytestmark = pytest.mark.lab

MAC, SECOND = "52:54:00:77:00:01", "52:54:00:77:00:02"
THEIRS = "10.77.0.2"
SITE = """
apiVersion: gitboot/v1
kind: Site
metadata: {{name: lab}}
spec:
  server: 10.77.0.1
  dhcp: {{mode: {mode}}}
"""
NODE = """
apiVersion: gitboot/v1
kind: Hardware
metadata: {{name: node-01}}
spec:
  interfaces: [{{mac: "{mac}"}}]
"""
CAPTURES = Path(__file__).parents[1] / "netboot" / "captures"
FIRMWARE = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    client.bind(("", 68))
    client.settimeout(10)
    for server, port, packet in zip(sys.argv[1::3], sys.argv[2::3], sys.argv[3::3]):
        client.sendto(bytes.fromhex(packet), (server, int(port)))
        answer, sender = client.recvfrom(4096)
        print(*sender, answer.hex())
"""
"""Asks what it is told to, from port 68 as firmware does, and prints who answers what."""


@pytest.fixture
def site(network: Network, tmp_path: Path) -> Gitboot:
    return Gitboot(network, tmp_path / "site")


def serve(site: Gitboot, mode: str, /, **files: str) -> Process:
    commit = site.commit({"site.yaml": SITE.format(mode=mode), **{f"{name}.yaml": text for name, text in files.items()}})
    server = site.start()
    site.served(commit)
    return server


def dnsmasq(host: Namespace, interface: str, *flags: str) -> None:
    """Somebody else's DHCP server, which knows nothing of gitboot."""
    argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--log-facility=-", "--port=0"]
    argv += ["--pid-file", "--dhcp-leasefile=/dev/null", "--dhcp-authoritative", f"--interface={interface}", *flags]
    host.spawn(argv).wait_for("DHCP, IP range")


@pytest.fixture
def other(network: Network) -> Namespace:
    """The DHCP server of the network, at `THEIRS`."""
    host = network.host(f"{THEIRS}/24")
    dnsmasq(host, "eth0", "--dhcp-range=10.77.0.100,10.77.0.109")
    return host


@pytest.mark.usefixtures("other")
def test_beside_another_server_a_stranger_waits_and_boots_what_git_says_once_git_knows_it(
    site: Gitboot, network: Network, tmp_path: Path
) -> None:
    server = serve(site, "auto-proxy")
    with VM(network, "proxied", MAC, disk=installed_disk(tmp_path / "disk.img")) as vm:
        vm.wait_for(f"gitboot: no machine in git has the MAC {MAC}")
        (seen,) = site.status("reconcile.json")["unknown"]
        assert (MAC, "10.77.0.10") == (seen["mac"], seen["address"][:10])
        site.served(site.commit({"site.yaml": SITE.format(mode="proxy"), "node.yaml": NODE.format(mac=MAC)}))
        vm.reset()
        server.wait_for('"outcome":"offer".*"machine":"node-01".*"reason":"ProxyDHCP"')
        vm.wait_for("gitboot: git names no work for it; its idle state is the disk")
        vm.wait_for("MARK-DISK")
    machine = site.status("hardware/node-01.json")
    assert (seen["address"], "dhcp", "disk") == (machine["seenAt"][MAC], machine["boot"]["via"], machine["boot"]["phase"])
    assert [THEIRS] == [other["address"] for other in site.status("reconcile.json")["otherServers"]]


@pytest.mark.usefixtures("other")
def test_uefi_takes_its_address_from_another_server_and_its_loader_from_the_proxy(
    site: Gitboot, network: Network, tmp_path: Path
) -> None:
    server = serve(site, "proxy", node=NODE.format(mac=MAC))
    with VM(network, "uefi", MAC, firmware=UEFI, disk=installed_disk(tmp_path / "disk.img")) as vm:
        vm.wait_for("gitboot: git names no work for it; its idle state is the disk", within=120)
        vm.wait_for("MARK-DISK")
    log = server.transcript.text()
    assert re.search(r'"outcome":"offer".*"machine":"node-01","client":"pxe".*"reason":"ProxyDHCP"', log)
    assert re.search(r'"outcome":"completed","peer":"10.77.0.10\d","path":"snponly.efi"', log)


def captured(name: str, address: str = "") -> str:
    """A packet of real firmware as hex; with `address` it has become that client's own (ciaddr)."""
    packet = bytes.fromhex((CAPTURES / f"{name}.hex").read_text())
    if address:
        packet = packet[:12] + bytes(map(int, address.split("."))) + packet[16:]
    return packet.hex()


def test_firmware_that_asks_again_on_port_4011_is_answered_there(site: Gitboot, network: Network) -> None:
    discover, request = (
        captured("uefi-pxe-snponly.PXEClient-DISCOVER"),
        captured("uefi-pxe-snponly.PXEClient-REQUEST", "10.77.0.50"),
    )
    mac = decode(bytes.fromhex(discover)).mac
    serve(site, "proxy", node=NODE.format(mac=mac))
    client = network.host("10.77.0.50/24", mac)
    asked = [*("255.255.255.255", "67", discover), *("10.77.0.1", "4011", request)]
    done = client.run([sys.executable, "-c", FIRMWARE, *asked])
    assert 0 == done.returncode, done.stderr
    answers = [line.split() for line in done.stdout.splitlines()]
    assert [("10.77.0.1", "67"), ("10.77.0.1", "4011")] == [(address, port) for address, port, _ in answers]
    offer, ack = (decode(bytes.fromhex(data)) for _, _, data in answers)
    for message, told in ((2, offer), (5, ack)):
        assert (message, bytes(4), b"snponly.efi", b"PXEClient") == (told.message, told.yiaddr, told.file, told.options[60])


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Network]:
    """A provider's network, where its DHCP server hands every machine the provider's own script."""
    scratch = tmp_path / "provider"
    scratch.mkdir()
    with Network(scratch, "10.79.0.1/24", "fd00:79::1/64") as made:
        made.advertise_ipv6()
        flags = ("--dhcp-range=10.79.0.100,10.79.0.109", "--enable-tftp", f"--tftp-root={scratch}", "--dhcp-boot=script.ipxe")
        dnsmasq(made.namespace, "br0", *flags)
        yield made


def uplink(provider: Network, network: Network) -> str:
    """A port at the provider that leads to our network and nowhere else."""
    tap, namespace = provider.tap(), provider.namespace
    namespace.ip("link", "add", "ours", "type", "bridge", "stp_state", "0", "forward_delay", "0")
    namespace.ip("link", "add", "uplink", "type", "veth", "peer", "name", "provider", "netns", network.namespace.name)
    namespace.ip("link", "set", "ours", "up")
    for port in (tap, "uplink"):
        namespace.ip("link", "set", port, "master", "ours", "up")
    network.namespace.ip("link", "set", "provider", "master", "br0", "up")
    return tap


@pytest.mark.parametrize("mode", ["off", "reservation"])
def test_a_provider_s_machine_comes_by_its_second_interface(
    site: Gitboot, network: Network, provider: Network, tmp_path: Path, mode: str
) -> None:
    """Its script is the one that `gitboot render` prints. Our network has a DHCP server of its own, which may be gitboot."""
    if mode == "off":
        dnsmasq(network.host(f"{THEIRS}/24"), "eth0", "--dhcp-range=10.77.0.100,10.77.0.109")
        serve(site, mode, node=NODE.format(mac=SECOND))
    else:
        serve(site, mode, site=site.site(), node=NODE.format(mac=SECOND).replace('"}', '", address: 10.77.0.105}'))
    argv = [sys.executable, "-m", "reconciler", "render", str(site.repository), "node-01", "--what", "bootstrap"]
    script = network.namespace.run(argv).stdout
    (tmp_path / "provider" / "script.ipxe").write_text(script)
    card = Card(SECOND, uplink(provider, network))
    with VM(provider, "rented", MAC, disk=installed_disk(tmp_path / "disk.img"), second=card) as vm:
        vm.wait_for("script.ipxe")
        vm.wait_for(f"gitboot: node-01 .{SECOND}.")
        vm.wait_for("MARK-DISK")
    assert site.status("hardware/node-01.json")["seenAt"][SECOND].startswith("10.77.0.10")


def test_a_server_that_nobody_asked_for_is_named(site: Gitboot, network: Network, other: Namespace) -> None:
    server = serve(site, "reservation", site=site.site())
    udhcpc(network.host(mac=MAC), "-B").told("bound", server=THEIRS)  # asks for broadcasts
    server.wait_for(f'"level":"warning","event":"other-dhcp-server","server":"{THEIRS}","mac":"{MAC}","heard":"OFFER"')
    wait_until(lambda: bool(site.status("reconcile.json")["otherServers"]), "it is in the status")
    (named,) = site.status("reconcile.json")["otherServers"]
    assert (THEIRS, MAC) == (named["address"], named["mac"])
    written = site.state / "status" / "reconcile.json"
    wait_until(lambda: bool(json.loads(written.read_text())["otherServers"]), "it is in the file")


@pytest.mark.usefixtures("other")
def test_a_machine_that_takes_the_other_servers_offer_is_an_issue_with_that_ones_address(
    site: Gitboot, network: Network
) -> None:
    serve(site, "reservation", site=site.site(), node=NODE.format(mac=MAC).replace('"}', '", address: 10.77.0.50}'))
    firmware, theirs = Firmware(MAC, 7, bytes(16)), Lease(address("10.77.0.105"), address(THEIRS), b"", "", "")
    says = (discover(firmware, "pxe", b"abcd"), request(firmware, "pxe", b"abcd", theirs))
    asked = [word for packet in says for word in ("255.255.255.255", "67", packet.hex())]
    done = network.host("10.77.0.51/24", MAC).run([sys.executable, "-c", FIRMWARE, *asked])
    assert 0 == done.returncode, done.stderr
    wait_until(lambda: {"other-dhcp-server", "offer-not-taken"} <= issues(site).keys(), "both are issues")
    assert f"it took the offer of another DHCP server, {THEIRS}" == issues(site)["offer-not-taken"]


def address(text: str) -> bytes:
    return bytes(map(int, text.split(".")))


def issues(site: Gitboot) -> dict[str, str]:
    return {each["kind"]: each["message"] for each in site.status("issues.json")["issues"]}


@pytest.mark.usefixtures("other")
def test_whoever_answers_dhcp_is_listed_when_asked(site: Gitboot, network: Network) -> None:
    serve(site, "auto-proxy")
    dnsmasq(network.host("10.77.0.4/24"), "eth0", "--dhcp-range=10.77.0.110,10.77.0.119", "--dhcp-boot=their.pxe")
    argv = [sys.executable, "-m", "reconciler", "doctor", "--probe", "--interface", "eth0"]
    said = network.host("10.77.0.50/24").run(argv).stdout
    lines = dict(re.findall(r"(?m)^(?:ok|warn) +DHCP server (\S+) +(\S.*?)(?:  |$)", said))
    assert {THEIRS, "10.77.0.4", "10.77.0.1"} == lines.keys(), said
    assert re.fullmatch(r"offers 10\.77\.0\.10\d", lines[THEIRS])
    assert re.fullmatch(r"offers 10\.77\.0\.11\d, boot file their\.pxe", lines["10.77.0.4"])
    assert "ProxyDHCP, no address, boot file undionly.kpxe" == lines["10.77.0.1"]
