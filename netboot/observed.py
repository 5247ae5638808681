"""Observed state: the fold of the journal's events, with the indices that serving needs.

Core. Law: `apply` is the only thing that changes what is observed; it does no I/O and has no clock, so folding the same events
again gives an equal state. A run that has ended changes no more. What is handed out (`BootStatus`, `RunStatus`) is for reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from agent.workflow import from_json
from netboot.events import (
    AddressDeclined,
    BootAdvanced,
    BootClosed,
    BootEvent,
    BootOpened,
    Event,
    JournalOpened,
    LeaseBound,
    LeaseEvent,
    LeaseReleased,
    Phase,
    Rehearsed,
    RunStarted,
    SessionEnded,
    SessionEvent,
    SessionOpened,
)
from netboot.records import (
    KEPT_BOOTS,
    MOST_STAGES,
    ActionStatus,
    BootStatus,
    PastBoot,
    RunStatus,
    SessionStatus,
    Way,
    apply_run,
)
from netboot.tries import Tries

__all__ = ["ActionStatus", "BootStatus", "Observed", "RunStatus", "SessionStatus", "fold"]

PATIENCE = 30.0
"""Seconds without a word after which a session is dead: an agent is to be heard every ten."""
SOON = 600.0
"""Seconds after the hand-over to its disk within which a machine that boots again has come back from it."""


@dataclass(slots=True)
class Observed:
    """Feed it events with `apply`; ask it anything in O(1) unless a method says otherwise."""

    journal: str = ""
    """Id of the journal; empty: nobody declared this a new site, so no run may start."""
    boots: dict[str, BootStatus] = field(default_factory=dict)
    """Boot id → boot: every open one, the last of each machine, and those that own a run in progress."""
    runs: dict[str, RunStatus] = field(default_factory=dict)
    sessions: dict[str, SessionStatus] = field(default_factory=dict)
    """Session id → session: those that nobody has taken the place of."""
    patience: float = field(default=PATIENCE, compare=False)
    address_of: dict[str, str] = field(default_factory=dict)
    """MAC → leased address."""
    mac_of: dict[str, str] = field(default_factory=dict)
    """Leased address → MAC."""
    bound_at: dict[str, float] = field(default_factory=dict)
    """MAC → when its lease was bound."""
    declined: dict[str, float] = field(default_factory=dict)
    """Address → when a client last found it in use by somebody else."""
    tries: Tries = field(default_factory=Tries)
    listening: float = field(default=0.0, compare=False)
    """Since when the server has listened without a break. Telemetry, as when a boot was last seen."""
    _open: dict[str, str] = field(default_factory=dict)
    """Key (name or MAC) → id of the open boot. Names and MACs cannot collide: see `_name`."""
    _last: dict[str, str] = field(default_factory=dict)
    """Machine name → id of its last boot."""
    _session: dict[str, str] = field(default_factory=dict)
    """Key → id of the session."""
    _identity: dict[tuple[str, int, int, str, str], str] = field(default_factory=dict)
    """(workflow, number, part, boot id for everyBoot, key) → run id."""
    _known: dict[str, list[str]] = field(default_factory=dict)
    """Key → ids of the runs that it identifies."""
    _of_workflow: dict[str, list[str]] = field(default_factory=dict)
    """Workflow → ids of its runs, oldest first."""
    _active: dict[str, None] = field(default_factory=dict)
    """Ids of the runs in progress, oldest first."""
    _failed: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    """(workflow, number) → machines on which the last run of it failed for good."""

    # Questions

    def open_boot(self, mac: str) -> BootStatus | None:
        return self.boots.get(self._open.get(mac, ""))

    def open_boot_of(self, machine: str) -> BootStatus | None:
        return self.boots.get(self._open.get(_name(machine), ""))

    def last_boot_of(self, machine: str) -> BootStatus | None:
        """Open or closed."""
        return self.boots.get(self._last.get(machine, ""))

    def open_boots(self) -> Iterator[BootStatus]:
        """O(boots)."""
        return (boot for boot in self.boots.values() if boot.closed is None)

    def expired(self, now: float, timeout: float) -> list[BootStatus]:
        """Open boots not heard of for more than `timeout` seconds. O(boots)."""
        return [boot for boot in self.open_boots() if self.silence(boot, now) > timeout]

    def silence(self, boot: BootStatus, now: float) -> float:
        """Seconds in which something of the boot could have been heard, and was not."""
        return now - max(boot.last_seen, self.listening)

    def session_of(self, machine: str, macs: Iterable[str]) -> SessionStatus | None:
        """The session of a machine, by its name or else by any of its MACs; it need not live."""
        found = (self._session.get(key) for key in _keys(machine, macs))
        return self.sessions.get(next(filter(None, found), ""))

    def quiet(self, session: SessionStatus, now: float) -> float:
        """Seconds in which a session could have been heard, and was not."""
        return now - max(session.last_seen, self.listening)

    def lives(self, session: SessionStatus, now: float) -> bool:
        """Whether its agent is taken to be at work: it was heard of lately, and was not told to go."""
        return not session.over and self.quiet(session, now) <= self.patience

    def at_work(self, boot: BootStatus, now: float) -> bool:
        """Whether an agent is at work in this boot."""
        session = self.session_of(boot.machine, boot.macs)
        return session is not None and session.boot == boot.id and self.lives(session, now)

    def pinned_plans(self) -> set[str]:
        """Plans that an open boot still reads from: not to be pruned. O(boots)."""
        return {boot.plan for boot in self.open_boots()}

    def run_of(
        self, workflow: str, machine_name: str, macs: Iterable[str], number: int, boot: str | None = None, part: int = 0
    ) -> RunStatus | None:
        """The run with this identity, found by the machine's name or else by any of its MACs; of several tries the last.

        `boot` is given for `everyBoot` only, where each boot has its own run.
        """
        for key in _keys(machine_name, macs):
            if found := self._identity.get((workflow, number, part, boot or "", key)):
                return self._tries(found)[-1]
        return None

    def runs_of(self, machine_name: str, macs: Iterable[str] = ()) -> list[RunStatus]:
        """Every run this machine is known by, oldest first. O(its runs)."""
        found = {run for key in _keys(machine_name, macs) for run in self._known.get(key, ())}
        tries = {run.id: run for first in found for run in self._tries(first)}
        return sorted(tries.values(), key=lambda run: (run.started, run.number_of_try, run.id))

    def _tries(self, run_id: str) -> list[RunStatus]:
        """This run and those that tried it again, in order."""
        tries = [self.runs[run_id]]
        while again := tries[-1].tried_again:
            tries.append(self.runs[again])
        return tries

    def runs_of_workflow(self, name: str) -> list[RunStatus]:
        """Oldest first. O(its runs)."""
        return [self.runs[run] for run in self._of_workflow.get(name, ())]

    def workflows(self) -> AbstractSet[str]:
        """Those that were ever run."""
        return self._of_workflow.keys()

    def active_runs(self) -> list[RunStatus]:
        """O(runs in progress)."""
        return [self.runs[run] for run in self._active]

    def failed_on(self, workflow: str, number: int) -> AbstractSet[str]:
        """The machines on which this run failed or timed out, with no try left."""
        return self._failed.get((workflow, number), frozenset())

    # Telemetry

    def notice(self, boot: str, now: float) -> None:
        """Something that anybody can send was heard of this boot: it counts until there is a session, which signs."""
        if status := self.boots.get(boot):
            session = self.session_of(status.machine, status.macs)
            if session is None or session.boot != boot:
                self.touch(boot, now)

    def touch(self, boot: str, now: float) -> None:
        """Its session said something. Not journalled: after a restart the last event of the boot counts."""
        if status := self.boots.get(boot):
            status.last_seen = max(status.last_seen, now)

    # The fold

    def apply(self, event: Event) -> None:
        """Raises KeyError for an event of a run that never started: gitboot writes no such journal."""
        match event:
            case JournalOpened():
                self.journal = self.journal or event.journal
            case BootOpened() | BootAdvanced() | BootClosed() | Rehearsed():
                self._apply_boot(event)
                self.tries.apply(event)
            case SessionOpened() | SessionEnded():
                self._apply_session(event)
            case LeaseBound() | LeaseReleased() | AddressDeclined():
                self._apply_lease(event)
            case RunStarted():
                self._start(event)
            case _:
                run = self.runs[event.run]
                if run.active:  # a terminal state is final, whatever a journal says later
                    apply_run(run, event)
                if not run.active:
                    self._end(run)

    def _apply_boot(self, event: BootEvent) -> None:
        match event:
            case BootOpened():
                self._open_boot(event)
            case BootAdvanced() if boot := self.boots.get(event.boot):
                boot.come_to(event.phase, event.at, event.profile)
                boot.reason = event.reason
                boot.client |= event.client
                boot.last_seen = max(boot.last_seen, event.at)
            case BootClosed() if boot := self.boots.get(event.boot):
                self._close_boot(boot, event.at, event.reason)

    def _open_boot(self, event: BootOpened) -> None:
        last = self.last_boot_of(event.machine)
        for previous in (last, self.open_boot(event.mac)):
            if previous is not None:  # the second: a machine that was renamed since
                self._close_boot(previous, event.at, "a newer boot of this machine began")
                self._forget(previous)
        phase: Phase = "firmware" if event.via == "dhcp" else "script"
        self.boots[event.boot] = BootStatus(
            id=event.boot,
            machine=event.machine,
            macs=event.macs,
            mac=event.mac,
            plan=event.plan,
            via=event.via,
            opened=event.at,
            phase=phase,
            client=dict(event.client),
            phases={phase: event.at},
            way=(*_before(last, event.boot), (phase, event.at))[-MOST_STAGES:],
            returns=_returns(last, event.at),
            earlier=_earlier(last, event.boot),
            trying=event.trying,
            last_seen=event.at,
        )
        self._last[event.machine] = event.boot
        for key in _keys(event.machine, (event.mac, *event.macs)):
            self._open[key] = event.boot
        self._learn(event.machine, event.macs)

    def _close_boot(self, boot: BootStatus, at: float, reason: str) -> None:
        if boot.closed is not None:
            return
        boot.closed, boot.reason = at, reason
        session = self.session_of(boot.machine, boot.macs)
        if session is not None and session.boot == boot.id:
            session.over = True
        for key in _keys(boot.machine, (boot.mac, *boot.macs)):
            if self._open.get(key) == boot.id:
                del self._open[key]

    def _forget(self, boot: BootStatus) -> None:
        """Keeps those that own a run in progress: their agent may still be at it."""
        if not any(run.active and run.boot == boot.id for run in self.runs_of(boot.machine, boot.macs)):
            self.boots.pop(boot.id, None)

    def _apply_session(self, event: SessionEvent) -> None:
        match event:
            case SessionOpened() if boot := self.boots.get(event.boot):
                if before := self.session_of(boot.machine, boot.macs):
                    self._end_session(before)
                session = SessionStatus(
                    event.session, boot.id, event.system, boot.machine, boot.macs, event.at, last_seen=event.at
                )
                self.sessions[session.id] = session
                self._session.update(dict.fromkeys(_keys(boot.machine, boot.macs), session.id))
            case SessionEnded() if ended := self.sessions.get(event.session):
                self._end_session(ended)

    def _end_session(self, session: SessionStatus) -> None:
        del self.sessions[session.id]
        for key in _keys(session.machine, session.macs):
            if self._session.get(key) == session.id:
                del self._session[key]

    def _learn(self, machine: str, macs: Iterable[str]) -> None:
        """A machine that boots shows its name and MACs together: each run known by one of them is known by all from now on,
        unless another run already has that identity. So a NIC replaced today and a machine renamed next year start nothing.
        """
        keys = tuple(_keys(machine, macs))
        for run in self.runs_of(machine, macs):
            self._identify(run, keys)

    def _identify(self, run: RunStatus, keys: Iterable[str]) -> None:
        scope = run.boot_scope
        for key in keys:
            if self._identity.setdefault((run.workflow, run.number, run.part, scope, key), run.id) == run.id:
                known = self._known.setdefault(key, [])
                if run.id not in known:
                    known.append(run.id)

    def _start(self, event: RunStarted) -> None:
        if event.run in self.runs:
            return
        run = RunStatus(
            id=event.run,
            workflow=event.workflow,
            machine=event.machine,
            macs=event.macs,
            number=event.number,
            boot=event.boot,
            system=event.system,
            plan=event.plan,
            document=from_json(event.document),
            machine_document=event.machine_document,
            resets=event.resets,
            repeat=event.repeat,
            started=event.at,
            boot_scope=event.boot if event.repeat == "everyBoot" else "",
            part=event.part,
            on_failure=event.on_failure,
            retry=event.retry,
        )
        if before := self.runs.get(event.after):
            before.tried_again, run.number_of_try = run.id, before.number_of_try + 1
        self.runs[run.id] = run
        self._active[run.id] = None
        self._failed.get((run.workflow, run.number), set[str]()).discard(run.machine)
        self._of_workflow.setdefault(run.workflow, []).append(run.id)
        self._identify(run, _keys(event.machine, event.macs))

    def _end(self, run: RunStatus) -> None:
        self._active.pop(run.id, None)
        if run.state in ("FAILED", "TIMEOUT") and not run.may_be_tried_again:
            self._failed.setdefault((run.workflow, run.number), set()).add(run.machine)

    def _apply_lease(self, event: LeaseEvent) -> None:
        match event:
            case LeaseBound():
                self._release(event.mac, self.address_of.get(event.mac, ""))
                self._release(self.mac_of.get(event.address, ""), event.address)
                self.address_of[event.mac], self.mac_of[event.address] = event.address, event.mac
                self.bound_at[event.mac] = event.at
                self.declined.pop(event.address, None)
            case LeaseReleased():
                self._release(event.mac, event.address)
            case AddressDeclined():
                self._release(event.mac, event.address)
                self.declined[event.address] = event.at

    def _release(self, mac: str, address: str) -> None:
        if mac and self.address_of.get(mac) == address:
            del self.address_of[mac], self.mac_of[address], self.bound_at[mac]


def _returns(last: BootStatus | None, now: float) -> int:
    """A machine that runs from its disk does not ask again within minutes; once it may have been a person."""
    came_back = last is not None and last.phase == "disk" and last.closed is not None and now - last.closed <= SOON
    return last.returns + 1 if last is not None and came_back else 0


def _earlier(last: BootStatus | None, boot: str) -> tuple[PastBoot, ...]:
    if last is None or last.id == boot:
        return last.earlier if last else ()
    return (last.past(), *last.earlier)[: KEPT_BOOTS - 1]


def _before(last: BootStatus | None, boot: str) -> Way:
    """The way of a boot that goes on under the same id, to where it goes on."""
    if last is None or last.id != boot:
        return ()
    return (*last.way, ("restart", last.closed)) if last.phase == "agent" and last.closed is not None else last.way


def _name(machine: str) -> str:
    return f"name:{machine}"  # no MAC begins with "name:", so names and MACs share one index


def _keys(machine: str, macs: Iterable[str]) -> Iterator[str]:
    """The name first: where a NIC moved between two machines, the name decides."""
    if machine:
        yield _name(machine)
    yield from macs


def fold(journal: Iterable[Event]) -> Observed:
    observed = Observed()
    for event in journal:
        observed.apply(event)
    return observed
