"""The fleet at a glance: rows, what is asked of them, and addresses that can be kept."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.events import RunEnded
from netboot.fleet import AWAY, PAGE, SORTS, Query, Row, Survey, counts_of, map_of, matching, select, surveying
from netboot.heard import Heard
from netboot.runs import Claimed
from tests.netboot.plan_example import BIOS, IPXE, MAC, Room, machine, port, work

ROWS = [
    Row("node-01", "10.1.0.11", {"rack": "r1"}, "agent", "install", "RUNNING", 1, 4, (), 30.0),
    Row("node-02", "10.1.0.12", {"rack": "r2"}, AWAY, "install", "FAILED", 2, 4, ("run-failed",), 20.0),
    Row("node-03", "10.1.0.13", {}, AWAY),
]


def rows_of(room: Room, now: float) -> Sequence[Row]:
    return survey_of(surveying(room.plans, room.observed, "", Heard(), now)).rows


def survey_of(looked: Generator[None, None, Survey]) -> Survey:
    while True:
        try:
            next(looked)
        except StopIteration as done:
            survey: Survey = done.value
            return survey


def names(query: Query) -> list[str]:
    return [row.name for row in matching(ROWS, query)]


def test_a_row_says_what_the_machine_does() -> None:
    room = Room.of(
        machine("node-01", port(), labels={"rack": "r1"}, work=(work(),)),
        machine("node-02", port("52:54:00:00:00:02", "10.1.0.12")),
    )
    room.discover(said=IPXE)
    claimed = room.claim(room.script().boot, work())
    assert isinstance(claimed, Claimed)
    first, second = rows_of(room, room.now)
    assert ("node-01", "10.1.0.11", {"rack": "r1"}, "agent") == (first.name, first.address, first.labels, first.phase)
    assert ("install", "RUNNING", 0, 1) == (first.workflow, first.state, first.done, first.total)
    idle = "boots its disk: git names no work for it; its idle state is the disk"
    assert Row("node-02", "10.1.0.12", next=idle) == second
    assert first.next.startswith("goes on with workflow install run 1")
    room.happen(RunEnded(at=room.now, run=claimed.run, state="FAILED", reason="exit code 3"))
    first, _ = rows_of(room, room.now)
    assert ("FAILED", ("run-failed",)) == (first.state, first.issues)


def test_a_machine_without_an_address_is_where_it_was_seen() -> None:
    room = Room.of(machine("node-01", port(address="")))
    heard = Heard(address_of={MAC: "10.9.0.1"}.__getitem__)
    (row,) = survey_of(surveying(room.plans, room.observed, "", heard, room.now)).rows
    assert "10.9.0.1" == row.address


def test_what_comes_no_further_is_in_its_row() -> None:
    room = Room.of(machine(work=(work(),)))
    room.discover(said=BIOS)
    (row,) = rows_of(room, room.now + 500)
    assert ("firmware", ("boot-file-not-fetched",)) == (row.phase, row.issues)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), ["node-01", "node-02", "node-03"]),
        (Query(q="NODE 12"), ["node-02"]),
        (Query(q="rack=r1"), ["node-01"]),
        (Query(q="rack=r3"), []),
        (Query(phase=AWAY), ["node-02", "node-03"]),
        (Query(state="RUNNING"), ["node-01"]),
        (Query(issue="run-failed"), ["node-02"]),
        (Query(issue="any"), ["node-02"]),
        (Query(issue="boot-loop"), []),
        (Query(sort="issue"), ["node-02", "node-01", "node-03"]),
        (Query(sort="seen"), ["node-01", "node-02", "node-03"]),
        (Query(sort="state"), ["node-02", "node-01", "node-03"]),
        (Query(sort="phase"), ["node-01", "node-02", "node-03"]),
    ],
)
def test_a_query_means_these(query: Query, expected: list[str]) -> None:
    assert expected == names(query)


def test_pages_have_so_many_rows_and_one_behind_the_last_is_the_last() -> None:
    rows = [Row(f"node-{number:04}") for number in range(2 * PAGE + 1)]
    assert (PAGE, 3, 1) == (len(select(rows, Query()).rows), select(rows, Query()).pages, select(rows, Query()).page)
    last = select(rows, Query(page=99))
    assert ([rows[-1]], 3, 2 * PAGE + 1) == (list(last.rows), last.page, last.found)
    assert (1, 0) == (select([], Query()).pages, select([], Query()).found)


QUERIES = st.builds(
    Query,
    q=st.text(max_size=20),
    phase=st.sampled_from(["", AWAY, "agent"]),
    state=st.sampled_from(["", "FAILED"]),
    issue=st.sampled_from(["", "any"]),
    sort=st.sampled_from(SORTS),
    by=st.text(max_size=5),
)


@given(QUERIES, st.integers(1, 10**5))
def test_an_address_says_all_of_a_query(query: Query, page: int) -> None:
    given_ = dict(parse_qsl(urlsplit(query.but(page=page)).query, keep_blank_values=True))
    expected = Query(query.q, query.phase, query.state, query.issue, query.sort, page, query.by)
    assert expected == Query.of(given_)


@given(st.dictionaries(st.sampled_from(["q", "phase", "state", "issue", "sort", "page", "by"]), st.text(max_size=30)))
def test_whatever_stands_in_an_address_there_is_a_page(given_: dict[str, str]) -> None:
    query = Query.of(given_)
    assert select(matching(ROWS, query), query).page >= 1


def test_counts_are_of_all_machines() -> None:
    counts = counts_of(ROWS)
    assert (3, {"agent": 1, AWAY: 2}, {"RUNNING": 1, "FAILED": 1}) == (counts.machines, counts.phases, counts.states)
    assert ({"run-failed": 1}, ["rack"]) == (counts.issues, counts.labels)


def test_a_map_has_those_without_the_label_too() -> None:
    assert {"": ["node-03"], "r1": ["node-01"], "r2": ["node-02"]} == {
        value: [row.name for row in rows] for value, rows in map_of(ROWS, "rack").items()
    }
