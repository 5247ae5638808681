"""A remote repository is followed through whatever its server, its network and our own disk do."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.errors import Unavailable, UnknownRef
from reconciler.mirror import Mirror
from reconciler.source import Source
from tests.reconciler.gitkit import (
    Work,
    free_port,
    git_daemon,
    http_server,
    is_gone,
    processes_that_mention,
    silent_server,
    wait_until,
)

pytestmark = pytest.mark.shell


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "served/work")


@pytest.fixture
def address(tmp_path: Path, work: Work) -> Iterator[str]:
    with git_daemon(tmp_path / "served", free_port()) as base:
        yield f"{base}/work"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state/git"


def contents(mirror: Mirror) -> list[bytes]:
    return list(mirror.snapshot(mirror.fetch()).contents.values())


def test_a_push_is_seen_by_the_next_fetch(work: Work, address: str, state: Path) -> None:
    first = work.commit(a="1")
    mirror = Mirror(state, Source(address), 20)
    assert first == mirror.fetch()
    work.commit(a="2")
    third = work.commit(a="3", b="4")  # two commits between fetches: the last one counts
    assert third == mirror.fetch()
    assert list(mirror.snapshot(third).contents.values()) == [b"3", b"4"]
    assert first == mirror.resolve(first)
    mirror.close()


def test_branch_tag_and_commit_are_followed_by_name(work: Work, address: str, state: Path) -> None:
    first = work.commit(a="1")
    work.git("tag", "-a", "v1", "-m", "annotated")
    work.git("branch", "feature/x")
    work.commit(a="2")
    for ref in ("v1", "feature/x", first, "HEAD~1"):
        mirror = Mirror(state, Source(address, ref), 20)
        assert first == mirror.fetch()
        mirror.close()


def test_a_commit_that_no_branch_holds_is_asked_for_by_its_id(work: Work, address: str, state: Path) -> None:
    work.commit(a="1")
    side = work.commit(a="2")
    work.git("update-ref", "refs/changes/1", side)
    work.git("reset", "-q", "--hard", "HEAD~1")
    mirror = Mirror(state, Source(address, side), 20)
    assert [side, side] == [mirror.fetch(), mirror.fetch()]
    mirror.close()


def test_a_rewritten_branch_and_a_moved_tag_are_followed(work: Work, address: str, state: Path) -> None:
    work.commit(a="1")
    work.git("tag", "v1")
    mirror, tagged = Mirror(state, Source(address, "main"), 20), Mirror(state.with_name("other"), Source(address, "v1"), 20)
    mirror.fetch()
    tagged.fetch()
    work.git("commit", "-q", "--amend", "-m", "rewritten")
    work.git("tag", "-f", "v1")
    assert [work.git("rev-parse", "HEAD")] * 2 == [mirror.fetch(), tagged.fetch()]
    mirror.close()
    tagged.close()


def test_a_deleted_branch_is_an_unknown_ref_even_when_a_folder_takes_its_name(work: Work, address: str, state: Path) -> None:
    commit = work.commit(a="1")
    work.git("branch", "side")
    mirror = Mirror(state, Source(address, "side"), 20)
    mirror.fetch()
    work.git("branch", "-D", "side")
    work.git("branch", "side/a")
    with pytest.raises(UnknownRef, match="correct the name"):
        mirror.fetch()
    mirror.close()
    mirror = Mirror(state, Source(address, "side/a"), 20)
    assert commit == mirror.fetch()
    mirror.close()


@pytest.mark.parametrize("ref", ["HEAD", "main", "--upload-pack=touch owned", "-x", "f" * 40, "+HEAD:refs/heads/x"])
def test_an_empty_repository_holds_no_ref_of_any_name(work: Work, address: str, state: Path, ref: str) -> None:
    mirror = Mirror(state, Source(address, ref), 20)
    with pytest.raises(UnknownRef, match="push"):
        mirror.fetch()
    work.commit(a="1")
    work.git("branch", "other")
    if ref in ("HEAD", "main"):
        assert work.git("rev-parse", "HEAD") == mirror.fetch()
    mirror.close()


def test_hostile_branch_names_are_only_names(work: Work, address: str, state: Path) -> None:
    commit = work.commit(a="1")
    for ref in ("refs/heads/--upload-pack=x", "refs/heads/HEAD", "refs/heads/$(id)", "refs/tags/-x"):
        work.git("update-ref", ref, commit)
    for name in ("--upload-pack=x", "$(id)", "-x"):
        mirror = Mirror(state, Source(address, name), 20)
        assert commit == mirror.fetch()
        mirror.close()


def test_a_killed_server_is_unavailable_and_found_again(work: Work, tmp_path: Path, state: Path) -> None:
    port = free_port()
    first = work.commit(a="1")
    with git_daemon(tmp_path / "served", port) as base:
        mirror = Mirror(state, Source(f"{base}/work"), 20)
        mirror.fetch()
    with pytest.raises(Unavailable, match="check that the git server is running") as caught:
        mirror.fetch()
    assert not isinstance(caught.value, UnknownRef)
    assert list(mirror.snapshot(first).contents.values()) == [b"1"]  # what was fetched is still there
    second = work.commit(a="2")
    with git_daemon(tmp_path / "served", port):
        assert second == mirror.fetch()
    mirror.close()


def test_a_missing_repository_is_unavailable_with_a_next_step(address: str, state: Path) -> None:
    mirror = Mirror(state, Source(f"{address}-gone"), 20)
    with pytest.raises(Unavailable, match="check the address"):
        mirror.fetch()
    mirror.close()


def test_a_server_that_never_answers_is_given_up_in_time_and_nothing_is_left_running(state: Path) -> None:
    with silent_server() as port:
        mirror = Mirror(state, Source(f"git://127.0.0.1:{port}/x"), 0.05)  # a first fetch has ten times that
        start = time.monotonic()
        with pytest.raises(Unavailable, match="did not answer within"):
            mirror.fetch()
        assert time.monotonic() - start < 20
        assert is_gone(f"127.0.0.1:{port}")
        mirror.close()


def test_a_hung_ssh_dies_with_git_and_the_next_try_works(
    work: Work, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = work.commit(a="1")
    ssh = tmp_path / "bin/ssh"
    ssh.parent.mkdir()
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    marker = f"{tmp_path}/hung"
    ssh.write_text(f"#!/bin/sh\nsh -c 'while :; do sleep 9; done' {marker}\n")
    ssh.chmod(0o755)
    mirror = Mirror(state, Source("git@lab.example:work"), 0.1)
    with pytest.raises(Unavailable, match="did not answer"):
        mirror.fetch()
    assert is_gone(marker)
    mirror.close()
    ssh.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/said\nexec git-upload-pack {work.path}\n')
    ssh.write_text(ssh.read_text().replace("git-upload-pack", "git upload-pack"))
    mirror = Mirror(state, Source("git@lab.example:work"), 20)
    assert commit == mirror.fetch()
    mirror.close()
    assert "BatchMode=yes" in (tmp_path / "said").read_text()


def test_closing_ends_a_fetch_that_hangs(state: Path) -> None:
    with silent_server() as port:
        mirror = Mirror(state, Source(f"git://127.0.0.1:{port}/x"), 30)
        ended: list[Unavailable] = []

        def fetch() -> None:
            try:
                mirror.fetch()
            except Unavailable as error:
                ended.append(error)

        thread = threading.Thread(target=fetch)
        thread.start()
        assert wait_until(lambda: bool(processes_that_mention(f"127.0.0.1:{port}")))
        mirror.close()
        thread.join(10)
        assert (thread.is_alive(), len(ended)) == (False, 1)
        assert is_gone(f"127.0.0.1:{port}")


def test_credentials_reach_the_server_and_nothing_else(work: Work, tmp_path: Path, state: Path) -> None:
    commit = work.commit(a="1")
    with http_server(tmp_path / "served", "annabel", "s3cr et%") as base:
        address = base.replace("://", "://annabel:s3cr%20et%25@") + "/work/.git"
        mirror = Mirror(state, Source(address), 20)
        assert commit == mirror.fetch()
        mirror.close()
        kept = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
        assert b"s3cr" not in kept
        wrong = Mirror(state, Source(address.replace("s3cr%20et%25", "wr0ng")), 20)
        with pytest.raises(Unavailable, match="netrc") as caught:
            wrong.fetch()
        wrong.close()
    assert "wr0ng" not in str(caught.value)
    assert "annabel" not in str(caught.value)


def test_a_server_that_wants_credentials_is_never_asked_at_a_terminal(work: Work, tmp_path: Path, state: Path) -> None:
    work.commit(a="1")
    with http_server(tmp_path / "served", "ann", "secret") as base:
        mirror = Mirror(state, Source(f"{base}/work/.git"), 20)
        with pytest.raises(Unavailable, match="netrc"):
            mirror.fetch()
        mirror.close()


def test_a_lock_left_by_a_killed_git_does_not_stop_the_next_one(work: Work, address: str, state: Path) -> None:
    work.commit(a="1")
    mirror = Mirror(state, Source(address, "main"), 20)
    mirror.fetch()
    mirror.close()
    for name in ("refs/gitboot/followed.lock", "packed-refs.lock", "HEAD.lock", "config.lock", "shallow.lock"):
        (state / name).touch()
    commit = work.commit(a="2")
    mirror = Mirror(state, Source(address, "main"), 20)
    assert commit == mirror.fetch()
    (state / "refs/gitboot/followed.lock").touch()
    commit = work.commit(a="3")
    with pytest.raises(Unavailable):
        mirror.fetch()
    assert commit == mirror.fetch()
    mirror.close()


def test_a_mirror_still_in_use_is_left_alone(work: Work, address: str, state: Path) -> None:
    commit = work.commit(a="1")
    state.parent.mkdir()
    with open(state.with_name("git.lock"), "w") as orphan:
        fcntl.flock(orphan, fcntl.LOCK_EX)
        mirror = Mirror(state, Source(address), 20)
        with pytest.raises(Unavailable, match="ends by itself"):
            mirror.fetch()
        assert not state.exists()
    assert commit == mirror.fetch()
    mirror.close()


def is_git(pid: int) -> bool:
    """A child that has yet to become git bears its parent's command line."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith("git")
    except OSError:
        return False


