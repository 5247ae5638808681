"""A small site as a plan, and a room in which its machines boot: every test of the glue between plan and wire stands here."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, get_args

from agent.workflow import Action, Task, Workflow, to_json
from netboot.boot import Plans, claimable
from netboot.desk import Answer, Counter, answer
from netboot.dhcp import Server, classify
from netboot.dhcp_options import encode as option
from netboot.dhcp_options import pack
from netboot.dhcp_packet import BOOTREQUEST, DISCOVER, REQUEST, ZERO, Packet
from netboot.events import Event, JournalOpened
from netboot.observed import Observed
from netboot.plan import Artifact, BootPlan, Handover, Interface, Machine, Profile, Site, Subnet, dump
from netboot.runs import Claimed, Nothing, claim
from netboot.scripts import Asked, House, NoScript, Script, script_for
from netboot.sessions import Opened, Parked, exchange
from netboot.work import Work

HANDOVERS: tuple[Handover, ...] = get_args(Handover)
MAC, SECOND, STRANGER = "52:54:00:12:34:01", "52:54:00:12:34:02", "52:54:00:aa:aa:aa"
SITE = Site("home", domain="lab.example", server="10.1.0.1", unknown="wait")
OPTIONS = pack(dict([option("subnet-mask", "255.255.0.0"), option("dhcp-lease-time", 3600)]))
RACK = Subnet("rack1", "10.1.0.0/16", OPTIONS, ("10.1.200.1", "10.1.200.4"))
OTHER = Subnet("rack2", "10.2.0.0/24", OPTIONS, ("10.2.0.200", "10.2.0.201"))
KERNEL = Profile("inspect", kernel="inspect/vmlinuz", initrd=("inspect/initrd.img",), cmdline="console=ttyS0 quiet")
DISKLESS = Profile("diskless", kernel="inspect/vmlinuz")
ARTIFACTS = (Artifact("inspect/vmlinuz", "a" * 64, 5), Artifact("inspect/initrd.img", "b" * 64, 7))
HOUSE = House("http://10.1.0.1", b"the server's key")
IPXE = {77: b"iPXE", 60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 175: b"\x13\x01\x01"}
BIOS = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"}
UEFI = {60: b"PXEClient:Arch:00007:UNDI:003000", 93: b"\0\7"}
SYSTEM: dict[int, bytes] = {60: b"udhcp 1.35"}
"""An operating system's own client."""


def work(name: str = "install", run: int = 1, **more: Any) -> Work:
    workflow = Workflow(name, (Task("task", "node-01", (Action("act", "image"),)),))
    values: dict[str, Any] = {"workflow": name, "run": run, "document": to_json(workflow), "profile": "inspect"}
    return Work(**values | more)


def port(mac: str = MAC, address: str = "10.1.0.11", **more: Any) -> Interface:
    return Interface(**{"mac": mac, "address": address, "hostname": "", "subnet": "rack1", "options": OPTIONS} | more)


def machine(name: str = "node-01", *ports: Interface, **more: Any) -> Machine:
    return Machine(**{"name": name, "arch": "x86_64", "interfaces": ports or (port(),)} | more)


def plan(*machines: Machine, site: Site = SITE, subnets: Iterable[Subnet] = (RACK, OTHER), cmdline: str = "") -> BootPlan:
    """`cmdline` makes it another plan without changing what anybody does."""
    profiles = (KERNEL, DISKLESS, Profile("spare", kernel="inspect/vmlinuz", cmdline=cmdline))
    return dump(site, subnets, profiles, ARTIFACTS, machines).plan


def ip(text: str) -> bytes:
    return IPv4Address(text).packed


def packet(message: int, mac: str, said: dict[int, bytes], **fields: Any) -> Packet:
    """`said`: options besides the message's type. Addresses in `fields` are text."""
    fields = {name: ip(value) if isinstance(value, str) else value for name, value in fields.items()}
    ciaddr, giaddr = fields.get("ciaddr", ZERO), fields.get("giaddr", ZERO)
    chaddr = bytes.fromhex(mac.replace(":", "")).ljust(16, b"\0")
    options = {53: bytes([message]), **said}
    return Packet(BOOTREQUEST, message, 1, 6, b"\1\2\3\4", 0, 0, ciaddr, ZERO, ZERO, giaddr, chaddr, b"", b"", options)


