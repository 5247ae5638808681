"""A boot's story: each phase with its time, what is expected next, and until when."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

import schemas
from agent.workflow import Action, Task, Workflow, to_json
from netboot.endings import LOST, boot_ends
from netboot.events import ActionEnded, ActionStarted, BootAdvanced, Phase, RunEnded
from netboot.expectations import ENOUGH, LEAST, Expectations, Expected
from netboot.records import MOST_STAGES
from netboot.runs import Claimed
from netboot.status_documents import DesiredHardware, NextStep
from netboot.story import OVERDUE, PATIENCE, Story, story_document, story_of
from netboot.unasked import timed_out
from netboot.work import Work
from tests.netboot.plan_example import BIOS, IPXE, MAC, Room, machine, plan, work

LIMITED = to_json(
    Workflow("install", (Task("task", "node-01", (Action("act", "image", timeout=60), Action("next", "image"))),))
)
NODE = DesiredHardware("node-01", (MAC,), next="runs workflow install run 1", step=NextStep("run", "install", 1))
INSTALL = work(document=LIMITED)


def working() -> Room:
    return Room.of(machine(work=(INSTALL,)))


def story(room: Room, due: float = 0.0, asked: DesiredHardware = NODE) -> Story:
    told = story_of(asked, room.observed, due)
    schema = schemas.load("status-hardware")["properties"]["story"]
    Draft202012Validator(schema).validate(story_document("node-01", told))
    return told


def names(room: Room) -> list[str]:
    return [phase.name for phase in story(room).phases]


def started(room: Room, asked: Work = INSTALL) -> str:
    """The run of a machine whose agent has begun."""
    room.discover(said=BIOS)
    room.discover(said=IPXE)
    boot = room.script().boot
    room.happen(BootAdvanced(at=room.tick(), boot=boot, phase="kernel", reason="fetches vmlinuz"))
    claimed = room.claim(boot, asked)
    assert isinstance(claimed, Claimed)
    return claimed.run


def act(room: Room, run: str, action: str, state: Any = "") -> None:
    """Begins, and ends unless there is no `state`."""
    said: dict[str, Any] = {"run": run, "sequence": room.observed.runs[run].sequence + 1, "task": "task", "action": action}
    room.happen(ActionStarted(at=room.tick(), attempt=1, **said))
    if state:
        room.happen(ActionEnded(at=room.tick(), attempt=1, state=state, **{**said, "sequence": said["sequence"] + 1}))


def ended(room: Room, run: str) -> str:
    """Its boot, told to restart."""
    room.happen(RunEnded(at=room.tick(), run=run, state="SUCCESS", reason="", sequence=9))
    boot = room.observed.boots[room.observed.runs[run].boot]
    room.happen(*boot_ends(boot, "reboot", "its work is done", room.tick()))
    return boot.id


def test_a_machine_that_was_never_seen_has_no_phases_and_says_what_it_would_do() -> None:
    told = story(working(), due=5.0)
    assert (None, ()) == (told.boot, told.phases)
    assert told.next.what == "it boots from the network: runs workflow install run 1"
    assert (told.next.by, told.next.why) == (5.0 + NODE.boot_timeout, "it has never been seen")


def test_nobody_waits_for_a_machine_that_nothing_is_due_on() -> None:
    idle = DesiredHardware("node-01", (MAC,), next="boots its disk: git names no work for it", step=NextStep("disk"))
    told = story(working(), 5.0, idle).next
    assert (None, "nothing; if it boots from the network: boots its disk: git names no work for it") == (told.by, told.what)


def test_each_phase_lasts_until_the_next_and_the_last_goes_on() -> None:
    room = working()
    run = started(room)
    act(room, run, "act", "SUCCESS")
    phases = story(room).phases
    assert ["firmware", "ipxe", "script", "kernel", "agent", "actions"] == [phase.name for phase in phases]
    assert [phase.until for phase in phases] == [*(phase.since for phase in phases[1:]), None]
    assert [("act", "SUCCESS")] == [(part.attempt.action, part.attempt.state) for part in phases[-1].parts]
    assert "workflow install run 1: RUNNING" == phases[-1].what


@pytest.mark.parametrize("phase", ["firmware", "ipxe", "script", "kernel"])
def test_what_comes_next_is_overdue_when_patience_has_ended(phase: Phase) -> None:
    room = working()
    room.discover(said=BIOS)
    if phase != "firmware":
        room.discover(said=IPXE)
    if phase in ("script", "kernel"):
        boot = room.script().boot
        if phase == "kernel":
            room.happen(BootAdvanced(at=room.now, boot=boot, phase="kernel"))
        room.observed.touch(boot, room.now)
    told = story(room)
    assert (phase, room.now + PATIENCE[phase]) == (told.phases[-1].name, told.next.by)
    room.observed.listening = room.now + 10
    assert story(room).next.by == room.now + 10 + PATIENCE[phase], "while nobody listened nobody was silent"


def test_nobody_waits_longer_for_an_agent_than_its_run_may_be_pending() -> None:
    room = working()
    room.discover(said=BIOS)
    told = story(room, asked=DesiredHardware("node-01", (MAC,), pending_timeout=20.0))
    assert told.boot is not None
    assert told.next.by == told.boot.opened + 20.0


def test_a_machine_that_was_told_to_wait_is_waited_for_as_long_as_a_boot_may_be_silent() -> None:
    room = Room.of(machine(idle="wait"))
    room.discover(said=IPXE)
    room.script()
    told = story(room).next
    assert told.by == room.now + NODE.boot_timeout
    assert ("it asks for its script again", True) == (told.what, "its idle state is to wait" in told.why)


def test_an_action_is_overdue_when_its_limit_has_passed() -> None:
    room = working()
    run = started(room)
    act(room, run, "act")
    told = story(room).next
    assert ("task/act ends", room.now + 60 + OVERDUE) == (told.what, told.by)
    act(room, run, "next")
    assert story(room).next.by is None, "it has no limit"


def test_between_two_actions_the_agent_is_waited_for() -> None:
    room = working()
    run = started(room)
    act(room, run, "act", "SUCCESS")
    (boot,) = room.observed.boots.values()
    assert story(room).next.by == boot.last_seen + LOST


def test_with_what_was_learned_a_phase_says_how_long_it_takes_and_is_overdue_by_that() -> None:
    room, known = working(), Expectations(lambda name: "Board")
    run = started(room)
    act(room, run, "act", "SUCCESS")
    for event in room.journal * ENOUGH:
        known.apply(event, room.observed)
    act(room, run, "act")
    told = story_of(NODE, room.observed, expectations=known)
    expected = {phase.name: phase.expected for phase in told.phases}
    assert Expected(1.0, 1.0, ENOUGH, own=True) == expected["ipxe"] == told.phases[-1].parts[-1].expected
    assert (None, None) == (expected["agent"], expected["actions"])
    assert room.now + LEAST == told.next.by
    assert {"median": 1.0, "high": 1.0, "of": ENOUGH} == story_document("node-01", told)["phases"][1]["expected"]


def test_a_machine_that_was_told_to_restart_is_waited_for_and_its_story_goes_on() -> None:
    room = working()
    boot = ended(room, started(room))
    told = story(room)
    assert ["actions", "agent", "restart"] == [phase.name for phase in told.phases[-3:]]
    assert ("its firmware asks for an address", room.now + PATIENCE["restart"]) == (told.next.what, told.next.by)
    room.discover(said=BIOS)
    room.discover(said=IPXE)
    room.script()
    told = story(room)
    assert told.boot is not None
    assert boot == told.boot.id
    whole = ["firmware", "ipxe", "script", "kernel", "agent", "actions", "agent", "restart", "firmware", "ipxe", "disk"]
    assert whole == names(room)
    assert told.phases[-1].until == told.boot.closed


def test_nobody_waits_for_a_machine_that_was_told_to_restart_and_boots_its_own_disk() -> None:
    room = working()
    ended(room, started(room))
    idle = DesiredHardware("node-01", (MAC,), next="boots its disk", step=NextStep("disk"))
    told = story(room, asked=idle)
    assert ("restart", None) == (told.phases[-1].name, told.phases[-1].until)
    assert ("nothing; if it boots from the network: boots its disk", None) == (told.next.what, told.next.by)


def test_new_work_for_a_machine_that_was_told_to_restart_is_waited_for_as_for_any_other() -> None:
    room = working()
    ended(room, started(room))
    due = room.now + 86400
    told = story(room, due).next
    assert ("it boots from the network: runs workflow install run 1", due + NODE.boot_timeout) == (told.what, told.by)


def test_a_machine_that_fell_silent_with_work_to_do_is_overdue_when_its_boot_is_over() -> None:
    room = working()
    due = room.now
    started(room)
    room.now += 1801
    room.happen(*timed_out(room.observed, 1800, room.now))
    assert room.now == story(room, due).next.by
    room.observed.listening = room.now + 10
    assert room.now + 10 == story(room, due).next.by


def test_a_clock_that_is_set_back_makes_phases_short_and_changes_no_order() -> None:
    room = working()
    run = started(room)
    room.now -= 500
    act(room, run, "act", "SUCCESS")
    ended(room, run)
    phases = story(room).phases
    assert ["firmware", "ipxe", "script", "kernel", "agent", "actions", "agent", "restart"] == [phase.name for phase in phases]
    assert ["act"] == [part.attempt.action for part in phases[5].parts]
    assert all((phase.until or phase.since) >= phase.since for phase in phases)


def test_a_run_that_another_boot_began_shows_what_was_done_in_this_one() -> None:
    asked = work(document=LIMITED, resets=1)
    room = Room.of(machine(work=(asked,)))
    run = started(room, asked)
    act(room, run, "act")
    room.now += 100
    room.discover(said=BIOS)
    room.discover(said=IPXE)
    claimed = room.claim(room.script().boot, asked, system="os-2")
    assert isinstance(claimed, Claimed), claimed
    act(room, run, "act", "SUCCESS")
    last = story(room).phases[-1]
    assert ("actions", run, [("act", "SUCCESS")]) == (
        last.name, last.run.id if last.run else "", [(part.attempt.action, part.attempt.state) for part in last.parts]
    )  # fmt: skip


def test_a_machine_that_was_reset_has_another_story() -> None:
    room = working()
    started(room)
    room.now += 100
    room.discover(said=BIOS)
    assert ["firmware"] == names(room)


def test_a_story_does_not_grow_without_end() -> None:
    room = working()
    for number in range(1, 13):
        room.publish(plan(machine(work=(asked := work(run=number, document=LIMITED),))))
        ended(room, started(room, asked))
    (boot,) = room.observed.boots.values()
    assert ("boot-1", MOST_STAGES) == (boot.id, len(boot.way))
    assert MOST_STAGES * 2 > len(names(room)) > MOST_STAGES