def test_a_git_that_outlives_gitboot_keeps_the_mirror_until_it_ends(state: Path) -> None:
    with silent_server() as port:
        source = f"git://127.0.0.1:{port}/x"
        script = (
            "import sys; from pathlib import Path; from reconciler.mirror import Mirror; from reconciler.source import Source\n"
            "Mirror(Path(sys.argv[1]), Source(sys.argv[2]), 30).fetch()"
        )
        gitboot = subprocess.Popen([sys.executable, "-c", script, str(state), source])
        assert wait_until(lambda: any(is_git(pid) for pid in processes_that_mention(source)))
        gitboot.kill()
        gitboot.wait()
        mirror = Mirror(state, Source(source), 0.1)
        with pytest.raises(Unavailable, match="still used"):
            mirror.fetch()
        for pid in processes_that_mention(source):
            os.kill(pid, signal.SIGKILL)
        assert is_gone(source)
        with pytest.raises(Unavailable, match="did not answer"):
            mirror.fetch()
        mirror.close()


def damage_head(state: Path) -> None:
    (state / "HEAD").write_bytes(b"")


def damage_ref(state: Path) -> None:
    (state / "refs/gitboot/followed").write_bytes(b"\0" * 41)


def damage_config(state: Path) -> None:
    (state / "config").write_bytes(b"[core\n\0")


