"""The CI files of the example inventory: their steps, run in the shells and environments that the runners document.

The forge is a stub. What no test here can hold is what only a runner does: checking out, and installing from a network.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.snapshot import is_inventory
from tests.reconciler.forgestub import TOKEN, Stub, forge
from tests.reconciler.inventories import SOUND
from tests.reconciler.test_annotations import as_a_runner_reads
from tests.reconciler.test_hooks import ROOT, Clone
from tests.reconciler.test_reconcile import BROKEN, SECOND_MACHINE

EXAMPLE = ROOT / "example-inventory"
WORKFLOW: dict[Any, Any] = yaml.safe_load((EXAMPLE / ".github/workflows/gitboot.yml").read_text())
GITLAB: dict[str, Any] = yaml.safe_load((EXAMPLE / ".gitlab-ci.yml").read_text())
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["review"]["steps"]
INSTALL, CHECK, SIMULATE, PLAN, COMMENT = ("Install gitboot", "Check", "Simulate", "Plan", "Comment")


def test_what_reviews_an_inventory_is_no_part_of_it() -> None:
    files = [str(path.relative_to(EXAMPLE)) for folder in (".github", "hooks") for path in (EXAMPLE / folder).rglob("*")]
    assert {".github/workflows/gitboot.yml", "hooks/pre-commit", "hooks/pre-receive"} <= set(files)
    assert [] == [path for path in (*files, ".gitlab-ci.yml") if is_inventory(path)]


def test_no_step_puts_what_others_wrote_into_a_script() -> None:
    """An expression is replaced before the shell reads the script: a branch's name would be a command."""
    assert [] == [step["name"] for step in STEPS if "${{" in step.get("run", "")]


def test_the_job_may_do_no_more_than_read_and_comment() -> None:
    assert {"contents": "read", "pull-requests": "write"} == WORKFLOW["permissions"]
    assert {"pull_request", "push"} == set(WORKFLOW[True]), "with pull_request_target, a stranger's files would meet a token"


def test_every_step_is_known_here() -> None:
    assert [INSTALL, CHECK, SIMULATE, PLAN, COMMENT] == [step["name"] for step in STEPS if "run" in step]
    assert {"image", "rules", "interruptible", "variables", "before_script", "script", "artifacts"} == set(GITLAB["gitboot"])


@dataclass
class Runner:
    """Runs one job's scripts in a clone as its runner would, against a stub of its forge."""

    clone: Clone
    stub: Stub
    summary: Path = field(init=False)

    def __post_init__(self) -> None:
        self.summary = self.clone.path.parent / "summary.md"
        pip = self.clone.path.parent / "bin/python"
        pip.write_text(f'#!/bin/sh\necho "$@" >>{self.clone.path.parent}/installed\n')
        pip.chmod(0o755)

    def run(self, script: str, more: Mapping[str, str], *options: str) -> subprocess.CompletedProcess[str]:
        file = self.clone.path.parent / "script.sh"
        file.write_text(script)
        command = ["bash", "--noprofile", "--norc", *options, str(file)]
        environment = {**self.clone.environment, "CI": "true", **more}
        return subprocess.run(command, cwd=self.clone.path, env=environment, capture_output=True, text=True, check=False)

    def github(self, name: str, gitea: bool = False) -> subprocess.CompletedProcess[str]:
        """One step, with "Default environment variables" of docs.github.com and the shell of a `run` without `shell`."""
        (step,) = (step for step in STEPS if step.get("name") == name)
        given = {**WORKFLOW["jobs"]["review"]["env"], **step.get("env", {})}
        documented = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.stub.url + ("/api/v1" if gitea else "/api/v3"),
            "GITHUB_BASE_REF": "main",
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_HEAD_REF": "change",
            "GITHUB_REPOSITORY": "lab/site",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_WORKSPACE": str(self.clone.path),
        } | ({"GITEA_ACTIONS": "true"} if gitea else {})
        return self.run(step["run"], documented | {key: replaced(value) for key, value in given.items()}, "-e")

    def gitlab(self, **more: str) -> subprocess.CompletedProcess[str]:
        """The whole job, with "Predefined CI/CD variables" of docs.gitlab.com for a pipeline of a merge request."""
        documented = {
            "CI_API_V4_URL": f"{self.stub.url}/api/v4",
            "CI_PROJECT_PATH": "lab/site",
            "CI_MERGE_REQUEST_IID": "7",
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": self.clone.git("merge-base", "origin/main", "HEAD"),
            "CI_PIPELINE_SOURCE": "merge_request_event",
            "GITBOOT": "git+https://git.lab.example/gitboot@v1",
            "GITBOOT_FORGE_TOKEN": TOKEN,
        }
        job = GITLAB["gitboot"]
        script = "\n".join([*job["before_script"], *job["script"], "echo the end of the job"])
        return self.run(script, {**job["variables"], **documented, **more}, "-eo", "pipefail")

    @property
    def comment(self) -> str:
        (comment,) = self.stub.comments
        return str(comment["body"])


