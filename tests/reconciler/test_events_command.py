"""`gitboot events`: each thing that happens, once, also when the server went away meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pytest

from reconciler.commands.following import changes
from reconciler.happenings import of_issues, of_machine
from reconciler.sentence import Sentence
from tests.netboot.live_machine import Agent
from tests.netboot.live_server import Live
from tests.reconciler.answers import feeding
from tests.reconciler.test_commands import call

pytestmark = pytest.mark.shell
REPOSITORY = Path(__file__).parents[2]
PART = {"task": "os", "action": "wipe", "attempt": 2, "reset": 0, "began": "T2", "ended": "T3", "seconds": 1.25,
        "state": "FAILED", "reason": "exit code 3"}  # fmt: skip


def machine(*parts: dict[str, Any], run: dict[str, Any] | None = None) -> dict[str, Any]:
    kernel: dict[str, Any] = {"name": "kernel", "began": "T0", "workflow": None, "run": None, "parts": []}
    actions = {"name": "actions", "began": "T1", "workflow": "install", "run": 1, "parts": parts}
    return {"name": "node-01", "run": run, "story": {"boot": "b", "phases": [kernel, actions]}}


def test_a_machine_s_phases_actions_and_end_are_happenings() -> None:
    run = {"id": "r", "workflow": "install", "number": 1, "state": "FAILED", "reason": "no disk", "ended": "T4"}
    assert [
        ("T0", "comes to kernel"),
        ("T1", "begins workflow install run 1"),
        ("T2", "os/wipe, attempt 2 starts"),
        ("T3", "os/wipe, attempt 2 ends FAILED after 1.2 s: exit code 3"),
        ("T4", "workflow install run 1 ends FAILED: no disk"),
    ] == [(each.at, each.text) for each in of_machine(machine(PART, run=run))]


def test_a_server_without_stories_is_told_of_by_its_runs() -> None:
    document: dict[str, Any] = {"name": "node-01", "run": {"id": "r", "workflow": "install", "number": 1, "state": "SUCCESS",
                                "reason": "", "ended": "T4"}}  # fmt: skip
    assert ["workflow install run 1 ends SUCCESS"] == [each.text for each in of_machine(document)]


def test_a_happening_keeps_its_key_when_more_is_known() -> None:
    begun = {**PART, "ended": None, "seconds": None, "state": "RUNNING"}
    before = {each.key for each in of_machine(machine(begun))}
    assert before < {each.key for each in of_machine(machine(PART))}


def test_an_issue_without_a_beginning_keeps_its_key() -> None:
    issue = {"kind": "runs-held", "machine": None, "since": None, "message": "m"}
    first, later = (next(iter(of_issues({"issues": [issue]}, now))) for now in ("T1", "T2"))
    assert (first.key, "T1", "T2") == (later.key, first.at, later.at)


def keys(*issues: dict[str, Any]) -> set[str]:
    return {each.key for each in of_issues({"issues": issues}, "T9")}


def test_an_issue_keeps_its_key_while_it_lasts_whatever_is_said_of_it() -> None:
    first = {"kind": "action-overdue", "machine": "node-01", "since": "T1", "message": "mostly takes less than 20 s"}
    assert 1 == len(keys(first, first | {"since": "T2", "message": "mostly takes less than 40 s"}))


def test_things_of_the_site_of_which_there_are_several_are_told_apart_by_what_they_say() -> None:
    strangers = [{"kind": "unknown-machine", "machine": None, "since": "T1", "message": each} for each in ("a", "b")]
    assert 2 == len(keys(*strangers))


# The feed --------------------------------------------------------------------------------------------------------------------


def test_who_is_cut_off_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.commands.following.PAUSE", 0.0)
    first = 'retry: 2000\nid: e-1\n\nid: e-2\nevent: changed\ndata: ["a.json"]\n\nid: e-3\nevent: changed\ndata: ["cut'
    second = 'retry: 2000\nid: e-2\n\n: still here\n\nid: e-3\nevent: changed\ndata: ["b.json", "c.json"]\n\n'
    with feeding(first, second, "id: e-3\n\nid: f-9\nevent: reset\ndata: []\n\n") as (url, heard):
        news = [each for each in islice(changes(url, ""), 7) if each != frozenset()]
        assert [None, {"a.json"}, {"b.json", "c.json"}, None] == news
        assert ["", "e-2", "e-3"] == heard


def test_a_server_that_is_not_there_or_refuses_is_a_sentence() -> None:
    with pytest.raises(Sentence, match="does not answer"):
        next(changes("http://127.0.0.1:1", ""))
    with feeding() as (url, _), pytest.raises(Sentence, match="answers HTTP 503"):
        next(changes(url, ""))


# The command -----------------------------------------------------------------------------------------------------------------


@contextmanager
def following(*words: str) -> Iterator[IO[str]]:
    command = [sys.executable, "-m", "reconciler", "events", "--follow", *words]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.kill()


def until(lines: IO[str], text: str) -> list[str]:
    """The lines up to one with this text."""
    read = []
    for line in lines:
        read.append(line)
        if text in line:
            return read
    raise AssertionError(f"{text!r} was never said: {read}")


def test_what_happens_to_a_machine_is_told_while_it_happens_and_once(tmp_path: Path) -> None:
    with Live(tmp_path) as netboot:
        url = f"http://127.0.0.1:{netboot.http_port}"
        agent = Agent.of(netboot)
        with following("node-01", "--server", url) as lines:
            assert "node-01" in until(lines, "comes to ")[-1]
            agent.begin()
            told = until(lines, "look/first starts")
            assert 1 == sum("begins workflow" in line for line in told)
        past = call("events", "--server", url).output.splitlines()
        assert 1 == sum("look/first starts" in line for line in past)
        times = [line.split()[0] for line in past]
        assert times == sorted(times)
        assert [past[-1]] == call("events", "--server", url, "-n", "1").output.splitlines()
        objects = [json.loads(line) for line in call("events", "--server", url, "-o", "json").output.splitlines()]
        assert times == [each["at"] for each in objects]
        (starts,) = (each for each in objects if each["text"] == "look/first starts")
        assert ("node-01", None, True) == (starts["machine"], starts["state"], bool(starts["key"]))


def test_an_issue_is_told_when_it_begins_and_when_it_is_over(tmp_path: Path) -> None:
    with Live(tmp_path) as netboot:
        url = f"http://127.0.0.1:{netboot.http_port}"
        frozen = tmp_path / "state/frozen"
        with following("--server", url) as lines:
            Agent.of(netboot)
            until(lines, "comes to ")
            frozen.write_text(json.dumps({"at": 0, "by": "ann", "reason": "a move"}))
            assert "issue runs-held" in until(lines, "issue runs-held")[-1]
            frozen.unlink()
            until(lines, "no more issue runs-held")