def damage_objects(state: Path) -> None:
    for path in (state / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"")


def lose_objects(state: Path) -> None:
    for path in (state / "objects").rglob("*"):
        if path.is_file():
            path.unlink()


@pytest.mark.parametrize("damage", [damage_head, damage_ref, damage_config, damage_objects, lose_objects])
@pytest.mark.parametrize("moved", [True, False])
def test_a_damaged_mirror_is_fetched_anew(
    work: Work, address: str, state: Path, damage: Callable[[Path], None], moved: bool
) -> None:
    work.commit(a="1")
    mirror = Mirror(state, Source(address), 20)
    mirror.fetch()
    damage(state)
    if moved:
        work.commit(a="2")
    assert [b"2" if moved else b"1"] == contents(mirror)
    mirror.close()
    assert sorted(path.name for path in state.parent.iterdir()) == ["git", "git.lock"]


def test_damage_that_only_reading_finds_is_mended_by_the_reader(work: Work, address: str, state: Path) -> None:
    mirror = Mirror(state, Source(address), 20)
    commit = work.commit(a="1")
    mirror.fetch()
    lose_objects(state)
    assert list(mirror.snapshot(commit).contents.values()) == [b"1"]
    mirror.close()


def test_a_damaged_mirror_stays_until_the_server_is_back(work: Work, tmp_path: Path, state: Path) -> None:
    port = free_port()
    commit = work.commit(a="1")
    with git_daemon(tmp_path / "served", port) as base:
        mirror = Mirror(state, Source(f"{base}/work"), 20)
        mirror.fetch()
    lose_objects(state)
    with pytest.raises(Unavailable):
        mirror.snapshot(commit)
    assert state.exists()
    with git_daemon(tmp_path / "served", port):
        assert contents(mirror) == [b"1"]
    mirror.close()


