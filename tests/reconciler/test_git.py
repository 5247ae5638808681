"""A local repository is read in place: bare, with a work tree, linked, or someone else's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.errors import Unavailable
from reconciler.git import LocalRepository, open_repository
from reconciler.mirror import Mirror
from reconciler.source import Source
from tests.reconciler.gitkit import Work

pytestmark = pytest.mark.shell


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def local(path: Path | str, ref: str = "HEAD") -> LocalRepository:
    return LocalRepository(Source(str(path), ref), 20)


def test_a_commit_is_there_the_moment_it_is_made(work: Work) -> None:
    repository = local(work.path)
    assert [work.commit(a="1"), work.commit(a="2")][1] == repository.fetch()
    assert work.commit(a="3") == repository.fetch()


def test_reading_writes_nothing_into_the_repository(work: Work) -> None:
    work.commit(a="1")

    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in work.path.rglob("*")}

    before = state()
    repository = local(work.path)
    repository.snapshot(repository.fetch())
    assert before == state()


def test_uncommitted_changes_are_not_served(work: Work) -> None:
    commit = work.commit(a="committed")
    work.write("a.yaml", "not committed")
    assert list(local(work.path).snapshot(commit).contents.values()) == [b"committed"]


def test_an_address_decides_between_in_place_and_mirror(work: Work, tmp_path: Path) -> None:
    assert isinstance(open_repository(Source(f"file://{work.path}"), tmp_path / "m"), LocalRepository)
    remote = open_repository(Source("git://127.0.0.1/x"), tmp_path / "m")
    assert isinstance(remote, Mirror)
    remote.close()


def test_a_rewritten_branch_is_followed(work: Work) -> None:
    work.commit(a="1")
    repository = local(work.path, "main")
    repository.fetch()
    work.git("commit", "-q", "--amend", "-m", "rewritten")
    assert work.git("rev-parse", "HEAD") == repository.fetch()


def test_a_bare_repository_and_a_linked_work_tree_are_read(work: Work, tmp_path: Path) -> None:
    commit = work.commit(a="1")
    work.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    work.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    assert commit == local(tmp_path / "bare.git").fetch()
    linked = local(tmp_path / "side")
    side = Work.__new__(Work)
    side.path = tmp_path / "side"
    assert side.commit(b="2") == linked.fetch()
    assert (work.path / ".git/worktrees/side", work.path / ".git") == linked.directories


@pytest.mark.parametrize("path", ["gone", "plain", "work/inside"])
def test_a_path_that_is_no_repository_is_unavailable_with_a_next_step(work: Work, tmp_path: Path, path: str) -> None:
    work.write("inside/a.yaml", "1")
    (tmp_path / "plain").mkdir()
    with pytest.raises(Unavailable, match=r"no git repository: .*check the path"):
        local(tmp_path / path).fetch()


def test_a_repository_that_vanishes_and_returns_is_read_again(work: Work, tmp_path: Path) -> None:
    commit = work.commit(a="1")
    repository = local(work.path)
    repository.fetch()
    work.path.rename(tmp_path / "away")
    with pytest.raises(Unavailable):
        repository.fetch()
    (tmp_path / "away").rename(work.path)
    assert commit == repository.fetch()


def test_what_a_hook_leaves_in_the_environment_leads_nowhere_else(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = work.commit(a="1")
    other = Work(tmp_path / "other")
    other.commit(a="other")
    for name in ("GIT_DIR", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, str(other.path / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.path / ".git/objects"))
    monkeypatch.setenv("GIT_NAMESPACE", "x")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.bare'='maybe'")
    repository = local(work.path)
    assert list(repository.snapshot(repository.fetch()).contents.values()) == [b"1"]
    assert commit == repository.fetch()


def test_the_users_configuration_does_not_matter(work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = work.commit(a="1")
    (tmp_path / ".gitconfig").write_text("[broken\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert commit == local(work.path).fetch()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a repository away")
def test_someone_elses_repository_is_read_and_runs_nothing_of_theirs(work: Work, tmp_path: Path) -> None:
    commit = work.commit(a="1")
    owned = tmp_path / "owned"
    for key in ("core.fsmonitor", "core.sshCommand", "core.askPass", "core.alternateRefsCommand", "core.pager"):
        work.git("config", key, f"touch {owned}")
    for path in (work.path, *work.path.rglob("*")):
        os.chown(path, 65534, 65534)
    refused = subprocess.run(["git", "-C", str(work.path), "log"], env={"PATH": os.environ["PATH"]}, capture_output=True)
    assert b"dubious ownership" in refused.stderr
    repository = local(work.path)
    assert list(repository.snapshot(repository.fetch()).contents.values()) == [b"1"]
    assert commit == repository.fetch()
    assert not owned.exists()


def test_a_missing_object_is_never_fetched_by_the_repositorys_own_means(work: Work, tmp_path: Path) -> None:
    commit = work.commit(a="1")
    owned = tmp_path / "owned"
    blob = work.git("rev-parse", "HEAD:a.yaml")
    (work.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    for key, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::sh -c touch% {owned}",
        "protocol.ext.allow": "always",
    }.items():
        work.git("config", key, value)
    with pytest.raises(Unavailable):
        local(work.path).snapshot(commit)
    assert not owned.exists()


def test_without_git_the_next_step_is_to_install_it(work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/env").symlink_to(str(shutil.which("env")))
    repository = local(work.path)
    work.commit(a="1")
    repository.fetch()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(Unavailable, match="install the package"):
        repository.resolve("HEAD")
