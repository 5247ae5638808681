"""What is told, once each; and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.events import RunEnd
from netboot.issues import Issue
from netboot.notice_targets import Slack, Target
from netboot.notices import LATE, MEMORY, Memory, Notices
from netboot.records import RunStatus
from netboot.runs import Claimed
from tests.netboot.story import INSTALL, Story, work

START = 10_000.0
LATER = START + MEMORY
"""When what is missing counts as over."""
CHAT = Slack(name="chat", url="https://chat.example/x")


def target(name: str = "chat", **more: Any) -> Target:
    return Slack(name=name, url="https://chat.example/x", **more)


def lost(machine: str, message: str = "silent") -> Issue:
    return Issue("agent-lost", 5.0, message, machine)


def told(notices: Notices, name: str = "chat") -> list[str]:
    """What the target hears now."""
    taken = notices.take(name)
    notices.sent(name, taken)
    return [f"{each.what} {each.name} {each.machine or each.subject or each.message}".strip() for each in taken]


def restarted(notices: Notices, *targets: Target, now: float = LATER) -> Notices:
    """After the memory has been on disk."""
    return Notices(targets or (CHAT,), msgspec.json.decode(msgspec.json.encode(notices.memory), type=Memory), now)


def ended(state: RunEnd = "SUCCESS", machine: str = "node-01") -> RunStatus:
    story = Story(now=LATER).new_site()
    claimed = story.claim(story.boot(machine), asked=work(INSTALL))
    assert isinstance(claimed, Claimed)
    run = story.observed.runs[claimed.run]
    run.id, run.state, run.ended = machine, state, LATER
    return run


def test_an_issue_is_told_when_it_begins_and_when_it_is_over_and_not_in_between() -> None:
    notices = Notices((CHAT,), Memory(), START)
    assert notices.look([lost("node-01")], (), LATER)
    assert ["begun agent-lost node-01"] == told(notices)
    assert not notices.look([lost("node-01", "silent for longer")], (), LATER)
    assert [] == told(notices)
    notices.look([], (), LATER)
    assert ["over agent-lost node-01"] == told(notices)
    notices.look([lost("node-01")], (), LATER)
    assert ["begun agent-lost node-01"] == told(notices)


def test_a_restart_tells_nothing_twice_and_loses_nothing() -> None:
    notices = Notices((CHAT,), Memory(), START)
    notices.look([lost("node-01")], (), LATER)
    assert ["begun agent-lost node-01"] == told(notices)
    notices.look([lost("node-01"), lost("node-02")], (), LATER)
    again = restarted(notices)
    again.look([lost("node-01"), lost("node-02")], (), LATER)
    assert ["begun agent-lost node-02"] == told(again)


def test_what_only_memory_knew_is_not_over_because_of_a_restart() -> None:
    notices = Notices((CHAT,), Memory(), START)
    notices.look([lost("node-01")], (), LATER)
    told(notices)
    again = restarted(notices)
    again.look([], (), LATER + MEMORY - 1)
    assert [] == told(again)
    again.look([], (), LATER + MEMORY)
    assert ["over agent-lost node-01"] == told(again)


def test_what_begins_and_ends_before_anybody_hears_of_it_is_told_to_nobody() -> None:
    notices = Notices((CHAT,), Memory(), START)
    notices.look([lost("node-01"), lost("node-02")], (), LATER)
    notices.look([lost("node-02")], (), LATER)
    assert ["begun agent-lost node-02"] == told(notices)
    notices.look([], (), LATER)
    notices.look([lost("node-02")], (), LATER)
    assert [] == told(notices)


def test_what_ends_while_its_beginning_is_on_the_way_is_told() -> None:
    notices = Notices((CHAT,), Memory(), START)
    notices.look([lost("node-01")], (), LATER)
    on_the_way = notices.take("chat")
    notices.look([], (), LATER)
    notices.sent("chat", on_the_way)
    assert ["over agent-lost node-01"] == told(notices)


@given(st.lists(st.sampled_from(["begins", "ends", "fails", "arrives"]), max_size=30))
def test_after_a_message_has_arrived_its_reader_knows_what_is_true(steps: list[str]) -> None:
    notices, is_there, known = Notices((CHAT,), Memory(), START), False, False
    for step in [*steps, "arrives"]:
        if step in ("begins", "ends"):
            is_there = step == "begins"
            notices.look([lost("node-01")] if is_there else [], (), LATER)
            continue
        taken = notices.take("chat")
        assert len(taken) <= 1
        if step == "arrives":
            notices.sent("chat", taken)
            known = taken[-1].what == "begun" if taken else known
            assert is_there == known


def test_the_site_may_have_several_of_some_issues_and_one_of_others() -> None:
    strangers = [Issue("unknown-machine", 1.0, f"52:54:00:00:00:0{each} asked") for each in (1, 2)]
    notices = Notices((CHAT,), Memory(), START)
    notices.look([*strangers, Issue("state-full", 0.0, "400 MiB are left")], (), LATER)
    assert 3 == len(told(notices))
    notices.look([strangers[0], Issue("state-full", 0.0, "399 MiB are left")], (), LATER)
    assert ["over unknown-machine 52:54:00:00:00:02 asked"] == told(notices)


def test_a_run_that_has_ended_is_told_once_also_over_a_restart() -> None:
    run = ended()
    notices = Notices((CHAT,), Memory(), START)
    notices.look((), [run], LATER)
    assert ["ended SUCCESS node-01"] == told(notices)
    notices.look((), [run], LATER + 10)
    again = restarted(notices)
    again.look((), [run], LATER + 20)
    assert [] == told(notices) + told(again)


def test_a_run_that_ends_the_same_way_while_that_is_being_told_is_told_as_well() -> None:
    """As work of every boot does."""
    notices = Notices((CHAT,), Memory(), START)
    first, second = ended(), ended()
    second.id = "the next boot's"
    notices.look((), [first], LATER)
    on_the_way = notices.take("chat")
    notices.look((), [first, second], LATER)
    notices.sent("chat", on_the_way)
    assert ["ended SUCCESS node-01"] == told(notices)


def test_a_run_that_is_known_late_is_told_and_one_of_before_the_first_look_is_not() -> None:
    run = ended()
    first = Notices((CHAT,), Memory(), LATER + 1)
    first.look((), [run], LATER + 1)
    assert [] == told(first)
    late = Notices((CHAT,), Memory(), START)
    late.look((), [], LATER + LATE - 1)
    late.look((), [run], LATER + LATE)
    assert ["ended SUCCESS node-01"] == told(late)


def test_a_failure_that_is_tried_again_is_no_end() -> None:
    run = ended("FAILED")
    run.retry = 1
    notices = Notices((CHAT,), Memory(), START)
    notices.look((), [run], LATER)
    assert [] == told(notices)


@pytest.mark.parametrize(
    ("wants", "expected"),
    [
        ({}, ["begun agent-lost node-01", "ended SUCCESS node-01", "ended FAILED node-02"]),
        ({"tell": ("issues",)}, ["begun agent-lost node-01"]),
        ({"tell": ("failures",)}, ["ended FAILED node-02"]),
        ({"tell": ("runs",)}, ["ended SUCCESS node-01", "ended FAILED node-02"]),
        ({"ignore": ("agent-lost",), "tell": ("issues",)}, []),
    ],
)
def test_a_target_is_told_what_it_wants(wants: dict[str, Any], expected: list[str]) -> None:
    notices = Notices((target(**wants),), Memory(), START)
    notices.look([lost("node-01")], [ended(), ended("FAILED", "node-02")], LATER)
    assert expected == told(notices)


def test_each_target_has_what_waits_for_it_and_a_new_one_begins_with_nothing() -> None:
    notices = Notices((target("a"), target("b")), Memory(), START)
    notices.look([lost("node-01")], (), LATER)
    told(notices, "a")
    again = restarted(notices, target("b"), target("c"))
    assert [False, True] == [again.waits("c"), again.waits("b")]


def test_what_waits_is_bounded_and_what_is_lost_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netboot.notices.MOST_WAITING", 3)
    notices = Notices((CHAT,), Memory(), START)
    notices.look([lost(f"node-0{number}") for number in range(1, 6)], (), LATER)
    again = restarted(notices)
    assert 2 == again.lost("chat")
    assert [f"begun agent-lost node-0{number}" for number in (3, 4, 5)] == told(again)
    assert 0 == again.lost("chat")


class Counted(list[RunStatus]):
    """How many of them were looked at."""

    many = 0

    def __iter__(self) -> Iterator[RunStatus]:
        for each in super().__iter__():
            self.many += 1
            yield each

    def __reversed__(self) -> Iterator[RunStatus]:
        for each in super().__reversed__():
            self.many += 1
            yield each


def test_runs_that_are_over_are_looked_at_no_more_and_one_that_goes_on_until_it_ends() -> None:
    notices = Notices((CHAT,), Memory(), START)
    slow, runs = ended("SUCCESS", "slow"), Counted(ended("SUCCESS", f"old-{number}") for number in range(20))
    slow.state, slow.ended = "RUNNING", None
    for run in runs:
        run.ended = START
    runs.insert(0, slow)
    notices.look((), runs, LATER)
    runs.append(ended("FAILED", "new"))
    runs.many = 0
    notices.look((), runs, LATER)
    slow.state, slow.ended = "SUCCESS", LATER + 1
    notices.look((), runs, LATER + 2)
    assert ["ended FAILED new", "ended SUCCESS slow"] == told(notices)
    assert 3 == runs.many, "the new one, and twice the newest that is known"


def strangers(*numbers: int) -> list[Issue]:
    return [Issue("unknown-machine", 5.0, f"{number} asked") for number in numbers]


def test_strangers_push_nothing_out_but_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netboot.notices.MOST_WAITING", 3)
    notices = Notices((CHAT,), Memory(), START)
    notices.look([lost("node-01"), *strangers(1, 2)], (), LATER)
    notices.look([lost("node-01"), *strangers(1, 2, 3, 4)], (), LATER)
    assert 2 == notices.lost("chat")
    assert ["begun agent-lost node-01", "begun unknown-machine 3 asked", "begun unknown-machine 4 asked"] == told(notices)


def test_of_strangers_only_the_last_are_kept_in_mind_after_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netboot.notices.MOST_OF_STRANGERS", 2)
    notices = Notices((CHAT,), Memory(), START)
    notices.look([lost("node-01"), *strangers(1, 2, 3, 4)], (), START)
    told(notices)
    notices.look((), (), START + 1.0)
    assert ["over unknown-machine 1 asked", "over unknown-machine 2 asked"] == told(notices)
