"""Other people's clients against `gitboot serve`: DHCP in every state, behind a relay and in number, and TFTP."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import gitboot as bench
from benchmarks import perfdhcp
from benchmarks.measure import await_answer
from benchmarks.perfdhcp import Fleet
from netboot.binaries import find_binaries
from tests.lab.clients import Client, dhclient, udhcpc
from tests.lab.network import Namespace, Network
from tests.lab.process import Process
from tests.lab.site import Gitboot, hardware

pytestmark = pytest.mark.lab

SERVER = "10.77.0.1"
MAC, OTHER, STRANGER = "52:54:00:77:00:01", "52:54:00:77:00:02", "52:54:00:77:00:99"
SUBNETS = """
  - name: far
    cidr: 10.78.0.0/24
    gateway: 10.78.0.1
    range: [10.78.0.200, 10.78.0.209]
"""


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path) as network:
        yield network


@pytest.fixture
def site(network: Network, tmp_path: Path) -> Gitboot:
    return Gitboot(network, tmp_path / "site")


def node(address: str, name: str = "node-01", mac: str = MAC) -> str:
    """A machine without work, in a site without profiles."""
    return hardware(name, mac, address).replace("  profile: lab\n", "")


def serve(site: Gitboot, /, **files: str) -> Process:
    """The server with a site and more documents, once it answers from them."""
    commit = site.commit({f"{name}.yaml": text for name, text in {"site": site.site(), **files}.items()})
    server = site.start()
    site.served(commit)
    return server


def complete_site(site: Gitboot, lease: str) -> str:
    return site.site(lease=lease).replace("    nameServers:", "    timeServers: [10.77.0.3]\n    nameServers:")


EXPECTED = {
    "address": "10.77.0.11",
    "mask": "255.255.255.0",
    "broadcast": "10.77.0.255",
    "routers": SERVER,
    "dns": SERVER,
    "ntp": "10.77.0.3",
    "domain": "lab.example",
    "hostname": "node-01",
    "server": SERVER,
}


def test_udhcpc_is_told_what_git_says_renews_it_and_gives_it_back(site: Gitboot, network: Network) -> None:
    server = serve(site, site=complete_site(site, "1h"), node=node("10.77.0.11"))
    client = udhcpc(network.host(mac=MAC))
    assert EXPECTED | {"search": "lab.example", "lease": "3600"} == client.told("bound")
    client.renew()
    assert "10.77.0.11" == client.told("renew")["address"]
    server.wait_for('"reason":"RENEWING or REBINDING 10.77.0.11"')
    client.release()
    server.wait_for('"outcome":"release".*"machine":"node-01"')


def test_dhclient_is_told_what_git_says_renews_at_t1_and_rebinds_at_t2(site: Gitboot, network: Network) -> None:
    timers = "    options: {58: 1, 59: 2}\n    nameServers:"  # T1 and T2 in seconds; of themselves they follow the lease
    serve(site, site=complete_site(site, "20s").replace("    nameServers:", timers), node=node("10.77.0.11"))
    host = network.host(mac=MAC)
    client = dhclient(host)
    assert EXPECTED | {"search": "lab.example.", "lease": "20"} == client.told("BOUND")
    assert "10.77.0.11" == client.told("RENEW")["address"]
    client.process.wait_for(f"DHCPREQUEST for 10.77.0.11 on eth0 to {SERVER} port 67\nDHCPACK of 10.77.0.11")
    # From here on unicast to the server is lost, as when it has moved to other hardware; broadcast is not.
    host.ip("neighbour", "replace", SERVER, "lladdr", "02:00:00:00:00:ff", "dev", "eth0", "nud", "permanent")
    client.process.wait_for("DHCPREQUEST for 10.77.0.11 on eth0 to 255.255.255.255 port 67\nDHCPACK of 10.77.0.11")
    assert "10.77.0.11" == client.told("RENEW")["address"]  # its script is not told that it is rebinding


def test_an_address_that_a_commit_changed_is_refused_at_renewal_and_the_new_one_given(site: Gitboot, network: Network) -> None:
    server = serve(site, node=node("10.77.0.11"))
    host = network.host(mac=MAC)
    client = udhcpc(host)
    client.told("bound", address="10.77.0.11")
    site.served(site.commit({"node.yaml": node("10.77.0.12")}))
    client.renew()
    server.wait_for("10.77.0.11 is not this machine's address, 10.77.0.12 is")
    client.told("nak")
    client.told("bound", address="10.77.0.12")
    addresses = host.run(["ip", "-4", "address", "show", "dev", "eth0"]).stdout
    assert "10.77.0.12/24" in addresses
    assert "10.77.0.11/24" not in addresses


def test_an_address_remembered_from_elsewhere_is_refused_when_a_machine_reboots(site: Gitboot, network: Network) -> None:
    server = serve(site, node=node("10.77.0.11"))
    client = dhclient(network.host(mac=MAC), {"address": "10.77.0.99", "server": SERVER})
    server.wait_for('"outcome":"nak".*10.77.0.99 is not this machine')
    client.told("BOUND", address="10.77.0.11")


def test_an_address_in_use_on_the_wire_is_declined_and_another_kept_over_a_restart(site: Gitboot, network: Network) -> None:
    """The stranger's second address is not where its hash falls: only the journal can tell the restarted server."""
    server = serve(site, site=site.site(unknown="wait"))
    host = network.host(mac=STRANGER)
    first = udhcpc(host)
    taken = first.told("bound")["address"]
    assert taken.startswith("10.77.0.20")
    first.process.stop()
    host.ip("address", "flush", "dev", "eth0")
    network.host(f"{taken}/24")

    second = udhcpc(host, "-a", "-A", "1")
    server.wait_for('"outcome":"decline"')
    kept = second.told("bound")["address"]
    assert kept.startswith("10.77.0.20")
    assert kept != taken
    second.process.stop()

    server.stop()
    site.start()
    assert kept == udhcpc(host).told("bound")["address"]


