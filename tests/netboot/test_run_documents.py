"""One run as a document."""

from __future__ import annotations

from netboot.run_documents import rfc3339, run_document, run_summary
from tests.netboot.story import begun, work


def test_times_are_rfc_3339_in_utc() -> None:
    assert rfc3339(1767225599.9994) == "2025-12-31T23:59:59.999Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"


def test_a_time_that_no_calendar_has_is_its_end() -> None:
    assert ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z"] == [rfc3339(-1e300), rfc3339(1e300)]


def test_every_action_appears_with_its_attempts_times_and_log() -> None:
    story, boot, run = begun()
    story.do(boot, run, "disk", "wipe")
    story.start(boot, run, "disk", "write")
    story.end(boot, run, "disk", "write", "FAILED", exit_code=3, reason="exit code 3")
    disk, configure = run_document(story.observed.runs[run])["tasks"]
    assert ["wipe", "write"] == [action["name"] for action in disk["actions"]]
    assert {
        "attempt": 1,
        "reset": 0,
        "state": "FAILED",
        "started": "1970-01-01T00:16:46.000Z",
        "ended": "1970-01-01T00:16:47.000Z",
        "seconds": 1.0,
        "exitCode": 3,
        "reason": "exit code 3",
        "log": f"/logs/{run}/disk/write.1.log",
    } == disk["actions"][1]["attempts"][0]
    assert configure == {"name": "configure", "actions": [{"name": "grub", "state": "PENDING", "attempts": []}]}


def test_what_a_run_that_ended_never_began_is_skipped() -> None:
    story, boot, run = begun()
    story.finish(boot, run, "FAILED", "no container runtime")
    document = run_document(story.observed.runs[run])
    assert ("FAILED", "no container runtime") == (document["state"], document["reason"])
    assert {"SKIPPED"} == {action["state"] for task in document["tasks"] for action in task["actions"]}


def test_handlers_appear_after_the_actions_once_they_run() -> None:
    story, boot, run = begun()
    story.do(boot, run, "disk", "wipe")
    story.do(boot, run, "disk", "write", "FAILED", 1)
    story.do(boot, run, "disk", "write", "FAILED", 2)
    story.start(boot, run, "disk", "write:on-failure")
    actions = run_document(story.observed.runs[run])["tasks"][0]["actions"]
    assert [("wipe", "SUCCESS", 1), ("write", "FAILED", 2), ("write:on-failure", "RUNNING", 1)] == [
        (action["name"], action["state"], len(action["attempts"])) for action in actions
    ]


def test_after_a_reset_the_past_stays_readable_and_the_task_is_pending_again() -> None:
    story, boot, run = begun(resets=1)
    story.do(boot, run, "disk", "wipe")
    story.claim(story.boot(), "os-2", work(resets=1))
    document = run_document(story.observed.runs[run])
    wipe = document["tasks"][0]["actions"][0]
    assert ("PENDING", ["SUCCESS"], {"disk": 1}) == (
        wipe["state"],
        [attempt["state"] for attempt in wipe["attempts"]],
        document["restarts"],
    )


def test_a_summary_says_what_is_in_flight() -> None:
    story, boot, run = begun()
    assert run_summary(story.observed.runs[run], "node-01")["reason"] == "between two actions"
    story.start(boot, run, "disk", "wipe")
    assert run_summary(story.observed.runs[run], "node-01")["reason"] == "disk/wipe is in flight"
