"""Trust: every change since the last trusted commit has somebody listed behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netboot.plan import BootPlan, Machine
from netboot.trust import Signer, Trust
from netboot.work import Work
from reconciler.commits import Commit, Span, oldest_first, untouched
from reconciler.problems import Problem
from reconciler.trust import (
    MOST_SAID,
    NO_FLOOR,
    Floor,
    about_commits,
    destructive,
    effective,
    loosened,
    needed,
    to_verify,
    unvouched,
)
from tests.effort import examples
from tests.netboot.site import machine
from tests.netboot.site import plan as dump_of

ANN, BOB, CAT = (Signer(name, ssh=f"ssh-ed25519 {name}") for name in ("ann", "bob", "cat"))


# Histories ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class History:
    """Commits by number: what each has for parents, and which inventory. The second is `since`, the first is older."""

    parents: tuple[tuple[int, ...], ...]
    inventory: tuple[int, ...]

    SINCE = 1

    def above(self, number: int) -> set[int]:
        """A commit with all of its history."""
        return {number}.union(*(self.above(parent) for parent in self.parents[number]))

    @property
    def head(self) -> int:
        return len(self.parents) - 1

    @property
    def new(self) -> set[int]:
        return self.above(self.head) - self.above(self.SINCE)

    def span(self) -> Span:
        return Span(str(self.head), str(self.SINCE), {str(number): self.commit(number) for number in self.new})

    def commit(self, number: int) -> Commit:
        parents = self.parents[number]
        touched = tuple(self.inventory[parent] != self.inventory[number] for parent in parents)
        return Commit(str(number), tuple(map(str, parents)), "Ann", "change", False, touched)


def line(*commits: tuple[tuple[int, ...], int]) -> History:
    """Behind an old commit with inventory 0 and the trusted one with inventory 1."""
    return History(((), (0,), *(parents for parents, _ in commits)), (0, 1, *(inventory for _, inventory in commits)))


@st.composite
def histories(draw: Any) -> History:
    parents: list[tuple[int, ...]] = [(), (0,)]
    inventory = [0, 1]
    for number in range(2, draw(st.integers(3, 9))):
        mine = tuple(draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=3, unique=True)))
        parents.append(mine)
        inventory.append(draw(st.sampled_from([inventory[parent] for parent in mine] * 3 + [number])))
    return History(tuple(parents), tuple(inventory))


def numbers(history: History) -> st.SearchStrategy[set[int]]:
    return st.sets(st.sampled_from(sorted(history.new))) if history.new else st.just(set())


@settings(max_examples=examples(500), deadline=None)
@given(st.data())
def test_nothing_that_nobody_stands_behind_is_ever_trusted(data: st.DataObject) -> None:
    history = data.draw(histories())
    span = history.span()
    verified, tagged = data.draw(numbers(history)), data.draw(numbers(history))
    if not span.goes_on or unvouched(span, {str(each) for each in verified}, {str(each) for each in tagged}):
        return
    backed = verified.union(*map(history.above, tagged))
    for merge in (each for each in verified if len(history.parents[each]) > 1):
        first, *others = history.parents[merge]
        backed |= set[int]().union(*map(history.above, others)) - history.above(first)
    changes = {
        each
        for each in history.new
        if all(history.inventory[each] != history.inventory[parent] for parent in history.parents[each])
    }
    assert changes <= backed, "a change without anybody behind it"
    stated = [
        each
        for each in (*(backed & history.new), History.SINCE)
        if history.inventory[each] == history.inventory[history.head] and changes | {History.SINCE} <= history.above(each)
    ]
    assert stated, "the head's inventory is nobody's last word"


def test_the_property_above_is_not_about_nothing() -> None:
    """Histories of every shape are trusted when they should be."""
    signed = line(((1,), 2), ((2,), 3))
    assert () == unvouched(signed.span(), {"2", "3"})
    assert ("3",) == unvouched(signed.span(), {"2"})
    assert ("2",) == unvouched(signed.span(), {"3"})
    assert () == unvouched(signed.span(), set(), {"3"})


@pytest.mark.parametrize(
    ("what", "history", "quiet"),
    [
        ("a change", line(((1,), 2)), set()),
        ("a commit that leaves the inventory alone", line(((1,), 1)), {2}),
        ("a merge of a branch that is up to date", line(((1,), 2), ((1, 2), 2)), {3}),
        ("a merge of a branch that is not", line(((1,), 2), ((1,), 3), ((2, 3), 3)), set()),
        ("a merge that mixes", line(((1,), 2), ((1,), 3), ((2, 3), 4)), set()),
        ("a merge of an older branch that changed nothing", line(((0,), 0), ((1, 2), 1)), {2, 3}),
        ("a merge that goes back to an older branch", line(((0,), 0), ((1, 2), 0)), {2}),
        ("a merge that goes back to the past", line(((1, 0), 0)), set()),
        ("a merge of the past that stays", line(((1, 0), 1)), {2}),
        ("three branches of which one has all", line(((1,), 2), ((2,), 3), ((3, 2, 1), 3)), {4}),
        ("two merges, of which the second undoes the first", line(((1,), 2), ((1, 2), 2), ((3, 1), 1)), {3}),
    ],
)
def test_what_leaves_the_inventory_as_trusted_history_had_it(what: str, history: History, quiet: set[int]) -> None:
    assert {str(each) for each in quiet} == untouched(history.span()), what


def test_a_signed_merge_stands_behind_its_later_parents_alone() -> None:
    history = line(((1,), 2), ((1,), 3), ((2, 3), 4))
    assert ("2",) == unvouched(history.span(), {"4"})
    assert () == unvouched(history.span(), {"4", "2"})
    assert ("3", "4") == unvouched(history.span(), {"2"})
    other_way = line(((1,), 2), ((1,), 3), ((3, 2), 4))
    assert ("3",) == unvouched(other_way.span(), {"4"})


def test_commits_are_named_oldest_first() -> None:
    span = line(((1,), 2), ((2,), 3), ((1,), 4), ((4, 3), 5)).span()
    order = oldest_first(span)
    assert all(
        order.index(parent) < order.index(name) for name in order for parent in span.commits[name].parents if parent != "1"
    )
    assert tuple(order) == to_verify(span)


def test_a_first_commit_is_judged_by_itself() -> None:
    span = Span("7", "", {"7": Commit("7", (), "Ann", "first", True)})
    assert span.goes_on
    assert ("7",) == to_verify(span)


# Rules -------------------------------------------------------------------------------------------------------------------


def test_the_stricter_rule_holds_and_the_signers_of_both() -> None:
    served, floor = Trust("warn", (ANN, BOB)), Trust("destructive", (BOB, CAT))
    assert Trust("destructive", (ANN, BOB, CAT)) == effective(served, floor)
    assert Trust("required", (ANN, BOB, CAT)) == effective(Trust("required", (ANN, BOB)), floor)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (Trust("required", (ANN,)), ()),
        (Trust("required", ()), ()),
        (Trust("required", (Signer("renamed", ssh=ANN.ssh),)), ()),
        (Trust("warn", (ANN,)), ("lowers the rule for commits from required to warn",)),
        (Trust("required", (ANN, BOB)), ("adds the signer bob",)),
        (Trust("required", (Signer("ann", ssh=BOB.ssh),)), ("adds the signer ann",)),
        (Trust("required", (Signer("ann", ssh=ANN.ssh, valid_before=9),)), ("changes when the key of ann counts",)),
    ],
)
def test_what_loosens_trust_is_named(after: Trust, said: tuple[str, ...]) -> None:
    assert said == loosened(Trust("required", (ANN,)), after)


def test_the_floor_holds_whatever_a_commit_loosens() -> None:
    floor = Floor(Trust("destructive", (ANN,)))
    before, after = plan(machine(1), trust=Trust("destructive", (ANN,))), plan(machine(1))
    assert needed(effective(before.site.trust, floor.trust), floor, before, after) is None, "it loosens nothing that holds"
    assert needed(effective(before.site.trust, floor.trust), NO_FLOOR, before, after) is not None


@pytest.mark.parametrize(("rule", "asked"), [("off", None), ("warn", ()), ("required", ())])
def test_the_other_rules_do_not_ask_what_a_commit_changes(rule: Any, asked: tuple[str, ...] | None) -> None:
    assert asked == needed(Trust(rule, (ANN,)), NO_FLOOR, None, None)


# What is destructive -----------------------------------------------------------------------------------------------------


def plan(*machines: Machine, **site: Any) -> BootPlan:
    return dump_of(*machines, **site).plan


def with_work(**changed: Any) -> Machine:
    work = Work(**{"workflow": "look", "run": 1, "document": steps("image2disk:v3"), **changed})
    return msgspec.structs.replace(machine(1), work=(work,))


def steps(image: str, **action: Any) -> dict[str, Any]:
    return {"tasks": [{"name": "a", "worker": "", "actions": [{"name": "b", "image": image, **action}]}]}


KNOWN = {"archive": {"url": "/a", "sha256": "00", "size": 1}}
"""From the site's own archive."""


