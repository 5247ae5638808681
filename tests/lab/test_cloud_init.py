"""Debian's cloud-init asks a live server and does what it is told: files, users, keys, names and networks are as git says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.cloud_init import System, version
from tests.lab.network import Namespace, Network
from tests.lab.site import Gitboot

pytestmark = pytest.mark.lab

CLOUD_CFG = "etc/cloud/cloud.cfg.d/90-gitboot.cfg"
NOCLOUD = 'datasource_list: [NoCloud]\ndatasource: {NoCloud: {seedfrom: "http://10.77.0.1/nocloud/"}}\n'
EC2 = 'datasource_list: [Ec2]\ndatasource: {Ec2: {metadata_urls: ["http://10.77.0.1"], strict_id: false}}\n'
SERVER, ADDRESS, MAC, SECOND = "10.77.0.1", "10.77.0.11", "52:54:00:77:00:01", "52:54:00:77:00:02"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMB4x0bzFcCcIP4aP9fHGWHOCzKhTn2Bzwqg2nJgQ0fI"
NODE = f"""
apiVersion: gitboot/v1
kind: Hardware
metadata: {{name: node-01, labels: {{role: web}}}}
spec:
  interfaces: [{{mac: "{MAC}", address: {ADDRESS}, hostname: web-1}}]
  metadata: {{publicKeys: ["{KEY} admin"]}}
  userData: |
    #cloud-config
    users:
    - default
    - {{name: operator, shell: /bin/bash, ssh_authorized_keys: ["{KEY} operator"]}}
    write_files: [{{path: /root/wrote, content: by user-data}}]
    runcmd: [[sh, -c, "echo it ran > /root/ran"]]
    timezone: Europe/Berlin
  vendorData: |
    #cloud-config
    timezone: Europe/Rome
    manage_etc_hosts: localhost
"""
WIRED = f"""
apiVersion: gitboot/v1
kind: Hardware
metadata: {{name: node-01}}
spec:
  interfaces:
  - {{mac: "{MAC}", address: {ADDRESS}, hostname: web-1, dhcp: false}}
  - {{mac: "{SECOND}", subnet: lab, vlan: 42}}
  - {{mac: "52:54:00:77:00:03", subnet: lab}}
  - {{mac: "52:54:00:77:00:04", subnet: lab}}
  bonds:
  - {{name: bond0, mode: 802.3ad, interfaces: ["52:54:00:77:00:03", "52:54:00:77:00:04"], address: 10.77.0.13}}
"""


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path) as made:
        yield made


@pytest.fixture
def site(network: Network, tmp_path: Path) -> Gitboot:
    return Gitboot(network, tmp_path / "site")


@pytest.fixture
def host(network: Network) -> Namespace:
    return network.host(f"{ADDRESS}/24", MAC)


def serve(site: Gitboot, node: str = NODE, site_text: str = "") -> None:
    commit = site.commit({"site.yaml": site.site() + site_text, "node.yaml": node})
    site.start()
    site.served(commit)


def applied(system: System, vendor: bool = True) -> None:
    """What git says of node-01 is true in the system. `vendor`: what its vendor-data says too."""
    assert ["web-1", "web-1"] == [system.read(path).strip() for path in ("etc/hostname", "name")]
    known = ["127.0.1.1", "web-1.lab.example", "web-1"] in [line.split() for line in system.read("etc/hosts").splitlines()]
    assert vendor == known
    assert "Europe/Berlin" == system.read("etc/timezone").strip()  # user-data beats vendor-data
    assert ["by user-data", "it ran"] == [system.read(f"root/{name}").strip() for name in ("wrote", "ran")]
    shells = {line.split(":")[0]: line.split(":")[6] for line in system.read("etc/passwd").splitlines()}
    assert ("/bin/bash", "/bin/bash") == (shells["debian"], shells["operator"])
    assert f"{KEY} admin\n" == system.read("home/debian/.ssh/authorized_keys")
    assert f"{KEY} operator\n" == system.read("home/operator/.ssh/authorized_keys")


def netplan(system: System) -> Any:
    """What cloud-init wrote for netplan; None when it wrote nothing."""
    found = system.files("etc/netplan")
    return yaml.safe_load(found["50-cloud-init.yaml"])["network"]["ethernets"] if found else None


ASKS_DHCP = {"match": {"macaddress": MAC}, "set-name": "eth0", "dhcp4": True}


def test_nocloud_by_http_is_applied(site: Gitboot, host: Namespace, tmp_path: Path) -> None:
    """With the file that docs/metadata.md has a workflow write. Up to 23.3 its network is cloud-init's own idea: DHCP."""
    serve(site)
    system = System(host, tmp_path / "system")
    system.write(CLOUD_CFG, NOCLOUD)
    system.boot()
    applied(system)
    port = {**ASKS_DHCP, "set-name": "net0"} if version() >= (23, 4) else ASKS_DHCP
    assert {port["set-name"]: port} == netplan(system)


