"""What an agent may say, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workflow import Action, Task, Workflow
from netboot import reports
from netboot.errors import Malformed
from netboot.events import ActionEnd
from netboot.reports import Ended, Finished, Report, ReportRequest, Started
from netboot.runs import Accepted, Nothing, Refused
from tests.netboot.story import Story, begun, work


def test_a_report_is_read_from_the_bytes_of_the_protocol() -> None:
    body = b'{"boot":"b","run":"r","sequence":1,"event":{"type":"action-started","task":"t","action":"a","attempt":1}}'
    expected = ReportRequest("b", "r", 1, Started(task="t", action="a", attempt=1))
    assert expected == reports.decode_report(body)


@given(st.binary())
def test_other_bytes_are_malformed_and_nothing_else(body: bytes) -> None:
    for decode in (reports.decode_claim, reports.decode_report, reports.decode_heartbeat):
        with pytest.raises(Malformed):
            decode(body)


@pytest.mark.parametrize(
    "event",
    [
        '{"type":"action-started","task":"t","action":"a"}',
        '{"type":"action-ended","task":"t","action":"a","attempt":1,"state":"RUNNING"}',
        '{"type":"run-ended","state":"CANCELLED"}',
        '{"type":"run-ended","state":"success"}',
        '{"type":"boot-closed","boot":"b"}',
        "null",
    ],
)
def test_an_event_that_is_no_report_is_malformed(event: str) -> None:
    with pytest.raises(Malformed):
        reports.decode_report(f'{{"boot":"b","run":"r","sequence":1,"event":{event}}}'.encode())


def started(action: str, attempt: int = 1, task: str = "disk") -> Started:
    return Started(task=task, action=action, attempt=attempt)


def ended(action: str, attempt: int = 1, task: str = "disk") -> Ended:
    return Ended(task=task, action=action, attempt=attempt, state="SUCCESS")


NOTHING, WIPING, WIPED, WRITE_FAILED, WRITE_TIMED_OUT, WRITE_LOST = range(6)


def at(point: int) -> tuple[Story, str, str]:
    """The run of INSTALL brought to a point."""
    story, boot, run = begun()
    if point == WIPING:
        story.start(boot, run, "disk", "wipe")
    if point >= WIPED:
        story.do(boot, run, "disk", "wipe")
    if point >= WRITE_FAILED:
        story.do(boot, run, "disk", "write", "FAILED", 1)
        last = {WRITE_FAILED: "FAILED", WRITE_TIMED_OUT: "TIMEOUT", WRITE_LOST: "INTERRUPTED"}[point]
        story.do(boot, run, "disk", "write", last, 2)  # type: ignore[arg-type] # the values above are the literals
    return story, boot, run


@pytest.mark.parametrize(
    ("point", "report", "sentence"),
    [
        (NOTHING, started("format"), "the workflow has no action disk/format"),
        (NOTHING, started("wipe", task="no-such"), "the workflow has no action no-such/wipe"),
        (NOTHING, started("format:on-failure"), "the workflow has no action disk/format:on-failure"),
        (NOTHING, started("write"), "disk/write cannot start before disk/wipe has succeeded"),
        (NOTHING, started("wipe", 2), "disk/wipe: the next attempt is 1, not 2"),
        (NOTHING, started("wipe", 0), "disk/wipe: the next attempt is 1, not 0"),
        (NOTHING, ended("wipe"), "disk/wipe attempt 1 cannot end: nothing is in flight"),
        (NOTHING, Finished(state="SUCCESS"), "the run cannot succeed before disk/wipe has"),
        (WIPING, started("wipe"), "disk/wipe cannot start while disk/wipe is in flight"),
        (WIPING, started("write"), "disk/write cannot start while disk/wipe is in flight"),
        (WIPING, ended("write"), "disk/write attempt 1 cannot end: disk/wipe attempt 1 is in flight"),
        (WIPING, ended("wipe", 2), "disk/wipe attempt 2 cannot end: disk/wipe attempt 1 is in flight"),
        (WIPING, Finished(state="SUCCESS"), "the run cannot succeed while disk/wipe is in flight"),
        (WIPED, started("wipe"), "disk/wipe has already succeeded"),
        (WIPED, started("wipe:on-failure"), "the workflow has no handler disk/wipe:on-failure"),
        (WIPED, started("write:on-failure"), "disk/write:on-failure cannot start: disk/write did not end as FAILED"),
        (WRITE_FAILED, started("write", 3), "disk/write cannot start: disk/write has failed and the run with it"),
        (WRITE_FAILED, started("grub", task="configure"), "configure/grub cannot start: disk/write has failed"),
        (WRITE_FAILED, started("write:on-timeout"), "disk/write:on-timeout cannot start: disk/write did not end as TIMEOUT"),
        (WRITE_FAILED, started("write:on-failure", 2), "disk/write:on-failure: a handler has one attempt"),
        (WRITE_TIMED_OUT, started("write:on-failure"), "did not end as FAILED or INTERRUPTED"),
    ],
)
def test_a_report_that_makes_no_sense_is_refused_with_a_sentence(point: int, report: Report, sentence: str) -> None:
    story, boot, run = at(point)
    before = story.observed.runs[run].sequence
    refused = story.report(boot, run, report)
    assert isinstance(refused, Refused)
    assert (409, before) == (refused.status, refused.sequence)
    assert sentence in refused.error


@pytest.mark.parametrize(
    ("point", "report"),
    [
        (NOTHING, started("wipe")),
        (NOTHING, Finished(state="FAILED", reason="the agent found no container runtime")),
        (WIPING, Finished(state="TIMEOUT", reason="global timeout")),
        (WIPED, started("write")),
        (WIPED, started("grub", task="configure")),
        (WRITE_FAILED, started("write:on-failure")),
        (WRITE_FAILED, Finished(state="FAILED", reason="disk/write failed")),
        (WRITE_TIMED_OUT, started("write:on-timeout")),
        (WRITE_LOST, started("write:on-failure")),
    ],
)
def test_a_report_that_may_come_next_is_accepted(point: int, report: Report) -> None:
    story, boot, run = at(point)
    assert isinstance(story.report(boot, run, report), Accepted)


CLEANING = Workflow(
    "install",
    (
        Task(
            "disk",
            "node-01",
            (
                Action("open", "image", on_failure=("sync",)),
                Action("write", "image"),
                Action("mourn", "image", if_="failure", retries=1),
                Action("close", "image", if_="always"),
            ),
        ),
        Task("configure", "node-01", (Action("grub", "image"), Action("late", "image", if_="always"))),
    ),
)


def cleaning(*done: tuple[str, ActionEnd]) -> tuple[Story, str, str]:
    """A run of CLEANING in which these actions of the first task have ended so."""
    story = Story().new_site()
    boot = story.boot()
    run = story.claimed(boot, asked=work(CLEANING))["id"]
    for action, state in done:
        tried = [attempt for attempt in story.observed.runs[run].attempts if attempt.action == action]
        story.do(boot, run, "disk", action, state, len(tried) + 1)
    return story, boot, run


@pytest.mark.parametrize(
    ("done", "may", "may_not"),
    [
        ([("open", "SUCCESS")], "write", ["mourn", "close"]),
        ([("open", "SUCCESS"), ("write", "SUCCESS")], "close", ["mourn"]),
        ([("open", "FAILED")], "mourn", ["write", "close"]),
        ([("open", "FAILED"), ("open:on-failure", "SUCCESS")], "mourn", ["write", "close"]),
        ([("open", "FAILED"), ("mourn", "SUCCESS")], "close", ["write", "mourn"]),
    ],
)
def test_what_is_for_after_a_failure_starts_then_and_in_its_turn(
    done: list[tuple[str, ActionEnd]], may: str, may_not: list[str]
) -> None:
    story, boot, run = cleaning(*done)
    for action in may_not:
        assert isinstance(story.start(boot, run, "disk", action), Refused)
    assert isinstance(story.start(boot, run, "configure", "late"), Refused)
    assert isinstance(story.start(boot, run, "disk", may), Accepted)


def test_a_run_succeeds_without_what_is_for_after_a_failure() -> None:
    story, boot, run = cleaning(("open", "SUCCESS"), ("write", "SUCCESS"), ("close", "SUCCESS"))
    for action in ("grub", "late"):
        story.do(boot, run, "configure", action)
    assert isinstance(story.finish(boot, run), Accepted)


@pytest.mark.parametrize("done", [["open"], ["open", "open:on-failure"], ["open", "open:on-failure", "mourn"]])
def test_an_agent_that_restarts_after_a_failure_is_told_of_it_and_goes_on_until_all_is_done(done: list[str]) -> None:
    story, boot, _ = cleaning(*((action, "FAILED") for action in done))
    answer = story.claimed(boot, asked=work(CLEANING))
    assert ("open", "FAILED") == (answer["failed"]["action"], answer["failed"]["state"])


def test_a_run_whose_agent_restarts_when_all_is_done_after_a_failure_has_failed_for_the_first() -> None:
    story, boot, run = cleaning(("open", "FAILED"), ("open:on-failure", "FAILED"), ("mourn", "SUCCESS"), ("close", "FAILED"))
    assert isinstance(story.claim(boot, asked=work(CLEANING)), Nothing)
    assert ("FAILED", "disk/open ended FAILED") == (story.observed.runs[run].state, story.observed.runs[run].reason)


def test_a_handler_runs_once() -> None:
    story, boot, run = at(WRITE_FAILED)
    story.do(boot, run, "disk", "write:on-failure", "FAILED")
    refused = story.start(boot, run, "disk", "write:on-failure")
    assert isinstance(refused, Refused)


def test_the_handlers_own_outcome_changes_nothing() -> None:
    story, boot, run = at(WRITE_FAILED)
    story.do(boot, run, "disk", "write:on-failure", "SUCCESS")
    assert isinstance(story.finish(boot, run, "SUCCESS"), Refused)
    assert isinstance(story.start(boot, run, "configure", "grub"), Refused)
