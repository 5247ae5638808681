"""Functions about disks and networks that Tinkerbell adds to sprig's.

Core. As in Tinkerbell from v0.20 on, but refusing what it would let through as nonsense.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from reconciler.template.errors import Fault
from reconciler.template.values import Value


def format_partition(device: str, partition: int) -> str:
    """A partition's device: `/dev/sda` 1 → `/dev/sda1`, `/dev/nvme0n1` → `…p1`, anything in `/dev/disk/` → `…-part1`."""
    if partition < 1 or not device:
        raise Fault(f'there is no partition {partition} of "{device:.80}"')
    if device.startswith("/dev/disk/"):
        return f"{device}-part{partition}"
    return f"{device}{'p' if device[-1] in '0123456789' else ''}{partition}"


def netmask_to_prefix_length(netmask: str) -> str:
    """`255.255.255.0` → `24`, as text."""
    try:
        bits = f"{int(ipaddress.IPv4Address(netmask)):032b}"
    except ValueError:
        raise Fault(f'"{netmask:.40}" is no IPv4 netmask') from None
    if "01" in bits:
        raise Fault(f"the netmask {netmask} has a hole in it")
    return str(bits.count("1"))


TABLE: dict[str, Callable[..., Value]] = {
    "formatPartition": format_partition,
    "netmaskToPrefixLength": netmask_to_prefix_length,
}
