"""What a machine does next, and why: the only place where desired (the plan) meets observed (the journal).

Core. The law: work runs when the plan names it and does not cancel it, no run with its identity has ended (but for the tries
that a failed one has left), and nothing holds new runs back; in every other case the machine does its idle thing. So after
success a machine boots its disk for ever, whatever its boot order says.

A boot is pinned to the plan it opened with. It opens when firmware asks for an address or a script is fetched, always by the
current plan; it is superseded when the machine is seen to begin again, and is closed at hand-over to disk, at the end of its
work or by timeout. All answers of one boot come from one plan, its machine and interface included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from netboot.endings import END_OF_WORK
from netboot.events import PHASES, BootAdvanced, BootClosed, BootOpened, Event, Phase, Trying, Via
from netboot.observed import BootStatus, Observed, RunStatus
from netboot.plan import Binding, BootPlan, Handover, Machine, Profile
from netboot.runs import superseded
from netboot.work import Work, readiness


@dataclass(frozen=True, slots=True)
class RunWork:
    work: Work
    profile: Profile
    why: str


@dataclass(frozen=True, slots=True)
class Diskless:
    """Idle in a profile: nothing of ours runs there."""

    profile: Profile
    why: str


@dataclass(frozen=True, slots=True)
class ToDisk:
    handover: Handover
    why: str


@dataclass(frozen=True, slots=True)
class Stay:
    why: str


Step = RunWork | Diskless | ToDisk | Stay


@dataclass(frozen=True, slots=True)
class Tried:
    """Another commit's plan, for one boot of one machine."""

    machine: str
    trying: Trying
    plan: BootPlan


@dataclass(frozen=True, slots=True)
class Plans:
    """The plans that may answer, as one frozen value read once per datagram or request."""

    current: BootPlan
    pinned: Mapping[str, BootPlan]
    """By id: those that open boots were opened with, and those that are to be tried."""
    tried: Mapping[str, Tried] = field(default_factory=dict)
    """By the MACs that the machine has in the plan that it is to try."""

    def of(self, boot: BootStatus | None) -> BootPlan:
        """The boot's own plan. A plan that is gone in spite of its pin is replaced by the current one: better than silence."""
        if boot is None or boot.plan == self.current.id:
            return self.current
        return self.pinned.get(boot.plan, self.current)

    def opening(self, observed: Observed, mac: str) -> tuple[BootPlan, Trying | None]:
        """By which plan a boot of this interface opens now, and the try that it is. What is in progress is finished first."""
        tried = self.tried.get(mac)
        if tried is None or not observed.tries.pending(tried.machine, tried.trying):
            return self.current, None
        macs = tried.plan.machines[tried.machine].macs
        if any(run.active for run in observed.runs_of(tried.machine, macs)):
            return self.current, None
        return tried.plan, tried.trying


class Turn(msgspec.Struct, frozen=True):
    """One question of a booting machine, placed: the plan that answers it and what must be journalled before the answer."""

    plan: BootPlan
    binding: Binding | None
    """The machine and interface in that plan; None: git knows nothing of this MAC."""
    boot: str = ""
    """Id of the open boot, or ""."""
    phase: Phase = "firmware"
    """Where the boot is once `events` are applied."""
    reason: str = ""
    events: tuple[Event, ...] = ()
    alive: bool = False
    """An agent is at work in this boot: what is asked beside it changes nothing."""
    rehearses: bool = False

    def hold(self, hold: str) -> str | None:
        """What `next_step` is to be told of a hold: a rehearsal starts no run, so nothing holds it back."""
        return None if self.rehearses else hold


