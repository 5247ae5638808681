"""A machine's boot, packet by packet, from the plan alone: firmware that asks, the servers' own functions that answer.

Core. The law: the machine knows only what it was sent, as a machine does, and nothing answers it here but
`recording.answer_again` and the plan; so what is shown is what a server sends to a machine that it has seen nothing of. It
ends where the machine's own system takes over, and then `trouble` says whether that is where the plan wants it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from agent.workflow import from_json
from netboot.boot import Diskless, Plans, RunWork, Stay, Step, ToDisk, claimable, next_step
from netboot.desk import Counter
from netboot.dhcp import Server
from netboot.dhcp_packet import ZERO
from netboot.events import JournalOpened
from netboot.grub import first_config
from netboot.ipxe import Secure
from netboot.loader import LOADERS, PI_FILE
from netboot.observed import Observed
from netboot.plan import Artifact, Binding, BootPlan, Profile
from netboot.raspberry import file_for
from netboot.recording import PATHS, DhcpQuestion, Exchange, Question, ScriptQuestion, answer_again
from netboot.scripts import Asked, Language
from reconciler.boot_script import Disk, Kernel, Unreadable, Wait, read_script
from reconciler.firmware import VOICES, Lease, Voice, acknowledged, message, offered
from reconciler.firmware import Profile as Firmware

BOOT = "0" * 16
"""The id of the simulated boot."""
_PROGRAMS = {name: row for row, files in LOADERS.items() for name in files.values()}
_READS: dict[str, Language] = {"grub": "grub", "shim": "grub", "pxelinux": "pxelinux"}
_DIGEST = re.compile(r"artifacts/sha256/([0-9a-f]{64}|DIGEST)")


class Trouble(Exception):
    """The machine does not get where the plan wants it; the message says why."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where the server is reached."""

    address: str
    base: str
    """`http://10.1.0.1`, with a port where it is not 80."""
    secure: Secure | None


@dataclass(frozen=True, slots=True)
class Simulation:
    exchanges: tuple[Exchange, ...]
    end: str
    """What the machine does at last."""
    trouble: str
    """Why it does not boot as it should, or ""."""


def simulate(plan: BootPlan, binding: Binding, firmware: Firmware, where: Where) -> Simulation:
    """One boot of a machine of which a server that may start runs has seen nothing. `binding`: the interface that boots."""
    machine = _Machine(plan, binding, where)
    try:
        end, trouble = machine.boot(firmware), ""
    except Trouble as error:
        end, trouble = "it does not boot", str(error)
    return Simulation(tuple(machine.exchanges), end, trouble)


