"""`gitboot check` reads folders as they lie and repositories at a revision."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import BadSource, Unavailable
from reconciler.snapshot import MAX_FILE_BYTES, Snapshot
from reconciler.target import Target, parse_target, snapshot_of_folder, snapshot_of_target
from tests.reconciler.gitkit import Work, free_port, git_daemon


def only(*paths: str) -> Callable[[str], bool]:
    return lambda path: path in paths


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("site", Target("site")),
        ("site@v1", Target("site", "v1")),
        ("site@", Target("site", "HEAD")),
        ("site@user@example", Target("site", "user@example")),
        ("odd@name", Target("odd@name")),
        ("odd@name@v1", Target("odd@name", "v1")),
        ("gone@v1", Target("gone", "v1")),
        ("@v1", Target("@v1")),
        ("git@lab.example:site.git", Target("git@lab.example:site.git")),
        ("git@lab.example:site.git@feature/x", Target("git@lab.example:site.git", "feature/x")),
        ("https://ann:pw@lab.example/s.git", Target("https://ann:pw@lab.example/s.git")),
        ("https://ann:pw@lab.example/s.git@v1", Target("https://ann:pw@lab.example/s.git", "v1")),
        ("ssh://git@lab.example", Target("ssh://git@lab.example")),
    ],
)
def test_a_revision_is_told_from_the_at_signs_of_paths_and_users(text: str, expected: Target) -> None:
    assert expected == parse_target(text, only("site", "odd@name"))


def test_an_address_that_git_would_run_is_refused() -> None:
    with pytest.raises(BadSource):
        parse_target("ext::sh -c id")


def named(snapshot: Snapshot) -> dict[str, bytes | None]:
    return {entry.path: snapshot.contents.get(entry.blob) for entry in snapshot.entries}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


@pytest.mark.shell
def test_a_plain_folder_is_read_as_git_would_record_it(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    (folder / "rack/.git").mkdir(parents=True)
    (folder / "rack/.git/config.yaml").write_text("not inventory")
    (folder / "rack/a.yaml").write_text("a")
    (folder / "README").write_text("words")
    (folder / "huge.yaml").write_bytes(b"a" * (MAX_FILE_BYTES + 1))
    (folder / "out").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.yaml")
    snapshot = snapshot_of_folder(folder)
    assert named(snapshot) == {"README": None, "huge.yaml": None, "out": None, "rack/a.yaml": b"a"}
    assert {"file", "symlink"} == {entry.kind for entry in snapshot.entries}
    assert snapshot.revision == ""


@pytest.mark.shell
def test_a_folder_and_its_commit_have_the_same_blobs(work: Work) -> None:
    work.write("rack/a.yaml", b"\xff\x00")
    (work.path / "link.yaml").symlink_to("rack/a.yaml")
    commit = work.commit()
    on_disk, committed = snapshot_of_target(str(work.path)), snapshot_of_target(f"{work.path}@{commit}")
    assert committed.entries == on_disk.entries
    assert committed.contents == on_disk.contents
    assert (commit, "") == (committed.revision, on_disk.revision)


@pytest.mark.shell
def test_a_work_tree_is_read_with_its_changes_and_without_what_git_ignores(work: Work) -> None:
    work.write(".gitignore", "build/\n")
    work.commit(kept="old", gone="x")
    (work.path / "gone.yaml").unlink()
    work.write("kept.yaml", "new")
    work.write("deep/new.yaml", "untracked")
    work.write("build/made.yaml", "ignored")
    assert named(snapshot_of_target(str(work.path))) == {".gitignore": None, "deep/new.yaml": b"untracked", "kept.yaml": b"new"}


@pytest.mark.shell
def test_a_repository_inside_the_work_tree_is_a_submodule(work: Work) -> None:
    Work(work.path / "vendor").commit(inner="x")
    snapshot = snapshot_of_folder(work.path)
    assert [(entry.path, entry.kind, entry.size) for entry in snapshot.entries] == [("vendor", "submodule", 0)]


@pytest.mark.shell
def test_a_folder_swapped_for_a_symlink_is_not_followed(work: Work, tmp_path: Path) -> None:
    work.write("rack/a.yaml", "a")
    work.commit()
    (work.path / "rack").rename(tmp_path / "elsewhere")
    (work.path / "rack").symlink_to(tmp_path / "elsewhere")
    assert named(snapshot_of_folder(work.path)) == {"rack": None}


@pytest.mark.shell
def test_a_folder_inside_a_work_tree_is_read_alone_on_disk_and_at_a_revision(work: Work) -> None:
    work.write("sites/home/a.yaml", "one")
    work.commit(outside="x")
    work.write("sites/home/a.yaml", "two")
    inside = work.path / "sites/home"
    assert named(snapshot_of_target(str(inside))) == {"a.yaml": b"two"}
    assert named(snapshot_of_target(f"{inside}@main")) == {"a.yaml": b"one"}


@pytest.mark.shell
def test_a_folder_that_git_ignores_is_read_when_it_is_asked_for(work: Work) -> None:
    work.write(".gitignore", "build/\n")
    work.write("build/a.yaml", "a")
    assert named(snapshot_of_folder(work.path / "build")) == {"a.yaml": b"a"}


@pytest.mark.shell
def test_a_bare_repository_and_an_address_are_read_at_head(work: Work, tmp_path: Path) -> None:
    work.commit(a="one")
    work.git("tag", "v1")
    work.commit(a="two")
    work.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    assert named(snapshot_of_target(str(tmp_path / "bare.git"))) == {"a.yaml": b"two"}
    with git_daemon(tmp_path, free_port()) as base:
        assert named(snapshot_of_target(f"{base}/bare.git")) == {"a.yaml": b"two"}
        assert named(snapshot_of_target(f"{base}/bare.git@v1")) == {"a.yaml": b"one"}
        assert named(snapshot_of_target(f"{base}/bare.git@HEAD~1")) == {"a.yaml": b"one"}


@pytest.mark.shell
@pytest.mark.parametrize("text", ["gone", "gone@v1", "file.yaml"])
def test_what_is_no_folder_is_unavailable_with_a_next_step(tmp_path: Path, text: str) -> None:
    (tmp_path / "file.yaml").write_text("x")
    with pytest.raises(Unavailable, match=r"check the path|name the folder"):
        snapshot_of_target(str(tmp_path / text))
