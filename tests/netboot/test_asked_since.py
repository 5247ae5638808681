"""Since when a machine is asked for its work: whatever else is pushed meanwhile."""

from __future__ import annotations

from msgspec.structs import replace

from netboot.asked_since import AskedSince
from netboot.plan import Machine
from tests.netboot.site import machine


def taken(*pushes: Machine) -> float | None:
    """One after the other, at 10, 20, …; of the last."""
    asked = AskedSince()
    for number, each in enumerate(pushes, 1):
        asked.take({each.name: each}, 10.0 * number)
    return asked.of(pushes[-1].name)


LOOK = machine(1, "look")


def again(number: int) -> Machine:
    return replace(LOOK, work=tuple(replace(each, run=number) for each in LOOK.work))


def test_a_push_that_leaves_the_work_as_it_was_begins_nothing_anew() -> None:
    assert taken(LOOK, replace(LOOK, labels={"rack": "r2"}), again(1)) == 10.0


def test_another_run_is_asked_for_since_its_own_push() -> None:
    assert taken(LOOK, again(2), again(2)) == 20.0


def test_more_work_is_asked_for_since_then_and_less_is_not() -> None:
    both = machine(1, "look", "wipe")
    assert (taken(LOOK, both), taken(both, LOOK)) == (20.0, 10.0)


def test_a_machine_that_git_does_not_name_any_more_is_forgotten() -> None:
    asked = AskedSince()
    asked.take({"node-01": LOOK}, 10.0)
    asked.take({}, 20.0)
    assert asked.of("node-01") is None
