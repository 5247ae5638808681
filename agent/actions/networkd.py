"""What systemd-networkd is told of a machine's ports, bonds and VLANs (systemd.network(5), systemd.netdev(5)).

Core. Law: a port is known by its MAC alone, for its name depends on kernel and firmware; the same machine document is the same
files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Map = Mapping[str, Any]
FOLDER = "/etc/systemd/network"


def files(machine: Map, static: bool) -> dict[str, str]:
    """Path → text. Addresses come by DHCP, which follows git, but for ports where nobody answers it; `static`: for none."""
    made: dict[str, str] = {}
    bonds = machine.get("bonds", ())
    bonded = {mac: bond["name"] for bond in bonds for mac in bond["interfaces"]}
    ports = {port["mac"]: port for port in machine.get("interfaces", ())}
    for mac, port in ports.items():
        name = f"10-gitboot-{mac.replace(':', '')}"
        if mac in bonded:
            # the ports of a bond all bear one MAC; the one that is burnt in tells them apart
            made |= _file(f"{name}.network", Match={"PermanentMACAddress": mac}, Network={"Bond": bonded[mac]})
        else:
            made |= _link(name, {"MACAddress": mac, "Type": "ether"}, port, static)
    for bond in bonds:
        name = f"20-gitboot-{bond['name']}"
        # without a look at the link a bond does not notice that a cable was pulled
        settings = {"Mode": bond["mode"], "MIIMonitorSec": "100ms"}
        made |= _file(f"{name}.netdev", NetDev={"Name": bond["name"], "Kind": "bond"}, Bond=settings)
        first: Map = next((ports[mac] for mac in bond["interfaces"] if mac in ports), {})
        made |= _link(name, {"Name": bond["name"]}, first, static)
    return made


def host_name(machine: Map) -> tuple[str, str]:
    """The machine's name, and the same with its domain; "" if git gives it none."""
    port: Map = next((each for each in machine.get("interfaces", ()) if each.get("hostname")), {})
    name, domain = port.get("hostname", ""), port.get("domain", "")
    return name, f"{name}.{domain}" if name and domain else name


def resolvers(machine: Map) -> str:
    """A resolv.conf(5) with the name servers of all ports, the first three of which count; "" if there are none."""
    ports = machine.get("interfaces", ())
    servers = list(dict.fromkeys(server for port in ports for server in port.get("nameServers", ())))
    domains = list(dict.fromkeys(port["domain"] for port in ports if port.get("domain")))
    lines = [f"search {' '.join(domains)}"] * bool(domains) + [f"nameserver {server}" for server in servers]
    return "\n".join([*lines, ""]) if servers else ""


def _link(name: str, match: Map, port: Map, static: bool) -> dict[str, str]:
    """What has the address: the port or bond itself, or the VLAN on it."""
    vlan = port.get("vlan")
    if not vlan:
        return _file(f"{name}.network", Match=match, **_network(port, static))
    device = f"vlan{vlan}"
    return (
        _file(f"{name}.network", Match=match, Network={"VLAN": device, "LinkLocalAddressing": "no"})
        | _file(f"30-gitboot-{device}.netdev", NetDev={"Name": device, "Kind": "vlan"}, VLAN={"Id": vlan})
        | _file(f"30-gitboot-{device}.network", Match={"Name": device}, **_network(port, static))
    )


def _network(port: Map, static: bool) -> dict[str, Any]:
    """The sections that say it."""
    if not (port.get("address") and port.get("prefix") and (static or port.get("static"))):
        return {"Network": {"DHCP": "ipv4"}}
    routes = port.get("routes", ())  # where there are any, a DHCP client ignores the gateway (RFC 3442)
    network = {
        "Address": f"{port['address']}/{port['prefix']}",
        "Gateway": None if routes else port.get("gateway"),
        "DNS": " ".join(port.get("nameServers", ())),
        "Domains": port.get("domain"),
    }
    return {"Network": network, "Route": [{"Destination": each["to"], "Gateway": each["via"]} for each in routes]}


def _file(name: str, **sections: Map | list[Map]) -> dict[str, str]:
    """A section may be there several times."""
    lines = ["# Written when this system was installed, from its machine in git."]
    for section, each in sections.items():
        for settings in each if isinstance(each, list) else [each]:
            lines += ["", f"[{section}]", *(f"{key}={value}" for key, value in settings.items() if value)]
    return {f"{FOLDER}/{name}": "\n".join([*lines, ""])}
