"""How long things take: what is counted, in which bucket, and that it never grows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.durations import ANSWERS, AnswerKind, Durations, Histogram, asked_for
from netboot.events import ActionEnded, ActionStarted, BootAdvanced, BootClosed, Event, RunEnded
from netboot.runs import Claimed
from tests.netboot.plan_example import IPXE, Room, machine, port, work


@given(st.lists(st.floats(-5, 100)))
def test_every_value_is_in_the_bucket_of_the_first_bound_that_it_does_not_exceed(values: list[float]) -> None:
    histogram = Histogram(ANSWERS)
    for value in values:
        histogram.add(value)
    for bound, upto in zip(ANSWERS, (sum(histogram.counts[: number + 1]) for number in range(len(ANSWERS))), strict=True):
        assert sum(value <= bound for value in values) == upto
    assert len(values) == sum(histogram.counts)
    assert sum(max(value, 0.0) for value in values) == pytest.approx(histogram.sum)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/ipxe/52-54-00-12-34-01/boot.ipxe", "script"),
        ("/ipxe//shimx64.efi", "script"),
        ("//grub/x", "script"),
        ("/auto.ipxe", "script"),
        ("/artifacts/sha256/aa", "artifact"),
        ("/agent/claim", "agent"),
        ("/2009-04-04/meta-data", "metadata"),
        ("/latest/api/token", "metadata"),
        ("/", "reading"),
        ("/status/index.json", "reading"),
        ("/" + "x" * 5000, "reading"),
    ],
)
def test_what_is_asked_for_is_known_by_its_path(path: str, kind: AnswerKind) -> None:
    assert kind == asked_for(path)


def test_phases_actions_and_runs_are_measured_as_they_end() -> None:
    room, known = Room.of(machine("node-01", port(), work=(work(),))), Durations()

    def happen(*events: Event) -> None:
        room.happen(*events)
        for event in events:
            known.apply(event, room.observed)

    room.discover(said=IPXE)
    boot = room.script().boot
    began, claimed = room.now, room.claim(boot, work())
    assert isinstance(claimed, Claimed)
    task = room.observed.runs[claimed.run].document.tasks[0]
    step: dict[str, Any] = {"run": claimed.run, "task": task.name, "action": task.actions[0].name, "attempt": 1}
    happen(ActionStarted(at=room.now + 3, sequence=1, **step))
    happen(ActionEnded(at=room.now + 10, sequence=2, state="SUCCESS", **step))
    happen(RunEnded(at=room.now + 12, run=claimed.run, state="SUCCESS", reason=""))
    happen(BootAdvanced(at=room.now + 20, boot=boot, phase="disk"), BootClosed(at=room.now + 25, boot=boot, reason="over"))
    assert {"SUCCESS": 7.0} == {state: each.sum for state, each in known.actions.items()}
    assert {"SUCCESS": 12.0, "FAILED": 0.0, "TIMEOUT": 0.0, "CANCELLED": 0.0} == {
        end: each.sum for end, each in known.runs.items()
    }
    agent = room.observed.boots[boot].phases["agent"]
    assert {"agent": room.now + 20 - agent, "disk": 5.0} == {phase: each.sum for phase, each in known.phases.items()}
    assert began <= agent


def test_what_is_not_known_any_more_is_not_measured() -> None:
    known, room = Durations(), Room.of(machine())
    step: dict[str, Any] = {"run": "r", "sequence": 1, "task": "t", "action": "a", "attempt": 1}
    for event in (BootClosed(at=1, boot="b", reason=""), BootAdvanced(at=1, boot="b", phase="agent"),
                  ActionEnded(at=1, state="SUCCESS", **step), RunEnded(at=1, run="r", state="FAILED", reason="")):  # fmt: skip
        known.apply(event, room.observed)
    assert ({}, {}) == (known.phases, known.actions)
    assert not any(each.sum for each in known.runs.values())
