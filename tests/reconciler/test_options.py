"""DHCP options of an interface: site, subnet, interface, each beaten by the next, and by what a person wrote."""

from __future__ import annotations

import pytest

from netboot.dhcp_options import decode, unpack
from reconciler.options import interface_options, range_options
from tests.reconciler.inventories import RICH, SOUND, read


def options(*, subnet: str = "", interface: str = "", site: str = "") -> dict[int, object]:
    """What node-01 is told when these fields are added."""
    files = {
        **SOUND,
        "site.yaml": SOUND["site.yaml"]
        .replace("spec:", f"spec:\n  {site}")
        .replace("gateway: 10.1.0.1", f"gateway: 10.1.0.1{subnet}"),
        "hardware.yaml": SOUND["hardware.yaml"].replace("hostname: node-01", f"hostname: node-01{interface}"),
    }
    inventory = read(files)
    packed = interface_options(inventory.site, inventory.site.subnets[0], inventory.hardware["node-01"].interfaces[0])
    return {code: decode(code, data) for code, data in unpack(packed).items()}


def test_what_follows_from_the_network_needs_not_be_said() -> None:
    assert {
        1: "255.255.0.0", 3: ["10.1.0.1"], 12: "node-01", 28: "10.1.255.255", 51: 86400, 58: 43200, 59: 75600,
    } == options()  # fmt: skip


@pytest.mark.parametrize(
    ("said", "code", "expected"),
    [
        ({"site": "domain: a.example"}, 15, "a.example"),
        ({"site": "domain: a.example", "subnet": ", domain: b.example"}, 15, "b.example"),
        (
            {"site": "domain: a.example", "subnet": ", domain: b.example", "interface": ", domain: c.example"},
            119,
            ["c.example"],
        ),
        ({"subnet": ", nameServers: [10.1.0.5]"}, 6, ["10.1.0.5"]),
        ({"subnet": ", nameServers: [10.1.0.5]", "interface": ", nameServers: [10.1.0.6]"}, 6, ["10.1.0.6"]),
        ({"subnet": ", nameServers: [10.1.0.5]", "interface": ", nameServers: []"}, 6, None),
        ({"interface": ", gateway: 10.1.0.9"}, 3, ["10.1.0.9"]),
        ({"subnet": ", timeServers: [10.1.0.7]"}, 42, ["10.1.0.7"]),
        ({"subnet": ", leaseTime: 2h"}, 51, 7200),
        ({"subnet": ", leaseTime: 2h"}, 58, 3600),
        ({"subnet": ", leaseTime: 2h", "interface": ", leaseTime: 80s"}, 51, 80),
        ({"subnet": ", leaseTime: 2h", "interface": ", leaseTime: 80s"}, 59, 70),
        ({"subnet": ", options: {routers: 10.1.0.8}"}, 3, ["10.1.0.8"]),
        (
            {"subnet": ", options: {119: [b.example]}", "interface": ", options: {domain-search: [c.example]}"},
            119,
            ["c.example"],
        ),
        (
            {"subnet": ", options: {domain-search: [b.example]}", "interface": ", options: {119: [c.example]}"},
            119,
            ["c.example"],
        ),
        ({"subnet": ", options: {tftp-server-name: x}"}, 66, "x"),
    ],
)
def test_the_nearest_word_counts(said: dict[str, str], code: int, expected: object) -> None:
    assert expected == options(**said).get(code)


def test_a_range_is_told_what_its_subnet_says_and_no_name() -> None:
    inventory = read(RICH)
    told = unpack(range_options(inventory.site, inventory.site.subnets[0]))
    assert ("rack1.lab.example", 5400, False) == (decode(15, told[15]), decode(51, told[51]), 12 in told)
    assert ["10.1.0.9"] == decode(7, told[7])


def test_options_ascend_so_that_equal_settings_are_equal_bytes() -> None:
    inventory = read(RICH)
    codes = list(unpack(range_options(inventory.site, inventory.site.subnets[0])))
    assert sorted(codes) == codes
