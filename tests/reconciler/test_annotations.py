"""What is said of lines, as GitHub, GitLab and SARIF have it; read again as their readers do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.annotations import FORMS, Annotation, as_github, as_gitlab, as_sarif, of_problems
from reconciler.cli import gitboot
from reconciler.problems import Problem
from tests.reconciler.gitkit import Work
from tests.reconciler.inventories import SOUND
from tests.reconciler.test_reconcile import BROKEN

SARIF = json.loads((Path(__file__).parent / "sarif-2.1.0-parts.json").read_text())
CODE_QUALITY = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "not": {"pattern": "^\\./."}},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "properties": {"begin": {"type": "integer", "minimum": 1}},
                    },
                },
            },
        },
    },
}
"""docs.gitlab.com, "Code Quality report format"."""

ERROR = Problem("b.yaml", 3, 7, "spec.run", "bad-value", "error", "The run number must be at least 1.")
WARNING = Problem("a.yaml", 1, 1, "", "not-gitboot", "warning", "This is not gitboot's and is ignored.")
WHOLE = Problem("link.yaml", 0, 0, "", "unread-symlink", "error", "Symbolic links are not followed.")
NOWHERE = Problem("", 0, 0, "", "missing-site", "error", "There is no Site.")
ALL = [WARNING, ERROR, NOWHERE, WHOLE]
FAULTY = {**SOUND, "hardware.yaml": BROKEN}

Command = tuple[str, dict[str, str], str]


def as_a_runner_reads(output: str) -> list[Command]:
    """Each line as actions/runner's ActionCommand reads it: name, properties, message. A line that is no command fails."""
    found = []
    for line in output.removesuffix("\n").split("\n") if output else []:
        assert line.startswith("::")
        assert "\r" not in line
        head, _, message = line[2:].partition("::")
        name, _, properties = head.partition(" ")
        pairs = [each.split("=", 1) for each in properties.split(",") if each]
        decoded = {key: unescaped(value, {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","}) for key, value in pairs}
        found.append((name, decoded, unescaped(message, {"%0D": "\r", "%0A": "\n"})))
    return found


def unescaped(text: str, escapes: dict[str, str]) -> str:
    for escape, letter in escapes.items():
        text = text.replace(escape, letter)
    return text.replace("%25", "%")


def test_github_is_told_file_line_and_column_errors_first() -> None:
    assert [
        ("error", {"title": "missing-site"}, "There is no Site."),
        (
            "error",
            {"file": "b.yaml", "line": "3", "col": "7", "title": "b.yaml:3 bad-value"},
            "spec.run: The run number must be at least 1.",
        ),
        ("error", {"file": "link.yaml", "title": "link.yaml unread-symlink"}, "Symbolic links are not followed."),
        (
            "warning",
            {"file": "a.yaml", "line": "1", "col": "1", "title": "a.yaml:1 not-gitboot"},
            "This is not gitboot's and is ignored.",
        ),
    ] == as_a_runner_reads(as_github(of_problems(ALL)))


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@given(TEXT, TEXT)
def test_no_file_name_and_no_message_can_be_a_command(file: str, message: str) -> None:
    (found,) = as_a_runner_reads(as_github([Annotation(file, 3, 0, "error", "x", message)]))
    assert ("error", file, message) == (found[0], found[1]["file"], found[2])


