"""What ends a run without its agent's word, and what a machine does when its work has ended."""

from __future__ import annotations

from typing import Any

import pytest

from agent.workflow import Action, Task, Then, Workflow, to_json
from netboot import endings
from netboot.events import RunEnded
from netboot.plan import BootPlan
from netboot.reports import Finished, Started
from netboot.runs import Accepted, Claimed, Nothing, report
from netboot.unasked import called_off, not_begun
from tests.netboot.plan_example import IPXE, MAC, Room, machine, plan, work
from tests.netboot.story import INSTALL, Story, begun
from tests.netboot.story import work as story_work


def document(then: Then) -> dict[str, Any]:
    return to_json(Workflow("install", (Task("task", "node-01", (Action("act", "image"),)),), then=then))


def site(run: int = 1, **more: Any) -> BootPlan:
    """node-01 with its work, and what the work says beside."""
    return plan(machine(work=(work(run=run, **more),)))


def booted(**more: Any) -> Room:
    """node-01 is in its in-memory OS."""
    room = Room.of(machine(work=(work(**more),)))
    power_on(room)
    return room


def power_on(room: Room) -> None:
    """Longer after the agent's last word than a session lives without one."""
    room.now += 31
    room.discover(said=IPXE)
    room.script()


def claimed(room: Room, system: str = "os-1") -> str:
    decision = room.agent_asks(system)
    assert isinstance(decision, Claimed), decision
    return decision.run


def ended(room: Room, run: str, state: Any, reason: str = "no disk") -> None:
    """The run ends as its agent says; before that it does all there is to do, if that is needed."""
    if state == "SUCCESS":
        room.happen(RunEnded(at=room.tick(), run=run, state="SUCCESS", reason="", sequence=1))
        return
    said = report(room.observed, room.boot.id, run, 1, Finished(state=state, reason=reason), room.tick())
    assert isinstance(said, Accepted)
    room.happen(*said.events)


def told(room: Room, system: str = "os-1", boot: str = "") -> tuple[str, str]:
    """(then, reason) when the agent asks and there is no work."""
    decision = room.agent_asks(system, boot)
    assert isinstance(decision, Nothing), decision
    return decision.then, decision.reason


# After SUCCESS ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("then", "phase", "closed"),
    [
        ("reboot", "agent", "end of work: "),
        ("poweroff", "agent", "powered off: "),
        ("kexec", "disk", "handed over by kexec: "),
        ("wait", "agent", None),
    ],
)
def test_after_success_a_machine_does_what_its_workflow_says_and_its_boot_ends_so(
    then: Then, phase: str, closed: str | None
) -> None:
    room = booted(document=document(then))
    ended(room, claimed(room), "SUCCESS")
    assert then == told(room)[0]
    assert phase == room.boot.phase
    assert (closed is None) == (room.boot.closed is None)
    assert room.boot.reason.startswith(closed or "")


@pytest.mark.parametrize("then", ["poweroff", "kexec", "wait"])
def test_an_answer_that_was_lost_is_given_again(then: Then) -> None:
    room = booted(document=document(then))
    ended(room, claimed(room), "SUCCESS")
    assert then == told(room)[0] == told(room)[0]


def test_what_a_machine_does_is_said_when_all_of_its_work_is_done_and_by_the_last_of_it() -> None:
    works = (work("a", document=document("poweroff")), work("b", document=document("kexec")))
    room = Room.of(machine(work=works))
    power_on(room)
    ended(room, claimed(room), "SUCCESS")
    ended(room, claimed(room), "SUCCESS")
    assert "kexec" == told(room)[0]


def test_a_machine_that_was_powered_off_begins_another_boot_and_one_that_restarted_goes_on_with_its_own() -> None:
    for then, same in (("poweroff", False), ("reboot", True)):
        room = booted(repeat="everyBoot", document=document(then))  # type: ignore[arg-type]  # the two above are literals
        ended(room, claimed(room), "SUCCESS")
        told(room)
        before = room.boot.id
        power_on(room)
        assert same == (before == room.boot.id)


# After a failure -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "then"), [("rescue", "wait"), ("reboot", "reboot"), ("poweroff", "poweroff")])
@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT"])
def test_after_a_failure_a_machine_does_what_the_workflow_says_of_that(policy: str, then: str, state: str) -> None:
    room = booted(on_failure=policy, document=document("kexec"))
    ended(room, claimed(room), state)
    assert then == told(room)[0]


def test_a_machine_kept_for_a_look_stays_until_a_person_resets_it_and_then_does_its_idle_thing() -> None:
    room = booted()
    ended(room, claimed(room), "FAILED")
    assert {"wait"} == {told(room)[0] for _ in range(5)}
    assert room.boot.closed is None
    power_on(room)
    assert "its idle state is the disk" in room.boot.reason


def test_a_machine_that_failed_because_it_was_reset_is_kept_for_a_look_as_well() -> None:
    room = booted()
    run = claimed(room)
    room.happen(*start(room, run))
    power_on(room)
    then, reason = told(room, "os-2")
    assert ("wait", True) == (then, "the machine was reset during task task" in reason)
    assert "wait" == told(room, "os-2")[0]


