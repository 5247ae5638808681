"""A part of a document says what it is a part of, and pages lose and double nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.errors import Malformed
from netboot.selection import MOST, MOST_FIELDS, NoField, Selection, select

FLEET = {
    "apiVersion": "gitboot/v1",
    "kind": "Fleet",
    "plan": "p1",
    "counts": {"phases": {"away": 2}, "issues": {}},
    "machines": [
        {"name": "a", "phase": "away", "labels": {"rack": "r1", "row": "2"}},
        {"name": "b", "phase": "ipxe", "labels": {}},
    ],
}


def part(document: dict[str, Any], **said: str) -> dict[str, Any]:
    return select(document, Selection.of(said.items())).document


def test_who_asks_for_nothing_in_particular_is_given_all() -> None:
    assert Selection.of([("something", "else")]).whole
    assert (FLEET, "") == select(FLEET, Selection())


def test_a_part_holds_what_is_asked_for_and_says_so() -> None:
    said = {"apiVersion": "gitboot/v1", "kind": "Fleet", "fields": ["counts.phases", "machines.name", "machines.labels.rack"]}
    assert {
        **said,
        "counts": {"phases": {"away": 2}},
        "machines": [{"name": "a", "labels": {"rack": "r1"}}, {"name": "b", "labels": {}}],
    } == part(FLEET, fields="counts.phases,machines.name,machines.labels.rack")


def test_all_of_a_field_is_more_than_a_part_of_it() -> None:
    assert FLEET["counts"] == part(FLEET, fields="counts.phases,counts")["counts"]


class Name(str):
    """Counts how often any is looked at to be found again."""

    hashed = 0

    def __hash__(self) -> int:
        Name.hashed += 1
        return super().__hash__()


def test_what_is_asked_for_is_gone_through_once_and_not_for_each_entry() -> None:
    """718 fields held everybody up for two seconds where there are 10,000 machines."""
    asked, costs = Selection(((Name("machines"), Name("name")), (Name("machines"), Name("labels"), Name("rack")))), []
    for many in (1, 100):
        before = Name.hashed
        select({**FLEET, "machines": FLEET["machines"][:1] * many}, asked)  # type: ignore[index]
        costs.append(Name.hashed - before)
    assert costs[0] == costs[1] > 0


def test_what_is_below_something_that_has_nothing_below_it_is_that() -> None:
    assert "p1" == part(FLEET, fields="plan.id")["plan"]


def test_a_field_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(NoField, match=r"no field 'machine' .* it has apiVersion, kind, plan, counts, machines"):
        part(FLEET, fields="machine.name")


NONSENSE = [
    *([("limit", each)] for each in ("0", str(MOST + 1), "-1", "²", "", "9" * 5000)),
    *([("fields", each)] for each in ("", "a,,b", "a.", "a" + ",a" * MOST_FIELDS)),
    [("limit", "1"), ("limit", "2")],
]


@pytest.mark.parametrize("said", NONSENSE, ids=lambda said: repr(said)[:40])
def test_what_cannot_be_understood_is_refused(said: list[tuple[str, str]]) -> None:
    with pytest.raises(Malformed):
        Selection.of(said)


def issue(machine: str | None, message: str) -> dict[str, Any]:
    return {"kind": "no-agent", "machine": machine, "message": message}


def follow(documents: list[dict[str, Any]], limit: int) -> list[Any]:
    """All pages, the first of the first document, the next of the next one; the last document stays."""
    found, after, turn = [], "", 0
    while True:
        document = documents[min(turn, len(documents) - 1)]
        page = select(document, Selection((), limit, after))
        found += next(value for value in page.document.values() if isinstance(value, list))
        turn, after = turn + 1, page.next
        if not after:
            return found


@given(st.lists(st.text(max_size=3)), st.integers(1, 5))
def test_pages_have_everything_once_whatever_its_name(names: list[str], limit: int) -> None:
    """But an entry without a name, which is before every page."""
    assert sorted(filter(None, names)) == follow([{"kind": "Index", "documents": [name for name in names if name]}], limit)


@given(st.sets(st.sampled_from("abcdefgh")), st.lists(st.sets(st.sampled_from("stuvwxyz0123")), min_size=1), st.integers(1, 4))
def test_what_comes_and_goes_between_pages_costs_nobody_else_their_place(
    stay: set[str], others: list[set[str]], limit: int
) -> None:
    documents = [{"kind": "Fleet", "machines": [{"name": name} for name in stay | more]} for more in others]
    found = [each["name"] for each in follow(documents, limit)]
    assert sorted(stay) == sorted(name for name in found if name in stay)
    assert len(found) == len(set(found))


def test_issues_of_one_kind_and_machine_are_told_apart_and_the_sites_come_first() -> None:
    issues = [issue("b", "x"), issue("a", "y"), issue(None, "one"), issue(None, "two"), issue("a", "z")]
    found = follow([{"kind": "Issues", "issues": issues}], 1)
    assert [None, None, "a", "a", "b"] == [each["machine"] for each in found]
    assert sorted(map(str, issues)) == sorted(map(str, found))


def test_a_document_without_a_list_has_one_page() -> None:
    document = {"kind": "ReconcileStatus", "problems": [1, 2, 3]}
    assert (document, "") == select(document, Selection((), 1))
