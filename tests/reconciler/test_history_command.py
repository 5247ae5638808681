"""`gitboot history`: the log of a machine, from a real repository."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from reconciler.commands.history import command
from reconciler.git import open_repository
from reconciler.past import Past
from reconciler.repository import Repository
from reconciler.source import Source
from tests.reconciler.gitkit import Work, free_port, git_daemon
from tests.reconciler.inventories import EXAMPLE, MACHINE, SITE, SOUND
from tests.reconciler.test_why_command import state_of

pytestmark = pytest.mark.shell

MAC = "52:54:00:12:34:01"


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def ask(work: Work, *words: str) -> Result:
    return CliRunner().invoke(command, [*words, "--repo", str(work.path)])


def begun(work: Work) -> str:
    for name, text in SOUND.items():
        work.write(name, text)
    return work.commit()


def test_each_commit_is_told_with_its_author_and_what_it_changed_across_renames(work: Work) -> None:
    first = begun(work)
    work.commit(more="# nothing of the machine's\n")
    work.git("config", "user.name", "Bob")
    second = work.commit(site=SITE.replace("gateway: 10.1.0.1", "gateway: 10.1.0.2"))
    broken = work.commit(site="broken")
    work.commit(site=SITE.replace("gateway: 10.1.0.1", "gateway: 10.1.0.2"))
    work.git("rm", "-q", "hardware.yaml", "workflow.yaml")
    third = work.commit(moved=MACHINE.replace("node-01", "node-1"))
    shown = ask(work, "node-1")
    assert 0 == shown.exit_code
    lines = shown.output.splitlines()
    told = [line for line in lines if line and not line.startswith("  ")]
    today = work.git("log", "-1", "--format=%as")
    assert [f"{each[:12]}  {today}  Ann <ann@lab.example>: change" for each in (third, second, first)] == told[:3]
    assert f"Passed over, for they cannot be served: {broken[:12]}" == told[3]
    assert "  node-01 is called node-1 now" in lines
    assert f"  ~ host name {MAC}: node-01 → node-1" in lines
    assert "  and 15 more settings; `gitboot history node-1 --format json` has all" in lines or any(
        "more settings" in x for x in lines
    )
    assert f"  ~ option 3 (routers) {MAC}: 10.1.0.1 → 10.1.0.2" in lines
    assert "  node-01 is new" in lines


def test_programs_are_told_the_same(work: Work) -> None:
    first = begun(work)
    second = work.commit(hardware=MACHINE.replace("10.1.0.11", "10.1.0.12"))
    document = json.loads(ask(work, "node-01", "--format", "json").output)
    schema = json.loads(resources.files("schemas").joinpath("machine-history.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    assert ("node-01", []) == (document["machine"], document["rejected"])
    changed, added = document["commits"]
    assert (second, "changed", "Ann <ann@lab.example>") == (changed["commit"], changed["change"], changed["author"])
    assert {"name": f"address {MAC}", "before": "10.1.0.11", "after": "10.1.0.12"} in changed["settings"]
    assert (first, "added", "") == (added["commit"], added["change"], added["was"])


def test_what_lies_in_the_folder_comes_first_and_a_commit_has_only_its_own_history(work: Work) -> None:
    begun(work)
    work.commit(hardware=MACHINE.replace("10.1.0.11", "10.1.0.12"))
    work.write("hardware.yaml", MACHINE.replace("10.1.0.11", "10.1.0.13"))
    lines = ask(work, "node-01").output.splitlines()
    assert ["not committed yet", f"  ~ address {MAC}: 10.1.0.12 → 10.1.0.13"] == lines[:2]
    assert [False, True] == [f"address {MAC}" in ask(work, "node-01", "--at", at).output for at in ("HEAD~1", "HEAD")]


def test_where_history_is_cut_off_nothing_is_called_new(work: Work, tmp_path: Path) -> None:
    begun(work)
    work.commit(hardware=MACHINE.replace("10.1.0.11", "10.1.0.12"))
    with git_daemon(work.path.parent, free_port()) as address:
        work.git("clone", "-q", "--depth=1", f"{address}/work/.git", str(tmp_path / "clone"))
    shown = CliRunner().invoke(command, ["node-01", "--repo", str(tmp_path / "clone")]).output
    assert "  node-01 is there; older history is not here" in shown
    assert "is new" not in shown


def test_without_git_there_is_no_history_and_that_is_a_sentence(tmp_path: Path) -> None:
    for name, text in SOUND.items():
        (tmp_path / name).write_text(text)
    shown = CliRunner().invoke(command, ["node-01", "--repo", str(tmp_path)])
    assert (2, True) == (shown.exit_code, "There is no history to look at" in shown.output)


def test_a_commit_beside_the_inventory_is_not_even_read(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(work)
    for number in range(5):
        work.write("README.md", f"{number}\n")
        work.commit()
    read: list[str] = []
    snapshot = Repository.snapshot

    def counted(self: Repository, revision: str, *rest: frozenset[str]) -> object:
        read.append(revision)
        return snapshot(self, revision, *rest)

    monkeypatch.setattr(Repository, "snapshot", counted)
    repository = open_repository(Source(str(work.path)), EXAMPLE, 20)
    past = Past(repository, repository.fetch())
    assert (6, 1, 1) == (len(past.parents), len({past.served(commit) for commit in past.parents}), len(read))


def test_what_a_server_serves_has_a_history_too_whatever_was_committed_since(work: Work, tmp_path: Path) -> None:
    begun(work)
    second = work.commit(site=SITE.replace("gateway: 10.1.0.1", "gateway: 10.1.0.2"))
    state_of(work, tmp_path / "state", str(work.path))
    work.commit(site=SITE.replace("gateway: 10.1.0.1", "gateway: 10.1.0.3"))
    shown = CliRunner().invoke(command, ["node-01", "--state", str(tmp_path / "state")])
    assert (0, second[:12]) == (shown.exit_code, shown.output[:12])
    refused = CliRunner().invoke(command, ["node-01", "--state", str(tmp_path / "state"), "--at", "HEAD"])
    assert (2, True) == (refused.exit_code, "leave one of them away" in refused.output)
