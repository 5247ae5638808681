"""`gitboot try` on a terminal: a sentence for each answer of git, and for none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from netboot.tries import Asked, Judged
from netboot.try_files import asked_for, write_judged
from reconciler.cli import gitboot


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(gitboot, ["try", *(str(word) for word in words)], catch_exceptions=False)


def answered(state: Path, judge: Callable[[Asked], Judged], *words: str) -> Result:
    """What the command says when somebody who follows git answers like this."""

    def answer() -> None:
        while not (found := asked_for(state)):
            pass
        write_judged(state, [judge(each) for each in found])

    git = Thread(target=answer, daemon=True)
    git.start()
    result = call("pr-17", "--on", "node-01", "--state", state, *words)
    git.join()
    return result


PROBLEM = {"file": "a.yaml", "line": 7, "column": 3, "path": "", "code": "unknown-field", "severity": "error", "message": "No."}


@pytest.mark.parametrize(
    ("judge", "words", "code", "said"),
    [
        (lambda asked: Judged(asked, "c" * 40, "p"), (), 0, "node-01 boots by commit cccccccccccc (pr-17) at its next boot"),
        (lambda asked: Judged(asked, "c" * 40, "p"), ("--rehearse",), 0, "node-01 rehearses commit cccccccccccc"),
        (lambda asked: Judged(asked, refused="no."), (), 1, "node-01 does not try pr-17: no."),
        (lambda asked: Judged(asked, "c" * 40, problems=[PROBLEM]), (), 1, "\n  a.yaml:7:3: error: No. [unknown-field]"),
        (lambda asked: Judged(asked, unavailable="git is down."), (), 1, "It is tried again; `gitboot try --cancel"),
    ],
)  # fmt: skip
def test_git_s_answer_is_told(
    tmp_path: Path, judge: Callable[[Asked], Judged], words: tuple[str, ...], code: int, said: str
) -> None:
    result = answered(tmp_path, judge, *words)
    assert (code, True) == (result.exit_code, said in result.output), result.output
    (asked,) = asked_for(tmp_path)
    assert ("node-01", "pr-17", "--rehearse" in words) == (asked.machine, asked.ref, asked.rehearse)
    assert (tmp_path / "look-now").exists()


def test_where_nobody_follows_git_the_request_stays_and_can_be_taken_back(tmp_path: Path) -> None:
    result = call("pr-17", "--on", "node-01", "--state", tmp_path, "--wait", "0")
    assert (1, True) == (result.exit_code, "Nobody has looked at pr-17 yet" in result.output)
    assert 1 == len(asked_for(tmp_path))
    assert "node-01 boots what is served." in call("--cancel", "node-01", "--state", tmp_path).output
    assert [] == asked_for(tmp_path)
    assert "Nothing is to be tried on node-01" in call("--cancel", "node-01", "--state", tmp_path).output


@pytest.mark.parametrize(
    "words", [(), ("pr",), ("--on", "node-01"), ("pr", "--on", "node-01", "--list"), ("pr", "--cancel", "x")]
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = call(*words, "--state", tmp_path)
    assert (2, True) == (result.exit_code, "Say what to try and where" in result.output)


@pytest.mark.parametrize("name", ["../x", ".x"])
def test_a_machine_s_name_is_no_way_out_of_the_folder(tmp_path: Path, name: str) -> None:
    result = call("pr", "--on", name, "--state", tmp_path, "--wait", "0")
    assert (2, True) == (result.exit_code, f"no machine can be called '{name}': correct --on." in result.output)
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_was_tried_is_listed_with_what_came_of_it(tmp_path: Path) -> None:
    assert "Nothing was tried yet." in call("--list", "--state", tmp_path).output
    found = {"kind": "disk", "subject": "root", "state": "note", "said": "would overwrite /dev/vda"}
    shown = {"id": "t1", "machine": "node-01", "revision": "c" * 40, "ref": "pr\x1b[1m", "rehearse": True, "state": "over"}
    (tmp_path / "status").mkdir()
    tries = [{**shown, "result": "success", "said": "all is well", "findings": [found]}]
    (tmp_path / "status/tries.json").write_text(json.dumps({"tries": tries}))
    output = call("--list", "--state", tmp_path).output
    assert "node-01" in output
    assert "cccccccccccc (pr\\x1b[1m)  rehearsal  success  all is well" in output
    assert output.endswith("node-01:\n  note   disk   root: would overwrite /dev/vda\n")
    (tmp_path / "status/tries.json").write_text(json.dumps({"tries": [tries[0] | {"findings": []}]}))
    assert call("--list", "--state", tmp_path).output.endswith("all is well\n")


def test_a_state_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = call("--list", "--state", tmp_path / "nope")
    assert (2, True) == (result.exit_code, "There is no state directory" in result.output)