HOSTILE = ["x\n::stop-commands::a", "x\r\n::error::y", "::set-env name=a::b", "a,line=7:b", "%0A::debug::"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_stay_names(hostile: str) -> None:
    (found,) = as_a_runner_reads(as_github([Annotation(hostile, 3, 0, "error", "x", hostile)]))
    assert ("error", {"file": hostile, "line": "3", "title": f"{hostile}:3 x"}, hostile) == found


def test_sarif_has_the_documented_structure_and_a_rule_for_each_code() -> None:
    report = json.loads(as_sarif(of_problems(ALL)))
    jsonschema.validate(report, SARIF)
    (run,) = report["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert sorted({problem.code for problem in ALL}) == rules
    assert all(result["ruleId"] == rules[result["ruleIndex"]] for result in run["results"])
    told = {result["ruleId"]: result for result in run["results"]}
    place = told["bad-value"]["locations"][0]["physicalLocation"]
    assert {"artifactLocation": {"uri": "b.yaml"}, "region": {"startLine": 3, "startColumn": 7}} == place
    assert "error" == told["bad-value"]["level"]
    assert {"artifactLocation": {"uri": "."}} == told["missing-site"]["locations"][0]["physicalLocation"]


def test_sarif_of_nothing_wrong_says_so() -> None:
    """An empty list: without one, a reader would take it that nothing was looked at (SARIF 3.14.23)."""
    report = json.loads(as_sarif([]))
    jsonschema.validate(report, SARIF)
    assert [] == report["runs"][0]["results"]


PLACE = st.integers(0, 9)
ANY = st.builds(Annotation, TEXT, PLACE, PLACE, st.sampled_from(["error", "warning", "notice"]), TEXT, TEXT)


@settings(max_examples=40)
@given(st.lists(ANY, max_size=5))
def test_any_annotations_are_valid_in_every_form(annotations: list[Annotation]) -> None:
    jsonschema.validate(json.loads(as_sarif(annotations)), SARIF)
    jsonschema.validate(json.loads(as_gitlab(annotations)), CODE_QUALITY)
    for form in FORMS.values():
        assert form(annotations) == form([*reversed(annotations), *annotations])


def test_a_path_that_is_no_unicode_is_told_all_the_same() -> None:
    strange = [Annotation("caf\udce9 ü.yaml", 1, 1, "error", "x", "message \udce9")]
    assert "caf%E9%20%C3%BC.yaml" in as_sarif(strange)
    for form in FORMS.values():
        form(strange).encode()


def test_a_finding_keeps_its_fingerprint_when_its_line_moves_and_no_other_has_it() -> None:
    def prints(problems: list[Problem]) -> list[str]:
        return [each["fingerprint"] for each in json.loads(as_gitlab(of_problems(problems)))]

    moved = Problem("b.yaml", 90, 2, *(ERROR.path, ERROR.code, ERROR.severity, ERROR.message))
    assert prints([ERROR]) == prints([moved])
    assert 4 == len(set(prints(ALL)))


def shown(folder: str, form: str) -> Any:
    result = CliRunner().invoke(gitboot, ["check", folder, "--format", form], catch_exceptions=False, standalone_mode=False)
    assert 1 == result.return_value
    return result.stdout


@pytest.mark.shell
def test_files_are_named_from_the_top_of_the_repository_wherever_the_inventory_is(tmp_path: Path) -> None:
    """A forge shows nothing beside a line of a file that it does not have."""
    work = Work(tmp_path / "site")
    for path, content in FAULTY.items():
        work.write(f"racks/berlin/{path}", content)
    work.commit()
    inventory = str(work.path / "racks/berlin")
    for target in (inventory, f"{inventory}@HEAD"):
        assert {"racks/berlin/hardware.yaml"} == {found["file"] for _, found, _ in as_a_runner_reads(shown(target, "github"))}
        assert {"racks/berlin/hardware.yaml"} == {each["location"]["path"] for each in json.loads(shown(target, "gitlab"))}
    results = json.loads(shown(inventory, "sarif"))["runs"][0]["results"]
    uris = {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in results}
    assert {"racks/berlin/hardware.yaml"} == uris


@pytest.mark.shell
def test_a_folder_that_git_knows_nothing_of_is_its_own_top(tmp_path: Path) -> None:
    for path, content in FAULTY.items():
        (tmp_path / path).write_text(content)
    assert {"hardware.yaml"} == {found["file"] for _, found, _ in as_a_runner_reads(shown(str(tmp_path), "github"))}
