"""Paths of logs, however hostile the names."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from netboot.log_names import path, place, safe
from netboot.runs import Refused
from netboot.store import LogName
from tests.netboot.story import begun, work

names = st.text() | st.sampled_from(["..", "../../etc/passwd", "a/b", "a.b", "", "=", "a" * 1000, "日本", "\0", "\ud800", "."])


def test_ordinary_names_stay_readable() -> None:
    assert path(LogName("run-1", "install-os", "stream_image", 2)) == "run-1/install-os/stream_image.2.log"


def test_a_restarted_task_has_logs_of_its_own() -> None:
    assert path(LogName("run-1", "disk", "wipe", 1, reset=1)) == "run-1/disk/wipe.reset-1.1.log"


@given(names, names, st.integers(0, 99), st.integers(0, 9))
def test_no_name_leads_out_of_the_runs_directory(task: str, action: str, attempt: int, reset: int) -> None:
    assert re.fullmatch(
        r"run/[\w=-]{1,100}/[\w=-]{1,100}[\w.-]*\.log", path(LogName("run", task, action, attempt, reset)), re.A
    )


@given(names, names)
def test_two_names_never_share_a_path(one: str, other: str) -> None:
    assert (one == other) == (safe(one) == safe(other))


def test_an_action_cannot_write_into_the_log_of_a_restarted_one() -> None:
    assert path(LogName("run", "disk", "wipe.reset-1", 1)) != path(LogName("run", "disk", "wipe", 1, reset=1))


def test_an_agent_may_write_the_logs_of_what_its_own_run_started() -> None:
    story, boot, run = begun(resets=1)
    story.start(boot, run, "disk", "wipe")
    assert LogName(run, "disk", "wipe", 1) == place(story.observed, boot, run, "disk", "wipe", 1)
    second = story.boot()
    story.claim(second, "os-2", work(resets=1))
    story.start(second, run, "disk", "wipe")
    assert LogName(run, "disk", "wipe", 1, reset=1) == place(story.observed, second, run, "disk", "wipe", 1)


def test_other_logs_are_refused() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    for status, request in (
        (404, (boot, "no-such", "disk", "wipe", 1)),
        (404, (boot, run, "disk", "wipe", 2)),
        (404, (boot, run, "../..", "wipe", 1)),
        (410, ("another-boot", run, "disk", "wipe", 1)),
    ):
        refused = place(story.observed, *request)
        assert isinstance(refused, Refused)
        assert status == refused.status