def test_nocloud_by_the_kernels_command_line_is_applied_and_leaves_a_network_alone_that_an_action_wrote(
    site: Gitboot, host: Namespace, tmp_path: Path
) -> None:
    """As docs/metadata.md has it for addresses without DHCP: the action `network` writes this file too."""
    serve(site)
    system = System(host, tmp_path / "system")
    system.write(CLOUD_CFG, "datasource_list: [NoCloud]\n")
    system.write("etc/cloud/cloud.cfg.d/99-gitboot-network.cfg", "network: {config: disabled}\n")
    system.boot(f"quiet ds=nocloud-net;s=http://{SERVER}/nocloud/node-01/")
    applied(system)
    assert netplan(system) is None


def test_ec2_is_applied_with_the_network_that_it_says(site: Gitboot, host: Namespace, tmp_path: Path) -> None:
    serve(site)
    system = System(host, tmp_path / "system")
    system.write(CLOUD_CFG, EC2)
    system.boot()
    applied(system, vendor=False)
    assert {"eth0": {**ASKS_DHCP, "dhcp6": False}} == netplan(system)
    assert {"[Network]", "DHCP=ipv4"} <= set(system.read("networkd/10-netplan-eth0.network").splitlines())


def test_a_machine_that_says_it_is_at_aws_is_told_by_imdsv2_where_tokens_are_required(
    site: Gitboot, host: Namespace, tmp_path: Path
) -> None:
    """The only machine whose cloud-init asks for a token."""
    serve(site, site_text="  metadata: {tokens: required}\n")
    system = System(host, tmp_path / "system")
    uuid = "ec2abcde-0000-0000-0000-000000000001"
    system.firmware(system_uuid=uuid, system_serial_number=uuid)
    system.write(CLOUD_CFG, EC2)
    log = system.boot()
    applied(system, vendor=False)
    assert "Fetching Ec2 IMDSv2 API Token" in log
    assert {"eth0": {**ASKS_DHCP, "dhcp6": False}} == netplan(system)


NETPLAN = {
    "10-netplan-net0.network": {
        "Name=net0",
        "Address=10.77.0.11/24",
        "Gateway=10.77.0.1",
        "DNS=10.77.0.1",
    },
    "10-netplan-net1.network": {"VLAN=vlan42"},
    "10-netplan-net2.network": {"Bond=bond0"},
    "10-netplan-net3.network": {"Bond=bond0"},
    "10-netplan-bond0.netdev": {"Kind=bond", "Mode=802.3ad", "MIIMonitorSec=100ms"},
    "10-netplan-bond0.network": {"Name=bond0", "DHCP=ipv4"},
    "10-netplan-vlan42.netdev": {"Kind=vlan", "Id=42"},
    "10-netplan-vlan42.network": {"Name=vlan42", "DHCP=ipv4"},
}
IFUPDOWN = {
    "iface net0 inet static", "address 10.77.0.11/24", "dns-nameservers 10.77.0.1", "dns-search lab.example",
    "iface vlan42 inet dhcp", "vlan-raw-device net1", "vlan_id 42",
    "iface bond0 inet dhcp", "bond-mode 802.3ad", "bond-miimon 100", "bond-master bond0",
}  # fmt: skip


@pytest.mark.parametrize("renderer", ["netplan", "eni"])
def test_the_same_four_files_as_a_seed_are_applied_with_static_addresses_vlans_and_bonds(
    site: Gitboot, host: Namespace, tmp_path: Path, renderer: str
) -> None:
    """What the server says, put into the image: a machine that has no network yet does it."""
    serve(site, WIRED)
    for number in (2, 3, 4):
        far = ["peer", "name", f"far{number}"]
        host.ip("link", "add", f"eth{number}", "address", f"52:54:00:77:00:0{number}", "type", "veth", *far)
    system = System(host, tmp_path / "system", renderer)
    for name in ("meta-data", "user-data", "vendor-data", "network-config"):
        got = host.run(["busybox", "wget", "-q", "-O", "-", f"http://{SERVER}/nocloud/{name}"])
        assert 0 == got.returncode, got.stderr
        system.write(f"var/lib/cloud/seed/nocloud/{name}", got.stdout)
    system.write(CLOUD_CFG, "datasource_list: [NoCloud]\n")
    host.ip("link", "set", "eth0", "down")
    system.boot()
    assert "web-1" == system.read("etc/hostname").strip()
    if renderer == "netplan":
        made = {name: set(text.split("\n")) for name, text in system.files("networkd").items()}
        assert {} == {name: said - made.get(name, set()) for name, said in NETPLAN.items() if said - made.get(name, set())}
    else:
        assert set() == IFUPDOWN - {line.strip() for line in system.read("etc/network/interfaces.d/50-cloud-init").splitlines()}
