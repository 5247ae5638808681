"""Who may work on what, and which reports count."""

from __future__ import annotations

import pytest

from agent.workflow import Action, Task, Workflow, to_json
from netboot import endings, reports, runs
from netboot.events import BootAdvanced, BootClosed, RunEnded, RunStarted, TaskInterrupted, TaskRestarted
from netboot.observed import fold
from netboot.runs import Accepted, Claimed, Duplicate, Nothing, Refused
from netboot.work import Work
from tests.netboot.story import INSTALL, MAC, SECOND_MAC, Story, begun, work

# Claims


def test_a_machine_with_work_is_given_a_run_and_its_start_is_an_event() -> None:
    story = Story().new_site()
    boot = story.boot()
    decision = story.claim(boot, asked=work())
    assert isinstance(decision, Claimed)
    assert [BootAdvanced, RunStarted] == [type(event) for event in decision.events]
    expected = {
        "workflow": to_json(INSTALL),
        "sequence": 0,
        "resume": None,
        "done": [],
        "last": None,
        "failed": None,
        "started": 0.0,
        "machine": {},
    }
    assert expected == {key: value for key, value in decision.answer.items() if key != "id"}
    assert story.observed.boots[boot].phase == "agent"


def test_without_work_the_boot_ends_and_the_machine_reboots() -> None:
    story = Story().new_site()
    boot = story.boot()
    decision = story.claim(boot)
    assert isinstance(decision, Nothing)
    assert decision.then == "reboot"
    assert isinstance(decision.events[-1], BootClosed)
    assert story.observed.open_boot(MAC) is None


def test_a_machine_that_waits_keeps_its_boot_open() -> None:
    story = Story().new_site()
    boot = story.boot()
    decision = story.claim(boot, stays=True)
    assert isinstance(decision, Nothing)
    assert decision.then == "wait"
    assert story.observed.open_boot(MAC) is not None


def test_a_state_directory_that_lost_its_history_starts_no_run() -> None:
    story = Story()
    decision = story.claim(story.boot(), asked=work())
    assert isinstance(decision, Nothing)
    assert decision.then == "wait"
    assert "gitboot init" in decision.reason
    assert story.observed.runs == {}


def test_a_hold_starts_no_run_and_says_why() -> None:
    story = Story().new_site()
    assert Nothing("frozen by anna", "wait") == story_without_phase(story, hold="frozen by anna")
    assert story.observed.runs == {}


def story_without_phase(story: Story, hold: str) -> Nothing:
    decision = story.claim(story.boot(), asked=work(), hold=hold)
    assert isinstance(decision, Nothing)
    return Nothing(decision.reason, decision.then)


def test_a_hold_does_not_stop_a_run_that_has_begun() -> None:
    story, boot, run = begun()
    decision = story.claim(boot, asked=work(), hold="frozen")
    assert isinstance(decision, Claimed)
    assert run == decision.run


def test_a_boot_nobody_opened_is_told_to_boot_again() -> None:
    decision = Story().new_site().claim("boot-of-another-server", asked=work())
    assert isinstance(decision, Nothing)
    assert decision.then == "reboot"
    assert decision.events == ()


@pytest.mark.parametrize("state", ["SUCCESS", "FAILED", "TIMEOUT"])
def test_a_run_that_ended_is_not_run_again(state: str) -> None:
    story, boot, run = begun()
    if state == "SUCCESS":
        story.install(boot, run)
    else:
        story.finish(boot, run, state)  # type: ignore[arg-type] # parametrize hands out plain strings
    decision = story.claim(story.boot(), "os-2", work())
    assert isinstance(decision, Nothing)
    assert f"run 1 has already ended: {state}" in decision.reason
    assert [run] == list(story.observed.runs)


@pytest.mark.parametrize(
    ("machine", "macs"),
    [
        pytest.param("renamed", (MAC, SECOND_MAC), id="the hardware was renamed"),
        pytest.param("node-01", ("52:54:00:99:99:99",), id="every NIC was replaced"),
        pytest.param("renamed", ("52:54:00:99:99:99", SECOND_MAC), id="renamed, and one of two NICs replaced"),
    ],
)
def test_a_machine_keeps_its_runs_whatever_it_is_called_now(machine: str, macs: tuple[str, ...]) -> None:
    story = Story().new_site()
    boot = story.boot(macs=(MAC, SECOND_MAC))
    run = story.install(boot, story.claimed(boot)["id"])
    assert run is story.observed.run_of("install", machine, macs, 1)
    assert isinstance(story.claim(story.boot(machine, macs), "os-2", work()), Nothing)


