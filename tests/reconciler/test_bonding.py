"""Bonds: which ports may be in one, and that all of them are told the same."""

from __future__ import annotations

import pytest

from netboot import plan as boot
from netboot.boot import Plans
from netboot.dhcp import Reply
from netboot.dhcp_packet import dotted
from reconciler.bonding import acting
from reconciler.compile import Compiler
from tests.netboot.plan_example import IPXE, UEFI, Room
from tests.reconciler.inventories import SOUND, brief, read

ONE, TWO, THREE = "52:54:00:12:34:01", "52:54:00:12:34:02", "52:54:00:12:34:03"
BONDED = f"""\
apiVersion: gitboot/v1
kind: Hardware
metadata: {{name: node-01}}
spec:
  profile: inspect
  interfaces:
  - {{mac: "{ONE}"}}
  - {{mac: "{TWO}", netboot: false}}
  - {{mac: "{THREE}", address: 10.1.0.13, vlan: 7}}
  bonds:
  - {{name: bond0, interfaces: ["{TWO}", "{ONE}"], address: 10.1.0.11}}
"""


def with_machine(text: str) -> dict[str, str]:
    return {**SOUND, "hardware.yaml": text}


def compiled(text: str) -> boot.BootPlan:
    made = Compiler().compile(read(with_machine(text)))
    assert made.dump is not None, made.problems
    return made.dump.plan


def offered(room: Room, mac: str, said: dict[int, bytes]) -> str:
    outcome = room.discover(mac, said).outcome
    assert isinstance(outcome, Reply), outcome
    return dotted(outcome.address)


def test_every_port_of_a_bond_has_the_bond_s_address_and_the_machine_s_name() -> None:
    one, two, three = compiled(BONDED).machines["node-01"].interfaces
    assert ("10.1.0.11", "node-01") == (one.address, one.hostname) == (two.address, two.hostname)
    assert (one.options, one.subnet) == (two.options, two.subnet)
    assert (ONE, TWO) == (one.mac, two.mac)
    assert (True, False) == (one.netboot, two.netboot)
    assert ("10.1.0.13", 7) == (three.address, three.vlan)


def test_what_the_first_port_says_holds_for_the_bond() -> None:
    text = BONDED.replace('02", netboot: false', '02", dhcp: false, vlan: 42, leaseTime: 1h, gateway: 10.1.0.9')
    one, two, _ = acting(read(with_machine(text)).hardware["node-01"])
    assert (False, 42, 3600, two.gateway) == (one.dhcp, one.vlan, one.lease_time, one.gateway)


def test_the_plan_names_the_bond() -> None:
    assert (boot.Bond("bond0", "active-backup", (TWO, ONE)),) == compiled(BONDED).machines["node-01"].bonds


def test_either_port_s_firmware_and_its_ipxe_get_the_bond_s_address_in_any_order() -> None:
    room = Room(Plans(compiled(BONDED.replace(", netboot: false", "")), {}))
    for said in (UEFI, IPXE):
        for mac in (ONE, TWO, ONE):
            assert "10.1.0.11" == offered(room, mac, said)


def test_a_port_of_a_bond_that_begins_anew_under_a_newer_plan_is_not_in_its_own_way() -> None:
    text = BONDED.replace(", netboot: false", "")
    room = Room(Plans(compiled(text), {}))
    for mac in (ONE, TWO):
        offered(room, mac, IPXE)
        room.script(mac)
        room.publish(compiled(text.replace("vlan: 7", f"vlan: {len(room.journal)}")))
        assert "10.1.0.11" == offered(room, mac, UEFI)


FAULTS = [
    (f'["{TWO}", "{ONE}"]', '["52:54:00:12:34:99"]', "unknown-reference spec.bonds[0].interfaces[0]"),
    (f'["{TWO}", "{ONE}"]', f'["{TWO}", "{TWO}"]', "bonded-twice spec.bonds[0].interfaces[1]"),
    (f'["{TWO}", "{ONE}"]', f'["{TWO}", "{THREE}"]', "bonded-address spec.interfaces[2].address"),
    ("10.1.0.11}", "10.9.0.11}", "address-outside-subnet spec.bonds[0].address"),
    ("10.1.0.11}", "10.1.200.7}", "address-in-range spec.bonds[0].address"),
    ("10.1.0.11}", "10.1.0.13}", "duplicate-address spec.bonds[0].address"),
    ("name: bond0", "name: Bond 0", "bad-value spec.bonds[0].name"),
    ("10.1.0.11}", f'10.1.0.11}}\n  - {{name: bond0, interfaces: ["{THREE}"]}}', "duplicate-name spec.bonds[1].name"),
    ("vlan: 7", "vlan: 4095", "bad-value spec.interfaces[2].vlan"),
    ("vlan: 7", "vlan: 0", "bad-value spec.interfaces[2].vlan"),
]


@pytest.mark.parametrize(("before", "after", "expected"), FAULTS, ids=[case[2] for case in FAULTS])
def test_a_bond_that_cannot_be_is_refused_where_it_is_wrong(before: str, after: str, expected: str) -> None:
    assert BONDED.count(before) == 1
    assert expected in brief(with_machine(BONDED.replace(before, after)))


def test_a_bond_without_an_address_needs_a_range_to_get_one_from() -> None:
    text = BONDED.replace(", address: 10.1.0.11}", "}")
    assert [] == brief(with_machine(text))
    bare = {**with_machine(text), "site.yaml": SOUND["site.yaml"].replace(", range: [10.1.200.1, 10.1.200.250]", "")}
    assert ["no-address spec.bonds[0]"] == brief(bare)
