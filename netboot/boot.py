"""What a machine does next, and why: the only place where desired (the plan) meets observed (the journal).

Core. The law: work runs when the plan names it, no run with its identity has ended, and nothing holds new runs back; in every
other case the machine does its idle thing. So after success a machine boots its disk for ever, whatever its boot order says.

A boot is pinned to the plan it opened with. It opens when firmware asks for an address or a script is fetched, is superseded
when the machine is seen to begin again, and is closed at hand-over to disk, at the end of its work or by timeout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netboot.events import PHASES, BootAdvanced, BootClosed, BootOpened, Event, Phase, Via
from netboot.observed import BootStatus, Observed, RunStatus
from netboot.plan import BootPlan, Handover, Machine, Profile
from netboot.runs import Work

SILENT = 30
"""Seconds without a heartbeat after which an agent counts as gone when its machine asks for a script again."""


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
class Plans:
    """The plans that may answer, as one frozen value read once per datagram or request."""

    current: BootPlan
    pinned: Mapping[str, BootPlan]
    """By id: those that open boots were opened with."""

    def of(self, boot: BootStatus | None) -> BootPlan:
        """The boot's own plan. A plan that is gone in spite of its pin is replaced by the current one: better than silence."""
        if boot is None or boot.plan == self.current.id:
            return self.current
        return self.pinned.get(boot.plan, self.current)


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a booting machine, placed: the plan that answers it and what must be journalled before the answer."""

    plan: BootPlan
    boot: str
    phase: Phase
    """Where the boot is once `events` are applied."""
    reason: str = ""
    events: tuple[Event, ...] = ()


def next_step(plan: BootPlan, machine: Machine, observed: Observed, hold: str, boot: str) -> Step:
    """`hold`: why no new run may start, or "". `boot`: id of the open boot, which is part of an everyBoot run's identity."""
    why = "git names no work for it"
    for work in machine.work:
        run = run_of(observed, machine, work, boot)
        if run is None and hold:
            return _idle(plan, machine, f"{_title(work)} is due but held: {hold}")
        if run is None or run.active:
            verb = "goes on with" if run else "runs"
            return RunWork(work, plan.profiles[work.profile], f"{verb} {_title(work)} in profile {work.profile}")
        why = f"{_title(work)} ended {run.state}" + (f" ({run.reason})" if run.state != "SUCCESS" else "")
        if run.state != "SUCCESS":
            break  # what comes after may rest on it
    return _idle(plan, machine, why)


def run_of(observed: Observed, machine: Machine, work: Work, boot: str) -> RunStatus | None:
    """The run this work already had, by the machine's name or any of its MACs."""
    every = boot if work.repeat == "everyBoot" else None
    return observed.run_of(work.workflow, machine.name, machine.macs, work.run, every)


def _title(work: Work) -> str:
    return f"workflow {work.workflow} run {work.run}"


def _idle(plan: BootPlan, machine: Machine, why: str) -> Step:
    if machine.idle == "disk":
        return ToDisk(machine.handover, f"{why}; its idle state is the disk")
    if machine.idle == "wait":
        return Stay(f"{why}; its idle state is to wait")
    name = machine.idle.removeprefix("profile:")
    return Diskless(plan.profiles[name], f"{why}; its idle state is profile {name}")


def firmware_asks(
    plans: Plans, observed: Observed, machine: Machine, mac: str, phase: Phase, client: dict[str, str], now: float, fresh: str
) -> Turn:
    """A DHCPDISCOVER of firmware (`phase` firmware) or iPXE (`ipxe`). `fresh`: the id a new boot gets.

    One boot asks several times: retries, then iPXE after the PXE ROM. But a DISCOVER after the script was served means that
    the machine was reset, for our scripts never configure an interface again.
    """
    boot = observed.open_boot(mac)
    if boot is None or _began_anew(boot, plans, now):
        return _open(plans, boot, machine, mac, "dhcp", phase, client, now, fresh)
    if PHASES.index(phase) > PHASES.index(boot.phase):
        advanced = BootAdvanced(at=now, boot=boot.id, phase=phase, client=client)
        return Turn(plans.of(boot), boot.id, phase, events=(advanced,))
    return Turn(plans.of(boot), boot.id, boot.phase, boot.reason)


def script_asked(plans: Plans, observed: Observed, machine: Machine, mac: str, hold: str, now: float, fresh: str) -> Turn:
    """A fetch of the boot script: joins the open boot or opens one.

    A machine that waits is pinned to nothing it could miss: when the plan changed meanwhile, a new boot begins with it. A
    script fetched while the agent is alive changes nothing, for anybody on the wire can fetch it.
    """
    boot = observed.open_boot(mac)
    if boot is None or _gone(boot, plans, now):
        return _open(plans, boot, machine, mac, "script", "script", {}, now, fresh)
    if boot.phase == "script" and boot.plan != plans.current.id:
        pinned = plans.of(boot)
        known = pinned.machines.get(machine.name)
        if known is None or isinstance(next_step(pinned, known, observed, hold, boot.id), Stay):
            return _open(plans, boot, machine, mac, "script", "script", boot.client, now, fresh)
    return Turn(plans.of(boot), boot.id, boot.phase, boot.reason)


def step_served(turn: Turn, step: Step, now: float) -> tuple[Event, ...]:
    """What is true once a machine was handed the script for `step`."""
    if isinstance(step, ToDisk):
        reason = f"handed over to the disk: {step.why}"
        return (
            BootAdvanced(at=now, boot=turn.boot, phase="disk", reason=step.why),
            BootClosed(at=now, boot=turn.boot, reason=reason),
        )
    phase = max(turn.phase, "script", key=PHASES.index)
    if (phase, step.why) == (turn.phase, turn.reason):
        return ()
    return (BootAdvanced(at=now, boot=turn.boot, phase=phase, reason=step.why),)


def timed_out(observed: Observed, timeout: float, now: float) -> tuple[Event, ...]:
    """Boots not heard of for `timeout` seconds are over; a run they carried goes on when its machine comes back."""
    return tuple(
        BootClosed(at=now, boot=boot.id, reason=f"not heard of for {timeout:.0f} seconds in phase {boot.phase}")
        for boot in observed.expired(now, timeout)
    )


def _began_anew(boot: BootStatus, plans: Plans, now: float) -> bool:
    return PHASES.index(boot.phase) >= PHASES.index("script") or now - boot.last_seen > plans.of(boot).site.boot_timeout


def _gone(boot: BootStatus, plans: Plans, now: float) -> bool:
    limit = SILENT if boot.phase == "agent" else plans.of(boot).site.boot_timeout
    return now - boot.last_seen > limit


def _open(
    plans: Plans,
    before: BootStatus | None,
    machine: Machine,
    mac: str,
    via: Via,
    phase: Phase,
    client: dict[str, str],
    now: float,
    fresh: str,
) -> Turn:
    plan = plans.current
    events: list[Event] = []
    if before is not None:
        events.append(BootClosed(at=now, boot=before.id, reason=f"the machine began to boot anew in phase {before.phase}"))
    opened = BootOpened(
        at=now, boot=fresh, machine=machine.name, macs=machine.macs, mac=mac, plan=plan.id, via=via, client=client
    )
    events.append(opened)
    if via == "dhcp" and phase != "firmware":
        events.append(BootAdvanced(at=now, boot=fresh, phase=phase))
    return Turn(plan, fresh, phase, events=tuple(events))
