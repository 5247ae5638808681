"""The world of the servers: the served plans, what is observed, and where to note what happened.

Shell. One value that every server is handed; it decides nothing. `plans` is replaced as a whole when the reconciler publishes,
and is read once per datagram or request.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Address
from pathlib import Path

from netboot import markers
from netboot.artifacts import ArtifactStore
from netboot.asked_since import AskedSince
from netboot.attention import Attention
from netboot.binaries import Binary
from netboot.boot import Plans
from netboot.dhcp import Server
from netboot.durations import Durations
from netboot.events import BootAdvanced, JournalOpened
from netboot.expectations import Expectations
from netboot.feed import Feed
from netboot.fleet import FLEET_PATH, Survey, fleet_document, surveying
from netboot.heard import Health, Heard
from netboot.holds import OPEN
from netboot.inventories import Inventories
from netboot.ipxe import Secure
from netboot.issue_document import ISSUES_PATH, issues_document, issues_of_site
from netboot.key_files import read_keys
from netboot.ledger import Ledger
from netboot.leisure import at_leisure
from netboot.log import Log, Value
from netboot.log_names import path, syslog_log
from netboot.noticed import Noticed
from netboot.observed import Observed
from netboot.pace import Pace
from netboot.plan import BootPlan
from netboot.policy import outside_windows
from netboot.reconcile_document import Reconciliation
from netboot.reconciliation import ReconciliationReader
from netboot.recorder import Recorder
from netboot.recording import Exchange, Seen, SeenTry, title_of
from netboot.review import Reviewer
from netboot.rivals import Rivals
from netboot.run_documents import Document
from netboot.scripts import House, Language, mac_at
from netboot.sessions import Sessions
from netboot.settings import Settings
from netboot.sightings import Sightings
from netboot.state_directory import StateDirectory
from netboot.status_view import View
from netboot.store import Unavailable
from netboot.strangers import Strangers
from netboot.try_files import JudgedReader

NEW_STATE = (
    "this state directory is new and knows no history, so it cannot tell which runs are already done; "
    "`gitboot init STATE` says that this is a new site"
)
RECORDED_WHOLE = ("dhcp", "script")
"""Kinds of exchanges whose own front records them with their bytes."""
FEW = 200
"""Machines that are looked at whenever somebody asks for all of them."""
A_SECOND = 2000
"""Of more, so many are looked at in a second, and what was seen is kept meanwhile."""


class World:
    def __init__(self, settings: Settings, directory: StateDirectory, binaries: dict[str, Binary], log: Log) -> None:
        self.settings = settings
        self.directory = directory
        self.binaries = binaries
        self.log = log
        self.artifacts = ArtifactStore(settings.artifacts, settings.state)
        self.strangers = Strangers()
        self.rivals = Rivals()
        self.noticed = Noticed()
        self.sightings = Sightings()
        self.inventories = Inventories(settings.state / "inventory")
        self.expectations = Expectations(self.inventories.model_of)
        self.expectations.learn_all(self.observed)
        self.git = ReconciliationReader(settings.state)
        self.recorder = Recorder(settings.state / "recordings", self.git.commit_of)
        self.keys = read_keys(settings.age_identity, settings.state)
        self.sessions = Sessions(directory.key, secrets.token_hex(16))
        self.on_contest: Callable[[str], None] = lambda machine: None
        """Called when the status of a machine, by name, is to say that it is contested."""
        self.plans: Plans | None = None
        self.plan_failure = ""
        """Why the newest published plan is not the one that is served; "" when it is."""
        self.tries = JudgedReader(settings.state)
        self._view = View(binaries.values())
        self.heard = self._hear()
        self.durations, self.asked_since = Durations(), AskedSince()
        self.feed = Feed(secrets.token_hex(4))
        self.reviewer: Reviewer | None = None
        """Who answers what pages ask of the repository; None: this process has none."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """(kind, outcome) → exchanges since start."""
        self.ports = {"http": settings.http_port}
        """What listens → its port as bound, which differs from the setting when that was 0; 0: it does not."""
        self.pace = Pace()
        self.pin = ""
        """The fingerprint of the certificate that agents see there."""
        self.started = time.time()
        self._survey: tuple[float, Survey] = (0.0, Survey())
        self._surveying = asyncio.Lock()
        self._attention = Attention(self.started, self.started, time.monotonic())

    def _hear(self) -> Heard:
        return Heard(
            self.strangers.list,
            self.rivals.list,
            self.sightings.address_of,
            self.inventories.of,
            self.inventories.names,
            self.sessions.contest_of,
            self._asked_since,
            self.expectations,
            self.recorder.chronicle.of,
            self.git.commit_of,
            self.inventories.model_of,
            lambda: self.tries.latest,
            self.noticed,
            self._health,
            lambda boot: (self.settings.state / "logs" / path(syslog_log(boot))).exists(),
        )

    def _health(self) -> Health:
        frozen = markers.frozen_since(self.settings.state)
        return Health(self.plan_failure, str(self.ledger.failure or ""), self.directory.room(), frozen, self.binaries.keys())

    @property
    def http_port(self) -> int:
        return self.ports["http"]

    @property
    def https_port(self) -> int:
        """0 when there is no HTTPS."""
        return self.ports.get("https", 0)

    @property
    def ledger(self) -> Ledger:
        return self.directory.ledger

    @property
    def observed(self) -> Observed:
        return self.directory.ledger.observed

    @property
    def key(self) -> bytes:
        return self.directory.key

    def now(self) -> float:
        """The time of a decision; how long somebody was silent is decided by since when we listen."""
        now = time.time()
        self.observed.listening = self._attention.look(now, time.monotonic())
        return now

    def new_id(self) -> str:
        """For boots and runs: unguessable is not needed (the token is), unique is."""
        return secrets.token_hex(8)

    def hold(self) -> str:
        """Why no new run may start now, or "". That of the newest plan counts also for boots that are pinned to others."""
        return next(filter(None, self.holds().values()), "")

    def holds(self) -> dict[str, str]:
        """What may hold every new run → why it does now, or ""."""
        gate = self.plans.current.gate if self.plans else OPEN
        return {
            "freeze": markers.frozen(self.settings.state),
            "new-state": "" if self.observed.journal else NEW_STATE,
            "policy": gate.everything,
            "window": outside_windows(gate.policies, time.time()),
        }

    @property
    def no_plan(self) -> str:
        """Why nothing is served yet."""
        return self.plan_failure or "no commit has been accepted so far"

    @property
    def trusted_proxies(self) -> tuple[str, ...]:
        """CIDRs of those whose X-Forwarded-For counts."""
        return (*self.settings.trusted_proxies, *(self.plans.current.site.trusted_proxies if self.plans else ()))

    def base(self, local: str) -> str:
        """Where firmware reaches us, by plain HTTP. `local`: the address of ours a request came to."""
        return f"http://{self._host(local)}" if self.http_port == 80 else f"http://{self._host(local)}:{self.http_port}"

    def agent_base(self, local: str) -> str:
        """Where agents reach us: by HTTPS, unless there is none."""
        return f"https://{self._host(local)}:{self.https_port}" if self.https_port else self.base(local)

    def _host(self, local: str) -> str:
        site = self.plans.current.site.server if self.plans else ""
        return site or local or self.settings.listen

    def house(self, local: str, language: Language = "ipxe") -> House:
        secure = Secure(self.agent_base(local), self.pin) if self.https_port else None
        return House(self.base(local), self.key, language, secure)

    def identity(self, local: str) -> Server:
        """The DHCP server identifier: what the site says, else the address the packet came to."""
        site = self.plans.current.site.server if self.plans else ""
        return _server(site or local)

    def exchange(self, kind: str, outcome: str = "ok", **values: Value) -> None:
        """One line and one count for everything a machine asked, and its place in the recording of its boot."""
        self.counts[kind, outcome] += 1
        self.log.info(kind, outcome=outcome, **values)
        if kind not in RECORDED_WHOLE:
            self._record(kind, outcome, {name: value for name, value in values.items() if isinstance(value, str)})

    def seen(self, plans: Plans, mac: str) -> Seen:
        """What a decision about this MAC is taken from beside the plan, to take it again."""
        observed = self.observed
        boot = observed.open_boot(mac)
        session = observed.session_of(boot.machine, boot.macs) if boot else None
        tried = plans.tried.get(mac)
        return Seen(
            position=self.ledger.position,
            current=plans.current.id,
            pinned=tuple(plans.pinned),
            held=_held((plans.current, plans.of(boot), *((tried.plan,) if tried else ())), mac, observed),
            tried=SeenTry(tried.machine, tried.trying, tried.plan.id) if tried else None,
            listening=observed.listening,
            boot_heard=boot.last_seen if boot else 0.0,
            session_heard=session.last_seen if session else 0.0,
        )

    def _record(self, kind: str, outcome: str, values: dict[str, str]) -> None:
        """What is said in a boot; of everything else the log has a line."""
        observed, plans, peer = self.observed, self.plans, values.get("peer", "")
        boot = observed.boots.get(values.get("boot", "")) or observed.open_boot_of(values.get("machine", ""))
        if boot is None and peer and plans:
            mac = self.sightings.mac_at(peer) or mac_at(plans.current, peer) or observed.mac_of.get(peer, "")
            boot = observed.open_boot(mac)
        if boot is not None:
            said = values.get("path") or values.get("name") or values.get("action") or ""
            self.recorder.note(
                Exchange(
                    at=time.time(), kind=kind, mac=boot.mac, machine=boot.machine, boot=boot.id, plan=boot.plan,
                    outcome=outcome, reason=values.get("reason", ""), said=said,
                )
            )  # fmt: skip

    def artifact_fetched(self, peer: str, path: str, method: str) -> None:
        """The kernel of an open boot on its way: the boot is further than its script. Nothing waits for this to be durable."""
        now, boot, plans = self.now(), None, self.plans
        mac = self.sightings.mac_at(peer) or (mac_at(plans.current, peer) if plans else "")
        if mac:
            boot = self.observed.open_boot(mac)
        if boot is not None:
            self.observed.notice(boot.id, now)
            if boot.phase == "script" and method == "GET":
                self.note(BootAdvanced(at=now, boot=boot.id, phase="kernel", reason=f"fetches {path}"))
        self.exchange("artifact", peer=peer, path=path, method=method, machine=boot.machine if boot else "")

    def note(self, *events: BootAdvanced | JournalOpened) -> None:
        """Journal what no answer depends on. When the disk is full it is lost, and the failure shows in /healthz."""
        try:
            self.ledger.submit(events, lambda error: None)
        except Unavailable as error:
            self.log.warning("not-journalled", reason=str(error))

    def status_document(self, path: str) -> bytes | None:
        """What is served under `/status/` and written to `STATE/status/`; None when there is no such document."""
        return self._view.render(path, self.plans, self.observed, self.word, self.heard, self.now())

    async def status_of_all(self, path: str) -> Document | None:
        """A document that tells of every machine, served and never written; None for any other. Not to be changed."""
        if path == FLEET_PATH and self.plans:
            return fleet_document(self.plans.current.id, await self.survey())
        if path == ISSUES_PATH:
            machines = (await self.survey()).issues
            return issues_document((*issues_of_site(self.plans, self.word, self.heard, self.now()), *machines))
        return None

    async def survey(self) -> Survey:
        """Of a large fleet as it was a moment ago. Whoever asks first looks for all who ask meanwhile."""
        async with self._surveying:
            plans, at = self.plans, time.monotonic()
            many = len(plans.current.machines) if plans else 0
            kept = many > FEW and self._survey[1].rows and at - self._survey[0] <= max(1.0, many / A_SECOND)
            if plans is not None and not kept:
                looked = surveying(plans, self.observed, self.hold(), self.heard, self.now())
                self._survey = (at, await at_leisure(looked))
            return self._survey[1]

    @property
    def word(self) -> Reconciliation:
        """What the reconciler last said, with what this server knows better."""
        plan = self.plans.current.id if self.plans else ""
        word = replace(self.git.latest or Reconciliation(source=""), hold=self.hold(), plan=plan)
        return replace(word, unavailable=self.plan_failure) if self.plan_failure else word

    def log_file(self, path: str) -> Path | None:
        """What `/logs/<path>` names: a file below the logs and nothing else."""
        root = (self.settings.state / "logs").resolve()
        try:
            file = (root / path).resolve()
            return file if file.is_relative_to(root) and file.suffix == ".log" and file.is_file() else None
        except (OSError, ValueError, RuntimeError):  # a name too long, a NUL, links in a circle
            return None

    def _asked_since(self, name: str) -> float:
        """Before a plan was taken note of, since when there is this one."""
        since = self.asked_since.of(name)
        return self.served_since() if since is None else since

    def served_since(self) -> float:
        """When the served plan was published; 0: not known."""
        try:
            return (self.plan_folder / "current").lstat().st_mtime
        except OSError:
            return 0.0

    @property
    def last_success(self) -> float | None:
        """When git was last read, seconds since the epoch."""
        return self.git.latest.last_success if self.git.latest else None

    @property
    def plan_folder(self) -> Path:
        return self.settings.state / "plans"


def _held(plans: Iterable[BootPlan], mac: str, observed: Observed) -> dict[str, dict[str, str]]:
    """Of those that hold anything back at all."""
    found = {}
    for plan in plans:
        binding = plan.by_mac.get(mac)
        if binding is not None and (plan.locked or plan.gate is not OPEN):
            machine = binding.machine
            found[plan.id] = {title_of(work): plan.holds(machine.name, work, observed) for work in machine.work}
    return found


@lru_cache(maxsize=64)
def _server(address: str) -> Server:
    """Asked for with every packet, for one of the few addresses this host has."""
    return Server(IPv4Address(address).packed)
