"""`gitboot plan`: two commits compared, and an exit status that says what came of it."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click import ClickException
from click.testing import CliRunner
from jsonschema import Draft202012Validator

import schemas
from reconciler.cli import gitboot
from reconciler.formats import FileContent, read_file
from tests.reconciler.gitkit import Work
from tests.reconciler.inventories import MACHINE, PROFILE, SITE, SOUND, TEMPLATE, WORKFLOW

pytestmark = pytest.mark.shell


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """And the collector, which the command does without."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    gc.enable()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    work = Work(tmp_path / "work")
    work.commit(**{name.removesuffix(".yaml"): text for name, text in SOUND.items()})
    return work


@dataclass
class Shown:
    exit_code: int
    output: str


def call(*arguments: str) -> Shown:
    """As `reconciler.cli.main` calls it."""
    result = CliRunner().invoke(gitboot, ["plan", *arguments], standalone_mode=False)
    if isinstance(result.exception, ClickException):
        return Shown(result.exception.exit_code, result.exception.format_message())
    assert result.exception is None, result.exception
    return Shown(result.return_value, result.output)


def plan(work: Work, commits: str, *arguments: str) -> Shown:
    return call(commits, "--repo", str(work.path), *arguments)


def test_a_changed_address_is_told_and_exits_with_2(work: Work) -> None:
    work.commit(hardware=MACHINE.replace("10.1.0.11", "10.1.0.12"))
    shown = plan(work, "HEAD~1..HEAD")
    assert 2 == shown.exit_code, shown.output
    assert "~ address  10.1.0.11 → 10.1.0.12" in shown.output
    assert shown.output.endswith("1 machine: 1 at the next boot (1 moved).\n")


def test_a_commit_that_changes_nothing_on_the_wire_exits_with_0(work: Work) -> None:
    work.commit(notes="# only words\n")
    shown = plan(work, "HEAD~1..")
    assert (0, True) == (shown.exit_code, "No change" in shown.output)


def test_the_files_as_they_lie_can_be_compared_before_they_are_committed(work: Work) -> None:
    assert 0 == plan(work, "HEAD").exit_code
    work.write("workflow.yaml", WORKFLOW.replace("node-01}", "node-01, run: 2}"))
    shown = plan(work, "main")
    assert (2, True) == (shown.exit_code, "workflow look-at-01 run  1 → 2" in shown.output)


def test_three_dots_compare_with_where_a_branch_left(work: Work) -> None:
    work.git("checkout", "-q", "-b", "topic")
    work.commit(hardware=MACHINE.replace("10.1.0.11", "10.1.0.12"))
    work.git("checkout", "-q", "main")
    work.commit(workflow=WORKFLOW.replace("node-01}", "node-01, run: 2}"))
    assert "look-at-01" in plan(work, "main..topic").output
    shown = plan(work, "main...topic")
    assert "look-at-01" not in shown.output
    assert "~ address  10.1.0.11 → 10.1.0.12" in shown.output


def test_a_first_commit_is_all_new(work: Work) -> None:
    first = work.git("rev-parse", "HEAD")
    empty = work.commit_tree(b"")
    shown = plan(work, f"{empty}..{first}")
    assert (2, True) == (shown.exit_code, "node-01, new" in shown.output)


@pytest.mark.parametrize(
    ("commits", "said"),
    [("HEAD~1..HEAD", "HEAD ("), ("HEAD..HEAD~1", "nothing can be compared to it"), ("nowhere..HEAD", "'nowhere'")],
)
def test_what_cannot_be_told_exits_with_1(work: Work, commits: str, said: str) -> None:
    work.commit(hardware=MACHINE.replace("profile:", "profle:"))
    shown = plan(work, commits)
    assert (1, True) == (shown.exit_code, said in shown.output), shown.output


def test_a_wrong_call_exits_with_1_too(work: Work) -> None:
    assert 1 == plan(work, "HEAD..HEAD", "--format", "prose").exit_code
    assert 1 == call().exit_code


def test_programs_get_all_of_it(work: Work) -> None:
    work.commit(hardware=MACHINE.replace("10.1.0.11", "10.1.0.12"))
    document = json.loads(plan(work, "HEAD~1..HEAD", "--format", "json").output)
    Draft202012Validator(schemas.load("difference")).validate(document)
    (machine,) = document["machines"]
    assert {"name": "DNS 10.1.0.12 PTR", "before": None, "after": "node-01"} in machine["settings"]
    assert work.git("rev-parse", "HEAD") == document["after"]["revision"]


