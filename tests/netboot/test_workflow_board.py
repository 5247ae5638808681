"""A workflow at a glance: the same that its document says, a page at a time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from agent.workflow import to_json
from netboot.boot import Plans
from netboot.events import BootOpened, JournalOpened, RunStarted
from netboot.heard import Heard
from netboot.leisure import at_leisure
from netboot.observed import Observed
from netboot.plan import BootPlan
from netboot.reconcile_document import Reconciliation
from netboot.status_view import View, workflow_names
from netboot.workflow_board import PAGE, Board, Query, boarding, machines_of, run_of, shown
from tests.netboot.site import LOOK, mac, machine, plan

NUMBERS = range(1, PAGE + 11)
SERVED = plan(*(machine(number, "look") for number in NUMBERS)).plan


def begun(*numbers: int, workflow: str = "look") -> Observed:
    observed = Observed()
    observed.apply(JournalOpened(at=1.0, journal="j1"))
    for number in numbers:
        who: dict[str, Any] = {"machine": f"node-{number:02}", "macs": (mac(number),), "boot": f"b{number}", "plan": SERVED.id}
        observed.apply(BootOpened(at=2.0, mac=mac(number), via="script", **who))
        observed.apply(
            RunStarted(at=3.0, run=f"r{number}", workflow=workflow, number=1, system="s", document=to_json(LOOK), **who)
        )
    return observed


def board_of(plan: BootPlan, name: str, observed: Observed, now: float) -> Board | None:
    return asyncio.run(at_leisure(boarding(plan, name, observed, now)))


def test_to_look_at_many_machines_stops_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netboot.workflow_board.SLICE", 7)
    assert len(NUMBERS) // 7 == sum(1 for _ in boarding(SERVED, "look", begun(1), 5.0))


def test_a_board_says_what_the_document_says() -> None:
    observed = begun(1, 2)
    board = board_of(SERVED, "look", observed, 5.0)
    assert board is not None
    data = View().render("workflows/look.json", Plans(SERVED, {}), observed, Reconciliation(""), Heard(), 5.0)
    document = json.loads(data or b"")
    for said, shows in (("machines", board.machines), ("counts", board.counts), ("state", board.state), ("run", board.number)):
        assert document[said] == shows
    assert {"RUNNING": 2, "PENDING": len(NUMBERS) - 2} == board.counts


def test_a_page_has_what_is_asked_for_and_no_more_than_it_holds() -> None:
    board = board_of(SERVED, "look", begun(1, 2), 5.0)
    assert board is not None
    pending = machines_of(board, Query(state="PENDING"))
    assert len(NUMBERS) - 2 == len(pending)
    first, last = shown(pending, 1), shown(pending, 99)
    assert (PAGE, 2, 1) == (len(first.rows), first.pages, first.page)
    assert (len(NUMBERS) - 2 - PAGE, 2) == (len(last.rows), last.page)
    assert ["node-07"] == [each["machine"] for each in machines_of(board, Query(q="E-07"))]


def test_a_run_that_has_begun_is_there_whole() -> None:
    observed = begun(1)
    board = board_of(SERVED, "look", observed, 5.0)
    assert board is not None
    run = run_of(board.machines[0], observed)
    assert run is not None
    assert ("r1", ["first", "second"]) == (run["id"], [action["name"] for action in run["tasks"][0]["actions"]])
    assert run_of(board.machines[1], observed) is None


def test_runs_that_are_over_and_done_again_are_the_past() -> None:
    again = plan(
        *(replace(machine(number, "look"), work=(replace(machine(1, "look").work[0], run=2),)) for number in (1, 2))
    ).plan
    board = board_of(again, "look", begun(1, 2), 5.0)
    assert board is not None
    assert (["PENDING", "PENDING"], ("r2", "r1")) == ([each["state"] for each in board.machines], board.earlier)


def test_the_past_of_a_workflow_that_git_forgot_stays_and_what_never_was_is_not_there() -> None:
    observed = begun(1, 2, workflow="gone")
    board = board_of(SERVED, "gone", observed, 5.0)
    assert board is not None
    assert (None, ["node-02", "node-01"]) == (board.number, [each["machine"] for each in board.machines])
    assert ["gone", "look"] == workflow_names(SERVED, observed)
    assert board_of(SERVED, "never", observed, 5.0) is None


@pytest.mark.parametrize("given", [{"page": "0"}, {"page": "x", "axis": "<script>"}, {"page": "9" * 30}])
def test_an_odd_address_shows_the_first_page(given: dict[str, str]) -> None:
    assert Query() == Query.of(given)


def test_an_address_holds_what_is_asked_for() -> None:
    query = Query.of({"q": "a b", "state": "FAILED", "page": "3"})
    assert "?q=a+b&state=FAILED&page=4" == query.but(page=4)
    assert "?q=a+b" == query.but(state="")
