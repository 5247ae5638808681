"""The names of a plan: who has one, in which zone it lies, and what the next plan takes over."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.dns_zone import NS, PTR, SOA, A, Zone, reverse, wire, zone_of
from netboot.plan import Bond, Interface, Machine, Site, Subnet
from tests.netboot.dns_example import PLAN, RACK, SITE, ZONE, machine, plan, port


def name(text: str) -> bytes:
    found = wire(text)
    assert found is not None
    return found


def back(address: str) -> bytes:
    return reverse(IPv4Address(address).packed)


def addresses(zone: Zone, text: str) -> list[str]:
    return [str(IPv4Address(data)) for data in (zone.find(name(text)) or {}).get(A, ())]


def names(zone: Zone, address: str) -> list[bytes]:
    return list((zone.find(back(address)) or {}).get(PTR, ()))


def alone(*ports: Interface, site: Site = SITE) -> Zone:
    return zone_of(plan(machine("m", *ports), site=site))


# --- machines ---------------------------------------------------------------------------------------------------------------


def test_a_reserved_interface_has_a_name_and_its_address_leads_back() -> None:
    assert ["10.1.0.11"] == addresses(ZONE, "node-01.lab.example")
    assert [name("node-01.lab.example")] == names(ZONE, "10.1.0.11")


def test_names_are_found_in_lower_case_and_shown_as_the_inventory_spells_them() -> None:
    assert ["10.1.0.12"] == addresses(ZONE, "node-02.lab.example")
    assert [name("Node-02.lab.example")] == names(ZONE, "10.1.0.12")


@pytest.mark.parametrize(
    ("hostname", "domain", "site", "full"),
    [
        ("a", "rack.example", SITE, "a.rack.example"),
        ("a", "", SITE, "a.lab.example"),
        ("a", "", Site("home"), "a"),
        ("a.b", "", SITE, "a.b.lab.example"),
        ("a.LAB.example", "lab.example", SITE, "a.LAB.example"),
        ("alab.example", "lab.example", SITE, "alab.example.lab.example"),
        ("a", "lab.example.", SITE, "a.lab.example"),
        ("a.lab.example", "lab.example.", SITE, "a.lab.example"),
    ],
    ids=["domain of its own", "the site's", "none", "dots", "already whole", "ends alike", "dot at the end", "whole, and dot"],
)
def test_the_name_is_the_host_name_in_the_domain_that_dhcp_tells(hostname: str, domain: str, site: Site, full: str) -> None:
    zone = alone(port("10.1.0.5", hostname, domain), site=site)
    assert [name(full)] == names(zone, "10.1.0.5")
    assert ["10.1.0.5"] == addresses(zone, full.lower())


def test_an_interface_without_a_host_name_or_an_address_has_no_names() -> None:
    assert ZONE.find(back("10.1.9.11")) is None
    assert zone_of(plan(machine("m", port("", "m")))).find(name("m.lab.example")) is None


@pytest.mark.parametrize("hostname", ["x" * 64, "a..b", ".", ".".join(["x" * 60] * 5)])
def test_what_cannot_be_a_name_is_not_published(hostname: str) -> None:
    assert [] == names(alone(port("10.1.0.5", hostname)), "10.1.0.5")


def test_interfaces_that_share_a_name_share_its_answer() -> None:
    """In one machine, or in two that lie in different shards."""
    one = machine("m", port("10.1.0.5", "pair"), port("10.1.0.6", "pair"))
    zone = zone_of(plan(one, *(machine(f"n{number}", port(f"10.1.0.{7 + number}", "pair")) for number in range(3))))
    assert {f"10.1.0.{last}" for last in range(5, 10)} == set(addresses(zone, "pair.lab.example"))


def test_the_ports_of_a_bond_are_one_name_and_one_address() -> None:
    one, other = (Interface(f"02:00:00:00:00:0{number}", "10.1.0.5", "node", "rack1") for number in (1, 2))
    zone = zone_of(plan(Machine("node", "x86_64", (one, other), bonds=(Bond("bond0", "802.3ad", (one.mac, other.mac)),))))
    assert ["10.1.0.5"] == addresses(zone, "node.lab.example")
    assert 1 == len(names(zone, "10.1.0.5"))


LABEL = st.text("abcXYZ019-_", min_size=1, max_size=12)
DOMAIN = st.sampled_from(["", "lab.example", "LAB.example", "deep.lab.example", "other.example", "example"])
ADDRESS = st.integers(1, 2**32 - 2).map(lambda number: str(IPv4Address(number)))
MACHINES = st.lists(st.builds(port, ADDRESS, LABEL, DOMAIN), max_size=12, unique_by=lambda each: each.address)


@given(MACHINES, st.sampled_from(["", "lab.example"]), st.integers(0, 32), st.booleans())
def test_every_address_leads_back_to_its_name_and_every_name_lies_in_a_zone(
    ports: list[Interface], domain: str, prefix: int, served: bool
) -> None:
    machines = [machine(f"m{number}", each) for number, each in enumerate(ports)]
    subnet = Subnet("rack1", str(ip_network(f"10.1.128.0/{prefix}", strict=False)))
    zone = zone_of(plan(*machines, site=Site("home", domain, "10.1.0.1" if served else ""), subnets=[subnet]))
    there = {(each, data) for each in {*zone.names, *zone.own} for data in (zone.find(each) or {}).get(A, ())}
    and_back = {(data.lower(), each) for each in {*zone.names, *zone.own} for data in (zone.find(each) or {}).get(PTR, ())}
    assert {(each, reverse(data)) for each, data in there} == and_back
    assert len(ports) + 2 * served == len(there)
    for each in {*zone.names, *zone.own}:
        apex = zone.apex(each)
        assert apex is not None
        assert {SOA, NS} <= (zone.find(apex) or {}).keys()
        while each != apex:  # RFC 8020: above a name there are only names
            assert zone.find(each) is not None
            each = each[1 + each[0] :]


# --- zones ------------------------------------------------------------------------------------------------------------------


def apexes(zone: Zone) -> set[bytes]:
    return {each for each, records in zone.names.items() if SOA in records}


@pytest.mark.parametrize(
    ("cidr", "expected"),
    [
        ("10.0.0.0/8", {"10"}),
        ("10.1.0.0/16", {"1.10"}),
        ("10.1.128.0/18", {f"{third}.1.10" for third in range(128, 192)}),
        ("10.1.2.0/24", {"2.1.10"}),
        ("10.1.2.4/30", {f"{last}.2.1.10" for last in range(4, 8)}),
        ("10.1.2.4/32", {"4.2.1.10"}),
    ],
)
def test_reverse_zones_are_cut_at_octets_and_claim_no_address_of_others(cidr: str, expected: set[str]) -> None:
    zone = zone_of(plan(site=Site("home"), subnets=[Subnet("rack1", cidr)]))
    assert {name(f"{each}.in-addr.arpa") for each in expected} == apexes(zone)


def test_the_whole_of_ipv4_is_one_zone() -> None:
    assert {name("in-addr.arpa")} == apexes(zone_of(plan(site=Site("home"), subnets=[Subnet("all", "0.0.0.0/0")])))


def test_a_machine_of_another_domain_is_a_zone_by_itself() -> None:
    assert name("guest.elsewhere.example") == ZONE.apex(name("guest.elsewhere.example"))
    assert ZONE.apex(name("www.elsewhere.example")) is None
    assert ZONE.apex(name("elsewhere.example")) is None
    assert ZONE.apex(name("lab.example")) == ZONE.apex(name("any.thing.lab.example")) == name("lab.example")
    assert ZONE.apex(name("example")) is None


def test_a_machine_beside_the_sites_domain_leaves_it_as_it_is() -> None:
    zone = alone(port("10.1.0.5", "beside", "example"))
    assert [1, 1] == [len(data) for data in (zone.find(name("lab.example")) or {}).values()]
    assert name("beside.example") == zone.apex(name("beside.example"))


def test_an_address_outside_every_subnet_is_a_zone_by_itself() -> None:
    zone = zone_of(plan(machine("m", port("192.0.2.7", "m"))))
    assert back("192.0.2.7") == zone.apex(back("192.0.2.7"))
    assert zone.apex(back("192.0.2.8")) is None


def test_names_between_a_zone_and_its_machines_exist_and_are_empty() -> None:
    assert {} == ZONE.find(name("0.1.10.in-addr.arpa"))
    assert {} == alone(port("10.1.0.5", "a.b.c")).find(name("c.lab.example"))
    assert ZONE.find(name("3.1.10.in-addr.arpa")) is None


def test_each_plan_has_its_own_serial() -> None:
    def serial(zone: Zone) -> bytes:
        return (zone.find(name("lab.example")) or {})[SOA][0][-20:-16]

    assert serial(ZONE) == serial(zone_of(PLAN))
    assert serial(ZONE) != serial(zone_of(plan()))


# --- the server -------------------------------------------------------------------------------------------------------------


def test_the_server_is_called_gitboot_and_what_the_site_is_called() -> None:
    assert ["10.1.0.1"] == addresses(ZONE, "gitboot.lab.example") == addresses(ZONE, "home.lab.example")
    assert [name("gitboot.lab.example"), name("home.lab.example")] == names(ZONE, "10.1.0.1")


def test_the_address_that_was_asked_serves_where_the_site_says_none() -> None:
    nowhere = plan(site=Site("home", "lab.example"))
    assert ["10.1.0.9"] == addresses(zone_of(nowhere, "10.1.0.9"), "gitboot.lab.example")
    assert [] == addresses(zone_of(nowhere), "gitboot.lab.example")
    assert ["10.1.0.1"] == addresses(zone_of(PLAN, "10.1.0.9"), "gitboot.lab.example")


def test_a_machine_keeps_a_name_that_would_be_the_servers() -> None:
    zone = alone(port("10.1.0.5", "gitboot"))
    assert ["10.1.0.5"] == addresses(zone, "gitboot.lab.example")
    assert [name("home.lab.example")] == names(zone, "10.1.0.1")


def test_a_machine_at_the_servers_address_is_named_first() -> None:
    zone = alone(port("10.1.0.1", "boot-server"))
    assert [name(f"{host}.lab.example") for host in ("boot-server", "gitboot", "home")] == names(zone, "10.1.0.1")


def test_a_server_outside_the_subnets_has_its_names_too() -> None:
    zone = zone_of(plan(site=Site("home", "lab.example", "192.0.2.1")))
    assert [name("gitboot.lab.example"), name("home.lab.example")] == names(zone, "192.0.2.1")
    assert back("192.0.2.1") == zone.apex(back("192.0.2.1"))


def test_a_site_called_gitboot_names_its_server_once() -> None:
    assert [name("gitboot.lab.example")] == names(zone_of(plan(site=Site("gitboot", "lab.example", "10.1.0.1"))), "10.1.0.1")


def test_a_site_whose_name_is_a_domain_of_machines_keeps_both() -> None:
    zone = alone(port("10.1.0.5", "node.home"))
    assert ["10.1.0.1"] == addresses(zone, "home.lab.example")
    assert ["10.1.0.5"] == addresses(zone, "node.home.lab.example")


def test_a_site_whose_name_is_that_of_an_address_takes_nothing_from_it() -> None:
    zone = alone(port("10.1.0.5", "m"), site=Site("5.0.1.10.in-addr.arpa", "", "10.1.0.1"))
    assert {A, PTR} == (zone.find(back("10.1.0.5")) or {}).keys()


# --- the next plan ----------------------------------------------------------------------------------------------------------


def many(count: int) -> list[Machine]:
    return [machine(f"m{number}", port(f"10.1.2.{number}", f"m{number}")) for number in range(1, count + 1)]


def test_unchanged_shards_are_taken_over_and_changed_ones_are_not() -> None:
    first = plan(*many(50))
    before = zone_of(first)
    after = zone_of(plan(*many(50), machine("new", port("10.1.3.1", "new")), previous=first), "", before)
    shared = [key for key, part in after.parts.items() if before.parts.get(key) is part]
    assert len(after.parts) - 1 == len(shared)
    assert ["10.1.3.1"] == addresses(after, "new.lab.example")
    assert [] == addresses(before, "new.lab.example")


def test_a_removed_machine_has_no_name_left() -> None:
    after = zone_of(plan(*many(3)), "", zone_of(plan(*many(4))))
    assert after.find(name("m4.lab.example")) is None
    assert after.find(back("10.1.2.4")) is None


def test_the_sites_new_domain_reaches_machines_in_unchanged_shards() -> None:
    after = zone_of(plan(*many(3), site=Site("home", "new.example")), "", zone_of(plan(*many(3))))
    assert ["10.1.2.1"] == addresses(after, "m1.new.example")
    assert after.find(name("m1.lab.example")) is None


def test_another_address_of_the_same_plan_shares_its_names() -> None:
    unsaid = plan(*many(3), site=Site("home", "lab.example"))
    one = zone_of(unsaid, "10.1.0.1")
    other = zone_of(unsaid, "10.1.0.2", one)
    assert one.names is other.names
    assert ["10.1.0.2"] == addresses(other, "gitboot.lab.example")


def test_a_subnet_that_moved_moves_its_zone() -> None:
    after = zone_of(plan(subnets=[Subnet("rack1", "10.2.0.0/16")]), "", zone_of(plan(subnets=[RACK])))
    assert after.apex(back("10.1.0.77")) is None
    assert name("2.10.in-addr.arpa") == after.apex(back("10.2.0.77"))
