"""The difference of two plans: complete, empty for equal plans, and nothing in it that is not true."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from netboot.plan import BootPlan
from reconciler.changes import Change, Difference
from reconciler.compile import Compiler
from reconciler.diff import NO_FACTS, compare, facts_of_plan, patched
from reconciler.reader import Reader
from tests.effort import examples
from tests.reconciler.inventories import RICH, SOUND, snapshot
from tests.reconciler.test_compile import CHANGES

Files = Mapping[str, str | bytes]


def plan_of(files: Files) -> BootPlan | None:
    """None for files that nobody would serve."""
    inventory, _ = Reader().read(snapshot(files))
    compiled = Compiler().compile(inventory) if inventory else None
    return compiled.dump.plan if compiled and compiled.dump else None


def served(files: Files) -> BootPlan:
    return there(plan_of(files))


def between(before: Files, after: Files) -> Difference:
    return compare(served(before), served(after))


def only(difference: Difference) -> Change:
    (change,) = difference.machines
    return change


def texts_of(path: str) -> st.SearchStrategy[str | None]:
    others = [
        text.replace("{name: node-01", "{name: node-09") for text in CHANGES[path] if text and path == "hardware.yaml"
    ]  # under another name
    return st.sampled_from([*CHANGES[path], *others])


def inventories() -> st.SearchStrategy[BootPlan]:
    files = st.fixed_dictionaries({path: texts_of(path) for path in CHANGES})
    small = files.map(lambda found: plan_of({path: text for path, text in found.items() if text is not None}))
    return st.one_of(small.filter(bool).map(there), st.sampled_from([served(RICH), served(SOUND)]))


def there(plan: BootPlan | None) -> BootPlan:
    assert plan is not None
    return plan


@settings(max_examples=examples(150))
@given(inventories(), inventories())
def test_a_difference_applied_to_one_plan_gives_the_other_and_is_empty_exactly_for_equal_ones(
    before: BootPlan, after: BootPlan
) -> None:
    difference = compare(before, after)
    one, other = facts_of_plan(before), facts_of_plan(after)
    assert (before.id == after.id) == (not difference) == (not difference.site and not difference.machines) == (one == other)
    assert other == patched(one, difference)


@settings(max_examples=20)
@given(inventories())
def test_where_nothing_was_served_everything_is_new(after: BootPlan) -> None:
    assert facts_of_plan(after) == patched(NO_FACTS, compare(None, after))
