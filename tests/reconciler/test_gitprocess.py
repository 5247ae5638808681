"""A git process is fed, read to a limit, and gone by its deadline with everything it started."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from reconciler.gitprocess import GitFailed, GitProcess, TimedOut, TooMuchOutput
from reconciler.source import Remote
from tests.reconciler.gitkit import is_gone

pytestmark = pytest.mark.shell


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a shell script in git's place."""
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_megabytes_in_and_out_at_once_do_not_block() -> None:
    names = b"".join(b"%040d\n" % number for number in range(100_000))
    answer = GitProcess(30).run("--git-dir=/nonexistent/../", "version")
    assert answer.startswith(b"git version")
    assert names.count(b"\n") == GitProcess(30).run("stripspace", feed=names).count(b"\n")


def test_a_failure_carries_status_and_stderr() -> None:
    with pytest.raises(GitFailed, match="not a git repository") as caught:
        GitProcess(30).run("--git-dir=/nonexistent", "rev-parse", "HEAD")
    assert caught.value.status == 128


def test_git_that_ends_without_reading_its_input_is_judged_by_its_status() -> None:
    with pytest.raises(GitFailed) as caught:
        GitProcess(30).run("--git-dir=/nonexistent", "cat-file", "--batch", feed=b"x\n" * 1_000_000)
    assert caught.value.status == 128


@pytest.mark.parametrize("where", ["", ">&2"])
def test_a_deadline_ends_the_whole_group_even_when_git_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    marker = f"{tmp_path}/child"
    pretend(tmp_path / "bin", monkeypatch, f"sh -c 'while :; do sleep 9; done' {marker} {where} &")
    start = time.monotonic()
    with pytest.raises(TimedOut):
        GitProcess(0.2).run("version")
    assert time.monotonic() - start < 20
    assert is_gone(marker)


def test_a_child_that_left_the_group_cannot_hold_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path / "bin", monkeypatch, "setsid sleep 60 & exit 0")
    start = time.monotonic()
    with pytest.raises(TimedOut):
        GitProcess(0.2).run("version")
    assert time.monotonic() - start < 20


def test_endless_output_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path / "bin", monkeypatch, "exec yes")
    with pytest.raises(TooMuchOutput):
        GitProcess(30).run("version", limit=100_000)


def test_endless_complaints_are_read_to_the_end_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path / "bin", monkeypatch, "yes complaint | head -c 5000000 >&2; exit 3")
    with pytest.raises(GitFailed) as caught:
        GitProcess(30).run("version")
    assert (caught.value.status, len(caught.value.stderr) < 100_000) == (3, True)


def test_a_git_that_speaks_with_a_server_can_neither_fill_the_disk_nor_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path / "bin", monkeypatch, "ulimit -f; ulimit -d")
    limits = GitProcess(30, Remote("https://lab.example/s.git")).run("fetch").split()
    assert [4 << 30, 2 << 30] == [int(count) * unit for count, unit in zip(limits, (512, 1024), strict=True)]


def test_a_stopped_process_runs_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path / "bin", monkeypatch, "echo started >&1; exec sleep 30")
    process = GitProcess(30)
    timer = threading.Timer(0.1, process.stop)
    timer.start()
    with pytest.raises(TimedOut):
        process.run("version")
    with pytest.raises(TimedOut):
        process.run("version")
    timer.join()


def test_credentials_are_in_the_environment_and_never_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path / "bin", monkeypatch, "tr '\\0' ' ' </proc/$$/cmdline; tr '\\0' ' ' </proc/$PPID/cmdline; env")
    remote = Remote("https://lab.example/s.git", "ann", "hunter2")
    said = GitProcess(30, remote).run("fetch", remote.url).decode().splitlines()
    assert [line for line in said if "hunter2" in line] == ["GITBOOT_GIT_PASSWORD=hunter2"]
    assert any("=credential.https://lab.example.helper" in line for line in said)


def test_without_a_remote_no_protocol_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(GitFailed, match="transport 'file' not allowed"):
        GitProcess(30).run("ls-remote", f"file://{tmp_path}")


@pytest.mark.parametrize("url", ["ext::sh -c id", "file:///tmp", "ftp://lab.example/x"])
def test_with_a_remote_only_the_network_protocols_are(url: str) -> None:
    with pytest.raises(GitFailed, match="not allowed"):
        GitProcess(30, Remote("https://lab.example/s.git")).run("ls-remote", url)


def test_nothing_is_run_where_gitboot_happens_to_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    GitProcess(30).run("init", "--quiet", str(tmp_path))
    with pytest.raises(GitFailed, match="not a git repository"):
        GitProcess(30).run("rev-parse", "--git-dir")