def test_a_half_made_mirror_is_cleared_away(work: Work, address: str, state: Path) -> None:
    work.commit(a="1")
    for name in ("git/objects", "git.new-abc/objects", "git.old-abc/objects"):
        (state.parent / name).mkdir(parents=True)
    mirror = Mirror(state, Source(address), 20)
    assert contents(mirror) == [b"1"]
    mirror.close()
    assert sorted(path.name for path in state.parent.iterdir()) == ["git", "git.lock"]


def test_another_address_never_answers_from_the_old_mirror(work: Work, address: str, state: Path) -> None:
    work.commit(a="1")
    mirror = Mirror(state, Source(address), 20)
    mirror.fetch()
    mirror.close()
    other = Mirror(state, Source(address + "-gone"), 20)
    with pytest.raises(Unavailable):
        other.fetch()
    with pytest.raises(Unavailable):
        other.resolve("main")
    other.close()


def test_a_mirror_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="cannot be written"):
        Mirror(tmp_path / "file/git", Source("git://127.0.0.1/x"), 20)


def test_tidying_packs_what_many_fetches_left(work: Work, address: str, state: Path) -> None:
    work.commit(a="1")
    mirror = Mirror(state, Source(address), 20)
    mirror.fetch()
    mirror.tidy()
    assert contents(mirror) == [b"1"]
    mirror.close()


def test_a_fetch_of_one_change_among_ten_thousand_files_is_quick(work: Work, address: str, state: Path) -> None:
    for number in range(10_000):
        work.write(f"{number // 100}/{number}.yaml", f"name: node-{number}\n")
    work.commit()
    mirror = Mirror(state, Source(address), 60)
    known = set(mirror.snapshot(mirror.fetch()).contents)
    work.commit(changed="x")
    start = time.perf_counter()
    snapshot = mirror.snapshot(mirror.fetch(), known)
    print(f"fetch and snapshot of one change among 10,000 files: {(time.perf_counter() - start) * 1000:.0f} ms")
    assert list(snapshot.contents.values()) == [b"x"]
    mirror.close()
