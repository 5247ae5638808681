"""The desk: a DHCP packet meets what git says and what is known, and becomes an answer with its events.

Core. `dhcp` knows the protocol and nothing of machines; here a MAC becomes a machine, its lease and its boot file, from the
plan its open boot is pinned to. An operating system's own client never opens a boot: it is answered by two look-ups.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

import msgspec

from netboot.boot import Plans, ToDisk, Turn, firmware_asks, next_step, step_served
from netboot.dhcp import Client, Ignore, Lease, Note, Packet, Reply, Server, link_of, respond
from netboot.dhcp_options import unpack
from netboot.dhcp_packet import DISCOVER, dotted
from netboot.events import AddressDeclined, Event, LeaseBound, LeaseReleased, Phase
from netboot.loader import Urls, boot_file
from netboot.observed import Observed
from netboot.plan import Binding, BootPlan, Interface, Subnet
from netboot.pool import sticky_address

DEFAULT_LEASE = 86400


class Answer(msgspec.Struct, frozen=True):
    """`events` are journalled before a reply is sent."""

    outcome: Reply | Note | Ignore
    machine: str = ""
    boot: str = ""
    address: str = ""
    """The sticky address a stranger was given."""
    events: tuple[Event, ...] = ()


class Counter(msgspec.Struct, frozen=True):
    """What the desk needs to know of the server for one packet."""

    server: Server
    base: str
    hold: str
    fresh: str
    """The id a new boot gets."""


def answer(packet: Packet, client: Client, plans: Plans, observed: Observed, at: Counter, now: float) -> Answer:
    """One client message. Requests meant for other servers and machines without a reservation are ignored with a reason."""
    mac = packet.mac
    boot = observed.open_boot(mac)
    binding = plans.of(boot).by_mac.get(mac) or plans.current.by_mac.get(mac)
    if binding is None:
        return _stranger(packet, client, plans.current, observed, at, now)
    if not binding.interface.dhcp:
        return Answer(Ignore(f"git says that DHCP for {mac} is not ours to answer"), binding.machine.name)
    if client.kind == "other" or not binding.interface.netboot:
        lease = _lease(plans.of(boot), binding.interface, observed, now)
        return _settled(
            packet, respond(packet, client, lease, None, at.server), binding, boot.id if boot else "", observed, now
        )
    return _firmware(packet, client, binding, plans, observed, at, now)


def _firmware(
    packet: Packet, client: Client, binding: Binding, plans: Plans, observed: Observed, at: Counter, now: float
) -> Answer:
    """A machine's PXE ROM, HTTP Boot or iPXE: its DISCOVER opens or joins the boot whose plan answers."""
    boot = observed.open_boot(packet.mac)
    turn = Turn(plans.of(boot), boot.id if boot else "", boot.phase if boot else "firmware")
    if packet.message == DISCOVER:
        phase: Phase = "ipxe" if client.kind == "ipxe" else "firmware"
        turn = firmware_asks(plans, observed, binding.machine, packet.mac, phase, facts(client), now, at.fresh)
    binding = turn.plan.by_mac.get(packet.mac, binding)
    step = next_step(turn.plan, binding.machine, observed, at.hold, turn.boot)
    to_disk = isinstance(step, ToDisk) and step.handover == "no-boot-file"
    file = None if to_disk else boot_file(client, _urls(at, packet.mac))
    lease = _lease(turn.plan, binding.interface, observed, now)
    settled = _settled(packet, respond(packet, client, lease, file, at.server), binding, turn.boot, observed, now)
    if packet.message != DISCOVER or not isinstance(settled.outcome, Reply):
        return settled  # a DISCOVER heard on a link where the machine has no address is no boot
    handed_over = step_served(turn, step, now) if to_disk else ()
    return msgspec.structs.replace(settled, events=(*turn.events, *settled.events, *handed_over))


