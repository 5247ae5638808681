"""What a change does, beside the lines that decide it.

What is said of each kind of change is in the goldens of test_plan_history.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from reconciler.annotations import as_sarif
from reconciler.plan_annotations import written_lines
from tests.reconciler.gitkit import Work
from tests.reconciler.inventories import SOUND, snapshot
from tests.reconciler.plan_history import HISTORY, Told, told
from tests.reconciler.process import environment
from tests.reconciler.test_annotations import CODE_QUALITY, SARIF, as_a_runner_reads

ELSEWHERE = ("a workflow gone", "a machine gone", "a line of user-data")
"""What is deleted is beside no line, and what is inside of a block of text beside its first."""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    return told(tmp_path_factory.mktemp("history"))


@pytest.mark.shell
def test_every_annotation_is_beside_a_line_that_the_commit_wrote(history: list[Told]) -> None:
    for each in history:
        strange = [found for found in each.annotations if found.line not in each.written.get(found.file, ())]
        assert [] == strange or each.commit.name in ELSEWHERE, each.commit.name


@pytest.mark.shell
def test_every_consequence_of_a_commit_is_beside_a_line(history: list[Told]) -> None:
    assert len(HISTORY) == len(history)
    for each in history:
        assert {change.consequence for change in each.difference.machines} == {
            found.code.replace("-", " ") for found in each.annotations
        }


@pytest.mark.shell
def test_whatever_changes_is_valid_sarif(history: list[Told]) -> None:
    for each in history:
        jsonschema.validate(json.loads(as_sarif(each.annotations)), SARIF)


def lines(before: str, after: str) -> list[int]:
    found = written_lines(snapshot({"a.yaml": before, "same.yaml": "x"}), snapshot({"a.yaml": after, "same.yaml": "x"}))
    assert "same.yaml" not in found
    return sorted(found.get("a.yaml", ()))


@pytest.mark.parametrize(
    ("before", "after", "written"),
    [
        ("a\nb\nc", "a\nB\nc", [2]),
        ("a\nb", "a\nb", []),
        ("a\nb", "b\na", []),
        ("a\nb", "a\nb\nb", [3]),
        ("", "a\nb", [1, 2]),
        ("a\nb", "", []),
    ],
)
def test_a_line_that_was_there_is_not_new_wherever_it_has_moved(before: str, after: str, written: list[int]) -> None:
    assert written == lines(before, after)


def test_all_of_a_new_file_is_new() -> None:
    assert {"b.yaml": {1, 2}} == written_lines(snapshot({"a.yaml": "x"}), snapshot({"a.yaml": "x", "b.yaml": "x\ny"}))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Two commits: an inventory in a folder, and another address in it."""
    work = Work(tmp_path / "site")
    for path, content in SOUND.items():
        work.write(f"racks/berlin/{path}", content)
    work.commit()
    work.write("racks/berlin/hardware.yaml", SOUND["hardware.yaml"].replace("10.1.0.11", "10.1.0.12"))
    work.commit()
    return work


def plan(work: Work, form: str) -> str:
    command = [sys.executable, "-m", "reconciler", "plan", "HEAD~1..HEAD", "--repo", "racks/berlin", "--format", form]
    done = subprocess.run(command, cwd=work.path, env=environment() | PATHS, capture_output=True, text=True, check=False)
    assert 2 == done.returncode, done.stderr
    return done.stdout


PATHS = {"PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.mark.shell
def test_the_command_names_files_from_the_top_of_the_repository_in_every_form(work: Work) -> None:
    file = "racks/berlin/hardware.yaml"
    ((level, found, message),) = as_a_runner_reads(plan(work, "github"))
    assert ("notice", file, "7", True) == (level, found["file"], found["line"], "10.1.0.11 → 10.1.0.12" in message)
    report = json.loads(plan(work, "sarif"))
    jsonschema.validate(report, SARIF)
    ((result,),) = (run["results"] for run in report["runs"])
    assert {"uri": file} == result["locations"][0]["physicalLocation"]["artifactLocation"]
    jsonschema.validate(quality := json.loads(plan(work, "gitlab")), CODE_QUALITY)
    assert [(file, 7)] == [(each["location"]["path"], each["location"]["lines"]["begin"]) for each in quality]
