"""Runs under every order of boots, restarts, resets, losses, duplicates and nonsense: the laws hold after each step."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from netboot import reports, runs
from netboot.events import ActionStarted, Event
from netboot.observed import Observed, fold
from netboot.records import RunStatus
from netboot.runs import Accepted, Claimed, Duplicate
from tests.effort import examples
from tests.netboot.story import INSTALL, Story, work

RESETS, RETRY = 2, 1
ACTIONS = [("disk", "wipe"), ("disk", "write"), ("configure", "grub")]
NAMES = [*ACTIONS, ("disk", "write:on-failure"), ("disk", "write:on-timeout"), ("disk", "no-such")]

any_report = st.one_of(
    st.builds(
        lambda name, attempt: reports.Started(task=name[0], action=name[1], attempt=attempt),
        st.sampled_from(NAMES),
        st.integers(1, 3),
    ),
    st.builds(
        lambda name, attempt, state: reports.Ended(task=name[0], action=name[1], attempt=attempt, state=state),
        st.sampled_from(NAMES),
        st.integers(1, 3),
        st.sampled_from(["SUCCESS", "FAILED", "TIMEOUT", "INTERRUPTED"]),
    ),
    st.builds(reports.Finished, state=st.sampled_from(["SUCCESS", "FAILED", "TIMEOUT"])),
)
seldom = st.integers(0, 9).map(lambda luck: luck == 0)
outcomes = st.sampled_from(["SUCCESS", "SUCCESS", "SUCCESS", "FAILED", "TIMEOUT", "INTERRUPTED"])


class Site(RuleBasedStateMachine):
    """One machine, one workflow, two run numbers; the server may lose what it has not acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.story = Story()
        self.boots: list[str] = []
        self.number = 1
        self.accepted: dict[tuple[str, int], Event] = {}
        self.ended: dict[str, tuple[str, str, float | None]] = {}

    @property
    def observed(self) -> Observed:
        return self.story.observed

    @property
    def run(self) -> RunStatus | None:
        return self.observed.run_of("install", "node-01", (), self.number)

    @initialize()
    def declare(self) -> None:
        self.story.new_site()
        self.power_on()

    @rule()
    def power_on(self) -> None:
        self.boots.append(self.story.boot())

    @rule(back=st.integers(0, 2), system=st.sampled_from(["os-1", "os-2"]), lost=st.booleans(), cancel=seldom)
    def claim(self, back: int, system: str, lost: bool, cancel: bool) -> None:
        """By the present boot's agent, or by one of a boot before; `lost`: the server dies before it is durable."""
        boot = self.boots[-1 - back % len(self.boots)]
        asked = work(run=self.number, resets=RESETS, retry=RETRY, cancel=cancel)
        run_id = f"run-{len(self.story.journal)}"
        before, again = self.run.state if self.run else None, self.run is not None and self.run.may_be_tried_again
        decision = runs.claim(self.observed, boot, system, self.story.tick(), asked, run_id=run_id)
        if lost:
            self.story.observed = fold(self.story.journal)
            return
        self.story.happen(*decision.events)
        if isinstance(decision, Claimed):
            assert before in (None, "RUNNING") or again
            assert not cancel
            self.check_answer(decision.answer, self.observed.runs[decision.run])

    def check_answer(self, answer: dict[str, Any], run: RunStatus) -> None:
        flying = run.in_flight
        assert answer["done"] == [list(pair) for pair in run.done()]
        assert answer["sequence"] == run.sequence
        assert (answer["resume"] or {}).get("action") == (flying.action if flying else None)

    @precondition(lambda self: self.run is not None)
    @rule(outcome=outcomes, repeated=st.booleans(), lost=st.booleans())
    def proceed(self, outcome: Any, repeated: bool, lost: bool) -> None:
        """What a good agent says next; `repeated`: it did not hear the answer; `lost`: nobody did."""
        run = self.run
        assert run is not None
        report = self.next_report(run, outcome)
        sequence = run.sequence + 1
        decision = runs.report(self.observed, run.boot, run.id, sequence, report, self.story.tick())
        assert isinstance(decision, Accepted) == run.active
        if lost or not isinstance(decision, Accepted):
            self.story.observed = fold(self.story.journal)
            return
        self.take(run, sequence, decision)
        if repeated:
            again = runs.report(self.observed, run.boot, run.id, sequence, report, self.story.tick())
            assert again == Duplicate(sequence)

    def next_report(self, run: RunStatus, outcome: Any) -> reports.Report:
        if flying := run.in_flight:
            return reports.Ended(task=flying.task, action=flying.action, attempt=flying.attempt, state=outcome)
        if reports.verdict(run):
            return reports.Finished(state="FAILED")
        done = run.done()
        for task, action in ACTIONS:
            if (task, action) not in done:
                tried = [attempt for attempt in run.current(task) if attempt.action == action]
                return reports.Started(task=task, action=action, attempt=len(tried) + 1)
        return reports.Finished(state="SUCCESS")

    @precondition(lambda self: bool(self.observed.runs))
    @rule(report=any_report, back=st.integers(0, 2), off=st.integers(-3, 2))
    def say_anything(self, report: reports.Report, back: int, off: int) -> None:
        run = list(self.observed.runs.values())[-1]
        boot = self.boots[-1 - back % len(self.boots)]
        sequence = run.sequence + 1 + off
        decision = runs.report(self.observed, boot, run.id, sequence, report, self.story.tick())
        if isinstance(decision, Accepted):
            assert (boot, off, run.active) == (run.boot, 0, True)
            self.take(run, sequence, decision)

    def take(self, run: RunStatus, sequence: int, decision: Accepted) -> None:
        self.story.happen(*decision.events)
        (self.accepted[run.id, sequence],) = decision.events

    @precondition(lambda self: self.run is not None and not self.run.active)
    @rule()
    def ask_for_another_run(self) -> None:
        self.number += 1

    @invariant()
    def the_journal_tells_it_all(self) -> None:
        assert fold(self.story.journal) == self.observed

    @invariant()
    def nothing_accepted_is_lost(self) -> None:
        for (run, sequence), event in self.accepted.items():
            assert self.observed.runs[run].reports[sequence - 1] == event

    @invariant()
    def an_end_is_final(self) -> None:
        for run in self.observed.runs.values():
            if not run.active:
                assert (run.state, run.reason, run.ended) == self.ended.setdefault(run.id, (run.state, run.reason, run.ended))

    @invariant()
    def nothing_runs_twice_unless_its_task_was_restarted(self) -> None:
        for run in self.observed.runs.values():
            started = [(a.task, a.action, a.reset, a.attempt) for a in run.attempts]
            assert len(set(started)) == len(started)
            assert all(restarts <= RESETS for restarts in run.restarts.values())
            succeeded = [(a.task, a.action, a.reset) for a in run.attempts if a.state == "SUCCESS"]
            assert len(set(succeeded)) == len(succeeded)
            assert sum(attempt.state == "RUNNING" for attempt in run.attempts) <= run.active

    @invariant()
    def a_run_number_is_run_once(self) -> None:
        """Or once more for each try, of which only the last may be in progress."""
        numbers = [(run.number, run.number_of_try) for run in self.observed.runs.values()]
        assert len(set(numbers)) == len(numbers)
        assert all(try_ <= RETRY + 1 for _, try_ in numbers)
        assert not any(
            run.active or run.state in ("SUCCESS", "CANCELLED") for run in self.observed.runs.values() if run.tried_again
        )

    @invariant()
    def success_means_that_everything_was_done(self) -> None:
        for run in self.observed.runs.values():
            if run.state == "SUCCESS":
                assert run.done() == [(task.name, action.name) for task in INSTALL.tasks for action in task.actions]

    @invariant()
    def starts_are_in_the_journal_once(self) -> None:
        starts = [(e.run, e.sequence) for e in self.story.journal if isinstance(e, ActionStarted)]
        assert len(set(starts)) == len(starts)


Site.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=40)
TestSite = Site.TestCase