def replaced(value: str) -> str:
    """Contexts of a pull request (docs.github.com, "Contexts reference"); one that is not here fails."""
    contexts = {
        "vars.GITBOOT": "git+https://git.lab.example/gitboot@v1",
        "github.token": TOKEN,
        "github.event.pull_request.number": "7",
    }
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: contexts[found[1]], value)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """As a runner checks a pull request out: `origin/main`, and a branch of which HEAD is detached."""
    clone = Clone(tmp_path / "clone")
    for path, content in SOUND.items():
        clone.write(path, content)
    clone.commit()
    clone.git("update-ref", "refs/remotes/origin/main", "HEAD")
    clone.git("checkout", "--quiet", "--detach")
    return clone


pytestmark = pytest.mark.shell


def test_a_pull_request_has_one_comment_that_follows_it(clone: Clone) -> None:
    with forge("github", is_job=True) as stub:
        runner = Runner(clone, stub)
        clone.commit(more=SECOND_MACHINE)
        for name in (INSTALL, CHECK, SIMULATE, PLAN, COMMENT):
            done = runner.github(name)
            assert 0 == done.returncode, done.stderr
        assert "node-02" in runner.comment
        assert "node-02" in runner.summary.read_text()
        clone.commit(more=SECOND_MACHINE.replace("node-02", "node-22"))
        for name in (PLAN, COMMENT):
            runner.github(name)
        assert ("node-22" in runner.comment, "node-02" in runner.comment) == (True, False)
    assert "git+https://git.lab.example/gitboot@v1" in (clone.path.parent / "installed").read_text()


def test_giteas_runner_comments_at_gitea(clone: Clone) -> None:
    """It runs the same file, with an API of its own behind the same variables."""
    with forge("gitea", is_job=True) as stub:
        runner = Runner(clone, stub)
        for plan in ("first", "second"):
            clone.write("plan.md", plan)
            done = runner.github(COMMENT, gitea=True)
            assert 0 == done.returncode, done.stderr
        assert runner.comment.endswith("second")


def test_a_broken_pull_request_fails_with_its_lines_and_its_comment_says_so(clone: Clone) -> None:
    with forge("github", is_job=True) as stub:
        runner = Runner(clone, stub)
        clone.commit(more=SECOND_MACHINE)
        runner.github(PLAN)
        runner.github(COMMENT)
        clone.commit(hardware=BROKEN)
        checked = runner.github(CHECK)
        assert 1 == checked.returncode
        assert ("hardware.yaml", "7") in {
            (each[1].get("file"), each[1].get("line")) for each in as_a_runner_reads(checked.stdout)
        }
        assert 0 == runner.github(PLAN).returncode
        assert 0 == runner.github(COMMENT).returncode
        assert "### There is no plan" in runner.comment
        assert "    hardware.yaml:7:" in runner.comment
        assert "node-02" not in runner.comment


def test_without_saying_what_to_install_the_job_says_so(clone: Clone) -> None:
    """And does not install whatever a public index has under the name."""
    with forge("github") as stub:
        runner = Runner(clone, stub)
        (step,) = (step for step in STEPS if step.get("name") == INSTALL)
        done = runner.run(step["run"], {"GITBOOT": ""}, "-e")
        assert (True, True) == (done.returncode != 0, "set the variable GITBOOT of the repository" in done.stderr)
        done = runner.gitlab(GITBOOT="")
        assert (True, True) == (done.returncode != 0, "set the variable GITBOOT" in done.stderr)
    assert not (clone.path.parent / "installed").exists()


def test_a_merge_request_has_one_comment_and_a_report_of_lines(clone: Clone) -> None:
    with forge("gitlab") as stub:
        runner = Runner(clone, stub)
        clone.commit(more=SECOND_MACHINE)
        done = runner.gitlab()
        assert 0 == done.returncode, done.stderr
        assert "node-02" in runner.comment
        assert "critical" not in (clone.path / "gl-code-quality-report.json").read_text()
        clone.commit(hardware=BROKEN)
        done = runner.gitlab()
        assert (1, True) == (done.returncode, "### There is no plan" in runner.comment), done.stderr
        found = json.loads((clone.path / "gl-code-quality-report.json").read_text())
        assert ("hardware.yaml", 7) in {(each["location"]["path"], each["location"]["lines"]["begin"]) for each in found}


@pytest.mark.parametrize(
    "more", [{"GITBOOT_FORGE_TOKEN": ""}, {"CI_MERGE_REQUEST_IID": "", "CI_MERGE_REQUEST_DIFF_BASE_SHA": ""}]
)
def test_a_gitlab_job_without_token_or_merge_request_checks_and_comments_nowhere(clone: Clone, more: dict[str, str]) -> None:
    with forge("gitlab") as stub:
        runner = Runner(clone, stub)
        assert 0 == runner.gitlab(**more).returncode
        clone.commit(hardware=BROKEN)
        assert 1 == runner.gitlab(**more).returncode
        assert [] == stub.comments
