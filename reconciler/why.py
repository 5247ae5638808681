"""Why a machine gets what it gets: every fact of it with the lines that decided it, and those that they beat.

Core. The law: every fact of every machine has a reason, and only a value that nobody wrote has no line. Facts are known by the
names that `reconciler.facts` gives them; the table below leads from a name to who decides such a thing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from netboot.boot import RunWork, Step
from netboot.metadata import REGION, ZONE
from netboot.plan import BootPlan
from reconciler.facts import facts_of
from reconciler.inventory import Hardware, Inventory, Profile
from reconciler.origins import Port, Reason, both, chosen, default, origin, path_in, said
from reconciler.work_origins import WorkOrigins

NEXT = "next step"
BOOT = "boot in progress"
"""The two things explained that are no facts of the plan: what the machine would do if it booted now, and what it is doing."""


@dataclass(frozen=True, slots=True)
class Explained:
    setting: str
    value: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Next:
    """What a machine would do if it booted now, and why; `workflow`: the work it would do, or ""; `boot`: what it is doing."""

    why: str
    workflow: str = ""
    boot: str = ""

    @classmethod
    def of(cls, step: Step) -> Next:
        return cls(step.why, step.work.workflow if isinstance(step, RunWork) else "")


def explain(inventory: Inventory, plan: BootPlan, name: str, following: Next) -> tuple[Explained, ...]:
    """Everything of one machine of a plan and of the inventory it was compiled from; what it does next comes first."""
    case = Case(inventory, plan, name)
    facts = facts_of(plan, plan.machines[name])
    asks = case.next(following.workflow)
    observed = [Explained(NEXT, following.why, asks), *([Explained(BOOT, following.boot, asks)] if following.boot else [])]
    return (*observed, *(Explained(fact, value, case.reason(fact, value)) for fact, value in facts.items()))


class Case:
    """One machine's. Each method below knows who decides one kind of fact."""

    def __init__(self, inventory: Inventory, plan: BootPlan, name: str) -> None:
        self.inventory, self.site = inventory, inventory.site
        self.hardware: Hardware = inventory.hardware[name]
        self.machine = plan.machines[name]
        self._value = ""
        self._ports: dict[str, Port] = {}
        self._works: dict[str, WorkOrigins] = {}

    def reason(self, fact: str, value: str) -> Reason:
        """Nothing for a fact that the table does not know: tests see to it that there is none."""
        self._value = value
        for pattern, decide in _TABLE:
            if found := pattern.fullmatch(fact):
                return decide(self, *(json.loads(each) if each and each[0] == '"' else each for each in found.groups()))
        return Reason(())

    def next(self, workflow: str) -> Reason:
        """The work that runs and who gave it to the machine, or what it idles in."""
        if workflow:
            work = self.work(workflow)
            return both(work.assignment(), work.setting("run"), work.profile())
        idle = self.idle()
        works = (self.work(each.workflow) for each in self.machine.work)
        return both(idle, *(both(work.assignment(), work.setting("run")) for work in works))

    # The network ---------------------------------------------------------------------------------------------------------

    def port(self, mac: str) -> Port:
        return self._ports.setdefault(mac, Port(self.inventory, self.hardware, mac))

    def option(self, code: str, mac: str) -> Reason:
        return self.port(mac).option(int(code))

    def bond(self, name: str) -> Reason:
        at = next(at for at, each in enumerate(self.hardware.bonds) if each.name == name)
        return self.own(("spec", "bonds", at), f"bond {name}")

    def name_of(self, asked: str) -> Reason:
        """A DNS name, or an address whose name is known."""
        ports = [
            self.port(each.mac) for each in self.machine.interfaces if each.address and asked in (each.address, self._value)
        ]
        ports = ports or [self.port(each.mac) for each in self.machine.interfaces if each.address in self._value.split(", ")]
        return both(*(each for port in ports for each in (port.host_name(), port.domain(), port.address())))

    def kernel_network(self, profile: str, mac: str) -> Reason:
        port = self.port(mac)
        bonds = [self.bond(each.name) for each in self.hardware.bonds if mac in each.interfaces]
        own = next(each for each in self.machine.interfaces if each.mac == mac)
        static = [] if own.dhcp else [port.dhcp(), port.address(), port.host_name(), *map(port.option, (1, 3, 6))]
        return both(*bonds, port.vlan(), *static, self.of_profile(profile, "kernel"))

    # How it starts -------------------------------------------------------------------------------------------------------

    def loader(self) -> Reason:
        return chosen(said(self.hardware, ("spec", "loader"), "the machine's loader"))

    def boot_file(self) -> Reason:
        pi = said(self.hardware, ("spec", "rpi"), "it is a Raspberry Pi")
        return chosen(pi, self.loader().by, otherwise=default(f"what {self.hardware.arch} starts"))

    def idle(self) -> Reason:
        return chosen(said(self.hardware, ("spec", "idle"), "the machine's idle state"), otherwise=default("its disk"))

    def handover(self) -> Reason:
        own = said(self.hardware, ("spec", "handover"), "the machine's handover")
        profile = self.inventory.profiles.get(self.hardware.profile or "")
        theirs = said(profile, ("spec", "handover"), f"the handover of profile {self.hardware.profile}")
        first, second = (theirs, own) if self.hardware.handover == "auto" else (own, theirs)
        return chosen(first, second, otherwise=default("auto"))

    def of_profile(self, name: str, field: str, number: str | None = None) -> Reason:
        """What a profile says, and why the machine boots it."""
        profile: Profile = self.inventory.profiles[name]
        path = ("spec", field) if number is None else ("spec", field, int(number))
        value = self.at(profile, path, f"profile {name}")
        booted = [self.work(each.workflow).profile() for each in self.machine.work if each.profile == name]
        return both(value, *booted, *([self.idle()] if self.machine.idle == f"profile:{name}" else []))

    def cmdline(self, profile: str, argument: str | None = None) -> Reason:
        """Registries without certificates are the site's, and every workplace's kernel is told of them."""
        insecure = Reason(said(self.site, ("spec", "images", "insecureRegistries"), "the site's insecure registries"))
        if argument == "gitboot.insecure_registries":
            return insecure
        told = argument is None and "gitboot.insecure_registries=" in self._value
        return both(self.of_profile(profile, "cmdline"), *([insecure] if told else []))

    def pi(self, field: str | None) -> Reason:
        key = {None: "serial", " firmware": "firmware", " config.txt": "config"}[field]
        return self.own(("spec", "rpi", key), f"the Raspberry Pi's {key}")

    # What its system is told -----------------------------------------------------------------------------------------------

    def host(self) -> Reason:
        port = self.port(self.hardware.interfaces[0].mac)
        return both(port.host_name(), port.domain())

    def instance(self) -> Reason:
        given = said(self.hardware, ("spec", "metadata", "instanceId"), "the machine's instanceId")
        return chosen(given, self.own(("metadata", "name"), "the machine's name").by)

    def placement(self, what: str) -> Reason:
        keys = [ZONE, REGION] if what == "availability-zone" else [REGION]
        labels = [said(self.hardware, ("metadata", "labels", key), f"the machine's label {key}") for key in keys]
        return chosen(*labels, (origin(self.site, ("metadata", "name"), "the site's name"),))

    def keys(self) -> Reason:
        path = ("spec", "metadata", "publicKeys")
        return chosen(said(self.hardware, path, "the machine's publicKeys"), said(self.site, path, "the site's publicKeys"))

    def vendor_data(self) -> Reason:
        own = said(self.hardware, ("spec", "vendorData"), "the machine's vendorData")
        return chosen(own, said(self.site, ("spec", "vendorData"), "the site's vendorData"))

    # The machine itself --------------------------------------------------------------------------------------------------

    def own(self, path: tuple[str | int, ...], what: str) -> Reason:
        return self.at(self.hardware, path, what)

    def at(self, document: Hardware | Profile, path: tuple[str | int, ...], what: str) -> Reason:
        return Reason((origin(document, path, what),))

    def disk(self, name: str) -> Reason:
        at = next(at for at, each in enumerate(self.hardware.disks) if each.name == name)
        return self.own(("spec", "disks", at), f"disk {name}")

    def storage(self, where: str) -> Reason:
        return self.own(("spec", "storage", *(path_in(self.hardware.storage, where) or ())), "the machine's storage")

    def arch(self) -> Reason:
        return chosen(said(self.hardware, ("spec", "arch"), "the machine's arch"), otherwise=default("x86_64"))

    def server(self) -> Reason:
        return chosen(said(self.site, ("spec", "server"), "the site's server"))

    # Its work ------------------------------------------------------------------------------------------------------------

    def work(self, name: str) -> WorkOrigins:
        return self._works.setdefault(name, WorkOrigins(self.inventory, self.hardware, self.inventory.workflows[name]))

    def run(self, workflow: str) -> Reason:
        return both(self.work(workflow).setting("run"), self.work(workflow).assignment())

    def image(self, workflow: str, task: str, action: str) -> Reason:
        return self.work(workflow).image(task, action, self._value)

    def login(self, workflow: str, task: str, action: str) -> Reason:
        return self.work(workflow).login(task, action, self._value)


