"""What ends though nobody asks for anything: boots that fell silent, runs that git calls off, runs that never begin.

Core. Law: nothing here begins anything, and silence counts only while somebody listened.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from netboot.boot import Plans, RunWork, cancels, next_step, run_of
from netboot.endings import FELL_SILENT, cancel
from netboot.events import BootClosed, Event
from netboot.observed import BootStatus, Observed
from netboot.plan import BootPlan, Machine
from netboot.runs import missed
from netboot.work import Work, readiness


def timed_out(observed: Observed, timeout: float, now: float) -> tuple[Event, ...]:
    """Boots not heard of for `timeout` seconds are over; a run they carried goes on when its machine comes back."""
    return tuple(
        BootClosed(at=now, boot=boot.id, reason=f"{FELL_SILENT} {timeout:.0f} seconds in phase {boot.phase}")
        for boot in observed.expired(now, timeout)
    )


def called_off(plan: BootPlan, observed: Observed, now: float) -> tuple[Event, ...]:
    """Ends the runs in progress of workflows that git cancels now, whatever plan they began with. O(runs in progress)."""
    ended: list[Event] = []
    for run in observed.active_runs() if _any_cancelled(plan) else ():
        if cancels(plan, run.machine, run.macs, run.workflow):
            ended.extend(cancel(observed, run.id, f"git cancels workflow {run.workflow}", now))
    return tuple(ended)


def not_begun(plans: Plans, observed: Observed, now: float, fresh: Callable[[], str], grace: float = 60.0) -> tuple[Event, ...]:
    """Ends, before they began, the runs for which a machine booted and no agent came within `pending_timeout` of that.
    `fresh` makes the id of a run. O(open boots).
    """
    patient = {plan.id: plan for plan in (plans.current, *plans.pinned.values()) if _any_pending_timeout(plan)}
    if not patient or now - observed.listening <= grace:
        return ()
    ended: list[Event] = []
    for boot in observed.open_boots():
        plan = patient.get(boot.plan)
        if plan is None or boot.phase in ("agent", "disk") or boot.rehearses:
            continue
        if machine := plan.machines.get(boot.machine):
            work = _overdue(plan, machine, observed, boot, now)
            if work is not None:
                ended.extend(missed(work, boot, run_of(observed, machine, work, boot.id), now, fresh()))
    return tuple(ended)


def _overdue(plan: BootPlan, machine: Machine, observed: Observed, boot: BootStatus, now: float) -> Work | None:
    """What the machine should have begun with by now."""
    patience = min((work.pending_timeout for work in machine.work if work.pending_timeout), default=0)
    if not patience or now - boot.opened <= patience:  # almost always: asked for every open boot, every second
        return None
    step = next_step(plan, machine, observed, "", boot.id)
    if not isinstance(step, RunWork) or not 0 < step.work.pending_timeout < now - boot.opened:
        return None
    if readiness(observed, step.work.workflow, step.work.run, step.work.before).why:
        return None
    run = run_of(observed, machine, step.work, boot.id)
    return step.work if run is None or not run.active else None


@lru_cache(maxsize=4)
def _any_cancelled(plan: BootPlan) -> bool:
    """Asked every other second of a plan that mostly has none; so is its sister."""
    return any(work.cancel for machine in plan.machines.values() for work in machine.work)


@lru_cache(maxsize=4)
def _any_pending_timeout(plan: BootPlan) -> bool:
    return any(work.pending_timeout for machine in plan.machines.values() for work in machine.work)