def start(room: Room, run: str) -> tuple[Any, ...]:
    said = report(room.observed, room.boot.id, run, 1, Started(task="task", action="act", attempt=1), room.tick())
    assert isinstance(said, Accepted)
    return said.events


def test_a_machine_kept_for_a_look_restarts_when_git_has_new_work_for_it() -> None:
    room = booted()
    ended(room, claimed(room), "FAILED")
    told(room)
    room.publish(plan(machine(work=(work(),)), cmdline="only a comment"))
    assert "wait" == told(room)[0]
    room.publish(site(run=2))
    then, reason = told(room)
    assert ("reboot", True) == (then, "there is a new plan: runs workflow install run 2" in reason)
    power_on(room)
    assert claimed(room, "os-2")


def test_a_hold_keeps_a_waiting_machine_where_it_is() -> None:
    room = booted()
    ended(room, claimed(room), "FAILED")
    room.publish(site(run=2))
    room.hold = "frozen by ann"
    assert "wait" == told(room)[0]


# Once more -------------------------------------------------------------------------------------------------------------


def test_a_run_that_failed_is_tried_again_in_a_fresh_start_as_often_as_git_says() -> None:
    room = booted(retry=2)
    tries = []
    for system in ("os-1", "os-2", "os-3"):
        tries.append(claimed(room, system))
        ended(room, tries[-1], "FAILED")
        then, reason = told(room, system)
        if system != "os-3":
            assert ("reboot", True) == (then, f"try {len(tries)} of 3 ended FAILED" in reason)
            power_on(room)
            assert f"try {len(tries) + 1} of 3" in room.boot.reason
    assert "wait" == then
    runs = [room.observed.runs[run] for run in tries]
    assert [1, 2, 3] == [run.number_of_try for run in runs]
    assert {"FAILED"} == {run.state for run in runs}
    assert runs == room.observed.runs_of("node-01", (MAC,))
    assert runs[-1] is room.observed.run_of("install", "node-01", (MAC,), 1)


def test_a_try_that_succeeds_is_the_last() -> None:
    room = booted(retry=5)
    ended(room, claimed(room), "TIMEOUT")
    told(room)
    power_on(room)
    ended(room, claimed(room, "os-2"), "SUCCESS")
    assert "reboot" == told(room, "os-2")[0]
    power_on(room)
    assert "ended SUCCESS" in room.boot.reason


def test_a_try_is_a_new_run_and_what_git_says_later_gives_an_old_one_no_further_tries() -> None:
    room = booted()
    ended(room, claimed(room), "FAILED")
    room.publish(site(retry=3))
    assert "wait" == told(room)[0]
    power_on(room)
    assert "ended FAILED" in room.boot.reason


def test_a_hold_stops_the_next_try() -> None:
    room = booted(retry=1)
    ended(room, claimed(room), "FAILED")
    told(room)
    room.hold = "frozen by ann"
    power_on(room)
    assert "is due but held: frozen by ann" in room.boot.reason


# Git cancels -----------------------------------------------------------------------------------------------------------


def test_what_git_cancels_ends_at_once_and_its_agent_hears_of_it() -> None:
    room = booted()
    run = claimed(room)
    room.publish(site(cancel=True))
    assert not endings.cancelled(room.observed, room.boot.id, run)
    room.happen(*called_off(room.plans.current, room.observed, room.tick()))
    assert ("CANCELLED", "git cancels workflow install") == (room.observed.runs[run].state, room.observed.runs[run].reason)
    assert endings.cancelled(room.observed, room.boot.id, run)
    assert "wait" == told(room)[0]


def test_a_run_goes_on_that_git_does_not_name_any_more() -> None:
    room = booted()
    run = claimed(room)
    room.publish(plan(machine()))
    assert () == called_off(room.plans.current, room.observed, room.tick())
    assert run == claimed(room)


def test_cancelled_work_does_not_begin_nor_does_what_comes_after_it() -> None:
    room = Room.of(machine(work=(work("a", cancel=True), work("b"))))
    power_on(room)
    assert "git cancels workflow a run 1; its idle state is the disk" in room.boot.reason


def test_a_machine_that_was_on_its_way_to_work_that_git_cancels_meanwhile_does_not_begin() -> None:
    room = booted()
    room.publish(site(cancel=True))
    assert ("reboot", "git cancels workflow install") == told(room)
    assert {} == room.observed.runs


def test_a_cancelled_run_is_not_tried_again_and_one_that_succeeded_keeps_its_success() -> None:
    room = booted(retry=3)
    run = claimed(room)
    room.publish(site(cancel=True, retry=3))
    assert "git cancels" in told(room)[1]
    assert "CANCELLED" == room.observed.runs[run].state
    room.publish(site(retry=3))
    power_on(room)
    assert "ended CANCELLED" in room.boot.reason
    done = booted()
    ended(done, claimed(done), "SUCCESS")
    done.publish(site(cancel=True))
    power_on(done)
    assert "ended SUCCESS" in done.boot.reason


