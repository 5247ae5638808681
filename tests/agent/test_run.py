"""Stories of the run machine: what happens, in the order in which it happens, without sockets, processes or clocks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.commands import (
    Accepted,
    Begun,
    Cancelled,
    Command,
    Event,
    Exited,
    Find,
    Finish,
    Found,
    Gone,
    Kill,
    NotFound,
    Report,
    Start,
    Tick,
)
from agent.messages import ActionEnded, ActionStarted, Attempt, Claim, RunEnded
from agent.run import KILL_PATIENCE, Phase, Run
from agent.workflow import Action, Task, Workflow
from tests.agent.fakes import FakeServer
from tests.agent.play import OK, World
from tests.effort import examples

BAD = Exited(1)


def workflow(*actions: Action, global_timeout: int = 0) -> Workflow:
    return Workflow("w", (Task("t", "m", actions),), global_timeout)


def action(name: str = "a", **options: object) -> Action:
    return Action(name, "img", ("true",), **options)  # type: ignore[arg-type]  # options are fields of Action


@dataclass
class Story:
    """A run, the commands it last gave, and a clock that only `at` moves. What is started begins at once unless `fetching`."""

    run: Run
    now: float = 0.0
    fetching: bool = False
    last: list[Command] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)

    def begin(self) -> Story:
        return self._took(self.run.begin())

    def on(self, event: Event, at: float | None = None) -> Story:
        self.now = self.now if at is None else at
        return self._took(self.run.receive(event, self.now))

    def tick(self, at: float) -> Story:
        return self.on(Tick(), at)

    def accept(self) -> Story:
        """The report in flight is accepted, and so is every one that follows from it."""
        while self.last and isinstance(report := self.last[-1], Report):
            self.on(Accepted(report.sequence))
        return self

    def _took(self, commands: tuple[Command, ...]) -> Story:
        self.last = list(commands)
        for command in commands:
            if isinstance(command, Report):
                self.reported.append(in_short(command))
            if isinstance(command, Start) and not self.fetching:
                assert self.run.receive(Begun(), self.now) == ()
        return self


def in_short(report: Report) -> str:
    match report.event:
        case ActionStarted(attempt):
            return f"{attempt.action}.{attempt.number} starts"
        case ActionEnded(attempt, state):
            return f"{attempt.action}.{attempt.number} {state}"
        case RunEnded(state):
            return f"run {state}"


def story(*actions: Action, global_timeout: int = 0, **claim: object) -> Story:
    whole: dict[str, object] = {"sequence": 0, "started": 0.0, **claim}
    return Story(Run(Claim("r", workflow(*actions, global_timeout=global_timeout), **whole), 0.0)).begin()  # type: ignore[arg-type]  # keywords are fields of Claim


# The straight way


def test_actions_run_one_after_another_and_the_run_succeeds() -> None:
    told = story(action("a"), action("b")).accept().on(OK).accept().on(OK).accept()
    assert told.reported == ["a.1 starts", "a.1 SUCCESS", "b.1 starts", "b.1 SUCCESS", "run SUCCESS"]
    assert [Finish("SUCCESS", "")] == told.last


def test_an_action_is_not_started_before_its_start_was_accepted() -> None:
    told = story(action())
    assert [Report(1, ActionStarted(Attempt("t", "a", 1)))] == told.last
    assert told.on(Accepted(7)).last == []
    assert [Start(Attempt("t", "a", 1), action(), ("true",))] == told.on(Accepted(1)).last


def test_nothing_follows_before_the_end_was_accepted() -> None:
    told = story(action("a"), action("b")).accept().on(OK)
    assert [Report(2, ActionEnded(Attempt("t", "a", 1), "SUCCESS", 0, ""))] == told.last
    assert told.on(Accepted(1)).last == []
    assert [Report(3, ActionStarted(Attempt("t", "b", 1)))] == told.on(Accepted(2)).last


def test_what_is_done_is_skipped() -> None:
    told = story(action("a"), action("b"), sequence=2, done=frozenset({("t", "a")}))
    assert told.reported == ["b.1 starts"]


def test_a_workflow_with_nothing_left_to_do_succeeds() -> None:
    assert story(action("a"), sequence=2, done=frozenset({("t", "a")})).accept().reported == ["run SUCCESS"]


# Failure, retries, handlers


def test_a_failure_ends_the_run_and_says_why() -> None:
    told = story(action("a"), action("b")).accept().on(Exited(3)).accept()
    assert told.reported == ["a.1 starts", "a.1 FAILED", "run FAILED"]
    assert [Finish("FAILED", "t/a: exit code 3")] == told.last


def test_a_signal_is_no_exit_code() -> None:
    told = story(action("a")).accept().on(Exited(None, signal=9))
    assert [Report(2, ActionEnded(Attempt("t", "a", 1), "FAILED", None, "killed by signal 9"))] == told.last


def test_the_reason_of_a_command_that_could_not_start_is_kept() -> None:
    told = story(action("a")).accept().on(Exited(127, reason="no such file")).accept()
    assert [Finish("FAILED", "t/a: no such file")] == told.last


def test_a_failed_attempt_is_repeated_after_1_2_4_up_to_30_seconds() -> None:
    told = story(action("a", retries=7)).accept()
    pauses = []
    for _ in range(7):
        told.on(BAD).accept()
        assert told.run.timer is not None
        pauses.append(told.run.timer - told.now)
        assert told.tick(told.run.timer - 0.001).last == []
        told.tick(told.run.timer).accept()
    assert [round(pause) for pause in pauses] == [1, 2, 4, 8, 16, 30, 30]
    told.on(BAD).accept()
    assert told.reported[-3:] == ["a.8 starts", "a.8 FAILED", "run FAILED"]


def test_a_later_attempt_that_succeeds_makes_up_for_the_first() -> None:
    told = story(action("a", retries=1)).accept().on(BAD).accept().tick(1).accept().on(OK).accept()
    assert told.reported == ["a.1 starts", "a.1 FAILED", "a.2 starts", "a.2 SUCCESS", "run SUCCESS"]


def test_on_failure_really_runs_once_after_the_last_attempt() -> None:
    told = story(action("a", retries=1, on_failure=("clean", "up"))).accept().on(BAD).accept().tick(1).accept().on(BAD).accept()
    assert isinstance(start := told.last[0], Start)
    assert (Attempt("t", "a:on-failure", 1), ("clean", "up")) == (start.attempt, start.command)
    told.on(OK).accept()
    assert told.reported[-4:] == ["a.2 FAILED", "a:on-failure.1 starts", "a:on-failure.1 SUCCESS", "run FAILED"]
    assert [Finish("FAILED", "t/a (attempt 2): exit code 1")] == told.last


def test_the_handlers_own_failure_changes_nothing() -> None:
    told = (
        story(action("a", retries=3, on_failure=("clean",)), sequence=2, resume=Attempt("t", "a", 4)).on(Found(1, BAD)).accept()
    )
    told.on(Exited(9)).accept()
    assert told.reported[-2:] == ["a:on-failure.1 FAILED", "run FAILED"]
    assert [Finish("FAILED", "t/a (attempt 4): exit code 1")] == told.last


# Conditions


FAILS, CLEANS, TIDIES = action("a"), action("c", if_="failure"), action("d", if_="always")


def test_after_a_failure_its_task_does_what_it_has_for_that_and_the_run_fails_all_the_same() -> None:
    told = story(FAILS, action("b"), CLEANS, TIDIES).accept().on(BAD).accept().on(OK).accept().on(OK).accept()
    assert told.reported[2:] == ["c.1 starts", "c.1 SUCCESS", "d.1 starts", "d.1 SUCCESS", "run FAILED"]
    assert [Finish("FAILED", "t/a: exit code 1")] == told.last


def test_while_all_is_well_nothing_is_done_for_a_failure() -> None:
    told = story(CLEANS, FAILS, TIDIES, CLEANS).accept().on(OK).accept().on(OK).accept()
    assert told.reported == ["a.1 starts", "a.1 SUCCESS", "d.1 starts", "d.1 SUCCESS", "run SUCCESS"]


def test_the_handler_comes_before_the_cleaning_up_and_the_first_failure_is_the_one_that_is_told() -> None:
    told = story(action("a", on_failure=("f",)), replace(CLEANS, retries=1), TIDIES).accept().on(BAD).accept().on(OK).accept()
    told.on(Exited(7)).accept().tick(1).accept().on(Exited(8)).accept().on(OK).accept()
    assert told.reported[1:4] == ["a.1 FAILED", "a:on-failure.1 starts", "a:on-failure.1 SUCCESS"]
    assert told.reported[4:8] == ["c.1 starts", "c.1 FAILED", "c.2 starts", "c.2 FAILED"]
    assert told.reported[8:] == ["d.1 starts", "d.1 SUCCESS", "run FAILED"]
    assert [Finish("FAILED", "t/a: exit code 1")] == told.last


def test_the_next_task_does_not_clean_up_after_this_one() -> None:
    tasks = (Task("t", "m", (FAILS,)), Task("u", "m", (CLEANS, TIDIES)))
    told = Story(Run(Claim("r", Workflow("w", tasks), 0, 0.0), 0.0)).begin().accept().on(BAD).accept()
    assert told.reported == ["a.1 starts", "a.1 FAILED", "run FAILED"]


def test_an_agent_that_restarts_while_it_cleans_up_goes_on_with_that_and_forgets_no_cause() -> None:
    failed = ActionEnded(Attempt("t", "a", 1), "TIMEOUT", None, "too slow")
    tidied = ActionEnded(Attempt("t", "c", 1), "FAILED", 1, "exit code 1")
    told = (
        story(FAILS, CLEANS, TIDIES, action("b"), sequence=4, last=tidied, failed=failed).on(NotFound("cleared away")).accept()
    )
    assert told.reported == ["d.1 starts"]
    assert [Finish("TIMEOUT", "t/a: too slow")] == told.on(OK).accept().last


def test_a_cancelled_run_cleans_up_nothing() -> None:
    told = story(FAILS, CLEANS, TIDIES).accept().on(Cancelled()).on(BAD).accept()
    assert told.reported == ["a.1 starts", "a.1 INTERRUPTED", "run FAILED"]


# Time


def test_an_attempt_that_takes_too_long_is_killed_and_reported_when_it_is_dead() -> None:
    told = story(action("a", timeout=10)).accept()
    assert told.run.timer == 10
    assert told.tick(9.9).last == []
    assert [Kill(Attempt("t", "a", 1))] == told.tick(10).last
    told.on(Exited(None, signal=15)).accept()
    assert told.reported == ["a.1 starts", "a.1 TIMEOUT", "run TIMEOUT"]
    assert [Finish("TIMEOUT", "t/a: took longer than its timeout of 10 s")] == told.last


def test_the_timeout_does_not_count_while_the_image_is_fetched() -> None:
    told = story(action("a", timeout=10))
    told.fetching = True
    told.accept().tick(500)
    assert (told.run.phase, told.run.timer) == (Phase.RUNNING, None)
    told.on(Begun(), at=600)
    assert told.run.timer == 610


def test_what_is_being_fetched_can_be_cancelled() -> None:
    told = story(action("a", timeout=10))
    told.fetching = True
    told.accept().on(Cancelled(), at=5)
    assert told.last == [Kill(Attempt("t", "a", 1))]
    assert told.on(Begun(), at=6).last == []  # it had just begun
    told.on(Exited(None, reason="stopped before it began")).accept()
    assert told.reported[1:] == ["a.1 INTERRUPTED", "run FAILED"]


def test_the_timeout_counts_from_the_start_and_not_from_the_report() -> None:
    told = story(action("a", timeout=10))
    told.on(Accepted(1), at=100)
    assert told.run.timer == 110


def test_each_attempt_has_the_whole_timeout() -> None:
    told = story(action("a", timeout=10, retries=1)).accept().tick(10).on(BAD).accept().tick(11).accept()
    assert told.run.timer == 21


def test_on_timeout_runs_after_a_timeout_and_on_failure_does_not() -> None:
    both = action("a", timeout=5, on_timeout=("late",), on_failure=("broken",))
    told = story(both).accept().tick(5).on(BAD).accept().on(OK).accept()
    assert told.reported[1:] == ["a.1 TIMEOUT", "a:on-timeout.1 starts", "a:on-timeout.1 SUCCESS", "run TIMEOUT"]


def test_a_handler_is_held_to_the_timeout_of_its_action() -> None:
    told = story(action("a", timeout=5, on_failure=("hang",))).accept().on(BAD).accept()
    assert [Kill(Attempt("t", "a:on-failure", 1))] == told.tick(5).last
    assert told.on(BAD).accept().reported[-1] == "run FAILED"


def test_the_global_timeout_kills_and_ends_the_run_without_retry_or_handler() -> None:
    told = story(action("a", retries=5, on_timeout=("late",)), action("b"), global_timeout=20).accept()
    assert [Kill(Attempt("t", "a", 1))] == told.tick(20).last
    told.on(Exited(None, signal=15)).accept()
    assert told.reported == ["a.1 starts", "a.1 TIMEOUT", "run TIMEOUT"]
    assert [Finish("TIMEOUT", "the workflow took longer than its global timeout of 20 s")] == told.last


def test_the_global_timeout_counts_from_the_start_of_the_run_across_agents() -> None:
    assert story(action("a"), global_timeout=20, started=15.0).run.timer == 5


def test_the_global_timeout_also_ends_a_pause() -> None:
    told = story(action("a", retries=9), global_timeout=20).accept().on(BAD, at=19.5).accept()
    assert told.run.timer == 20
    assert told.tick(20).accept().reported[-1] == "run TIMEOUT"


def test_a_start_that_is_accepted_too_late_ends_without_having_begun() -> None:
    told = story(action("a"), global_timeout=20).tick(21)
    assert told.last == []
    told.on(Accepted(1)).accept()
    assert told.reported == ["a.1 starts", "a.1 TIMEOUT", "run TIMEOUT"]


def test_work_that_is_complete_has_succeeded_however_late() -> None:
    told = story(action("a"), global_timeout=20).accept().on(OK).tick(21).on(Accepted(2)).accept()
    assert told.reported[1:] == ["a.1 SUCCESS", "run SUCCESS"]


def test_what_survives_its_killing_ends_the_run_rather_than_run_beside_the_next_attempt() -> None:
    told = story(action("a", timeout=5, retries=3)).accept().tick(5)
    assert told.tick(5 + KILL_PATIENCE - 1).last == []
    told.tick(5 + KILL_PATIENCE).accept()
    assert told.reported[1:] == ["a.1 TIMEOUT", "run FAILED"]


# Cancelled and gone


def test_a_cancelled_run_kills_and_ends() -> None:
    told = story(action("a", retries=4, on_failure=("clean",))).accept().on(Cancelled())
    assert [Kill(Attempt("t", "a", 1))] == told.last
    told.on(BAD).accept()
    assert told.reported[1:] == ["a.1 INTERRUPTED", "run FAILED"]


def test_a_run_cancelled_between_two_actions_starts_no_more() -> None:
    told = story(action("a"), action("b")).accept().on(OK).on(Cancelled()).on(Accepted(2)).accept()
    assert told.reported == ["a.1 starts", "a.1 SUCCESS", "run FAILED"]


def test_what_is_found_running_after_the_cancellation_is_killed() -> None:
    told = story(action("a"), sequence=1, resume=Attempt("t", "a", 1)).on(Cancelled()).on(Found(ran=1))
    assert told.last == [Kill(Attempt("t", "a", 1))]


def test_the_first_reason_to_stop_is_the_one_that_is_told() -> None:
    told = story(action("a"), global_timeout=20).accept().on(Cancelled(), at=19).tick(20).on(BAD).accept()
    assert told.last == [Finish("FAILED", "cancelled")]


def test_a_run_that_is_gone_kills_and_reports_nothing_more() -> None:
    told = story(action("a")).accept().on(Gone("taken over"))
    assert [Kill(Attempt("t", "a", 1))] == told.last
    assert [Finish("GONE", "taken over")] == told.on(BAD).last


def test_a_cancelled_run_can_still_turn_out_to_be_gone() -> None:
    told = story(action("a")).accept().on(Cancelled()).on(Gone("taken over"))
    assert told.last == []
    assert [Finish("GONE", "taken over")] == told.on(BAD).last


@pytest.mark.parametrize("events", [[], [Accepted(1), OK], [Accepted(1), OK, Accepted(2)]])
def test_a_report_answered_with_gone_ends_at_once(events: list[Event]) -> None:
    told = story(action("a"))
    for event in events:
        told.on(event)
    assert [Finish("GONE", "410")] == told.on(Gone("410")).last


def test_the_end_is_final() -> None:
    told = story(action("a")).accept().on(OK).accept()
    for event in (OK, BAD, Tick(), Cancelled(), Gone("late"), Accepted(3), Accepted(4), NotFound("")):
        assert told.on(event, at=1e9).last == []
    assert told.run.phase == Phase.FINISHED
    assert told.run.timer is None


# After the agent's own restart


def test_what_still_runs_is_waited_for_and_keeps_its_time() -> None:
    told = story(action("a", timeout=10), sequence=1, resume=Attempt("t", "a", 1))
    assert [Find(Attempt("t", "a", 1))] == told.last
    assert told.on(Found(ran=4)).last == []
    assert told.run.timer == 6
    assert told.on(OK).accept().reported == ["a.1 SUCCESS", "run SUCCESS"]


def test_what_ended_meanwhile_is_reported() -> None:
    told = story(action("a"), sequence=1, resume=Attempt("t", "a", 1)).on(Found(4, OK)).accept()
    assert told.reported == ["a.1 SUCCESS", "run SUCCESS"]


def test_what_died_after_its_time_was_killed_for_it() -> None:
    told = story(action("a", timeout=3), sequence=1, resume=Attempt("t", "a", 1)).on(Found(4, Exited(None, 15))).accept()
    assert told.reported == ["a.1 TIMEOUT", "run TIMEOUT"]


def test_what_is_not_found_was_interrupted_and_counts_as_a_failed_attempt() -> None:
    told = story(action("a"), sequence=1, resume=Attempt("t", "a", 1)).on(NotFound("no trace")).accept()
    assert told.reported == ["a.1 INTERRUPTED", "run FAILED"]
    again = story(action("a", retries=1), sequence=1, resume=Attempt("t", "a", 1)).on(NotFound("no trace")).accept()
    assert again.tick(1).accept().reported == ["a.1 INTERRUPTED", "a.2 starts"]


def test_a_handler_in_flight_is_resumed_and_not_its_action() -> None:
    handled = action("a", on_timeout=("late",))
    told = story(handled, action("b"), sequence=3, resume=Attempt("t", "a:on-timeout", 1)).on(Found(1, OK)).accept()
    assert told.reported == ["a:on-timeout.1 SUCCESS", "run TIMEOUT"]


@pytest.mark.parametrize(
    ("last", "next_report"),
    [
        (ActionEnded(Attempt("t", "a", 1), "FAILED", 1, "exit code 1"), "a.2 starts"),
        (ActionEnded(Attempt("t", "a", 2), "FAILED", 1, "exit code 1"), "a:on-failure.1 starts"),
        (ActionEnded(Attempt("t", "a", 2), "TIMEOUT", None, "late"), "run TIMEOUT"),
        (ActionEnded(Attempt("t", "a:on-failure", 1), "SUCCESS", 0, ""), "run FAILED"),
        (ActionEnded(Attempt("t", "a:on-failure", 1), "TIMEOUT", 0, ""), "run FAILED"),
    ],
)
def test_a_restart_between_two_steps_goes_on_where_it_stood(last: ActionEnded, next_report: str) -> None:
    told = story(action("a", retries=1, on_failure=("clean",)), sequence=2, last=last)
    assert told.last == [Find(last.attempt)]
    told.on(NotFound("cleared away"))
    if told.run.timer:
        told.tick(told.run.timer)
    assert [next_report] == told.reported


def test_what_cannot_be_killed_gets_no_company_after_a_restart_either() -> None:
    last = ActionEnded(Attempt("t", "a", 1), "TIMEOUT", None, "still there 60 s after it was killed")
    told = story(action("a", timeout=5, retries=3), sequence=2, last=last).on(Found(ran=99)).accept()
    assert told.reported == ["run FAILED"]
    assert told.last == [Finish("FAILED", "t/a took longer than its timeout and cannot be killed")]


# Every order of events

randomly = st.data()
some_actions = st.lists(
    st.builds(
        action,
        st.sampled_from("abc"),
        timeout=st.sampled_from([0, 3]),
        retries=st.integers(0, 2),
        on_failure=st.sampled_from([(), ("f",)]),
        on_timeout=st.sampled_from([(), ("t",)]),
        if_=st.sampled_from(["success", "success", "failure", "always"]),
    ),
    max_size=3,
    unique_by=lambda one: one.name,
)


@settings(max_examples=examples(300))
@given(some_actions, st.sampled_from([0, 7]), randomly)
def test_whatever_happens_in_whatever_order_the_laws_hold(actions: list[Action], limit: int, data: st.DataObject) -> None:
    """Never two at once, never before acceptance, never twice, every start has its end, and the run comes to one."""
    server = FakeServer(workflow(*actions, global_timeout=limit))
    world = World(server)
    world.boot()
    for _ in range(data.draw(st.integers(0, 25))):
        if world.finish:
            break
        world.do(data.draw(st.sampled_from(world.possible())), data.draw(st.sampled_from([0, 0, 1, 2, 3])))
    world.calm_down()
    assert server.in_flight is None
    assert len(server.starts()) == len(server.ends())
    assert server.ended is not None
    succeeded = {name for name, _, state in server.ends() if state == "SUCCESS"}
    if server.ended["state"] == "SUCCESS":
        assert {one.name for one in actions if one.if_ != "failure"} == succeeded