def test_a_nic_replaced_in_one_year_and_a_name_in_the_next_start_nothing() -> None:
    story, boot, run = begun()
    story.install(boot, run)
    story.boot("node-01", ("52:54:00:99:99:99",))
    assert isinstance(story.claim(story.boot("renamed", ("52:54:00:99:99:99",)), "os-3", work()), Nothing)
    assert [run] == list(story.observed.runs)


def test_a_nic_moved_between_two_machines_leaves_each_its_own_runs() -> None:
    story = Story().new_site()
    ids = {}
    for name, mac in (("node-01", MAC), ("node-02", SECOND_MAC)):
        boot = story.boot(name, (mac,))
        ids[name] = story.install(boot, story.claimed(boot)["id"])
    story.boot("node-02", (SECOND_MAC, MAC))
    assert ids["node-02"] is story.observed.run_of("install", "node-02", (SECOND_MAC, MAC), 1)
    assert ids["node-01"] is story.observed.run_of("install", "node-01", (), 1)


def test_another_run_number_is_another_run() -> None:
    story, boot, run = begun()
    story.install(boot, run)
    decision = story.claim(story.boot(), "os-2", work(run=2))
    assert isinstance(decision, Claimed)
    assert run != decision.run


def test_every_boot_has_its_own_run() -> None:
    story, boot, run = begun(repeat="everyBoot")
    story.install(boot, run)
    assert isinstance(story.claim(boot, asked=work(repeat="everyBoot")), Nothing)
    assert isinstance(story.claim(story.boot(), "os-2", work(repeat="everyBoot")), Claimed)


def test_a_reset_during_an_every_boot_run_fails_that_run_and_begins_the_next() -> None:
    story, boot, run = begun(repeat="everyBoot")
    story.start(boot, run, "disk", "wipe")
    assert isinstance(story.claim(story.boot(), "os-2", work(repeat="everyBoot")), Claimed)
    assert (
        story.observed.runs[run].state,
        story.observed.runs[run].reason,
    ) == ("FAILED", "the machine was reset during this run")


def test_a_changed_template_does_not_change_a_run_that_has_begun() -> None:
    story, boot, _ = begun()
    changed = Workflow("install", (Task("other", "node-01", (Action("other", "image"),)),))
    assert to_json(INSTALL) == story.claimed(boot, asked=work(changed))["workflow"]


def test_a_run_the_plan_no_longer_asks_for_is_cancelled_when_its_machine_boots_again() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    story.claim(story.boot(plan="plan-2"), "os-2", None)
    assert story.observed.runs[run].state == "CANCELLED"
    assert "plan-2" in story.observed.runs[run].reason


def test_a_run_in_progress_elsewhere_is_not_taken_by_a_machine_that_got_its_nic() -> None:
    story, _, run = begun()
    other = story.boot("node-02", (SECOND_MAC, MAC))
    decision = story.claim(other, "os-2", work())
    assert isinstance(decision, Nothing)
    assert (decision.then, story.observed.runs[run].state) == ("wait", "RUNNING")


def test_a_machine_without_work_does_not_cancel_the_run_of_the_machine_its_nic_came_from() -> None:
    story, _, run = begun()
    story.claim(story.boot("node-02", (SECOND_MAC, MAC)), "os-2", None)
    assert story.observed.runs[run].active


# The agent restarts


def test_an_agent_that_restarts_goes_on_with_the_action_in_flight() -> None:
    story, boot, run = begun()
    story.do(boot, run, "disk", "wipe")
    story.start(boot, run, "disk", "write")
    answer = story.claimed(boot)
    assert answer["resume"] == {"task": "disk", "action": "write", "attempt": 1}
    assert (answer["done"], answer["sequence"], answer["last"]) == ([["disk", "wipe"]], 3, None)


def test_an_agent_that_restarts_between_two_attempts_is_told_the_last_one() -> None:
    story, boot, run = begun()
    story.do(boot, run, "disk", "wipe")
    story.do(boot, run, "disk", "write", "INTERRUPTED")
    answer = story.claimed(boot)
    assert answer["resume"] is None
    assert tuple(answer["last"][key] for key in ("type", "action", "attempt", "state")) == (
        "action-ended",
        "write",
        1,
        "INTERRUPTED",
    )


def test_an_agent_that_restarts_after_a_final_failure_still_runs_the_handler() -> None:
    story, boot, run = begun()
    story.do(boot, run, "disk", "wipe")
    story.do(boot, run, "disk", "write", "FAILED", 1)
    story.do(boot, run, "disk", "write", "FAILED", 2)
    assert story.claimed(boot)["last"]["attempt"] == 2
    story.do(boot, run, "disk", "write:on-failure")
    decision = story.claim(boot, asked=work())
    assert isinstance(decision, Nothing)
    assert (story.observed.runs[run].state, story.observed.runs[run].reason) == ("FAILED", "disk/write ended FAILED")