def test_a_cancelled_workflow_is_told_apart_by_machine() -> None:
    room = booted()
    run = claimed(room)
    room.publish(plan(machine("renamed", work=(work(cancel=True),))))
    assert [run] == [
        event.run for event in called_off(room.plans.current, room.observed, room.tick()) if isinstance(event, RunEnded)
    ]


# Runs that do not begin ------------------------------------------------------------------------------------------------


def test_a_machine_that_booted_for_work_and_whose_agent_did_not_come_in_time_has_timed_out() -> None:
    room = booted(pending_timeout=600)
    opened = room.boot.opened
    assert () == not_begun(room.plans, room.observed, opened + 600, room.fresh)
    room.happen(*not_begun(room.plans, room.observed, opened + 601, room.fresh))
    (run,) = room.observed.runs.values()
    assert "TIMEOUT" == run.state
    assert "did not start within 600 s: the machine booted, and came no further than phase script" == run.reason
    assert () == not_begun(room.plans, room.observed, opened + 9999, room.fresh)
    assert ("reboot", "the plan asks nothing more of this machine") == told(room)


def test_a_machine_that_never_came_is_tried_again_as_any_that_failed() -> None:
    room = booted(pending_timeout=600, retry=1)
    room.happen(*not_begun(room.plans, room.observed, room.boot.opened + 601, room.fresh))
    assert 2 == room.observed.runs[claimed(room)].number_of_try


@pytest.mark.parametrize("what", ["claimed", "no limit", "not booting", "idle", "nobody listened"])
def test_nothing_else_is_late(what: str) -> None:
    room = Room.of(machine(work=(work(pending_timeout=0 if what == "no limit" else 600),) if what != "idle" else ()))
    if what != "not booting":
        power_on(room)
    if what == "claimed":
        claimed(room)
    later = room.now + 9999
    if what == "nobody listened":
        room.observed.listening = later - 30
    assert () == not_begun(room.plans, room.observed, later, room.fresh)


# Lost agents -----------------------------------------------------------------------------------------------------------


def test_an_agent_that_is_not_heard_of_is_lost_and_its_run_goes_on() -> None:
    story, boot, run = begun()
    status, heard = story.observed.runs[run], story.tick()
    story.observed.touch(boot, heard)
    assert endings.lost_since(story.observed, status, heard + endings.LOST) is None
    assert heard == endings.lost_since(story.observed, status, heard + endings.LOST + 1)
    story.observed.touch(boot, heard + 500)
    assert endings.lost_since(story.observed, status, heard + 501) is None
    assert status.active


def test_after_a_restart_of_the_server_every_agent_has_time_to_be_heard() -> None:
    story, _, run = begun()
    status = story.observed.runs[run]
    story.observed.listening = story.now + 5000
    assert endings.lost_since(story.observed, status, story.now + 5000 + endings.LOST) is None
    assert endings.lost_since(story.observed, status, story.now + 5001 + endings.LOST) is not None


def test_a_run_that_has_ended_has_no_agent_to_lose() -> None:
    story, boot, run = begun()
    story.install(boot, run)
    assert endings.lost_since(story.observed, story.observed.runs[run], story.now + 9999) is None


# Heartbeats, cancelling, deadlines


def test_a_heartbeat_goes_on_until_the_run_ends_or_is_taken() -> None:
    story, boot, run = begun(resets=1)
    assert not endings.cancelled(story.observed, boot, run)
    assert endings.cancelled(story.observed, boot, "no-such")
    second = story.boot()
    story.claimed(second, "os-2")
    assert tuple(endings.cancelled(story.observed, each, run) for each in (boot, second)) == (True, False)
    story.happen(*endings.cancel(story.observed, run, "enough", story.tick()))
    assert endings.cancelled(story.observed, second, run)
    assert endings.cancel(story.observed, run, "again", story.tick()) == ()


def test_a_run_whose_agent_fell_silent_ends_when_its_global_timeout_and_grace_have_passed() -> None:
    story = Story().new_site()
    boot = story.boot()
    run = story.claimed(boot, asked=story_work(Workflow("install", INSTALL.tasks, global_timeout=100)))["id"]
    started = story.observed.runs[run].started
    assert endings.overdue(story.observed, started + 160) == ()
    story.happen(*endings.overdue(story.observed, started + 161))
    assert (story.observed.runs[run].state, story.observed.runs[run].reason) == ("TIMEOUT", "no end within 100 s")
    assert endings.overdue(story.observed, started + 999) == ()


def test_an_agent_that_finished_while_the_server_was_down_is_heard_first() -> None:
    story = Story().new_site()
    run = story.claimed(story.boot(), asked=story_work(Workflow("install", INSTALL.tasks, global_timeout=100)))["id"]
    restarted = story.observed.runs[run].started + 999
    story.observed.listening = restarted
    assert () == endings.overdue(story.observed, restarted + 60)
    assert [run] == [event.run for event in endings.overdue(story.observed, restarted + 61) if isinstance(event, RunEnded)]


def test_a_run_without_a_global_timeout_is_never_overdue() -> None:
    story, _, _ = begun()
    assert endings.overdue(story.observed, story.now + 1e9) == ()
