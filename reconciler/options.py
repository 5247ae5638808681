"""DHCP options of an interface or a subnet's range: defaults beaten by what git says, resolved once at commit.

Core. The order is site, subnet, interface; the `options` a person wrote beat what follows from other settings.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from netboot.dhcp_options import encode, pack
from reconciler.inventory import Interface, Site, Subnet


def interface_options(site: Site, subnet: Subnet, interface: Interface) -> bytes:
    """Packed options for a reservation (RFC 2132 TLVs, ascending)."""
    gateway = interface.gateway or subnet.gateway
    servers = subnet.name_servers if interface.name_servers is None else interface.name_servers
    domain = interface.domain or subnet.domain or site.domain
    settings = _settings(subnet, gateway, servers, interface.lease_time or subnet.lease_time, domain)
    if interface.hostname:
        settings["host-name"] = interface.hostname
    return _packed(settings, dict(subnet.options) | dict(interface.options))


def range_options(site: Site, subnet: Subnet) -> bytes:
    """Packed options for an address of the subnet's range."""
    domain = subnet.domain or site.domain
    settings = _settings(subnet, subnet.gateway, subnet.name_servers, subnet.lease_time, domain)
    return _packed(settings, dict(subnet.options))


def _settings(
    subnet: Subnet, gateway: IPv4Address | None, servers: tuple[IPv4Address, ...], lease: int, domain: str | None
) -> dict[str, object]:
    network: IPv4Network = subnet.cidr
    settings: dict[str, object] = {
        "subnet-mask": network.netmask,
        "broadcast-address": network.broadcast_address,
        "dhcp-lease-time": lease,
        "dhcp-renewal-time": lease // 2,  # T1 and T2 as RFC 2131 section 4.4.5 has them
        "dhcp-rebinding-time": lease * 7 // 8,
    }
    if gateway:
        settings["routers"] = [gateway]
    if servers:
        settings["domain-name-servers"] = list(servers)
    if subnet.time_servers:
        settings["ntp-servers"] = list(subnet.time_servers)
    if domain:
        settings["domain-name"] = domain
        settings["domain-search"] = [domain]
    return settings


def _packed(settings: dict[str, object], written: dict[str, object]) -> bytes:
    options = dict(encode(name, value) for name, value in settings.items())
    options |= dict(encode(name, value) for name, value in written.items())
    return pack(options)