def test_a_relay_decides_which_subnet_a_machine_is_in(site: Gitboot, network: Network) -> None:
    """A machine with a reservation, and a stranger that gets an address of the range, both behind dnsmasq as a relay."""
    serve(site, site=site.site(unknown="wait") + SUBNETS, node=node("10.78.0.20"))
    relay = _relay(network)
    known, stranger = _behind(network, relay, MAC), _behind(network, relay, STRANGER)
    clients = [udhcpc(each, interface="eth1") for each in (known, stranger)]
    told = [client.told("bound") for client in clients]
    assert ["10.78.0.20", "10.78.0.1", SERVER] == [told[0][name] for name in ("address", "routers", "server")]
    assert told[1]["address"].startswith("10.78.0.20")
    assert told[1]["address"] != "10.78.0.20"


def _relay(network: Network) -> Namespace:
    """A router between the server's network and 10.78.0.0/24, whose bridge machines are attached to."""
    relay = network.host("10.77.0.2/24")
    relay.ip("link", "add", "far", "type", "bridge", "stp_state", "0", "forward_delay", "0")
    relay.ip("address", "add", "10.78.0.1/24", "dev", "far")
    relay.ip("link", "set", "far", "up")
    network.namespace.ip("route", "add", "10.78.0.0/24", "via", "10.77.0.2")
    argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--log-facility=-", "--port=0"]
    relay.spawn([*argv, "--pid-file", f"--dhcp-relay=10.78.0.1,{SERVER}"]).wait_for("DHCP relay from 10.78.0.1")
    return relay


def _behind(network: Network, relay: Namespace, mac: str) -> Namespace:
    """A host whose eth1 is on the relay's far side."""
    host = network.host()
    port = f"far-{mac[-2:]}"
    relay.ip("link", "add", port, "type", "veth", "peer", "name", "eth1", "address", mac, "netns", host.name)
    relay.ip("link", "set", port, "master", "far", "up")
    host.ip("link", "set", "eth1", "up")
    return host


def test_two_machines_at_once_get_an_address_each_and_an_unknown_one_silence(site: Gitboot, network: Network) -> None:
    server = serve(site, one=node("10.77.0.11"), two=node("10.77.0.12", "node-02", OTHER))
    clients: list[Client] = [udhcpc(network.host(mac=mac)) for mac in (MAC, OTHER)]
    nobody = udhcpc(network.host(mac=STRANGER), "-n", "-t", "2")
    assert ["10.77.0.11", "10.77.0.12"] == [client.told("bound")["address"] for client in clients]
    nobody.told("leasefail", address="")
    server.wait_for(f'"outcome":"ignored".*unknown machine {STRANGER}')


