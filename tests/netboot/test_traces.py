"""A boot as a trace: its spans lie in each other, say what failed, and are the same whenever they are made."""

from __future__ import annotations

from collections.abc import Sequence

from netboot.events import BootClosed, RunEnded
from netboot.traces import LONGEST, Span, spans_of, trace_id
from tests.netboot.plan_example import BIOS, IPXE, Room
from tests.netboot.test_story import act, ended, started, working


def lies_within(spans: Sequence[Span]) -> None:
    """Each in its parent, in whose trace it is."""
    (top, *others), known = spans, {span.id: span for span in spans}
    assert len(known) == len(spans)
    assert 0 == top.parent
    for span in others:
        outer = known[span.parent]
        assert outer.began <= span.began <= span.ended <= outer.ended, span.name
        assert top.trace == span.trace


def of(room: Room, boot: str) -> tuple[Span, ...]:
    return spans_of(room.observed.boots[boot], room.observed, "c0ffee")


def test_a_boot_is_told_when_it_is_over_and_not_before() -> None:
    room = working()
    run = started(room)
    act(room, run, "act", "SUCCESS")
    boot = room.observed.runs[run].boot
    assert () == of(room, boot)
    assert boot == ended(room, run)
    spans = of(room, boot)
    lies_within(spans)
    assert ["boot", "firmware", "ipxe", "script", "kernel", "agent", "run", "action", "agent"] == [
        span.name for span in spans if span.name != "restart"
    ]
    top, action = spans[0], next(span for span in spans if span.name == "action")
    assert ("node-01", boot, "c0ffee") == tuple(top.facts[f"gitboot.{name}"] for name in ("machine", "boot", "commit"))
    assert ("task", "act", 1, "SUCCESS") == tuple(
        action.facts[f"gitboot.{name}"] for name in ("task", "action", "attempt", "state")
    )
    assert all(span.failure is None for span in spans)
    assert trace_id(boot) == top.trace


def test_the_same_boot_makes_the_same_spans() -> None:
    first, again = working(), working()
    told = []
    for room in (first, again):
        run = started(room)
        act(room, run, "act", "SUCCESS")
        told.append(of(room, ended(room, run)))
    assert told[0] == told[1]


def test_what_failed_says_why_in_bounds() -> None:
    room = working()
    run = started(room)
    act(room, run, "act", "FAILED")
    room.happen(RunEnded(at=room.tick(), run=run, state="FAILED", reason="x" * 5000 + "\ud800"))
    boot = room.observed.runs[run].boot
    room.happen(BootClosed(at=room.tick(), boot=boot, reason="\ud800 it was reset"))
    spans = of(room, boot)
    assert {"run": "x" * LONGEST, "action": "FAILED"} == {span.name: span.failure for span in spans if span.failure}
    assert "? it was reset" == spans[0].facts["gitboot.reason"]


def test_a_boot_that_goes_on_after_a_restart_has_two_spans_at_the_top_of_one_trace() -> None:
    room = working()
    run = started(room)
    act(room, run, "act", "SUCCESS")
    boot = ended(room, run)
    before = of(room, boot)
    room.discover(said=BIOS)
    room.discover(said=IPXE)
    room.script()
    after = of(room, boot)
    for spans in (before, after):
        lies_within(spans)
    assert ["boot", "restart", "firmware", "ipxe", "disk"] == [span.name for span in after]
    assert before[0].trace == after[0].trace
    assert not {span.id for span in before} & {span.id for span in after}
    assert before[0].ended == after[0].began, "the wait for the machine belongs to what came after it"
