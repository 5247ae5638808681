"""How runs end without their agent's word, and what a machine does when its work has ended.

Core. Law: nothing here ends a run that has ended, and silence counts only while somebody listened: whoever could not reach a
server that was away is heard first.
"""

from __future__ import annotations

from agent.workflow import Then
from netboot.events import BootAdvanced, BootClosed, Event, OnFailure, RunEnd, RunEnded
from netboot.observed import Observed
from netboot.records import BootStatus, RunStatus

END_OF_WORK = "end of work"
"""How the reason begins with which a boot closes whose agent was told to restart its machine."""
FELL_SILENT = "not heard of for"
"""How the reason begins with which a boot closes that came no further."""
LOST = 90.0
"""Seconds without a word after which the agent of a run counts as lost; it is to be heard every ten."""

_ON_FAILURE: dict[OnFailure, Then] = {"rescue": "wait", "reboot": "reboot", "poweroff": "poweroff"}


def afterwards(run: RunStatus, state: RunEnd) -> Then:
    """What its machine does when `run` has ended in `state` and there is no more work for it."""
    return run.document.then if state == "SUCCESS" else _ON_FAILURE[run.on_failure]


def last_ended(observed: Observed, boot: BootStatus, system: str) -> RunStatus | None:
    """The run that ended last in this start of the machine's OS."""
    ended = [run for run in observed.runs_of(boot.machine, boot.macs) if not run.active and run.boot == boot.id]
    return max((run for run in ended if run.system == system), key=lambda run: run.ended or 0.0, default=None)


def boot_ends(boot: BootStatus, then: Then, reason: str, now: float) -> tuple[Event, ...]:
    """What is true once a machine was told `then`. One that waits stays in its boot, so that it is seen; one that was powered
    off or handed over begins another boot when it comes back, which one that restarts does not (`boot.py`).
    """
    if boot.closed is not None or then == "wait":
        return ()
    if then == "kexec":
        disk = BootAdvanced(at=now, boot=boot.id, phase="disk", reason=reason)
        return (disk, BootClosed(at=now, boot=boot.id, reason=f"handed over by kexec: {reason}"))
    how = "powered off" if then == "poweroff" else END_OF_WORK
    return (BootClosed(at=now, boot=boot.id, reason=f"{how}: {reason}"),)


def cancel(observed: Observed, run_id: str, reason: str, now: float) -> tuple[Event, ...]:
    """Empty when there is nothing to cancel."""
    run = observed.runs.get(run_id)
    return (RunEnded(at=now, run=run_id, state="CANCELLED", reason=reason),) if run and run.active else ()


def cancelled(observed: Observed, boot_id: str, run_id: str) -> bool:
    """Whether the agent behind a heartbeat should stop: the run has ended, is not known, or belongs to another boot. Without a
    run it rehearses, for as long as its boot is open.
    """
    if not run_id:
        boot = observed.boots.get(boot_id)
        return boot is None or boot.closed is not None
    run = observed.runs.get(run_id)
    return run is None or not run.active or run.boot != boot_id


def overdue(observed: Observed, now: float, grace: float = 60.0) -> tuple[Event, ...]:
    """Ends the runs whose global timeout passed without a word of their agent, which has `grace` seconds to say it itself,
    and as long to reach a server that was away.
    """
    if now - observed.listening <= grace:
        return ()
    return tuple(
        RunEnded(at=now, run=run.id, state="TIMEOUT", reason=f"no end within {run.document.global_timeout} s")
        for run in observed.active_runs()
        if run.document.global_timeout and now - run.started > run.document.global_timeout + grace
    )


def lost_since(observed: Observed, run: RunStatus, now: float) -> float | None:
    """When the agent of a run in progress was last heard of, if that is too long ago; None: it is at work, or has ended.

    It ends nothing: an agent that comes back goes on, and the global timeout decides about one that does not.
    """
    boot = observed.boots.get(run.boot)
    reported = run.reports[-1].at if run.reports else run.started
    heard = max(reported, boot.last_seen if boot else 0.0)
    return heard if run.active and now - max(heard, observed.listening) > LOST else None