def test_the_agent_of_a_boot_that_was_given_up_may_go_on_while_nobody_took_its_run() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    story.happen(BootClosed(at=story.tick(), boot=boot, reason="silence"))
    assert run == story.claimed(boot)["id"]
    assert isinstance(story.end(boot, run, "disk", "wipe"), Accepted)


# The machine is reset


def test_a_reset_during_a_task_fails_the_run_when_no_reset_is_allowed() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    decision = story.claim(story.boot(), "os-2", work())
    assert isinstance(decision, Nothing)
    assert [TaskInterrupted, RunEnded] == [type(e) for e in decision.events if isinstance(e, TaskInterrupted | RunEnded)]
    ended = story.observed.runs[run]
    assert ended.state == "FAILED"
    assert ended.reason == "the machine was reset during task disk (reset 1; 0 allowed)"
    assert ended.attempts[0].state == "INTERRUPTED"


def test_a_reset_between_two_actions_of_a_task_interrupts_it_as_well() -> None:
    story, boot, run = begun()
    story.do(boot, run, "disk", "wipe")
    assert isinstance(story.claim(story.boot(), "os-2", work()), Nothing)
    assert story.observed.runs[run].state == "FAILED"


def test_a_reset_restarts_the_task_from_its_first_action_as_often_as_allowed() -> None:
    story, boot, run = begun(resets=1)
    story.do(boot, run, "disk", "wipe")
    story.start(boot, run, "disk", "write")
    decision = story.claim(story.boot(), "os-2", work(resets=1))
    assert isinstance(decision, Claimed)
    assert isinstance(decision.events[-1], TaskRestarted)
    assert tuple(decision.answer[key] for key in ("done", "resume", "last", "sequence")) == ([], None, None, 3)
    second = story.observed.runs[run].boot
    assert isinstance(story.start(second, run, "disk", "wipe"), Accepted)
    assert isinstance(story.claim(story.boot(), "os-3", work(resets=1)), Nothing)
    assert story.observed.runs[run].reason == "the machine was reset during task disk (reset 2; 1 allowed)"


def test_a_reset_between_tasks_costs_nothing() -> None:
    story, boot, run = begun()
    story.do(boot, run, "disk", "wipe")
    story.do(boot, run, "disk", "write")
    boot = story.boot()
    answer = story.claimed(boot, "os-2")
    assert answer["done"] == [["disk", "wipe"], ["disk", "write"]]
    story.do(boot, run, "configure", "grub")
    assert isinstance(story.finish(boot, run), Accepted)
    assert story.observed.runs[run].restarts == {}


def test_resets_are_counted_for_each_task_by_itself() -> None:
    story, boot, run = begun(resets=1)
    story.start(boot, run, "disk", "wipe")
    boot = story.boot()
    story.claimed(boot, "os-2")
    story.do(boot, run, "disk", "wipe")
    story.do(boot, run, "disk", "write")
    story.start(boot, run, "configure", "grub")
    boot = story.boot()
    story.claimed(boot, "os-3")
    assert story.observed.runs[run].restarts == {"disk": 1, "configure": 1}


def test_the_same_boot_with_another_start_of_its_os_is_a_reset() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    assert isinstance(story.claim(boot, "os-2", work()), Nothing)
    assert story.observed.runs[run].state == "FAILED"


def test_a_reset_after_the_last_failed_attempt_does_not_run_it_once_more() -> None:
    story, boot, run = begun(resets=9)
    story.do(boot, run, "disk", "wipe", "FAILED")
    assert isinstance(story.claim(story.boot(), "os-2", work(resets=9)), Nothing)
    assert (story.observed.runs[run].state, story.observed.runs[run].reason) == ("FAILED", "disk/wipe ended FAILED")


# Reports


def test_the_whole_run_is_accepted_and_ends_in_success() -> None:
    story, boot, run = begun()
    assert (story.install(boot, run).state, story.observed.runs[run].sequence) == ("SUCCESS", 7)


def test_a_report_repeated_is_accepted_again_without_effect() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    before = fold(story.journal)
    again = story.report(boot, run, reports.Started(task="disk", action="wipe", attempt=1), sequence=1)
    assert Duplicate(1) == again
    assert before == story.observed