_WORD = r'("(?:[^"\\]|\\.)*"|[^\s/"]+)'
_WORK = r"workflow (\S+)(?: part \d+)?"
_ACTION = rf"{_WORK} action {_WORD}/{_WORD}"

_RULES: Mapping[str, Callable[..., Reason]] = {
    "architecture": Case.arch,
    "interfaces": lambda case: case.own(("spec", "interfaces"), "the machine's interfaces"),
    r"DHCP (\S+)": lambda case, mac: case.port(mac).dhcp(),
    r"network boot (\S+)": lambda case, mac: case.port(mac).network_boot(),
    r"address (\S+)": lambda case, mac: case.port(mac).address(),
    r"subnet (\S+)": lambda case, mac: case.port(mac).subnet(),
    r"host name (\S+)": lambda case, mac: case.port(mac).host_name(),
    r"VLAN (\S+)": lambda case, mac: case.port(mac).vlan(),
    r"option (\d+) .*?(\S+)": Case.option,
    "bond (.+)": Case.bond,
    "loader": Case.loader,
    "boot file .+": Case.boot_file,
    "Raspberry Pi( firmware| config.txt)?": Case.pi,
    "firmware file .+": lambda case: case.pi(" firmware"),
    "idle": Case.idle,
    "handover": Case.handover,
    "protected": lambda case: case.own(("spec", "protect"), "the machine's protection"),
    "server": Case.server,
    r"DNS (\S+) (?:A|PTR)": Case.name_of,
    "metadata /latest/meta-data/hostname": Case.host,
    "metadata (?:/latest/meta-data/instance-id|instance id)": Case.instance,
    "metadata /latest/meta-data/placement/(.+)": Case.placement,
    "metadata /latest/meta-data/public-keys/.+": Case.keys,
    "(?:metadata /latest/meta-data/tags/instance/|label )(.+)": lambda case, key: case.own(
        ("metadata", "labels", key), f"the machine's label {key}"
    ),
    "metadata /latest/user-data": lambda case: case.own(("spec", "userData"), "the machine's userData"),
    "metadata vendor data(?: of)?": Case.vendor_data,
    "disk (.+)": Case.disk,
    "storage ?(.*)": Case.storage,
    r"profile (\S+) (kernel|chain|script|pxelinux)": Case.of_profile,
    r"profile (\S+) (initrd) (\d+)": Case.of_profile,
    r"profile (\S+) kernel command line": Case.cmdline,
    r"profile (\S+) kernel argument (.+)": Case.cmdline,
    r"profile (\S+) kernel network (\S+)": Case.kernel_network,
    f"{_WORK} run": Case.run,
    f"{_WORK} profile": lambda case, name: case.work(name).profile(),
    f"{_WORK} document (.+)": lambda case, name, what: case.work(name).document(what),
    f"{_WORK} (?:actions|waits for)": lambda case, name: case.work(name).tasks(),
    f"{_WORK} task {_WORD} worker": lambda case, name, task: case.work(name).worker(task),
    f"{_ACTION} image": Case.image,
    f"{_ACTION} archive": lambda case, name, *place: case.work(name).archive(*place),
    f"{_ACTION} login": Case.login,
    f"{_ACTION} env (.+)": lambda case, name, *place: case.work(name).environment(*place),
    f"{_ACTION} secret (env|file) (.+)": lambda case, name, *place: case.work(name).secret(*place),
    f"{_ACTION} (.+)": lambda case, name, *place: case.work(name).field(*place),
    f"{_WORK} (.+)": lambda case, name, setting: case.work(name).setting(setting),
}
"""Form of a fact's name → who decides it. The first that fits counts."""
_TABLE = [(re.compile(form, re.DOTALL), decide) for form, decide in _RULES.items()]
