"""A boot as a trace: spans for the boot, its phases, its runs and their actions, for OpenTelemetry.

Core. The laws: a trace is told when its boot is closed, from the same phases as its story, and the same boot makes the same
spans with the same ids, so that it can be looked for by the boot's id. A boot that goes on after a restart has a span at the
top for each time, all in one trace. Times are seconds since the epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from netboot.observed import Observed
from netboot.records import ActionStatus, BootStatus, RunStatus
from netboot.story import NOTHING_KNOWN, Phase, phases_of

LONGEST = 1000
"""Characters of what others said."""
WELL = ("SUCCESS", "RUNNING")
Facts = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Span:
    trace: int
    """128 bits."""
    id: int
    """64 bits."""
    parent: int
    """0: none."""
    name: str
    """Of few: what is of this boot alone is among the `facts`."""
    began: float
    ended: float
    facts: Facts = field(default_factory=dict)
    failure: str | None = None
    """Why it failed; None: it did not."""


def trace_id(boot: str) -> int:
    return int.from_bytes(hashlib.sha256(boot.encode()).digest()[:16]) or 1


def spans_of(boot: BootStatus, observed: Observed, commit: str = "") -> tuple[Span, ...]:
    """Of what happened since it was opened, the boot itself first; nothing while it is open. `commit`: that it boots by."""
    if boot.closed is None:
        return ()
    runs = observed.runs_of(boot.machine, boot.macs)
    phases = [each for each in phases_of(boot, boot.machine, runs, NOTHING_KNOWN) if (each.until or 0.0) >= boot.opened]
    top = _span(boot, "boot", 0, phases[0].since if phases else boot.opened, boot.closed, _of_boot(boot, commit))
    return (top, *(span for phase in phases for span in _of_phase(boot, phase, top)))


def _of_boot(boot: BootStatus, commit: str) -> Facts:
    facts = {"machine": boot.machine, "boot": boot.id, "mac": boot.mac, "plan": boot.plan, "via": boot.via}
    return {**facts, "reason": boot.reason, **({"commit": commit} if commit else {})}


def _of_phase(boot: BootStatus, phase: Phase, top: Span) -> Iterator[Span]:
    run, until = phase.run, phase.until or phase.since
    if run is None:
        yield _span(boot, phase.name, top.id, phase.since, until, {"what": phase.what} if phase.what else {})
        return
    facts: Facts = {"workflow": run.workflow, "run": run.number, "state": run.state, "try": run.number_of_try}
    span = _span(boot, "run", top.id, phase.since, until, facts, _failure(run))
    yield span
    for part in phase.parts:
        said = part.attempt
        if said.ended is not None:
            told: Facts = {"task": said.task, "action": said.action, "attempt": said.attempt, "state": said.state}
            yield _span(boot, "action", span.id, said.started, said.ended, told, _failure(said))


def _failure(said: RunStatus | ActionStatus) -> str | None:
    return None if said.state in WELL else _short(said.reason or said.state)


def _span(
    boot: BootStatus, name: str, parent: int, began: float, ended: float, facts: Facts, failure: str | None = None
) -> Span:
    same = f"{boot.id} {name} {parent} {began!r} {facts.get('task')} {facts.get('action')} {facts.get('attempt')}"
    number = int.from_bytes(hashlib.sha256(same.encode()).digest()[:8]) or 1
    clean = {f"gitboot.{key}": _short(value) if isinstance(value, str) else value for key, value in facts.items()}
    return Span(trace_id(boot.id), number, parent, name, began, max(began, ended), clean, failure)


def _short(text: str) -> str:
    """What can be sent: halves of characters cannot."""
    return text[:LONGEST].encode("utf-8", "replace").decode()
