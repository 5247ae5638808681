"""What systemd-networkd is told."""

from __future__ import annotations

from typing import Any

from agent.actions.networkd import files, host_name, resolvers

PORT = {
    "mac": "52:54:00:12:34:01",
    "address": "10.1.0.11",
    "prefix": 16,
    "gateway": "10.1.0.1",
    "nameServers": ["10.1.0.1", "10.1.0.2"],
    "hostname": "node-01",
    "domain": "lab.example",
}
STATIC = "Address=10.1.0.11/16\nGateway=10.1.0.1\nDNS=10.1.0.1 10.1.0.2\nDomains=lab.example\n"


def made(machine: dict[str, Any], static: bool = False) -> dict[str, str]:
    """Name → text without its first line."""
    return {
        path.removeprefix("/etc/systemd/network/"): text.partition("\n\n")[2] for path, text in files(machine, static).items()
    }


def test_a_port_asks_dhcp_which_follows_git() -> None:
    expected = "[Match]\nMACAddress=52:54:00:12:34:01\nType=ether\n\n[Network]\nDHCP=ipv4\n"
    assert {"10-gitboot-525400123401.network": expected} == made({"interfaces": [PORT]})


def test_a_port_that_nobody_answers_or_of_an_action_that_is_told_so_has_its_address_written() -> None:
    for port, static in (({**PORT, "static": True}, False), (PORT, True)):
        assert made({"interfaces": [port]}, static)["10-gitboot-525400123401.network"].endswith(f"[Network]\n{STATIC}")


def test_a_port_without_an_address_in_git_asks_dhcp_whatever_is_said() -> None:
    assert "DHCP=ipv4" in made({"interfaces": [{"mac": PORT["mac"]}]}, static=True)["10-gitboot-525400123401.network"]


def test_routes_take_the_place_of_the_gateway_as_for_a_dhcp_client() -> None:
    routes = [{"to": "10.9.0.0/16", "via": "10.1.0.2"}, {"to": "0.0.0.0/0", "via": "10.1.0.3"}]
    text = made({"interfaces": [{**PORT, "routes": routes}]}, static=True)["10-gitboot-525400123401.network"]
    assert "Gateway=10.1.0.1" not in text
    written = "[Route]\nDestination=10.9.0.0/16\nGateway=10.1.0.2\n\n[Route]\nDestination=0.0.0.0/0\nGateway=10.1.0.3\n"
    assert text.endswith(written)


def test_a_vlan_has_the_address_and_its_port_has_none() -> None:
    texts = made({"interfaces": [{**PORT, "vlan": 100}]}, static=True)
    assert texts["10-gitboot-525400123401.network"].endswith("[Network]\nVLAN=vlan100\nLinkLocalAddressing=no\n")
    assert "[NetDev]\nName=vlan100\nKind=vlan\n\n[VLAN]\nId=100\n" == texts["30-gitboot-vlan100.netdev"]
    assert f"[Match]\nName=vlan100\n\n[Network]\n{STATIC}" == texts["30-gitboot-vlan100.network"]


def test_the_ports_of_a_bond_are_told_by_the_mac_that_is_burnt_in() -> None:
    other = "52:54:00:12:34:02"
    bond = {"name": "bond0", "mode": "802.3ad", "interfaces": [PORT["mac"], other]}
    texts = made({"interfaces": [PORT, {**PORT, "mac": other}], "bonds": [bond]}, static=True)
    for mac in ("525400123401", "525400123402"):
        assert texts[f"10-gitboot-{mac}.network"].startswith("[Match]\nPermanentMACAddress=52:54:00:12:34:0")
        assert texts[f"10-gitboot-{mac}.network"].endswith("[Network]\nBond=bond0\n")
    assert "[NetDev]\nName=bond0\nKind=bond\n\n[Bond]\nMode=802.3ad\nMIIMonitorSec=100ms\n" == texts["20-gitboot-bond0.netdev"]
    assert f"[Match]\nName=bond0\n\n[Network]\n{STATIC}" == texts["20-gitboot-bond0.network"]


def test_a_machine_has_the_name_of_its_first_port_that_has_one() -> None:
    assert ("node-01", "node-01.lab.example") == host_name({"interfaces": [{"mac": "…"}, PORT]})
    assert ("", "") == host_name({})
    assert "search lab.example\nnameserver 10.1.0.1\nnameserver 10.1.0.2\n" == resolvers({"interfaces": [PORT, PORT]})
    assert "" == resolvers({"interfaces": [{"domain": "lab.example"}]})