def _stranger(packet: Packet, client: Client, plan: BootPlan, observed: Observed, at: Counter, now: float) -> Answer:
    """A machine that is not in git: silence, or with `unknown: wait` a sticky address and a script that waits."""
    mac = packet.mac
    if plan.site.unknown != "wait":
        return Answer(respond(packet, client, None, None, at.server))
    subnet = _subnet_of(plan, link_of(packet) or at.server.address)
    if subnet is None or subnet.range is None:
        return Answer(Ignore(f"unknown machine {mac}, and no subnet with a range for the link it is on"))
    lease = _dynamic(plan, subnet, subnet.options, mac, observed, now)
    if lease is None:
        return Answer(Ignore(f"unknown machine {mac}, and the range of subnet {subnet.name} is full"))
    outcome = respond(packet, client, lease, boot_file(client, _urls(at, mac)), at.server)
    return Answer(outcome, address=dotted(lease.address), events=_lease_events(packet, outcome, lease, observed, now))


def _settled(
    packet: Packet, outcome: Reply | Note | Ignore, binding: Binding, boot: str, observed: Observed, now: float
) -> Answer:
    address = observed.address_of.get(packet.mac, "") if not binding.interface.address else ""
    events: tuple[Event, ...] = ()
    if isinstance(outcome, Note) or not binding.interface.address:
        events = _lease_events(packet, outcome, None, observed, now)
    return Answer(outcome, binding.machine.name, boot, address, events)


def _lease_events(
    packet: Packet, outcome: Reply | Note | Ignore, lease: Lease | None, observed: Observed, now: float
) -> tuple[Event, ...]:
    """A sticky address is bound when it is acknowledged, not when it is offered; a renewal is journalled once a half-life."""
    mac = packet.mac
    if isinstance(outcome, Note):
        kind = AddressDeclined if outcome.kind == "DECLINE" else LeaseReleased
        return (kind(at=now, mac=mac, address=dotted(outcome.address)),)
    if not isinstance(outcome, Reply) or outcome.message != "ACK" or not any(outcome.address):
        return ()
    address = dotted(outcome.address)
    renewal = _lifetime(lease.options if lease else b"") / 2
    if observed.address_of.get(mac) == address and now - observed.bound_at.get(mac, 0.0) < renewal:
        return ()
    return (LeaseBound(at=now, mac=mac, address=address),)


def _lease(plan: BootPlan, interface: Interface, observed: Observed, now: float) -> Lease | None:
    """The reservation, or for a machine of git without an address a sticky one from its subnet's range."""
    subnet = plan.subnets.get(interface.subnet)
    if subnet is None:
        return None
    if interface.address:
        return _reservation(interface.address, interface.options, subnet.cidr)
    return _dynamic(plan, subnet, interface.options, interface.mac, observed, now)


def _dynamic(plan: BootPlan, subnet: Subnet, options: bytes, mac: str, observed: Observed, now: float) -> Lease | None:
    address = sticky_address(plan, subnet, mac, observed, now, _lifetime(options))
    if address is None:
        return None
    return msgspec.structs.replace(_reservation(address, options, subnet.cidr), reserved=False)


@lru_cache(maxsize=65536)
def _reservation(address: str, options: bytes, cidr: str) -> Lease:
    network = _network(cidr)
    return Lease(IPv4Address(address).packed, options, network.network_address.packed, network.netmask.packed)


@lru_cache(maxsize=1024)
def _network(cidr: str) -> IPv4Network:
    return IPv4Network(cidr)


@lru_cache(maxsize=1024)
def _lifetime(options: bytes) -> int:
    """Seconds of option 51."""
    return int.from_bytes(unpack(options).get(51, b""), "big") or DEFAULT_LEASE


def _subnet_of(plan: BootPlan, link: bytes) -> Subnet | None:
    address = IPv4Address(link)
    return next((subnet for subnet in plan.subnets.values() if address in _network(subnet.cidr)), None)


def _urls(at: Counter, mac: str) -> Urls:
    return Urls(server=at.server.address, base=at.base, mac=mac)


def facts(client: Client) -> dict[str, str]:
    """What firmware says of itself, for the status."""
    said = {
        "kind": client.kind,
        "arch": "" if client.arch is None else str(client.arch),
        "vendorClass": client.vendor_class,
        "userClass": client.user_class,
        "uuid": client.guid.hex(),
    }
    return {key: value for key, value in said.items() if value}