def next_step(plan: BootPlan, machine: Machine, observed: Observed, hold: str | None, boot: str) -> Step:
    """`hold`: why no new run may start, or ""; None: whatever holds them back. `boot`: id of the open boot, which is part of an
    everyBoot run's identity.

    What was begun is finished first, whatever was put before it since; then work runs in order, up to the first that failed.
    """
    wanted = [(work, run_of(observed, machine, work, boot)) for work in machine.work]
    for work, run in wanted:
        if run is not None and run.active:
            return RunWork(work, plan.profiles[work.profile], f"goes on with {_title(work)} in profile {work.profile}")
    why = "git names no work for it"
    for work, run in wanted:
        due = run is None or run.may_be_tried_again
        if due and work.cancel:
            why = f"git cancels {_title(work)}"
            break
        ready = readiness(observed, work.workflow, work.run, work.before)
        if due and ready.never:
            why = f"{_title(work)} does not go on here: {ready.why}"
            break
        if due and hold is not None and (held := hold or plan.holds(machine.name, work, observed)):
            return _idle(plan, machine, f"{_title(work)} is due but held: {held}")
        if run is None or due:
            again = f", try {run.number_of_try + 1} of {run.retry + 1}" if run else ""
            late = f", where it {ready.why}" if ready.why else ""
            return RunWork(work, plan.profiles[work.profile], f"runs {_title(work)}{again} in profile {work.profile}{late}")
        why = f"{_title(work)} ended {run.state}" + (f" ({run.reason})" if run.state != "SUCCESS" else "")
        if run.state != "SUCCESS":
            break  # what comes after may rest on it
    return _idle(plan, machine, why)


def sentence_of(step: Step) -> str:
    """For people: what the machine would do if it booted now, and why."""
    match step:
        case RunWork(why=why):
            return why
        case Diskless(why=why):
            return f"boots diskless: {why}"
        case ToDisk(why=why):
            return f"boots its disk: {why}"
        case Stay(why=why):
            return f"waits: {why}"


def all_due(plan: BootPlan, machine: Machine, observed: Observed, boot: str) -> list[Work]:
    """All that a machine would do in turn if each succeeded and nothing held it back: what a rehearsal goes through."""
    found: list[Work] = []
    for work in machine.work:
        run = run_of(observed, machine, work, boot)
        if run is None or run.may_be_tried_again:
            if work.cancel or readiness(observed, work.workflow, work.run, work.before).never:
                break
            found.append(work)
        elif run.state != "SUCCESS":
            break
    return found


def run_of(observed: Observed, machine: Machine, work: Work, boot: str) -> RunStatus | None:
    """The run this work already had, by the machine's name or any of its MACs; None for everyBoot work outside a boot."""
    if work.repeat != "everyBoot":
        return observed.run_of(work.workflow, machine.name, machine.macs, work.run, part=work.part)
    return observed.run_of(work.workflow, machine.name, machine.macs, work.run, boot) if boot else None


class Due(msgspec.Struct, frozen=True):
    """What there is for a machine whose in-memory OS runs."""

    work: Work | None = None
    """What its boot's own plan asks for next, whatever holds it back."""
    stays: bool = False
    """The system that runs is what the machine idles in."""
    news: str = ""
    """Why it should restart rather than wait, or ""."""
    held: str = ""
    """Why no run of it may start here now, or ""."""


def claimable(plans: Plans, observed: Observed, boot: BootStatus, hold: str) -> Due:
    """A boot keeps to its plan, but what git cancels meanwhile does not begin, and in a rehearsal nothing does."""
    if boot.rehearses:
        return Due()
    plan = plans.of(boot)
    machine = plan.machines.get(boot.machine)
    step = next_step(plan, machine, observed, None, boot.id) if machine else None
    fresh = _news(plans, observed, boot, hold, step)
    if isinstance(step, RunWork):
        off = cancels(plans.current, boot.machine, boot.macs, step.work.workflow)
        work = msgspec.structs.replace(step.work, cancel=True) if off else step.work
        return Due(work, news=fresh, held=plan.holds(boot.machine, work, observed))
    return Due(stays=isinstance(step, Diskless) and boot.profile == step.profile.name, news=fresh)


def _news(plans: Plans, observed: Observed, boot: BootStatus, hold: str, own: Step | None) -> str:
    """Only a machine that waits would hear of it. `own`: its step by the plan that its boot is pinned to."""
    plan, trying = plans.opening(observed, boot.mac)
    if (boot.plan, boot.trying) == (plan.id, trying) or (machine := plan.machines.get(boot.machine)) is None:
        return ""
    waits_its_turn = isinstance(own, RunWork) and not ((run := run_of(observed, machine, own.work, boot.id)) and run.active)
    free = trying is not None and trying.rehearse
    step = next_step(plan, machine, observed, None if free else "" if waits_its_turn else hold, boot.id)
    if isinstance(own, RunWork):
        kept = isinstance(step, RunWork) and _which(step.work) == _which(own.work)
        return f"restarts, for there is a new plan: {step.why}" if waits_its_turn and not kept else ""
    return f"restarts, for there is a new plan: {step.why}" if isinstance(step, RunWork) and not step.work.cancel else ""


