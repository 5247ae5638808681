"""The desk: a DHCP packet meets what git says and what is known, and becomes an answer with its events.

Core. `dhcp` knows the protocol and nothing of machines; here a MAC becomes a machine, its lease and its boot file, from the
plan its open boot is pinned to; beside another DHCP server, its boot file alone. An operating system's own client never opens
a boot: it is answered by two look-ups.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

import msgspec

from netboot.boot import Plans, ToDisk, Turn, firmware_asks, in_progress, next_step, step_served
from netboot.dhcp import BootFile, Client, Ignore, Lease, Note, Packet, Reply, Server, link_of, respond
from netboot.dhcp_options import unpack
from netboot.dhcp_packet import DISCOVER, ZERO, dotted
from netboot.events import AddressDeclined, Event, LeaseBound, LeaseReleased, Phase
from netboot.loader import Urls, boot_file
from netboot.observed import Observed
from netboot.plan import Binding, BootPlan, Interface, Subnet
from netboot.pool import RENEWAL, Pool, sticky_address
from netboot.proxydhcp import objection, respond_proxy

DEFAULT_LEASE = 86400


class Answer(msgspec.Struct, frozen=True):
    """`events` are journalled before a reply is sent."""

    outcome: Reply | Note | Ignore
    machine: str = ""
    boot: str = ""
    address: str = ""
    """The sticky address a machine without a reservation has or was offered."""
    events: tuple[Event, ...] = ()
    stranger: bool = False
    """It is not in git, and asked what a machine of ours would ask."""


class Counter(msgspec.Struct, frozen=True):
    """What the desk needs to know of the server for one packet."""

    server: Server
    base: str
    hold: str
    fresh: str
    """The id a new boot gets."""
    boot_port: bool = False
    """The packet came to port 4011, where ProxyDHCP is asked again."""


class _Question(msgspec.Struct, frozen=True):
    """One packet and all there is to answer it from."""

    packet: Packet
    client: Client
    plans: Plans
    observed: Observed
    at: Counter
    now: float

    @property
    def mac(self) -> str:
        return self.packet.mac

    def urls(self, loader: str = "") -> Urls:
        return Urls(server=self.at.server.address, base=self.at.base, mac=self.mac, loader=loader)

    @property
    def discovers(self) -> bool:
        return self.packet.message == DISCOVER

    @property
    def proxy(self) -> bool:
        """Another server gives the addresses."""
        return self.plans.current.site.mode != "reservation"

    def respond_proxy(self, boot: BootFile | None) -> Reply | Ignore:
        return respond_proxy(self.packet, self.client, boot, self.at.server, self.at.boot_port)

    def respond(self, lease: Lease | None, boot: BootFile | None) -> Reply | Note | Ignore:
        return respond(self.packet, self.client, lease, boot, self.at.server)


def answer(packet: Packet, client: Client, plans: Plans, observed: Observed, at: Counter, now: float) -> Answer:
    """One client message. Requests meant for other servers and machines without a reservation are ignored with a reason."""
    mode = plans.current.site.mode
    if mode == "off":
        return Answer(Ignore("the site's DHCP mode is off: other servers answer"))
    question = _Question(packet, client, plans, observed, at, now)
    if question.proxy and (why := objection(packet, client, at.boot_port)):
        binding = plans.current.by_mac.get(packet.mac)
        return Answer(Ignore(why), binding.machine.name if binding else "")
    turn = _turn(question)
    answered = _answered(question, turn)
    if not turn.events or not (turn.binding is None or isinstance(answered.outcome, Reply)):
        return answered  # a DISCOVER heard on a link where the machine has no address is no boot
    return msgspec.structs.replace(answered, events=(*turn.events, *answered.events))


def _answered(question: _Question, turn: Turn) -> Answer:
    binding = turn.binding
    if binding is None:
        return msgspec.structs.replace(_stranger(question), stranger=True)
    if not binding.interface.dhcp:
        return Answer(Ignore(f"git says that DHCP for {question.mac} is not ours to answer"), binding.machine.name)
    if question.plans.pinned and not question.proxy and (reason := _taken(question, turn.plan, binding.interface)):
        return Answer(Ignore(reason), binding.machine.name)
    if question.client.kind == "other" or not binding.interface.netboot:
        return _settled(question, turn, binding, None)
    return _firmware(question, turn, binding)


def _turn(question: _Question) -> Turn:
    """Only firmware's DISCOVER opens a boot or takes one further."""
    client, plans, observed = question.client, question.plans, question.observed
    if not question.discovers or client.kind == "other":
        return in_progress(plans, observed, question.mac)
    phase: Phase = "ipxe" if client.kind == "ipxe" else "firmware"
    return firmware_asks(plans, observed, question.mac, phase, facts(client), question.now, question.at.fresh)


def _firmware(question: _Question, turn: Turn, binding: Binding) -> Answer:
    """A machine's PXE ROM, HTTP Boot or iPXE: its DISCOVER opens or joins the boot whose plan answers."""
    observed, now = question.observed, question.now
    step = next_step(turn.plan, binding.machine, observed, turn.hold(question.at.hold), turn.boot)
    to_disk = isinstance(step, ToDisk) and step.handover == "no-boot-file"
    urls = question.urls(binding.machine.loader)
    settled = _settled(question, turn, binding, None if to_disk else boot_file(question.client, urls))
    if not (to_disk and question.discovers):
        return settled
    if isinstance(settled.outcome, Reply):
        return msgspec.structs.replace(settled, events=(*settled.events, *step_served(turn, step, observed, now)))
    if question.proxy:  # silence is how a proxy sends a machine to its disk
        return msgspec.structs.replace(settled, events=(*turn.events, *step_served(turn, step, observed, now)))
    return settled


