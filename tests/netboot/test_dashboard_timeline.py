"""Bars on a line of time: each as long as what it shows took, on one scale."""

from __future__ import annotations

from typing import Any

from netboot.dashboard.timeline import WIDTH, Scale, gantt, run_bars, scale_of_run, scale_of_runs, timeline, usual_of
from netboot.run_documents import rfc3339

USUAL = {"median": 20.0, "high": 40.0, "of": 12}


def phase(name: str, began: float, ended: float | None, **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"workflow": None, "run": None, "expected": None, "parts": []}
    return {"name": name, "began": rfc3339(began), "ended": None if ended is None else rfc3339(ended), **told, **more}


def part(action: str, began: float, ended: float | None, state: str = "SUCCESS", expected: Any = None) -> dict[str, Any]:
    span = {"began": rfc3339(began), "ended": None if ended is None else rfc3339(ended)}
    return {"task": "install", "action": action, "state": state, "expected": expected, **span}


def story(*phases: dict[str, Any]) -> dict[str, Any]:
    return {"phases": list(phases)}


def test_each_phase_is_as_wide_as_it_took_long() -> None:
    told = timeline(story(phase("firmware", 0, 25), phase("ipxe", 25, 75), phase("disk", 75, 100)), now=1000.0)
    assert told is not None
    assert [("firmware", 25.0), ("ipxe", 50.0), ("disk", 25.0)] == [(bar.kind, bar.seconds) for bar in told.phases]
    assert [0, 25, 75] == [round(100 * bar.left / WIDTH) for bar in told.phases]
    assert [25, 50, 25] == [round(100 * bar.width / WIDTH) for bar in told.phases]
    assert "firmware 25 seconds, ipxe 50 seconds, disk 25 seconds" == told.text


def test_what_goes_on_lasts_until_now_and_hides_nothing_before_it() -> None:
    told = timeline(story(phase("firmware", 0, 50), phase("agent", 50, None)), now=100_000.0)
    assert told is not None
    before, going = told.phases
    assert (99_950.0, True) == (going.seconds, going.goes_on)
    assert before.width == going.left
    assert 0.99 * WIDTH < going.left + going.width <= WIDTH
    assert "firmware 50 seconds, agent 1666 minutes so far" == told.text


def test_there_is_room_for_what_is_usual() -> None:
    told = timeline(story(phase("firmware", 0, 5), phase("ipxe", 5, None, expected=USUAL)), now=6.0)
    assert told is not None
    going = told.phases[1]
    assert going.width < going.expected < WIDTH - going.left
    assert USUAL == going.usual


def test_the_actions_of_a_run_are_bars_below_it() -> None:
    parts = [part("wipe", 10, 20), part("write", 20, None, "RUNNING", USUAL)]
    told = timeline(story(phase("agent", 0, 10), phase("actions", 10, None, workflow="install", run=2, parts=parts)), now=30.0)
    assert told is not None
    assert ["agent", "install run 2"] == [bar.title for bar in told.phases]
    assert [("install/wipe", "success"), ("install/write", "running")] == [(bar.title, bar.kind) for bar in told.parts]
    assert USUAL == usual_of(story(phase("actions", 10, None, parts=parts)))["install", "write"]


def test_a_clock_that_was_set_back_breaks_no_picture() -> None:
    told = timeline(story(phase("firmware", 100, 90), phase("ipxe", 90, None)), now=0.0)
    assert told is not None
    assert all(0 <= bar.left and 0 < bar.width and bar.left + bar.width <= WIDTH and bar.seconds >= 0 for bar in told.phases)


def test_a_machine_that_was_never_seen_has_no_picture() -> None:
    assert timeline(story(), now=1.0) is None


def test_every_attempt_of_a_run_is_a_bar_on_the_scale_of_all_runs() -> None:
    attempts = [
        {"state": "FAILED", "started": rfc3339(100), "ended": rfc3339(110)},
        {"state": "RUNNING", "started": rfc3339(110), "ended": None},
    ]
    task = {"name": "install", "actions": [{"name": "write", "attempts": attempts}, {"name": "check", "attempts": []}]}
    run = {"started": rfc3339(100), "ended": None, "tasks": [task]}
    other = {"started": rfc3339(0), "ended": rfc3339(50), "tasks": []}
    scale = scale_of_runs([run, other], 200.0)
    assert Scale(0.0, 200.0) == scale
    failed, going = run_bars(run, scale, 200.0, {})
    assert ("failed", 50, 5) == (failed.kind, round(100 * failed.left / WIDTH), round(100 * failed.width / WIDTH))
    assert ("running", 90.0, True) == (going.kind, going.seconds, going.goes_on)
    assert [] == run_bars(other, scale, 200.0, {})


def run(number: int, began: float, ended: float | None) -> dict[str, Any]:
    attempt = {"state": "SUCCESS", "started": rfc3339(began), "ended": None if ended is None else rfc3339(ended)}
    tasks = [{"name": "install", "actions": [{"name": "write", "attempts": [attempt]}]}]
    return {"id": f"r{number}", "started": rfc3339(began), "ended": None if ended is None else rfc3339(ended), "tasks": tasks}


def test_runs_at_about_the_same_time_are_drawn_by_the_clock() -> None:
    picture = gantt([run(1, 0, 100), None, run(2, 50, None)], "", now=200.0)
    assert (True, 0.0, 200.0) == (picture.by_clock, picture.scale.first, picture.scale.last)
    assert [0, 25] == [round(100 * row[0].left / WIDTH) for row in picture.rows if row]
    assert [1, 0, 1] == [len(row) for row in picture.rows]


def test_a_run_that_goes_on_has_room_for_what_is_usual() -> None:
    going, usual = run(1, 0, None), {("install", "write"): USUAL}
    assert Scale(0.0, 40.0) == scale_of_run(going, 5.0, usual)
    assert Scale(0.0, 90.0) == scale_of_run(going, 90.0, usual)
    assert Scale(0.0, 10.0) == scale_of_run(run(1, 0, 10), 90.0, usual)


def test_runs_far_apart_are_drawn_each_from_its_own_start() -> None:
    runs = [run(1, 0, 100), run(2, 86400, 86450)]
    picture = gantt(runs, "", now=90000.0)
    assert (False, 100.0) == (picture.by_clock, picture.scale.length)
    assert [(0, 100), (0, 50)] == [(row[0].left, round(100 * row[0].width / WIDTH)) for row in picture.rows]
    assert gantt(runs, "clock", now=90000.0).by_clock
    assert not gantt([run(1, 0, 100)], "own", now=100.0).by_clock


def test_there_is_a_picture_of_no_run_at_all() -> None:
    assert ([[], []], 0.0) == ((picture := gantt([None, None], "", 5.0)).rows, picture.scale.length)