def _which(work: Work) -> tuple[str, int, int]:
    return work.workflow, work.run, work.part


def cancels(plan: BootPlan, machine: str, macs: Iterable[str], workflow: str) -> bool:
    """Whether a plan cancels a workflow on a machine, which is known by its name or else by any of its MACs."""
    bound = (plan.by_mac[mac].machine for mac in macs if mac in plan.by_mac)
    found = plan.machines.get(machine) or next(bound, None)
    return found is not None and any(work.workflow == workflow and work.cancel for work in found.work)


def _title(work: Work) -> str:
    return f"workflow {work.workflow} run {work.run}"


def _idle(plan: BootPlan, machine: Machine, why: str) -> Step:
    if machine.idle == "disk":
        return ToDisk(machine.handover, f"{why}; its idle state is the disk")
    if machine.idle == "wait":
        return Stay(f"{why}; its idle state is to wait")
    name = machine.idle.removeprefix("profile:")
    return Diskless(plan.profiles[name], f"{why}; its idle state is profile {name}")


def in_progress(plans: Plans, observed: Observed, mac: str) -> Turn:
    """A question that opens nothing: it is answered from the plan of the open boot, or else from the current one."""
    boot = observed.open_boot(mac)
    if boot is None:
        return Turn(plans.current, plans.current.by_mac.get(mac))
    return _joined(plans, boot, mac)


def firmware_asks(
    plans: Plans, observed: Observed, mac: str, phase: Phase, client: dict[str, str], now: float, fresh: str
) -> Turn:
    """A DHCPDISCOVER of firmware (`phase` firmware) or iPXE (`ipxe`). `fresh`: the id a new boot gets.

    One boot asks several times: retries, every interface, then iPXE after the PXE ROM. But firmware that asks after iPXE, or
    anybody after the script was served, means that the machine was reset: our scripts never configure an interface again.
    Anybody on the wire can send it, so while a session lives it changes nothing.
    """
    boot = observed.open_boot(mac)
    opening = _Opening(mac, "dhcp", phase, client, now, fresh)
    if boot is None:
        return _open(plans, observed, opening)
    if observed.at_work(boot, now):
        return msgspec.structs.replace(_joined(plans, boot, mac), alive=True)
    if why := _anew(boot, phase, observed.silence(boot, now), plans.of(boot).site.boot_timeout):
        return _open(plans, observed, opening, boot, why)
    turn = _joined(plans, boot, mac)
    if boot.phase == phase:
        return turn
    advanced = BootAdvanced(at=now, boot=boot.id, phase=phase, client=client)
    return msgspec.structs.replace(turn, phase=phase, events=(advanced,))


def _anew(boot: BootStatus, phase: Phase, silent: float, timeout: float) -> str:
    """Why a DISCOVER cannot belong to this open boot, or "". `silent`: seconds since the boot was last heard of."""
    if silent > timeout:
        return f"not heard of for {silent:.0f} seconds in phase {boot.phase}, then the machine began to boot anew"
    if PHASES.index(phase) < PHASES.index(boot.phase):
        return f"the machine began to boot anew in phase {boot.phase}"
    return ""


def script_asked(plans: Plans, observed: Observed, mac: str, hold: str, now: float, fresh: str) -> Turn:
    """A fetch of the boot script: joins the open boot or opens one.

    Anybody on the wire can fetch it, so while a session lives it changes nothing. A machine without work is pinned to
    nothing it could miss: one that waits goes over to a new plan, in the same boot; one that was seen to load its kernel and
    asks again was reset.
    """
    boot = observed.open_boot(mac)
    opening = _Opening(mac, "script", "script", {}, now, fresh)
    if boot is None:
        return _open(plans, observed, opening)
    turn = _joined(plans, boot, mac)
    if observed.at_work(boot, now):
        return msgspec.structs.replace(turn, alive=True)
    session = observed.session_of(boot.machine, boot.macs)
    silent = observed.quiet(session, now) if session and boot.phase == "agent" else observed.silence(boot, now)
    if boot.phase == "agent" or silent > turn.plan.site.boot_timeout:
        why = f"not heard of for {silent:.0f} seconds in phase {boot.phase}, then its script was fetched"
        return _open(plans, observed, opening, boot, why)
    if boot.phase in ("firmware", "ipxe") or _works(turn, observed, hold):
        return turn
    if boot.phase == "kernel":
        return _open(plans, observed, opening, boot, "the machine began to boot anew in phase kernel")
    plan, trying = plans.opening(observed, mac)
    if (boot.plan, boot.trying) == (plan.id, trying):
        return turn
    return _open(plans, observed, opening, boot, f"it waits, and goes over to plan {plan.id}")


