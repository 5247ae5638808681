"""DHCP clients of operating systems in the lab: busybox udhcpc and ISC dhclient, and what they were told.

The law: a client is a real program in a host of its own; it configures its interface as it would anywhere, and its script
writes one line per event, `EVENT name=value …`, which is all that tests look at.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from tests.lab.network import Namespace
from tests.lab.process import Process, Transcript

_UDHCPC_SCRIPT = """#!/bin/sh
case "$1" in
deconfig) ip -4 address flush dev "$interface" ;;
bound|renew) ip address replace "$ip/$mask" dev "$interface" ;;
esac
echo "$1 address=$ip mask=$subnet broadcast=$broadcast routers=$router dns=$dns ntp=$ntpsrv domain=$domain" \\
  "search=$search hostname=$hostname lease=$lease server=$serverid." >>{events}
"""

_DHCLIENT_SCRIPT = """#!/bin/sh
case "$reason" in
PREINIT) ip link set dev "$interface" up ;;
BOUND|RENEW|REBIND|REBOOT)
  [ -z "$old_ip_address" ] || [ "$old_ip_address" = "$new_ip_address" ] || ip -4 address flush dev "$interface"
  ip address replace "$new_ip_address/$new_subnet_mask" dev "$interface" ;;
EXPIRE|FAIL|RELEASE|STOP) ip -4 address flush dev "$interface" ;;
esac
echo "$reason address=$new_ip_address mask=$new_subnet_mask broadcast=$new_broadcast_address routers=$new_routers" \\
  "dns=$new_domain_name_servers ntp=$new_ntp_servers domain=$new_domain_name search=$new_domain_search" \\
  "hostname=$new_host_name lease=$new_dhcp_lease_time server=$new_dhcp_server_identifier." >>{events}
"""

_DHCLIENT_CONFIG = """
timeout 20; retry 1; initial-interval 1; backoff-cutoff 2; initial-delay 0;
request subnet-mask, broadcast-address, routers, domain-name, domain-name-servers, domain-search, host-name, ntp-servers;
"""

_REMEMBERED = """
lease {{
  interface "eth0";
  fixed-address {address};
  option subnet-mask 255.255.255.0;
  option dhcp-lease-time 86400;
  option dhcp-message-type 5;
  option dhcp-server-identifier {server};
  renew 1 2035/01/01 00:00:00;
  rebind 1 2035/01/01 00:00:00;
  expire 1 2035/01/01 00:00:00;
}}
"""


class Client:
    """A client that runs; `events` are the lines its script wrote, `process` what it says itself."""

    def __init__(self, process: Process, events: Transcript) -> None:
        self.process = process
        self.events = events

    def told(self, event: str, within: float = 15, **values: str) -> dict[str, str]:
        """The values of the next event of this name that has these `values`; AssertionError when it does not come."""
        wanted = "".join(rf"(?=.*\b{name}={value.replace('.', '[.]')}[ .])" for name, value in values.items())
        line = self.events.wait_for(rf"(?m)^{event} {wanted}(.*)\.$", within, self.process.running)[1]
        return dict(pair.partition("=")[::2] for pair in line.split(" ") if "=" in pair)

    def renew(self) -> None:
        """udhcpc only."""
        os.kill(self.process.pid, signal.SIGUSR1)

    def release(self) -> None:
        """udhcpc only."""
        os.kill(self.process.pid, signal.SIGUSR2)


def udhcpc(host: Namespace, *flags: str, interface: str = "eth0") -> Client:
    """busybox's client in the foreground, as it asks by default and for the search list."""
    script, events = _script(host, "udhcpc", _UDHCPC_SCRIPT)
    argv = ["busybox", "udhcpc", "-f", "-i", interface, "-s", str(script), "-O", "search", "-t", "10", "-T", "1", *flags]
    return Client(host.spawn(argv), events)


def dhclient(host: Namespace, remembered: Mapping[str, str] | None = None) -> Client:
    """ISC's client in the foreground; `remembered`: the `address` and `server` of a lease in its lease file."""
    script, events = _script(host, "dhclient", _DHCLIENT_SCRIPT)
    config, leases, pid = (host.scratch / f"{host.name}.dhclient.{name}" for name in ("conf", "leases", "pid"))
    config.write_text(_DHCLIENT_CONFIG)
    leases.write_text(_REMEMBERED.format(**remembered) if remembered else "")
    argv: list[str | Path] = ["dhclient", "-4", "-d", "-sf", script, "-cf", config, "-lf", leases, "-pf", pid, "eth0"]
    return Client(host.spawn(argv), events)


def _script(host: Namespace, name: str, text: str) -> tuple[Path, Transcript]:
    script, events = (host.scratch / f"{host.name}.{name}.{kind}" for kind in ("script", "events"))
    script.write_text(text.format(events=events))
    script.chmod(0o755)
    events.write_text("")
    return script, Transcript(events)
