"""Outstanding work: which runs a machine would still have, if each of them ended well.

Core. The law: it follows `boot.next_step` run by run, with nothing held: what has succeeded is not asked for again, nothing
follows on what failed for good or is cancelled, and a run in progress keeps to the document it began with, so it is not
outstanding. Work of every boot always is.
"""

from __future__ import annotations

from collections.abc import Iterator

from netboot.boot import run_of
from netboot.observed import Observed, RunStatus
from netboot.plan import Machine
from netboot.work import Work, readiness


def outstanding(machine: Machine, observed: Observed) -> tuple[Work, ...]:
    """In the order they would run. Of a machine that nothing was observed of: all that is not cancelled."""
    found = []
    for work in machine.work:
        run = run_of(observed, machine, work, "")
        if run is None or run.may_be_tried_again:
            if work.cancel or readiness(observed, work.workflow, work.run, work.before).never:
                break
            found.append(work)
        elif not run.active and run.state != "SUCCESS":
            break
    return tuple(found)


def in_progress(machine: Machine, observed: Observed) -> Iterator[tuple[Work, RunStatus]]:
    """Its runs that have begun and not ended, each with what the plan says of it."""
    for work in machine.work:
        run = run_of(observed, machine, work, "")
        if run is not None and run.active:
            yield work, run