class _Machine:
    def __init__(self, plan: BootPlan, binding: Binding, where: Where) -> None:
        self.exchanges: list[Exchange] = []
        self._plans = Plans(plan, {})
        self._machine, self._interface = binding.machine, binding.interface
        self._where = where
        self._observed = Observed()
        self._observed.apply(JournalOpened(at=0.0, journal="simulated"))
        self._wanted = next_step(plan, binding.machine, self._observed, "", "")
        self._address = ""
        self._uuid = hashlib.sha256(self._machine.name.encode()).digest()[:16]

    # The machine's way

    def boot(self, firmware: Firmware) -> str:
        """Until its own system runs, or it waits."""
        if not self._interface.netboot:
            return f"git says that {self._interface.mac} does not boot from the network"
        voices = [VOICES[name] for name in firmware.voices]
        for voice in voices:
            lease = self._lease(voice)
            if lease is None:
                break
            if not lease.file and voice.stage == "uboot" and voice is not voices[-1]:
                continue  # it asks once more, as the UEFI that it also is
            if not lease.file:
                return self._reached(Disk(), f"DHCP names nothing to boot, and {voice.who} goes on to the disk")
            if voice.stage == "ipxe":
                self._chain(lease.file)
            elif end := self._load(voice, lease.file):
                return end
        else:
            if voices[-1].stage != "ipxe":
                raise Trouble(f"{voices[-1].who} is sent an iPXE, and after it nothing is known of this firmware")
        return self._script("ipxe")

    def _lease(self, voice: Voice) -> Lease | None:
        """DISCOVER to ACK. None where another server gives the address and says what to boot."""
        mode = self._plans.current.site.mode
        if mode == "off" or not self._interface.dhcp:
            self._note("dhcp", "others", "others answer its DHCP, and chain to us", voice.who)
            self._address = self._guess()
            return None
        offer = offered(self._dhcp(voice, None), self._xid)
        if offer is None and mode != "reservation" and isinstance(self._wanted, ToDisk):
            return Lease(ZERO, ZERO, ZERO, "", "")  # a proxy's silence sends a machine to its disk
        if offer is None:
            raise Trouble(f"{voice.who} gets no OFFER: {self.exchanges[-1].reason}")
        if mode != "reservation":
            self._address = self._guess()
            return offer  # the address is another server's to acknowledge
        lease = acknowledged(self._dhcp(voice, offer), self._xid)
        if lease is None:
            raise Trouble(f"{voice.who} gets no ACK: {self.exchanges[-1].reason}")
        self._address = str(IPv4Address(lease.address))
        return lease

    def _load(self, voice: Voice, file: str) -> str:
        """The network boot program; "" when that is an iPXE, which asks by DHCP again."""
        by = "http" if voice.stage == "http" else "tftp"
        path = file.removeprefix(self._where.base).lstrip("/")
        row = _PROGRAMS.get(path.removeprefix("ipxe/"))
        if file == PI_FILE:
            return self._raspberry()
        self._note(
            by, "ok", "a network boot program of the server's host" if row else "a program that the operator put there", path
        )
        if row in ("snponly", "ipxe") and voice.stage != "uboot":
            return ""
        if row is None:
            return f"it runs {path}, and what that does nobody knows here"
        language = "pxelinux" if voice.stage == "uboot" else _READS[row]
        if language == "grub":
            first = first_config(f"({by},{self._where.address})").encode()
            self._note(by, "ok", "GRUB's first configuration, the same for all", "grub/grub.cfg", first)
        return self._script(language)

    def _raspberry(self) -> str:
        """A Pi's ROM asks for its files below its serial number; what it boots lies among them."""
        pi, plan = self._machine.rpi, self._plans.current
        folder = f"{pi.firmware}/" if pi and pi.firmware else ""
        names = sorted(path.removeprefix(folder) for path in plan.artifacts if folder and path.startswith(folder))
        names = list(dict.fromkeys([*(["config.txt"] if pi and pi.config else []), *names]))
        for name in names:
            file = file_for(self._plans, self._observed, self._interface.mac, name)
            answer = file.encode() if isinstance(file, str) else b""
            self._note("tftp", "ok", "a file of its own", f"{pi.serial if pi else ''}/{name}", answer)
        if not names:
            raise Trouble("git names no firmware for this Raspberry Pi (spec.rpi.firmware)")
        return "its firmware takes over with the files that git names for it"

    def _chain(self, url: str) -> None:
        own = f"{self._where.base}/{PATHS['ipxe'].format(self._interface.mac.replace(':', '-'))}"
        if url != own:
            raise Trouble(f"iPXE is told to load {url}, and not its script {own}")

    def _script(self, language: Language) -> str:
        asked_for = Asked(self._interface.mac, self._address)
        where = self._where
        found = self._ask(ScriptQuestion(asked_for, where.base, "", BOOT, language, where.secure))
        if found.outcome != "ok":
            raise Trouble(f"its boot script is refused ({found.outcome}): {found.reason}")
        text = found.answer.decode()
        if language != "ipxe":
            return self._loader_script(text)
        try:
            script = read_script(text)
        except Unreadable:
            return self._obeys(text)
        if isinstance(script.end, Kernel):
            for each in (script.end.url, *script.end.initrds):
                self._file(each)
        return self._reached(script.end, script.why)

    def _loader_script(self, text: str) -> str:
        """GRUB's and PXELINUX's words are not followed; the files in them are looked for."""
        digests = _DIGEST.findall(text)
        for digest in dict.fromkeys(digests):
            self._file(f"{self._where.base}/artifacts/sha256/{digest}")
        match self._wanted:
            case RunWork() | Diskless() if digests or not self._wanted.profile.kernel:
                return self._runs(self._wanted)
            case ToDisk() | Stay() if not digests:
                return self._ends(self._wanted)
        raise Trouble(f"its configuration is for something else than what it should do: {self._wanted.why}")

    def _obeys(self, text: str) -> str:
        """A script, or a chain to one, that a profile brings along."""
        if isinstance(self._wanted, RunWork | Diskless) and (self._wanted.profile.script or self._wanted.profile.chain):
            return self._runs(self._wanted)
        raise Trouble(f"iPXE would not know what to do with its script:\n{text}")

    def _file(self, url: str) -> None:
        """A kernel or an initrd: by its digest from us, else from its origin."""
        artifacts = self._plans.current.artifacts.values()
        found = _DIGEST.search(url)
        if found is None:
            self._note("artifact", "elsewhere", "from its origin, which nobody looked at", url)
        elif found[1] == "DIGEST":
            self._note("artifact", "ok", "its digest is known where the artefact folder is: --artifacts", url)
        else:
            file = next((each for each in artifacts if each.sha256 == found[1]), None)
            if file is None:
                raise Trouble(f"no artefact of the plan has the digest in {url}")
            self._note("artifact", "ok", f"{file.path}, {file.size} bytes" if file.size else file.path, url)

    # Where it gets to

    def _reached(self, end: Kernel | Disk | Wait, why: str) -> str:
        """Held to what the plan wants of a machine in this state."""
        match self._wanted, end:
            case (RunWork() | Diskless() as step, Kernel(url=url)) if self._is_kernel(step.profile, url):
                return self._runs(step)
            case (ToDisk(), Disk()) | (Stay(), Wait()):
                return self._ends(self._wanted, why)
        raise Trouble(f"it should be told that it {self._wanted.why}, and gets {type(end).__name__.lower()}: {why}")

    def _is_kernel(self, profile: Profile, url: str) -> bool:
        kernel = self._plans.current.artifacts.get(profile.kernel, Artifact(""))
        return kernel.url == url if kernel.url else f"/{kernel.sha256 or 'DIGEST'}/" in url

    def _runs(self, step: RunWork | Diskless) -> str:
        if isinstance(step, Diskless):
            return f"it runs profile {step.profile.name}, and nothing of ours in it"
        boot = self._observed.open_boot(self._interface.mac)
        due = claimable(self._plans, self._observed, boot, "") if boot else None
        if due is None or due.work is None:
            raise Trouble("its agent finds no work")
        actions = [action for task in from_json(due.work.document).tasks for action in task.actions]
        told = "".join(f"{action.name}: {action.image}\n" for action in actions)
        title = f"workflow {due.work.workflow} run {due.work.run}"
        self._note("claim", "ok", step.why, title, told.encode())
        return f"it runs {title} in profile {step.profile.name}: {_count(len(actions))}"

    def _ends(self, step: Step, why: str = "") -> str:
        return f"it {'boots its local disk' if isinstance(step, ToDisk) else 'waits, and asks again'}: {why or step.why}"

    # What is said

    @property
    def _xid(self) -> bytes:
        return hashlib.sha256(self._interface.mac.encode()).digest()[:4]

    def _dhcp(self, voice: Voice, offer: Lease | None) -> bytes:
        datagram = message(voice, self._interface.mac, self._uuid, self._xid, offer)
        counter = Counter(Server(IPv4Address(self._where.address).packed), self._where.base, "", BOOT)
        return self._ask(DhcpQuestion(datagram, counter)).answer

    def _ask(self, question: Question) -> Exchange:
        now = float(len(self.exchanges) + 1)
        exchange, events = answer_again(question, self._plans, self._observed, now)
        for event in events:
            self._observed.apply(event)
        self.exchanges.append(exchange)
        return exchange

    def _note(self, kind: str, outcome: str, reason: str, said: str, answer: bytes = b"") -> None:
        self.exchanges.append(
            Exchange(
                at=float(len(self.exchanges) + 1), kind=kind, mac=self._interface.mac, machine=self._machine.name, boot=BOOT,
                plan=self._plans.current.id, outcome=outcome, reason=reason, said=said, answer=answer,
            )
        )  # fmt: skip

    def _guess(self) -> str:
        """An address that another server may give it: git's wish, else any of the site's."""
        subnets = self._plans.current.subnets
        subnet = subnets.get(self._interface.subnet) or next(iter(subnets.values()), None)
        return self._interface.address or (str(IPv4Network(subnet.cidr)[10]) if subnet else "192.0.2.10")


def _count(actions: int) -> str:
    return "one action" if actions == 1 else f"{actions} actions"
