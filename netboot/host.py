"""What the kernel knows of this host's network, read from `ip -json`.

Shell. One place, so that the server, `detect` and `doctor` see the same host.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface that is up and has an IPv4 address."""

    name: str
    mac: str
    address: IPv4Interface
    default_route: bool
    """Whether the way to the rest of the world leaves by it: seldom the network of the machines."""


class NoHost(Exception):
    """The host does not tell; the message is a sentence with a next step."""


def links() -> list[Link]:
    """Every candidate, loopback left out. Raises NoHost when `ip` is missing or fails."""
    routed = {route.get("dev") for route in _ip("route", "show", "default")}
    found: list[Link] = []
    for device in _ip("address", "show", "up"):
        if device.get("link_type") != "ether":
            continue
        for info in device.get("addr_info", []):
            if info.get("family") == "inet":
                address = IPv4Interface(f"{info['local']}/{info['prefixlen']}")
                found.append(Link(device["ifname"], device.get("address", ""), address, device["ifname"] in routed))
    return found


def name_servers(path: Path = Path("/etc/resolv.conf")) -> list[IPv4Address]:
    """Those that machines can use too: a resolver on this host's loopback is none."""
    try:
        words = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return []
    found = []
    for word in words:
        if len(word) > 1 and word[0] == "nameserver":
            try:
                address = IPv4Address(word[1])
            except ValueError:
                continue  # IPv6
            if not address.is_loopback:
                found.append(address)
    return found


def _ip(*words: str) -> list[dict[str, Any]]:
    try:
        done = subprocess.run(["ip", "-json", *words], capture_output=True, text=True, timeout=10, check=True)
    except FileNotFoundError:
        raise NoHost("The command `ip` is missing; install the package iproute2.") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise NoHost(f"`ip {' '.join(words)}` failed ({error}).") from None
    return list(json.loads(done.stdout or "[]"))


def gateway_of(interface: str) -> IPv4Address | None:
    """The default route's next hop out of this interface, if there is one."""
    for route in _ip("route", "show", "default"):
        if route.get("dev") == interface and "gateway" in route:
            return IPv4Address(str(route["gateway"]))
    return None