@pytest.mark.parametrize(
    ("what", "before", "after", "said"),
    [
        ("nothing", with_work(), with_work(), ""),
        ("new work", machine(1), with_work(), "run 1 of the workflow look"),
        ("no work any more", with_work(), machine(1), ""),
        ("a new machine with work", machine(2), with_work(), "run 1 of the workflow look"),
        ("a new machine without", machine(2), machine(1), ""),
        ("again", with_work(), with_work(run=2), "run 2 of the workflow look"),
        (
            "something else",
            with_work(),
            with_work(document=steps("disk-wipe:v3")),
            "run 1 of the workflow look",
        ),
        ("at every boot", with_work(), with_work(repeat="everyBoot"), "run 1 of the workflow look"),
        ("more disks", with_work(), with_work(overwrites=("sda",)), "run 1 of the workflow look"),
        ("an end to it", with_work(), with_work(cancel=True), ""),
        ("no end after all", with_work(cancel=True), with_work(), "run 1 of the workflow look"),
        ("another name", with_work(), msgspec.structs.replace(with_work(), name="renamed"), ""),
        ("what only reads", machine(1), with_work(document=steps("slurp:v3", **KNOWN)), ""),
        (
            "what may be anything",
            machine(1),
            with_work(document=steps("slurp:v3")),
            "run 1 of the workflow look",
        ),
    ],
)
def test_work_that_is_new_or_not_as_it_was_is_destructive(what: str, before: Machine, after: Machine, said: str) -> None:
    assert ((f"has node-01 do {said}",) if said else ()) == destructive(plan(before), plan(after)), what


def test_where_nothing_was_served_all_work_is_new() -> None:
    assert ("has node-01 do run 1 of the workflow look",) == destructive(None, plan(with_work()))


# What is said ------------------------------------------------------------------------------------------------------------


def test_many_commits_are_counted_and_not_listed() -> None:
    commits = [Commit(f"{number:040}", (), "Ann", "change", False) for number in range(MOST_SAID + 5)]
    said = about_commits(commits, {}, "error")
    assert MOST_SAID + 1 == len(said)
    assert said[-1].message.startswith("5 more commits")
    assert all(isinstance(each, Problem) and each.code == "untrusted-commit" for each in said)


def test_why_a_signature_is_needed_is_said_shortly() -> None:
    (problem,) = about_commits(
        [Commit("a" * 40, (), "Ann <ann@lab.example>", "more", False)],
        {},
        "error",
        ["adds one", "adds two", "adds three", "adds four"],
    )
    assert problem.message.endswith(
        "A signature is needed because the change adds one, adds two, adds three, and 1 more such things."
    )