FETCH = "import logging, sys, tftpy; tftpy.TftpClient(sys.argv[1]).download(sys.argv[2], sys.argv[3])"
TFTP_CLIENTS = {
    "tftpy": [sys.executable, "-W", "ignore", "-c", FETCH, SERVER, "undionly.kpxe", "FILE"],
    "tftp-hpa": ["tftp", "-m", "binary", SERVER, "-c", "get", "undionly.kpxe", "FILE"],
    "busybox": ["busybox", "tftp", "-g", "-b", "1428", "-r", "undionly.kpxe", "-l", "FILE", SERVER],
}


def test_three_tftp_clients_fetch_the_boot_program_whole(site: Gitboot, network: Network, tmp_path: Path) -> None:
    server = serve(site)
    host = network.host("10.77.0.50/24")
    for name in TFTP_CLIENTS:
        fetched = tmp_path / name
        done = host.run(_fetching(name, fetched))
        assert 0 == done.returncode, f"{name}: {done.stdout}{done.stderr}"
        assert find_binaries()["undionly.kpxe"].content == fetched.read_bytes(), name
        server.wait_for('"event":"tftp","outcome":"completed".*undionly.kpxe')


NAT = """
add table ip lab
add chain ip lab out { type nat hook postrouting priority 100; }
add rule ip lab out oifname eth0 masquerade fully-random
"""


def nat(network: Network, scratch: Path) -> Namespace:
    """A router at 10.77.0.2 whose hosts, on `far`, share that address; it knows nothing of TFTP."""
    router = network.host("10.77.0.2/24")
    router.ip("link", "add", "far", "type", "bridge", "stp_state", "0", "forward_delay", "0")
    router.ip("address", "add", "10.78.0.1/24", "dev", "far")
    router.ip("link", "set", "far", "up")
    (scratch / "nat").write_text(NAT)
    for argv in (["sysctl", "-q", "net.ipv4.ip_forward=1"], ["nft", "-f", str(scratch / "nat")]):
        done = router.run(argv)
        assert 0 == done.returncode, done.stderr
    return router


def test_behind_a_nat_the_boot_program_arrives_from_a_single_port(site: Gitboot, network: Network, tmp_path: Path) -> None:
    router = nat(network, tmp_path)
    hosts = [_behind(network, router, f"52:54:00:78:00:0{number}") for number in (1, 2, 3)]
    for number, host in enumerate(hosts):
        host.ip("address", "add", f"10.78.0.1{number}/24", "dev", "eth1")
        host.ip("route", "add", "default", "via", "10.78.0.1")
    server = serve(site)
    assert 0 != hosts[0].run(["timeout", "2", *_fetching("tftp-hpa", tmp_path / "nothing")]).returncode
    server.stop()
    server = site.start("--tftp-single-port")
    fetching = {name: host.spawn(_fetching(name, tmp_path / name)) for name, host in zip(TFTP_CLIENTS, hosts, strict=True)}
    for _ in fetching:
        server.wait_for('"event":"tftp","outcome":"completed","peer":"10.77.0.2"')
    for name, client in fetching.items():
        assert 0 == client.wait(20), client.transcript.text()
        assert find_binaries()["undionly.kpxe"].content == (tmp_path / name).read_bytes(), name


def _fetching(name: str, into: Path) -> list[str]:
    return [str(into) if word == "FILE" else word for word in TFTP_CLIENTS[name]]


def test_two_thousand_exchanges_a_second_with_ten_thousand_reservations_lose_nothing(tmp_path: Path) -> None:
    fleet = Fleet(size=10_000)
    with Network(tmp_path, str(fleet.server)) as network:
        client = network.host(str(fleet.relay))
        server = bench.Gitboot().start(network, fleet)
        await_answer(client, fleet, server.running)
        report = perfdhcp.run(client, fleet, rate=2_000, seconds=3, wait=perfdhcp.PATIENCE)
    assert report.offers.sent >= 0.97 * 6_000
    assert 0 == report.unanswered