@dataclass
class Room:
    """Servers without sockets: what a machine asks is answered, and the answer's events have happened. `now` is a second
    later with each question.
    """

    plans: Plans
    observed: Observed = field(default_factory=Observed)
    journal: list[Event] = field(default_factory=list)
    hold: str = ""
    now: float = 1000.0
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    local: str = "10.1.0.1"

    def __post_init__(self) -> None:
        self.happen(JournalOpened(at=self.now, journal="j1"))

    @classmethod
    def of(cls, *machines: Machine, **more: Any) -> Room:
        return cls(Plans(plan(*machines, **more), {}))

    def happen(self, *events: Event) -> None:
        for event in events:
            self.journal.append(event)
            self.observed.apply(event)

    def publish(self, current: BootPlan) -> None:
        """As `follow` does: what open boots are pinned to stays."""
        known = {**self.plans.pinned, self.plans.current.id: self.plans.current}
        pinned = {each: known[each] for each in self.observed.pinned_plans() if each in known and each != current.id}
        self.plans = Plans(current, pinned)

    def tick(self) -> float:
        self.now += 1
        return self.now

    def fresh(self) -> str:
        return f"boot-{next(self.ids)}"

    def dhcp(self, message: int, mac: str, said: dict[int, bytes], **fields: Any) -> Answer:
        """`boot_port` among the fields: it came to port 4011."""
        boot_port = fields.pop("boot_port", False)
        asked = packet(message, mac, said, **fields)
        at = Counter(Server(ip(self.local)), HOUSE.base, self.hold, self.fresh(), boot_port)
        answered = answer(asked, classify(asked), self.plans, self.observed, at, self.tick())
        self.happen(*answered.events)
        if answered.boot:
            self.observed.touch(answered.boot, self.now)
        return answered

    def discover(self, mac: str = MAC, said: dict[int, bytes] = SYSTEM, **fields: Any) -> Answer:
        return self.dhcp(DISCOVER, mac, said, **fields)

    def request(self, address: str, mac: str = MAC, said: dict[int, bytes] = SYSTEM, **fields: Any) -> Answer:
        """SELECTING, unless `ciaddr` says otherwise."""
        more = {} if "ciaddr" in fields else {54: ip(self.local), 50: ip(address)}
        return self.dhcp(REQUEST, mac, said | more, **fields)

    def fetch(self, mac: str = MAC, known_only: bool = False, peer: str = "") -> Script | NoScript:
        """The boot script; `peer`: who asks, if not the machine itself."""
        binding = self.plans.of(self.observed.open_boot(mac)).by_mac.get(mac)
        own = binding.interface.address or self.observed.address_of.get(mac, "") if binding else ""
        asked = Asked(mac, peer or own, known_only)
        found = script_for(HOUSE, self.plans, self.observed, asked, self.hold, self.tick(), self.fresh())
        if isinstance(found, Script):
            self.happen(*found.events)
            self.observed.touch(found.boot, self.now)
        return found

    def script(self, mac: str = MAC) -> Script:
        found = self.fetch(mac)
        assert isinstance(found, Script), found
        return found

    def exchange(self, system: str = "os-1", boot: str = "") -> Opened | Parked:
        """A good token for a session."""
        known = self.observed.boots[boot or self.boot.id]
        answer = exchange(self.observed, known, system, self.tick(), f"{next(self.ids):016x}")
        if isinstance(answer, Opened):
            self.happen(*answer.events)
        return answer

    def speak(self, boot: str, system: str) -> None:
        """Something that is signed by the session of this start of the system, which is opened where there is none."""
        known = self.observed.boots[boot]
        session = self.observed.session_of(known.machine, known.macs)
        if session is None or (session.boot, session.system) != (boot, system) or session.over:
            assert isinstance(self.exchange(system, boot), Opened)
            session = self.observed.session_of(known.machine, known.macs)
        assert session is not None
        session.last_seen = self.now

    def claim(self, boot: str, asked: Work | None, system: str = "os-1") -> Claimed | Nothing:
        self.speak(boot, system)
        decision = claim(self.observed, boot, system, self.tick(), asked, run_id=f"run-{next(self.ids)}", hold=self.hold)
        self.happen(*decision.events)
        return decision

    def agent_asks(self, system: str = "os-1", boot: str = "") -> Claimed | Nothing:
        """A claim as the server handles it: what is due comes from the plans."""
        known = self.observed.boots[boot or self.boot.id]
        self.speak(known.id, system)
        due = claimable(self.plans, self.observed, known, self.hold)
        run, now = f"run-{next(self.ids)}", self.tick()
        hold = self.hold or due.held
        decision = claim(self.observed, known.id, system, now, due.work, run_id=run, hold=hold, stays=due.stays, news=due.news)
        self.happen(*decision.events)
        self.observed.touch(known.id, now)
        return decision

    @property
    def boot(self) -> Any:
        """The boot in which node-01 is, or was last."""
        return self.observed.last_boot_of("node-01")
