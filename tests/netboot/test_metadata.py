"""Metadata: every form of it, of every shape of machine, and who gets whose."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from netboot.boot import Plans
from netboot.dhcp_options import encode, pack
from netboot.metadata import EC2_VERSIONS, Told, asking, ec2, ec2_key, host_name, network_config, nocloud, tinkerbell
from netboot.plan import Bond, Interface, Metadata
from tests.netboot.plan_example import MAC, SECOND, SITE, SYSTEM, Room, machine, plan, port

OPTIONS = pack(
    dict(
        encode(name, value)
        for name, value in {
            "subnet-mask": "255.255.0.0",
            "routers": ["10.1.0.1"],
            "domain-name-servers": ["10.1.0.1", "10.1.0.3"],
            "domain-name": "lab.example",
        }.items()
    )
)
THIRD = "52:54:00:12:34:03"
KEYS = ("ssh-ed25519 AAAA first", "ssh-ed25519 BBBB second")
SAID = Metadata(public_keys=KEYS, user_data="#cloud-config\n{}\n")


def told(*ports: Interface, **more: Any) -> Told:
    node = machine("node-01", *(ports or (port(hostname="node-01", options=OPTIONS),)), **{"metadata": SAID, **more})
    return Told(plan(node), node, node.interfaces[0])


# EC2

IDENTITY = """\
{
  "version": "2017-09-30",
  "instanceId": "node-01",
  "region": "home",
  "availabilityZone": "homea",
  "privateIp": "10.1.0.11",
  "architecture": "x86_64"
}"""


def test_the_tree_is_listed_and_read_as_on_aws() -> None:
    tree = ec2(told(labels={"rack": "r1", "role": "web"}), "10.1.0.11")
    expected = {
        "": "dynamic/\nmeta-data/\nuser-data",
        "dynamic": "instance-identity/",
        "dynamic/instance-identity": "document",
        "dynamic/instance-identity/document": IDENTITY,
        "user-data": "#cloud-config\n{}\n",
        "meta-data": ("hostname\ninstance-id\nlocal-hostname\nlocal-ipv4\nmac\nnetwork/\nplacement/\npublic-keys/\ntags/"),
        "meta-data/hostname": "node-01.lab.example",
        "meta-data/instance-id": "node-01",
        "meta-data/local-hostname": "node-01.lab.example",
        "meta-data/local-ipv4": "10.1.0.11",
        "meta-data/mac": MAC,
        "meta-data/network": "interfaces/",
        "meta-data/network/interfaces": "macs/",
        "meta-data/network/interfaces/macs": f"{MAC}/",
        f"meta-data/network/interfaces/macs/{MAC}": ("device-number\nlocal-hostname\nmac\nlocal-ipv4s\nsubnet-ipv4-cidr-block"),
        f"meta-data/network/interfaces/macs/{MAC}/device-number": "0",
        f"meta-data/network/interfaces/macs/{MAC}/local-hostname": "node-01.lab.example",
        f"meta-data/network/interfaces/macs/{MAC}/mac": MAC,
        f"meta-data/network/interfaces/macs/{MAC}/local-ipv4s": "10.1.0.11",
        f"meta-data/network/interfaces/macs/{MAC}/subnet-ipv4-cidr-block": "10.1.0.0/16",
        "meta-data/placement": "availability-zone\nregion",
        "meta-data/placement/availability-zone": "homea",
        "meta-data/placement/region": "home",
        "meta-data/public-keys": "0=key-0\n1=key-1",
        "meta-data/public-keys/0": "openssh-key",
        "meta-data/public-keys/0/openssh-key": "ssh-ed25519 AAAA first",
        "meta-data/public-keys/1": "openssh-key",
        "meta-data/public-keys/1/openssh-key": "ssh-ed25519 BBBB second",
        "meta-data/tags": "instance/",
        "meta-data/tags/instance": "rack\nrole",
        "meta-data/tags/instance/rack": "r1",
        "meta-data/tags/instance/role": "web",
    }
    assert expected == tree


def test_what_git_does_not_say_is_not_there() -> None:
    tree = ec2(told(port(), metadata=None), "10.1.0.11")
    assert "dynamic/\nmeta-data/" == tree[""]
    assert {"user-data", "vendor-data", "meta-data/public-keys", "meta-data/tags"}.isdisjoint(tree)
    assert "node-01" == tree["meta-data/hostname"]


def test_labels_say_where_a_machine_stands() -> None:
    labels = {"topology.kubernetes.io/zone": "hall-2", "topology.kubernetes.io/region": "north"}
    tree = ec2(told(labels=labels), "10.1.0.11")
    assert ("hall-2", "north") == (tree["meta-data/placement/availability-zone"], tree["meta-data/placement/region"])


def test_a_label_that_is_no_name_in_a_path_is_no_tag() -> None:
    labels = dict.fromkeys(["a/b", "..", ".", "_index", "a b", "0=a", "a=b", "", "a\nb", "ok.1", "x:y@z"], "v")
    tree = ec2(told(labels=labels), "10.1.0.11")
    assert "ok.1\nx:y@z" == tree["meta-data/tags/instance"]


def test_ports_that_do_not_ask_dhcp_are_not_in_the_tree_for_its_reader_would_ask_there() -> None:
    ports = (
        port(options=OPTIONS),
        port(SECOND, "10.1.0.12", dhcp=False, options=OPTIONS),
        port(THIRD, "10.1.0.13", vlan=7),
    )
    macs = "meta-data/network/interfaces/macs"
    assert f"{MAC}/" == ec2(told(*ports), "10.1.0.11")[macs]
    assert "" == ec2(told(*ports, bonds=(Bond("bond0", "802.3ad", (MAC, SECOND)),)), "10.1.0.11")[macs]


@given(
    labels=st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=6),
    keys=st.lists(st.text(min_size=1, max_size=20), max_size=3),
)
def test_every_path_that_is_listed_is_there_and_nothing_else(labels: dict[str, str], keys: list[str]) -> None:
    """As cloud-init walks it: from the lists alone."""
    tree = ec2(told(labels=labels, metadata=Metadata(public_keys=tuple(keys), user_data="x")), "10.1.0.11")
    seen = set[str]()

    def walk(path: str) -> None:
        for line in tree[ec2_key(path)].split("\n"):
            if line.endswith("/"):
                seen.add(f"{path}{line[:-1]}")
                walk(f"{path}{line}")
            elif "=" in line:
                at = f"{path}{line.partition('=')[0]}"
                seen.update({at, f"{at}/openssh-key"})
            elif line:
                seen.add(f"{path}{line}")

    walk("")
    assert seen | {""} == set(tree)


@given(st.text(max_size=200))
def test_any_path_is_a_key_or_nothing(path: str) -> None:
    tree = ec2(told(), "10.1.0.11")
    found = tree.get(ec2_key(path))
    assert (found is not None) == (path.removesuffix("/") in tree)


# NoCloud


def test_nocloud_has_all_four_files_whatever_git_says() -> None:
    bare = nocloud(told(port(), metadata=None))
    assert ["meta-data", "user-data", "vendor-data", "network-config"] == list(bare)
    assert ("", "") == (bare["user-data"], bare["vendor-data"])
    full = yaml.safe_load(nocloud(told())["meta-data"])
    expected = {
        "instance-id": "node-01",
        "local-hostname": "node-01.lab.example",
        "hostname": "node-01.lab.example",
        "availability-zone": "homea",
        "region": "home",
        "public-keys": list(KEYS),
    }
    assert expected == full


def test_vendor_data_is_the_sites_unless_the_machine_has_its_own_or_none() -> None:
    site = replace_site(vendor_data="#cloud-config\nsite: 1\n")
    for own, expected in ((None, "#cloud-config\nsite: 1\n"), ("mine", "mine"), ("", "")):
        node = machine("node-01", metadata=Metadata(vendor_data=own) if own is not None else None)
        served = Told(plan(node, site=site), node, node.interfaces[0])
        assert expected == nocloud(served)["vendor-data"]
        assert "vendor-data" not in ec2(served, "10.1.0.11")


def replace_site(**changes: Any) -> Any:
    return msgspec.structs.replace(SITE, **changes)


def net(index: int, mac: str) -> dict[str, Any]:
    return {"match": {"macaddress": mac}, "set-name": f"net{index}"}


STATIC = {
    "addresses": ["10.1.0.11/16"],
    "routes": [{"to": "0.0.0.0/0", "via": "10.1.0.1"}],
    "nameservers": {"addresses": ["10.1.0.1", "10.1.0.3"], "search": ["lab.example"]},
}
DHCP = {"dhcp4": True}
OFF = {"dhcp4": False}
FIXED: dict[str, Any] = {"dhcp": False, "options": OPTIONS}
BOND = Bond("bond0", "802.3ad", (MAC, SECOND))
MADE = {"interfaces": ["net0", "net1"], "parameters": {"mode": "802.3ad", "mii-monitor-interval": 100}}

ROUTED = pack(
    dict([encode("classless-static-route", ["10.9.0.0/16 10.1.0.2", "0.0.0.0/0 10.1.0.3"]), encode("routers", ["10.1.0.1"]),
          encode("subnet-mask", "255.255.0.0")])
)  # fmt: skip

CASES: list[tuple[str, tuple[Interface, ...], tuple[Bond, ...], dict[str, Any]]] = [
    ("a port with DHCP", (port(),), (), {"ethernets": {"net0": {**net(0, MAC), **DHCP}}}),
    ("a port whose DHCP is another's", (port(address="", dhcp=False),), (), {"ethernets": {"net0": {**net(0, MAC), **DHCP}}}),
    ("a static port", (port(**FIXED),), (), {"ethernets": {"net0": {**net(0, MAC), **STATIC}}}),
    (
        "a static port that is told nothing else",
        (port(dhcp=False),),
        (),
        {"ethernets": {"net0": {**net(0, MAC), "addresses": ["10.1.0.11/16"]}}},
    ),
    (
        "a static port with routes, where the gateway does not count (RFC 3442)",
        (port(dhcp=False, options=ROUTED),),
        (),
        {
            "ethernets": {
                "net0": {
                    **net(0, MAC),
                    "addresses": ["10.1.0.11/16"],
                    "routes": [{"to": "10.9.0.0/16", "via": "10.1.0.2"}, {"to": "0.0.0.0/0", "via": "10.1.0.3"}],
                }
            }
        },
    ),
    (
        "a static port in a VLAN",
        (port(vlan=7, **FIXED),),
        (),
        {"ethernets": {"net0": {**net(0, MAC), **OFF}}, "vlans": {"vlan7": {"id": 7, "link": "net0", **STATIC}}},
    ),
    (
        "a static bond",
        (port(**FIXED), port(SECOND, **FIXED)),
        (BOND,),
        {
            "ethernets": {"net0": {**net(0, MAC), **OFF}, "net1": {**net(1, SECOND), **OFF}},
            "bonds": {"bond0": {**MADE, **STATIC}},
        },
    ),
    (
        "a bond in a VLAN beside a port",
        (port(vlan=7), port(SECOND, vlan=7), port(THIRD, "10.1.0.13")),
        (BOND,),
        {
            "ethernets": {"net0": {**net(0, MAC), **OFF}, "net1": {**net(1, SECOND), **OFF}, "net2": {**net(2, THIRD), **DHCP}},
            "bonds": {"bond0": {**MADE, **OFF}},
            "vlans": {"vlan7": {"id": 7, "link": "bond0", **DHCP}},
        },
    ),
]


@pytest.mark.parametrize(("ports", "bonds", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_network_is_as_git_has_it(ports: tuple[Interface, ...], bonds: tuple[Bond, ...], expected: dict[str, Any]) -> None:
    node = machine("node-01", *ports, bonds=bonds)
    assert {"version": 2, **expected} == network_config(plan(node), node)
    assert {"version": 2, **expected} == yaml.safe_load(nocloud(Told(plan(node), node, ports[0]))["network-config"])


# Tinkerbell


def test_rootio_finds_the_layout_where_tinkerbell_has_it() -> None:
    storage = {"disks": [{"device": "/dev/sda", "wipe_table": True, "partitions": [{"number": 1, "size": 4096}]}]}
    document = json.loads(tinkerbell(told(storage=storage)))
    instance = {"id": "node-01", "hostname": "node-01.lab.example", "ssh_keys": list(KEYS), "storage": storage}
    assert {"metadata": {"instance": instance}} == document


# Who gets whose


def named(found: Told | None) -> str:
    return found.machine.name if found else ""


OLD = machine("node-01", port(MAC, "10.1.0.11"))
MOVED = machine("node-01", port(MAC, "10.1.0.12"))
HEIR = machine("node-02", port(SECOND, "10.1.0.11"))


def test_a_machine_on_its_disk_is_told_by_the_current_plan_and_an_open_boot_by_its_own() -> None:
    room = Room.of(OLD)
    assert "node-01" == named(asking(room.plans, room.observed, "10.1.0.11"))
    first = room.plans.current
    room.discover(MAC, {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"})
    room.publish(plan(machine("node-01", port(MAC, "10.1.0.11"), metadata=SAID)))
    opened = asking(room.plans, room.observed, "10.1.0.11")
    assert opened is not None
    assert (first.id, None) == (opened.plan.id, opened.machine.metadata)
    closed = asking(Plans(room.plans.current, {}), Room.of(OLD).observed, "10.1.0.11")
    assert closed is not None
    assert SAID == closed.machine.metadata


def test_an_address_that_git_gave_to_another_stays_its_holders_until_its_boot_is_over() -> None:
    room = Room.of(OLD)
    room.discover(MAC, {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"})
    room.publish(plan(MOVED, HEIR))
    assert ("node-01", "") == tuple(named(asking(room.plans, room.observed, each)) for each in ("10.1.0.11", "10.1.0.12"))
    over = Plans(room.plans.current, {})
    fresh = Room.of(OLD).observed
    assert ("node-02", "node-01") == tuple(named(asking(over, fresh, each)) for each in ("10.1.0.11", "10.1.0.12"))


def test_a_machine_without_an_address_of_its_own_is_known_by_its_lease_and_a_stranger_is_not() -> None:
    room = Room.of(machine("node-01", port(MAC, address="")))
    assert asking(room.plans, room.observed, "10.1.200.1") is None
    offered = room.discover(MAC, SYSTEM)
    room.request(offered.address, MAC, SYSTEM)
    assert "node-01" == named(asking(room.plans, room.observed, offered.address))
    other = Plans(plan(machine("node-01", port(MAC, address="")), site=replace_site(mode="proxy")), {})
    assert asking(other, room.observed, offered.address) is None
    gone = Plans(plan(machine("node-02", port(SECOND, "10.1.0.12"))), {})
    assert asking(gone, room.observed, offered.address) is None


addresses = st.integers(min_value=0, max_value=12).map(lambda number: str(IPv4Address("10.1.0.8") + number))


@given(ask=st.one_of(addresses, st.text(max_size=20), st.ip_addresses().map(str)), order=st.permutations(range(4)))
def test_whoever_asks_is_told_of_the_machine_with_that_address_or_of_none(ask: str, order: list[int]) -> None:
    machines = [machine(f"node-{n}", port(f"52:54:00:12:34:{n:02x}", f"10.1.0.{10 + n}")) for n in order]
    room = Room.of(*machines)
    found = asking(room.plans, room.observed, ask)
    holders = [each for each in machines if ask in {port.address for port in each.interfaces}]
    assert holders == ([found.machine] if found else [])


def test_every_version_is_there_that_cloud_init_asks_for() -> None:
    assert {"2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest"} == set(EC2_VERSIONS)


def test_a_name_comes_from_the_first_port_that_has_one() -> None:
    assert "node-01" == host_name([], "node-01")
    assert "b.lab.example" == host_name([{}, {"hostname": "b", "domain": "lab.example"}, {"hostname": "c"}], "node-01")