def _settled(question: _Question, turn: Turn, binding: Binding, boot: BootFile | None) -> Answer:
    """The answer to a machine of git: with its reservation, or with a sticky address where git gives it none."""
    interface, name = binding.interface, binding.machine.name
    if question.proxy:
        return Answer(question.respond_proxy(boot), name, turn.boot)
    subnet = turn.plan.subnets.get(interface.subnet)
    if subnet is None:
        return Answer(Ignore(f"git puts {question.mac} in no subnet"), name, turn.boot)
    if interface.address:
        outcome = question.respond(_reservation(interface.address, interface.options, subnet.cidr), boot)
        return Answer(outcome, name, turn.boot, "", _note_events(question, outcome))
    lease = _sticky(question, subnet, interface.options)
    if lease is None:
        reason = f"git gives {question.mac} no address, and the range of subnet {subnet.name} is full"
        return Answer(Ignore(reason), name, turn.boot)
    outcome = question.respond(lease, boot)
    return Answer(outcome, name, turn.boot, dotted(lease.address), _lease_events(question, outcome, lease))


def _stranger(question: _Question) -> Answer:
    """A machine that is not in git: silence, or with `unknown: wait` a sticky address and a script that waits."""
    plan, packet = question.plans.current, question.packet
    if plan.site.unknown != "wait":
        return Answer(question.respond(None, None))
    if question.proxy:
        return Answer(question.respond_proxy(boot_file(question.client, question.urls())))
    here = packet.ciaddr if packet.ciaddr != ZERO else question.at.server.address  # a renewal comes past its relay
    link = link_of(packet) or here
    subnet = _subnet_of(plan, link)
    if subnet is None or subnet.range is None:
        return Answer(Ignore(f"unknown machine {packet.mac}, and no subnet with a range for the link of {dotted(link)}"))
    lease = _sticky(question, subnet, subnet.options)
    if lease is None:
        return Answer(Ignore(f"unknown machine {packet.mac}, and the range of subnet {subnet.name} is full"))
    outcome = question.respond(lease, boot_file(question.client, question.urls()))
    return Answer(outcome, address=dotted(lease.address), events=_lease_events(question, outcome, lease))


def _taken(question: _Question, plan: BootPlan, interface: Interface) -> str:
    """Why a reservation cannot be given yet, or "": a boot that began under an earlier plan keeps what that plan gave it."""
    for earlier in question.plans.pinned.values():
        holder = earlier.by_address.get(interface.address)
        if holder is None or interface.mac in holder.machine.macs or earlier == plan:
            continue
        boot = question.observed.open_boot(holder.interface.mac)
        if boot is not None and boot.plan == earlier.id:
            return (
                f"{interface.address} is {holder.machine.name}'s until its boot ends, which began with plan {earlier.id[:12]}"
            )
    return ""


def _note_events(question: _Question, outcome: Reply | Note | Ignore) -> tuple[Event, ...]:
    """An address found in use by somebody else is journalled, and one that is given back."""
    if not isinstance(outcome, Note):
        return ()
    kind = AddressDeclined if outcome.kind == "DECLINE" else LeaseReleased
    return (kind(at=question.now, mac=question.mac, address=dotted(outcome.address)),)


def _lease_events(question: _Question, outcome: Reply | Note | Ignore, lease: Lease) -> tuple[Event, ...]:
    """A sticky address is bound when it is acknowledged, not when it is offered; a renewal is journalled once a half-life."""
    if not isinstance(outcome, Reply) or outcome.message != "ACK" or outcome.address == ZERO:
        return _note_events(question, outcome)
    mac, address, observed = question.mac, dotted(outcome.address), question.observed
    if observed.address_of.get(mac) == address and question.now - observed.bound_at[mac] < _lifetime(lease.options) * RENEWAL:
        return ()
    return (LeaseBound(at=question.now, mac=mac, address=address),)


def _sticky(question: _Question, subnet: Subnet, options: bytes) -> Lease | None:
    """A lease from the subnet's range; None when there is none to be had."""
    if subnet.range is None:
        return None
    plans = (question.plans.current, *question.plans.pinned.values())
    reserved = (*(plan.by_address for plan in plans), (dotted(question.at.server.address),))
    pool = Pool(*subnet.range, reserved, _lifetime(options))
    address = sticky_address(pool, question.mac, question.observed, question.now)
    if address is None:
        return None
    lease = _reservation(address, options, subnet.cidr)
    return lease if _gave(question) else msgspec.structs.replace(lease, reserved=False)


def _gave(question: _Question) -> bool:
    """Whether the address asked for is one that we gave this client: then no other server knows better about it."""
    packet = question.packet
    wanted = packet.ciaddr if packet.ciaddr != ZERO else packet.options.get(50, ZERO)
    return question.observed.address_of.get(packet.mac) == dotted(wanted)


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