def test_a_second_look_reads_nothing_again_but_what_changed(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.commit(hardware=MACHINE.replace("10.1.0.11", "10.1.0.12"))
    first = plan(work, "HEAD~1..HEAD")
    seen = list[str]()

    def read(file: str, data: bytes) -> FileContent:
        seen.append(file)
        return read_file(file, data)

    monkeypatch.setattr("reconciler.reader.read_file", read)
    assert first == plan(work, "HEAD~1..HEAD")
    assert ["hardware.yaml"] == seen


def test_a_memory_that_cannot_be_read_or_kept_is_done_without(
    work: Work, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    work.commit(hardware=MACHINE.replace("10.1.0.11", "10.1.0.12"))
    first = plan(work, "HEAD~1..HEAD")
    for file in Path(os.environ["XDG_CACHE_HOME"], "gitboot").iterdir():
        file.write_bytes(b"not what it was")
    assert first == plan(work, "HEAD~1..HEAD")
    monkeypatch.setenv("XDG_CACHE_HOME", str(work.write("no-folder", "")))
    assert first == plan(work, "HEAD~1..HEAD")


def test_a_server_is_asked_what_has_run(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.commit(template=TEMPLATE.replace("timeout: 60", "timeout: 90"))
    run = {"id": "r", "workflow": "look-at-01", "machine": "node-01", "number": 1, "repeat": "once", "part": 0,
           "state": "SUCCESS", "reason": "all is well"}  # fmt: skip
    told = {
        "reconcile.json": {"kind": "ReconcileStatus"},
        "workflows/look-at-01.json": {
            "kind": "WorkflowStatus", "name": "look-at-01", "run": 1, "repeat": "once", "runs": [run], "machines": [],
        },
    }  # fmt: skip

    @contextmanager
    def server(url: str, token: str) -> Iterator[Any]:
        assert "http://gitboot.example" == url
        yield told.get

    monkeypatch.setattr("reconciler.commands.documents.over_http", server)
    assert "DESTRUCTIVE" in plan(work, "HEAD~1..HEAD").output
    shown = plan(work, "HEAD~1..HEAD", "--server", "http://gitboot.example")
    assert "NONE" in shown.output
    assert "DESTRUCTIVE" not in shown.output


def test_a_state_directory_is_asked_what_has_run(work: Work, tmp_path: Path) -> None:
    work.commit(template=TEMPLATE.replace("timeout: 60", "timeout: 90"))
    assert 1 == plan(work, "HEAD~1..HEAD", "--state", str(tmp_path / "nothing")).exit_code
    (tmp_path / "state" / "journal").mkdir(parents=True)
    shown = plan(work, "HEAD~1..HEAD", "--state", str(tmp_path / "state"))
    assert (2, True, False) == (shown.exit_code, "DESTRUCTIVE" in shown.output, "unless it has begun" in shown.output)


def test_another_artefact_is_not_taken_for_the_one_that_is_remembered(work: Work, tmp_path: Path) -> None:
    work.commit(hardware=MACHINE.replace("10.1.0.11", "10.1.0.12"))
    kernel = tmp_path / "artifacts" / "inspect" / "vmlinuz"
    kernel.parent.mkdir(parents=True)
    look = ("HEAD~1..HEAD", "--artifacts", str(tmp_path / "artifacts"), "--format", "json")
    kernel.write_bytes(b"one")
    one = json.loads(plan(work, *look).output)
    kernel.write_bytes(b"another")
    warm, again = (json.loads(plan(work, *look).output) for _ in range(2))
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    assert json.loads(plan(work, *look).output) == warm == again
    assert one["before"]["plan"] != warm["before"]["plan"]


LIMITED = (
    SITE.rstrip() + "\n  policy:\n    limits:\n    - {change: destructive, machines: 0}\n    - {change: remove, machines: 0}\n"
)


@pytest.fixture
def limited(work: Work) -> Work:
    """Served: a machine without work, and a policy that allows nothing destructive."""
    work.commit(site=LIMITED, workflow=WORKFLOW.replace("node-01}", "node-01, cancel: true}"))
    return work


def test_what_policy_will_hold_exits_with_3_and_says_how_it_is_released(limited: Work) -> None:
    limited.commit(workflow=WORKFLOW)
    shown = plan(limited, "HEAD~1..HEAD")
    assert 3 == shown.exit_code, shown.output
    said = " ".join(shown.output.split())
    assert "policy allows destructive runs on at most 0 machines per site, and this commit has 1 machine start" in said
    assert "to release it: nobody is listed who may approve it (destructive)" in said
    assert "BLOCKED: policy holds a run back" in said
    assert "**Held by policy**" in plan(limited, "HEAD~1..HEAD", "--format", "markdown").output
    document = json.loads(plan(limited, "HEAD~1..HEAD", "--format", "json").output)
    Draft202012Validator(schemas.load("difference")).validate(document)
    assert [("destructive", ["node-01"], False)] == [
        (each["kind"], each["machines"], each["whole"]) for each in document["held"]
    ]
    assert 1 == document["consequences"]["blocked"]


SIGNER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOQV+lHuP4GDMQtlNDOaUtQJw2wTqIeI8OztBa4Cf+UM"


def test_a_plan_is_named_for_approval_only_where_its_files_were_looked_at(limited: Work, tmp_path: Path) -> None:
    """Their digests are part of the id that a server judges by; another id approves nothing."""
    limited.commit(site=f"{LIMITED}  trust:\n    signers: [{{name: ann, ssh: {SIGNER}}}]\n")
    limited.commit(workflow=WORKFLOW)
    shown = " ".join(plan(limited, "HEAD~1..HEAD").output.split())
    assert "with the trailer `Gitboot-Approve:` and the plan's id, which `gitboot status` says after the push" in shown
    kernel = tmp_path / "artifacts" / "inspect" / "vmlinuz"
    kernel.parent.mkdir(parents=True)
    kernel.write_bytes(b"kernel")
    shown = " ".join(plan(limited, "HEAD~1..HEAD", "--artifacts", str(tmp_path / "artifacts")).output.split())
    assert re.search(r"signed by ann, with the trailer `Gitboot-Approve: [0-9a-f]{64}`", shown), shown


def test_a_plan_without_files_is_named_for_approval_wherever_it_is_made(work: Work) -> None:
    for name in ("profile.yaml", "workflow.yaml", "template.yaml"):
        (work.path / name).unlink()
    bare = MACHINE.replace("  profile: inspect\n", "")
    work.commit(site=f"{LIMITED}  trust:\n    signers: [{{name: ann, ssh: {SIGNER}}}]\n", hardware=bare)
    work.commit(hardware=bare.replace("node-01", "node-02").replace("12:34:01", "12:34:02").replace("10.1.0.11", "10.1.0.12"))
    shown = " ".join(plan(work, "HEAD~1..HEAD").output.split())
    assert re.search(r"the whole commit waits: .*with the trailer `Gitboot-Approve: [0-9a-f]{64}`", shown), shown


def test_a_commit_is_judged_by_the_policy_before_it_and_by_the_floor(limited: Work, tmp_path: Path) -> None:
    limited.commit(site=SITE, workflow=WORKFLOW)
    shown = plan(limited, "HEAD~1..HEAD")
    assert (3, True) == (shown.exit_code, "it allows more than destructive runs" in shown.output)
    limited.commit(profile=PROFILE.replace("vmlinuz}", "vmlinuz, cmdline: quiet}"))
    assert 2 == plan(limited, "HEAD~1..HEAD").exit_code
    floor = tmp_path / "floor.yaml"
    floor.write_text("policy: {limits: [{change: move, machines: 0}]}\n")
    limited.commit(hardware=MACHINE.replace("10.1.0.11", "10.1.0.12"))
    assert 2 == plan(limited, "HEAD~1..HEAD").exit_code
    shown = plan(limited, "HEAD~1..HEAD", "--trust-floor", str(floor))
    assert (3, True) == (shown.exit_code, "the whole commit waits" in shown.output)


def test_what_has_nothing_to_do_with_a_change_is_not_held_against_it(work: Work) -> None:
    """A protected machine that was installed once has its workflow for ever."""
    work.commit(hardware=MACHINE.replace("  profile:", "  protect: true\n  profile:"))
    work.commit(profile=PROFILE.replace("vmlinuz}", "vmlinuz, cmdline: quiet}"))
    assert 2 == plan(work, "HEAD~1..HEAD").exit_code
    work.commit(workflow=WORKFLOW.replace("node-01}", "node-01, run: 2}"))
    assert 3 == plan(work, "HEAD~1..HEAD").exit_code