def test_the_last_report_of_a_run_may_be_repeated_after_its_end() -> None:
    story, boot, run = begun()
    story.install(boot, run)
    assert Duplicate(7) == story.report(boot, run, reports.Finished(state="SUCCESS"), sequence=7)


def test_another_report_with_a_number_already_taken_is_refused() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    refused = story.report(boot, run, reports.Started(task="disk", action="wipe", attempt=2), sequence=1)
    assert Refused(409, "report 1 was already accepted and said something else", 1) == refused


@pytest.mark.parametrize("sequence", [-1, 0, 2, 99])
def test_a_report_out_of_order_is_refused(sequence: int) -> None:
    story, boot, run = begun()
    refused = story.report(boot, run, reports.Started(task="disk", action="wipe", attempt=1), sequence=sequence)
    assert Refused(409, f"the next report is 1, not {sequence}", 0) == refused


def test_a_report_of_a_run_nobody_started_is_refused() -> None:
    story, boot, _ = begun()
    event = reports.Finished(state="SUCCESS")
    assert Refused(404, "run no-such is not known here") == runs.report(story.observed, boot, "no-such", 1, event, 0.0)


def test_a_report_from_the_boot_that_lost_its_run_is_refused_even_when_repeated() -> None:
    story, boot, run = begun(resets=1)
    story.start(boot, run, "disk", "wipe")
    second = story.boot()
    story.claimed(second, "os-2")
    for sequence in (1, 2):
        refused = story.report(boot, run, reports.Started(task="disk", action="wipe", attempt=1), sequence)
        assert isinstance(refused, Refused)
        assert refused.status == 410


def test_a_late_report_never_changes_a_terminal_state() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    story.happen(*endings.cancel(story.observed, run, "an operator said so", story.tick()))
    before = fold(story.journal)
    for event in (
        reports.Ended(task="disk", action="wipe", attempt=1, state="SUCCESS"),
        reports.Finished(state="SUCCESS"),
    ):
        refused = story.report(boot, run, event, sequence=2)
        assert isinstance(refused, Refused)
        assert refused.status == 410
    assert before == story.observed


def test_a_start_that_was_accepted_is_not_repeated_after_the_run_has_ended() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    story.happen(*endings.cancel(story.observed, run, "an operator said so", story.tick()))
    refused = story.report(boot, run, reports.Started(task="disk", action="wipe", attempt=1), sequence=1)
    assert Refused(410, f"run {run} has ended: CANCELLED", 1) == refused


def test_an_agent_that_restarts_right_after_its_task_was_begun_anew_begins_with_the_first_action() -> None:
    story, boot, _ = begun(resets=1)
    story.do(boot, story.observed.active_runs()[0].id, "disk", "wipe")
    boot = story.boot()
    story.claimed(boot, "os-2")
    answer = story.claimed(boot, "os-2")
    assert ([], None, None) == (answer["done"], answer["last"], answer["resume"])


# Odds and ends


def test_a_reason_without_end_is_cut_and_the_report_that_brought_it_can_be_repeated() -> None:
    story, boot, run = begun()
    task = INSTALL.tasks[0]
    story.start(boot, run, task.name, task.actions[0].name)
    ended = reports.Ended(task=task.name, action=task.actions[0].name, attempt=1, state="FAILED", reason="x" * 60_000)
    assert [Accepted, Duplicate] == [type(story.report(boot, run, ended, sequence=2)) for _ in range(2)]
    assert isinstance(story.report(boot, run, reports.Finished(state="FAILED", reason="y" * 60_000)), Accepted)
    status = story.observed.runs[run]
    assert ("x" * 1000, "y" * 1000) == (status.attempts[0].reason, status.reason)


def test_a_document_that_is_no_workflow_is_found_out_before_anything_is_journalled() -> None:
    story = Story().new_site()
    boot = story.boot()
    with pytest.raises(KeyError):
        story.claim(boot, asked=Work("install", 1, {"name": "install"}))
    assert story.observed.runs == {}


def test_work_of_another_profile_is_for_the_next_boot_and_not_for_the_system_that_runs() -> None:
    story = Story().new_site()
    boot = story.boot()
    story.happen(BootAdvanced(at=story.tick(), boot=boot, phase="script", profile="inspect"))
    decision = story.claim(boot, asked=work(profile="installer"))
    assert isinstance(decision, Nothing)
    assert ("reboot", True) == (decision.then, story.observed.boots[boot].closed is not None)
    assert "runs in profile installer, and this system is profile inspect" in decision.reason
    again = story.boot()
    story.happen(BootAdvanced(at=story.tick(), boot=again, phase="script", profile="installer"))
    assert isinstance(story.claim(again, asked=work(profile="installer")), Claimed)
