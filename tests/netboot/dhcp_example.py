"""One machine, its lease and its server, as every DHCP test knows them: the addresses of the captured packets."""

from __future__ import annotations

from ipaddress import IPv4Address

from netboot.dhcp import Client, Ignore, Lease, Note, Packet, Reply, Server, classify, decode, respond
from netboot.dhcp_options import encode as option
from netboot.dhcp_options import pack, unpack
from netboot.dhcp_packet import BOOTREQUEST, ZERO
from netboot.loader import Urls, boot_file


def ip(text: str) -> bytes:
    return IPv4Address(text).packed


MAC = "52:54:00:77:00:01"
ADDRESS = ip("10.77.0.149")
SERVER = Server(ip("10.77.0.1"))
LEASE = Lease(
    address=ADDRESS,
    options=pack(
        dict(
            [
                option("subnet-mask", "255.255.255.0"),
                option("routers", "10.77.0.1"),
                option("domain-name-servers", ["10.77.0.1", "10.77.0.2"]),
                option("host-name", "node-01"),
                option("domain-name", "lab.example"),
                option("broadcast-address", "10.77.0.255"),
                option("ntp-servers", "10.77.0.3"),
                option("lease-time", 86400),
                option("renewal-time", 43200),
                option("rebinding-time", 75600),
                option("domain-search", ["lab.example", "example"]),
                option("classless-static-route", ["10.99.0.0/16 via 10.77.0.254"]),
            ]
        )
    ),
    network=ip("10.77.0.0"),
    mask=ip("255.255.255.0"),
)
LONG = pack(unpack(LEASE.options) | {209: b"x" * 60, 210: b"y" * 120, 224: b"z" * 200, 225: b"w" * 90})
"""Options for a lease that do not fit the smallest message."""
URLS = Urls(ip("10.77.0.1"), "http://10.77.0.1", MAC)


def packet(
    message: int, options: dict[int, bytes] | None = None, *, op: int = BOOTREQUEST, htype: int = 1, flags: int = 0,
    ciaddr: str = "0.0.0.0", giaddr: str = "0.0.0.0",
) -> Packet:  # fmt: skip
    """A client's packet; `options` besides its type."""
    chosen = ({53: bytes([message])} if message else {}) | (options or {})
    chaddr = bytes.fromhex(MAC.replace(":", "")).ljust(16, b"\0")
    hlen = 6
    return Packet(op, message, htype, hlen, b"\1\2\3\4", 0, flags, ip(ciaddr), ZERO, ZERO, ip(giaddr), chaddr, b"", b"", chosen)


def answer(asked: Packet, lease: Lease | None = LEASE, server: Server = SERVER) -> Reply | Note | Ignore:
    """What the server does about a packet of this machine."""
    client: Client = classify(asked)
    return respond(asked, client, lease, boot_file(client, URLS), server)


def reply(asked: Packet, lease: Lease = LEASE) -> tuple[Reply, Packet]:
    """The reply to a packet that gets one, and what the client reads in it."""
    decision = answer(asked, lease)
    assert isinstance(decision, Reply), decision
    return decision, decode(decision.data)