def step_served(turn: Turn, step: Step, observed: Observed, now: float) -> tuple[Event, ...]:
    """What is true once a machine was handed the script for `step` (or, on its way to the disk, no boot file).

    A run in progress that the boot's plan does not ask for ends here: nobody else would ever say that it did.
    """
    if turn.alive or turn.binding is None:
        return ()
    work = step.work if isinstance(step, RunWork) else None
    left = tuple(event.boot for event in turn.events if isinstance(event, BootClosed))
    machine = turn.binding.machine
    ended = superseded(observed, machine.name, machine.macs, turn.boot, turn.plan.id, work, now, left=left)
    if isinstance(step, ToDisk):
        reason = f"handed over to the disk: {step.why}"
        return (
            *ended,
            BootAdvanced(at=now, boot=turn.boot, phase="disk", reason=step.why),
            BootClosed(at=now, boot=turn.boot, reason=reason),
        )
    phase = max(turn.phase, "script", key=PHASES.index)
    if (phase, step.why) == (turn.phase, turn.reason):
        return ended
    profile = "" if isinstance(step, Stay) else step.profile.name
    return (*ended, BootAdvanced(at=now, boot=turn.boot, phase=phase, reason=step.why, profile=profile))


def _joined(plans: Plans, boot: BootStatus, mac: str) -> Turn:
    plan = plans.of(boot)
    return Turn(plan, plan.by_mac.get(mac), boot.id, boot.phase, boot.reason, rehearses=boot.rehearses)


def _works(turn: Turn, observed: Observed, hold: str) -> bool:
    """Whether the boot's own plan has work for the machine that asks."""
    return turn.binding is not None and isinstance(
        next_step(turn.plan, turn.binding.machine, observed, turn.hold(hold), turn.boot), RunWork
    )


class _Opening(msgspec.Struct, frozen=True):
    """Who asked what, if a boot opens for it."""

    mac: str
    via: Via
    phase: Phase
    client: dict[str, str]
    now: float
    fresh: str


def _open(plans: Plans, observed: Observed, asked: _Opening, before: BootStatus | None = None, why: str = "") -> Turn:
    """A new boot, by the current plan or the one to be tried; none for an interface that it does not know or that does not
    boot from us. A try is a boot of its own.
    """
    (plan, trying), now = plans.opening(observed, asked.mac), asked.now
    closed = () if before is None else (BootClosed(at=now, boot=before.id, reason=why),)
    binding = plan.by_mac.get(asked.mac)
    if binding is None or not binding.interface.netboot:
        return Turn(plan, binding, phase=asked.phase, events=closed)
    name, macs = binding.machine.name, binding.machine.macs
    boot = asked.fresh if trying else _continued(observed, binding.machine, asked, before) or asked.fresh
    client = before.client if before is not None and before.id == boot else asked.client
    opened = BootOpened(
        at=now, boot=boot, machine=name, macs=macs, mac=asked.mac, plan=plan.id, via=asked.via, client=client, trying=trying
    )
    advanced = () if asked.phase != "ipxe" else (BootAdvanced(at=now, boot=boot, phase="ipxe"),)
    rehearses = trying is not None and trying.rehearse
    return Turn(plan, binding, boot, asked.phase, events=(*closed, opened, *advanced), rehearses=rehearses)


def _continued(observed: Observed, machine: Machine, asked: _Opening, before: BootStatus | None) -> str:
    """The id of the boot that this one continues, or "". A boot's id is part of an everyBoot run's identity, so what goes on
    as the same boot must bear the same id, or the work of every boot would begin again for ever: a machine that waits and
    goes over to a new plan, and one that restarts because its work is done.
    """
    last = observed.last_boot_of(machine.name)
    if last is None:
        return ""
    if before is not None:
        return last.id if last.id == before.id and (before.phase, asked.via) == ("script", "script") else ""
    return last.id if last.phase == "agent" and last.reason.startswith(END_OF_WORK) else ""
