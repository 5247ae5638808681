"""The last boots of one machine, each with its phases and with everything that was said and done in it, in order.

Core. The law: what the journal knows is there in any case; what was said besides, as far as it is remembered. Nothing of what a
machine was given is in it but the fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from netboot.chronicle import words
from netboot.heard import Heard
from netboot.observed import Observed
from netboot.records import BootStatus, PastBoot, RunStatus
from netboot.run_documents import Document, rfc3339, time_of
from netboot.story import Phase, phase_document, phases_of

_Event = tuple[float, Document]


def stories_document(name: str, macs: Iterable[str], observed: Observed, heard: Heard) -> Document:
    """`schemas/status-stories.json`. O(its last boots and its runs)."""
    last, runs = observed.last_boot_of(name), observed.runs_of(name, macs)
    boots: tuple[BootStatus | PastBoot, ...] = (last, *last.earlier) if last else ()
    return {
        "apiVersion": "gitboot/v1",
        "kind": "StoriesStatus",
        "name": name,
        "model": heard.model_of(name),
        "boots": [_boot(name, boot, runs, heard) for boot in boots],
    }


def _boot(name: str, boot: BootStatus | PastBoot, runs: Sequence[RunStatus], heard: Heard) -> Document:
    phases, commit, began = phases_of(boot, name, runs, heard.expectations), heard.commit_of(boot.plan), boot.way[0][1]
    events = sorted((*_said(boot.id, heard), *_done(boot, phases, commit)), key=lambda event: event[0])
    return {
        "id": boot.id,
        "plan": boot.plan,
        "commit": commit,
        "began": rfc3339(began),
        "closed": time_of(boot.closed),
        "seconds": None if boot.closed is None else round(max(boot.closed - began, 0.0), 3),
        "phase": boot.phase,
        "reason": boot.reason,
        "phases": [phase_document(phase) for phase in phases],
        "events": [event for _, event in events],
    }


def _said(boot: str, heard: Heard) -> Iterator[_Event]:
    for each in heard.said(boot):
        commit = each.commit or heard.commit_of(each.plan)
        told = _event(each.at, each.kind, words(each), each.outcome, each.reason, each.plan, commit)
        yield each.at, told | {"times": each.times, "last": rfc3339(each.last)}


def _done(boot: BootStatus | PastBoot, phases: Iterable[Phase], commit: str) -> Iterator[_Event]:
    """What the journal has of it."""

    def event(at: float, kind: str, text: str, outcome: str = "ok", reason: str = "") -> _Event:
        why = f": {reason}" if reason else ""
        return at, _event(at, kind, f"{text}{why}", outcome, reason, boot.plan, commit)

    for phase in phases:
        if (run := phase.run) is None:
            continue
        title = f"workflow {run.workflow} run {run.number}"
        yield event(phase.since, "run", f"{title} begins" if run.started >= phase.since else f"{title} goes on")
        for part in phase.parts:
            attempt = part.attempt
            tries = f", try {attempt.attempt}" if attempt.attempt > 1 else ""
            yield event(attempt.started, "action", f"{attempt.task}/{attempt.action} begins{tries}")
            if attempt.ended is not None:
                said = f"{attempt.task}/{attempt.action} ends {attempt.state}"
                yield event(attempt.ended, "action", said, attempt.state, attempt.reason)
        if run.ended is not None:
            yield event(run.ended, "run", f"{title} ends {run.state}", run.state, run.reason)
    if boot.closed is not None:
        yield event(boot.closed, "boot", "the boot is over", "closed", boot.reason)


def _event(at: float, kind: str, text: str, outcome: str, reason: str, plan: str, commit: str) -> Document:
    time = rfc3339(at)
    return {
        "at": time, "last": time, "times": 1, "kind": kind, "text": text, "outcome": outcome, "reason": reason,
        "plan": plan, "commit": commit,
    }  # fmt: skip
