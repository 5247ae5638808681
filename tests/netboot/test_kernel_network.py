"""What a kernel is told of its network, for every shape of a port."""

from __future__ import annotations

from typing import Any

import pytest

from netboot.dhcp_options import encode, pack
from netboot.grub import boot_config as grub_config
from netboot.ipxe import Console, boot_script
from netboot.kernel_network import network_words
from netboot.plan import Bond, Interface, Profile
from netboot.pxelinux import boot_config as pxelinux_config
from netboot.scripts import mac_at
from tests.netboot.plan_example import ARTIFACTS, KERNEL, MAC, SECOND, Room, machine, plan, port

OPTIONS = pack(
    dict(
        encode(name, value)
        for name, value in {
            "subnet-mask": "255.255.0.0",
            "routers": ["10.1.0.1"],
            "domain-name-servers": ["10.1.0.1", "10.1.0.2", "10.1.0.3"],
        }.items()
    )
)
STATIC: dict[str, Any] = {"dhcp": False, "hostname": "node-01", "options": OPTIONS}
ADDRESS = "10.1.0.11::10.1.0.1:255.255.0.0:node-01"
SERVERS = "10.1.0.1:10.1.0.2"
BOND = Bond("bond0", "802.3ad", (MAC, SECOND))
PORTS = f"ifname=bootnet0:{MAC} ifname=bootnet1:{SECOND} bond=bond0:bootnet0,bootnet1:mode=802.3ad,miimon=100"

CASES: list[tuple[str, dict[str, Any], tuple[Bond, ...], str]] = [
    ("a port with DHCP", {}, (), ""),
    ("a static port", STATIC, (), f"ip={ADDRESS}::none:{SERVERS}"),
    ("a port whose DHCP is another server's", {"dhcp": False, "address": "", "options": OPTIONS}, (), ""),
    ("an address without a subnet", {"dhcp": False, "options": b""}, (), ""),
    ("a static port without router and name server", {"dhcp": False}, (), "ip=10.1.0.11:::255.255.0.0:::none"),
    ("a VLAN", {"vlan": 42}, (), f"gitboot.vlan=42 ifname=bootnet:{MAC} vlan=vlan42:bootnet ip=:::::vlan42:dhcp"),
    (
        "a static port in a VLAN",
        {**STATIC, "vlan": 42},
        (),
        f"gitboot.vlan=42 ifname=bootnet:{MAC} vlan=vlan42:bootnet ip={ADDRESS}:vlan42:none:{SERVERS}",
    ),
    ("a bond", {}, (BOND,), f"{PORTS} ip=:::::bond0:dhcp"),
    ("a static bond", STATIC, (BOND,), f"{PORTS} ip={ADDRESS}:bond0:none:{SERVERS}"),
    ("a bond in a VLAN", {"vlan": 7}, (BOND,), f"gitboot.vlan=7 {PORTS} vlan=vlan7:bond0 ip=:::::vlan7:dhcp"),
]


def ports(settings: dict[str, Any]) -> tuple[Interface, Interface]:
    return port(**settings), port(SECOND, **settings)


@pytest.mark.parametrize(("settings", "bonds", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_kernel_is_told_what_dhcp_would_not_say(settings: dict[str, Any], bonds: tuple[Bond, ...], expected: str) -> None:
    known = machine("node-01", *ports(settings), bonds=bonds)
    assert expected == " ".join(network_words(known, MAC))


def test_either_port_of_a_bond_is_told_the_same() -> None:
    known = machine("node-01", *ports(STATIC), bonds=(BOND,))
    assert network_words(known, MAC) == network_words(known, SECOND)


def test_a_port_that_is_not_the_machine_s_has_no_words() -> None:
    assert () == network_words(machine(), SECOND)


@pytest.mark.parametrize("own", ["ip=dhcp", "vlan=vlan42:eth0", "bond=bond9", "ifname=lan:52:54:00:12:34:01"])
def test_a_profile_that_configures_the_network_itself_is_left_alone_but_for_our_own_word(own: str) -> None:
    known = machine("node-01", port(**STATIC, vlan=42))
    assert ("gitboot.vlan=42",) == network_words(known, MAC, f"quiet {own}")
    assert 4 == len(network_words(known, MAC, "quiet zip=1 ipv6.disable=1"))


def test_every_loader_hands_on_the_same_words_beside_the_interface_it_booted_from() -> None:
    known = plan(machine("node-01", port(**STATIC), idle="profile:diskless"))
    console = Console("http://10.1.0.1", "node-01", MAC, network=network_words(known.machines["node-01"], MAC))
    artifacts = {artifact.path: artifact for artifact in ARTIFACTS}
    for write in (boot_script, grub_config, pxelinux_config):
        text = write(console, KERNEL, artifacts, None, "because").replace("'", "")
        assert f"BOOTIF=01-52-54-00-12-34-01 ip={ADDRESS}::none:{SERVERS} gitboot.server=" in text


def test_a_machine_s_script_has_the_words_of_the_interface_that_asks() -> None:
    room = Room.of(machine("node-01", port(**STATIC), port(SECOND, "10.1.0.12"), idle="profile:diskless"))
    assert f" ip={ADDRESS}::none:{SERVERS} " in room.script(MAC).text
    assert " ip=" not in room.script(SECOND).text


def test_a_script_of_the_operator_s_finds_the_words_in_a_setting() -> None:
    profile = Profile("menu", script="#!ipxe\nshell")
    console = Console("http://10.1.0.1", "node-01", MAC, network=("gitboot.vlan=42", "ip=:::::vlan42:dhcp"))
    said = "set gitboot-network gitboot.vlan=42 ip=:::::vlan42:dhcp"
    assert said in boot_script(console, profile, {}, None, "because").splitlines()
    plain = boot_script(Console("http://10.1.0.1", "node-01", MAC), profile, {}, None, "because")
    assert "gitboot-network" not in plain


def test_an_address_that_several_ports_have_tells_nobody_which_of_them_asks() -> None:
    bonded = machine("node-01", port(), port(SECOND), bonds=(BOND,))
    assert "" == mac_at(plan(bonded), "10.1.0.11")
    assert MAC == mac_at(plan(machine()), "10.1.0.11")
