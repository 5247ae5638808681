"""What a server's documents say of runs is what its journal says of them, as far as a comparison asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from netboot.events import Event, RunEnded, RunStarted
from netboot.observed import Observed, fold
from netboot.outstanding import in_progress, outstanding
from netboot.plan import Interface, Machine
from netboot.status_documents import Carrier, DesiredWorkflow, workflow_document
from netboot.work import Work
from reconciler.observing import observed_from

MAC = "52:54:00:12:34:01"
DOCUMENT: dict[str, Any] = {"name": "a", "tasks": []}
MACHINE = Machine(
    "node-01",
    "x86_64",
    (Interface(MAC),),
    work=(Work("first", 2, DOCUMENT), Work("second", 1, DOCUMENT)),
)


def run(number: int, state: str, workflow: str = "first", machine: str = "node-01", **more: Any) -> list[Event]:
    name = f"{workflow}-{machine}-{number}-{more.get('after', '')}"
    started = RunStarted(at=1.0, run=name, workflow=workflow, machine=machine, macs=(MAC,), number=number, boot="b", system="s",
                         plan="p", document=DOCUMENT, **more)  # fmt: skip
    ended = [] if state == "RUNNING" else [RunEnded(at=2.0, run=name, state=state, reason="so")]  # type: ignore[arg-type]
    return [started, *ended]


def told(events: Iterable[Event], machine: str = "node-01") -> Observed:
    """By the documents that a server would give."""
    observed = fold(events)
    documents = [
        workflow_document(name, observed, DesiredWorkflow(number, "once", (Carrier(machine, (MAC,)),)))
        for name, number in (("first", 2), ("second", 1))
    ]
    return observed_from(documents, {machine: (MAC,)})


HISTORIES = {
    "nothing": [],
    "an earlier run": run(1, "SUCCESS"),
    "this run": run(2, "SUCCESS"),
    "this run, failed": run(2, "FAILED"),
    "this run, cancelled": run(2, "CANCELLED"),
    "this run, in progress": run(2, "RUNNING"),
    "failed, to be tried again": run(2, "FAILED", retry=1),
    "tried again": [*run(2, "FAILED", retry=1), *run(2, "SUCCESS", retry=1, after="first-node-01-2-")],
    "both": [*run(2, "SUCCESS"), *run(1, "SUCCESS", "second")],
}


@pytest.mark.parametrize("events", HISTORIES.values(), ids=HISTORIES)
def test_documents_tell_of_outstanding_runs_what_the_journal_tells(events: list[Event]) -> None:
    journal, documents = fold(events), told(events)
    assert outstanding(MACHINE, journal) == outstanding(MACHINE, documents)
    assert [work for work, _ in in_progress(MACHINE, journal)] == [work for work, _ in in_progress(MACHINE, documents)]


def test_a_run_is_known_by_the_machine_s_mac_where_it_has_another_name() -> None:
    renamed = Machine("node-09", "x86_64", MACHINE.interfaces, work=MACHINE.work)
    assert MACHINE.work[1:] == outstanding(renamed, told(run(2, "SUCCESS")))


@pytest.mark.parametrize("document", [{}, {"kind": "HardwareStatus"}, {"kind": "WorkflowStatus", "runs": 3}])
def test_what_is_no_such_document_is_said_to_be_none(document: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        observed_from([document], {})
