"""What a check prints is the same on every run, and ends with the next step."""

from __future__ import annotations

import json

from reconciler.check import as_json, as_text, passes
from reconciler.problems import Problem

ERROR = Problem("b.yaml", 3, 7, "spec.run", "bad-value", "error", "The run number must be at least 1.")
WARNING = Problem("a.yaml", 1, 1, "", "not-gitboot", "warning", "This is not gitboot's and is ignored.")
WHOLE = Problem("link.yaml", 0, 0, "", "unread-symlink", "error", "Symbolic links are not followed.")
NOWHERE = Problem("", 0, 0, "", "missing-site", "error", "There is no Site.")


def test_text_is_one_line_for_each_problem_in_order_of_place_and_a_summary() -> None:
    assert as_text([ERROR, WHOLE, NOWHERE, WARNING, ERROR]).splitlines() == [
        "error: There is no Site. [missing-site]",
        "a.yaml:1:1: warning: This is not gitboot's and is ignored. [not-gitboot]",
        "b.yaml:3:7: error: spec.run: The run number must be at least 1. [bad-value]",
        "link.yaml: error: Symbolic links are not followed. [unread-symlink]",
        "3 errors and 1 warning: mend the errors and check again; docs/problems.md explains each."
        " The last good commit stays served.",
    ]


def test_a_log_names_no_place_that_a_problem_has_not() -> None:
    assert "error: There is no Site. [missing-site]" == str(NOWHERE)
    assert "link.yaml: error: Symbolic links are not followed. [unread-symlink]" == str(WHOLE)


def test_a_commit_with_warnings_passes_and_the_summary_says_so() -> None:
    assert passes([WARNING])
    assert as_text([WARNING]).splitlines()[-1] == "1 warning: the commit can be served; docs/problems.md explains each."


def test_a_clean_commit_is_told_in_one_line() -> None:
    assert as_text([]) == "No problems: the commit can be served.\n"


def test_json_has_every_field_of_every_problem_and_the_verdict() -> None:
    report = json.loads(as_json([ERROR, WARNING]))
    assert not report["ok"]
    assert report["problems"][1] == {
        "file": "b.yaml",
        "line": 3,
        "column": 7,
        "path": "spec.run",
        "code": "bad-value",
        "severity": "error",
        "message": "The run number must be at least 1.",
    }
    assert json.loads(as_json([WARNING]))["ok"]
    assert json.loads(as_json([])) == {"ok": True, "problems": []}
