"""Subnets, ranges and addresses: the rules at their edges."""

from __future__ import annotations

import pytest

from tests.reconciler.inventories import MACHINE, SITE, SOUND, brief, problems, read

HEAD = SITE[: SITE.index("  - ")]


def site(*subnets: str, mode: str = "reservation") -> str:
    return HEAD.replace("spec:", f"spec:\n  dhcp: {{mode: {mode}}}") + "".join(f"  - {{{subnet}}}\n" for subnet in subnets)


def machine(port: str) -> str:
    return MACHINE[: MACHINE.index("  - {")] + f'  - {{mac: "52:54:00:12:34:01"{port and ", "}{port}}}\n'


def found(site_text: str, port: str) -> list[str]:
    return brief({**SOUND, "site.yaml": site_text, "hardware.yaml": machine(port)})


@pytest.mark.parametrize(
    ("subnet", "address"),
    [
        ("name: a, cidr: 10.1.0.0/31", "10.1.0.0"),
        ("name: a, cidr: 10.1.0.0/31", "10.1.0.1"),
        ("name: a, cidr: 10.1.0.7/32", "10.1.0.7"),
        ("name: a, cidr: 10.1.0.0/30", "10.1.0.2"),
        ("name: a, cidr: 0.0.0.0/0", "10.1.0.2"),
    ],
)
def test_the_first_and_last_usable_addresses_are_usable(subnet: str, address: str) -> None:
    assert found(site(subnet), f"address: {address}") == []


@pytest.mark.parametrize("address", ["10.1.199.255", "10.1.200.0", "10.1.200.251"])
def test_addresses_beside_the_range_are_free(address: str) -> None:
    assert found(SITE, f"address: {address}") == []


@pytest.mark.parametrize("address", ["10.1.200.1", "10.1.200.250"])
def test_both_ends_of_the_range_belong_to_it(address: str) -> None:
    assert found(SITE, f"address: {address}") == ["address-in-range spec.interfaces[0].address"]


def test_every_pair_of_neighbours_that_overlap_is_reported_also_when_nested() -> None:
    text = site(
        "name: a, cidr: 10.0.0.0/8", "name: b, cidr: 10.1.0.0/16", "name: c, cidr: 10.200.0.0/16", "name: d, cidr: 11.0.0.0/8"
    )
    assert found(text, "address: 11.0.0.2") == [
        "overlapping-subnets spec.subnets[1].cidr",
        "overlapping-subnets spec.subnets[2].cidr",
    ]


def test_a_subnet_twice_overlaps_itself() -> None:
    assert found(site("name: a, cidr: 10.1.0.0/16", "name: b, cidr: 10.1.0.0/16"), "address: 10.1.0.2") == [
        "overlapping-subnets spec.subnets[1].cidr"
    ]


@pytest.mark.parametrize("mode", ["proxy", "auto-proxy", "off"])
@pytest.mark.parametrize("port", ["", "address: 192.168.1.1"])
def test_where_another_server_gives_addresses_a_port_needs_none_of_ours(mode: str, port: str) -> None:
    assert found(site("name: a, cidr: 10.1.0.0/16", "name: b, cidr: 10.2.0.0/16", mode=mode), port) == []


def test_a_port_that_gets_no_answer_needs_no_address() -> None:
    assert found(site("name: a, cidr: 10.1.0.0/16", "name: b, cidr: 10.2.0.0/16"), "dhcp: false") == []
    assert found(site("name: a, cidr: 10.1.0.0/16"), "dhcp: false") == []


def test_the_network_of_a_port_is_the_one_it_names_or_its_addresss_or_the_only_one() -> None:
    two = site(
        "name: a, cidr: 10.1.0.0/16, range: [10.1.9.1, 10.1.9.9]", "name: b, cidr: 10.2.0.0/16, range: [10.2.9.1, 10.2.9.9]"
    )
    ports = {"address: 10.2.0.2": "b", "subnet: a": "a", "address: 10.1.0.2": "a"}
    for port, expected in ports.items():
        inventory = read({**SOUND, "site.yaml": two, "hardware.yaml": machine(port)})
        subnet = inventory.site.subnet_of(inventory.hardware["node-01"].interfaces[0])
        assert subnet is not None
        assert subnet.name == expected
    only = read({**SOUND, "hardware.yaml": machine("")})
    assert only.site.subnet_of(only.hardware["node-01"].interfaces[0]) == only.site.subnets[0]


def test_a_site_without_subnets_is_said_once_however_many_machines_there_are() -> None:
    more = machine("address: 10.1.0.12").replace("node-01", "node-02").replace("34:01", "34:02")
    text = HEAD.replace("  subnets:\n", "  domain: x\n")
    assert [each.code for each in problems({**SOUND, "site.yaml": text, "more.yaml": more})] == ["no-subnet"]


def test_waiting_in_a_proxy_mode_needs_no_range() -> None:
    text = site("name: a, cidr: 10.1.0.0/16", mode="proxy").replace("spec:", "spec:\n  unknown: wait")
    assert found(text, "") == []


@pytest.mark.parametrize(
    ("upstream", "problem"),
    [("10.1.0.2", "bad-upstream"), ("0.0.0.0", "bad-value"), ("224.0.0.251", "bad-value"), ("::1", "bad-value")],
)
def test_a_query_is_handed_on_to_a_host_that_is_not_this_server(upstream: str, problem: str) -> None:
    said = f"spec:\n  server: 10.1.0.2\n  dns: {{upstreams: [192.0.2.53, '{upstream}']}}"
    assert found(SITE.replace("spec:", said), "address: 10.1.0.11") == [f"{problem} spec.dns.upstreams[1]"]
    assert found(SITE.replace("spec:", said.replace(f"'{upstream}'", "10.1.0.3")), "address: 10.1.0.11") == []
