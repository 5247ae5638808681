"""What the kernel tells of this host's network, from recorded words of `ip -json`."""

from __future__ import annotations

import json
import subprocess
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from netboot.host import Link, NoHost, gateway_of, links, name_servers

ADDRESSES = [
    {"ifname": "lo", "link_type": "loopback", "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8}]},
    {
        "ifname": "eth0",
        "link_type": "ether",
        "address": "52:54:00:00:00:01",
        "addr_info": [
            {"family": "inet", "local": "192.0.2.7", "prefixlen": 24},
            {"family": "inet6", "local": "fe80::1", "prefixlen": 64},
        ],
    },
    {
        "ifname": "eth1",
        "link_type": "ether",
        "address": "52:54:00:00:00:02",
        "addr_info": [{"family": "inet", "local": "10.1.0.1", "prefixlen": 16}],
    },
    {"ifname": "eth2", "link_type": "ether", "address": "52:54:00:00:00:03", "addr_info": []},
    {"ifname": "tun0", "link_type": "none", "addr_info": [{"family": "inet", "local": "10.8.0.1", "prefixlen": 24}]},
]
ROUTES = [{"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"}, {"dst": "default", "dev": "tun0"}]


@pytest.fixture
def ip(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        answer = ADDRESSES if "address" in command else ROUTES
        return subprocess.CompletedProcess(command, 0, json.dumps(answer))

    monkeypatch.setattr(subprocess, "run", run)


@pytest.mark.usefixtures("ip")
def test_the_candidates_are_ethernet_interfaces_with_an_address() -> None:
    assert [
        Link("eth0", "52:54:00:00:00:01", IPv4Interface("192.0.2.7/24"), True),
        Link("eth1", "52:54:00:00:00:02", IPv4Interface("10.1.0.1/16"), False),
    ] == links()


@pytest.mark.usefixtures("ip")
def test_the_gateway_is_that_of_the_interface() -> None:
    assert IPv4Address("192.0.2.1") == gateway_of("eth0")
    assert gateway_of("eth1") is None
    assert gateway_of("tun0") is None


def test_a_resolver_on_loopback_is_none_for_machines(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# made by hand\nsearch lab.example\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 192.0.2.53\nnameserver\n"
    )
    assert [IPv4Address("192.0.2.53")] == name_servers(file)
    assert [] == name_servers(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (FileNotFoundError(), "install the package iproute2"),
        (subprocess.CalledProcessError(1, "ip"), "failed"),
        (subprocess.TimeoutExpired("ip", 10), "failed"),
    ],
)
def test_a_host_that_does_not_tell_is_a_sentence(monkeypatch: pytest.MonkeyPatch, error: Exception, step: str) -> None:
    def run(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(NoHost, match=step):
        links()


@pytest.mark.shell
def test_the_real_command_is_understood() -> None:
    assert all(isinstance(link, Link) for link in links())
