"""The servers gitboot is compared with, each set up to be as fast as it can be at the same task.

The law: nobody pays for what the others do not do. Same machines, same answers, no lease file, no ping before an offer and no
log line per exchange, for anyone.
"""

import json
from pathlib import Path
from typing import Protocol

from benchmarks.perfdhcp import Fleet
from tests.lab.network import Network
from tests.lab.process import Process

LEASE_SECONDS = 3600


class Peer(Protocol):
    """A DHCP server that can be measured."""

    @property
    def name(self) -> str:
        """What the figures are printed under."""

    def start(self, network: Network, fleet: Fleet) -> Process:
        """Start it at the network's bridge with a reservation for every machine of the fleet; it need not be ready yet.

        The bridge has `fleet.server`, clients are relayed by `fleet.relay`; files belong in `network.scratch`.
        """


class Kea:
    """kea-dhcp4 with a pool of two threads, which is what two processors are worth to it."""

    name = "Kea"

    def start(self, network: Network, fleet: Fleet) -> Process:
        config = network.scratch / "kea.json"
        config.write_text(json.dumps({"Dhcp4": self._config(fleet)}))
        # It insists on a folder for its lock and one for its process id, and takes them from nowhere else.
        folders = [f"KEA_{kind}_DIR={network.scratch}" for kind in ("LOCKFILE", "PIDFILE")]
        return network.spawn(["env", *folders, "kea-dhcp4", "-c", config], "kea.log")

    def _config(self, fleet: Fleet) -> dict[str, object]:
        reservations = [{"hw-address": mac, "ip-address": address} for mac, address in fleet.reservations()]
        return {
            "interfaces-config": {"interfaces": ["br0"], "dhcp-socket-type": "udp"},
            "lease-database": {"type": "memfile", "persist": False},
            "multi-threading": {"enable-multi-threading": True, "thread-pool-size": 2, "packet-queue-size": 64},
            "host-reservation-identifiers": ["hw-address"],
            # No address of a reservation is in a pool, so Kea need not look for conflicts.
            "reservations-out-of-pool": True,
            "valid-lifetime": LEASE_SECONDS,
            "subnet4": [{"id": 1, "subnet": str(fleet.subnet), "reservations": reservations}],
            "loggers": [{"name": "kea-dhcp4", "severity": "WARN", "output_options": [{"output": "stdout"}]}],
        }


class Dnsmasq:
    """dnsmasq with a line per machine."""

    name = "dnsmasq"

    def start(self, network: Network, fleet: Fleet) -> Process:
        hosts = network.scratch / "dnsmasq.hosts"
        hosts.write_text("".join(f"{mac},{address}\n" for mac, address in fleet.reservations()))
        return network.spawn(self._command(fleet, hosts), "dnsmasq.log")

    def _command(self, fleet: Fleet, hosts: Path) -> list[str | Path]:
        return [
            *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file", "--port=0"),
            *("--interface=br0", "--bind-interfaces", "--dhcp-authoritative"),
            *("--no-ping", "--leasefile-ro", "--quiet-dhcp", "--log-facility=-"),
            f"--dhcp-range={fleet.subnet[0]},static,{fleet.subnet.netmask},{LEASE_SECONDS}",
            f"--dhcp-hostsfile={hosts}",
            f"--dhcp-lease-max={fleet.size}",
        ]
