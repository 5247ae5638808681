"""Commits are read from the object store, whatever they hold."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from reconciler import repository
from reconciler.errors import UnknownRef
from reconciler.git import open_repository
from reconciler.problems import Rejected
from reconciler.repository import Damaged, Repository
from reconciler.snapshot import MAX_FILE_BYTES, Entry
from reconciler.source import Source
from tests.reconciler.gitkit import Work

pytestmark = pytest.mark.shell


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def opened(work: Work, ref: str = "HEAD", path: str = "") -> Repository:
    return open_repository(Source(str(work.path), ref, path), work.path.parent / "unused", 20)


def test_a_commit_is_read_with_every_kind_of_entry(work: Work) -> None:
    work.write("rack1/node-01.yaml", "kind: Hardware\n")
    work.write("rack1/run.yml", "kind: Workflow\n").chmod(0o755)
    work.write("README.md", "words\n")
    work.write(".github/ci.yaml", "on: push\n")
    (work.path / "link.yaml").symlink_to("/etc/passwd")
    work.git("add", ".")
    work.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendor")
    work.git("commit", "-qm", "all kinds")

    snapshot = opened(work).snapshot(work.git("rev-parse", "HEAD"))

    assert [(e.path, e.kind, e.size) for e in snapshot.entries] == [
        (".github/ci.yaml", "file", 9),
        ("README.md", "file", 6),
        ("link.yaml", "symlink", 11),
        ("rack1/node-01.yaml", "file", 15),
        ("rack1/run.yml", "file", 15),
        ("vendor", "submodule", 0),
    ]
    assert {entry.path: snapshot.contents.get(entry.blob) for entry in snapshot.entries} == {
        ".github/ci.yaml": None,
        "README.md": None,
        "link.yaml": None,
        "rack1/node-01.yaml": b"kind: Hardware\n",
        "rack1/run.yml": b"kind: Workflow\n",
        "vendor": None,
    }


def test_paths_and_contents_of_any_bytes_arrive_unchanged(work: Work) -> None:
    wild = os.fsdecode(b"caf\xe9\n\t\"'--x.yaml")
    work.write(wild, b"\x00\xff\nblob 7\n\n")
    work.write("empty.yaml", b"")
    snapshot = opened(work).snapshot(work.commit())
    assert {wild: b"\x00\xff\nblob 7\n\n", "empty.yaml": b""} == {
        entry.path: snapshot.contents[entry.blob] for entry in snapshot.entries
    }


def test_a_huge_file_is_an_entry_without_content(work: Work) -> None:
    work.write("huge.yaml", b"a" * (MAX_FILE_BYTES + 1))
    work.write("full.yaml", b"a" * MAX_FILE_BYTES)
    snapshot = opened(work).snapshot(work.commit())
    full, huge = snapshot.entries
    assert (huge.size, huge.blob in snapshot.contents) == (MAX_FILE_BYTES + 1, False)
    assert (full.size, full.blob in snapshot.contents) == (MAX_FILE_BYTES, True)


def test_known_blobs_are_not_read_again(work: Work) -> None:
    repository = opened(work)
    first = repository.snapshot(work.commit(a="one", b="two"))
    second = repository.snapshot(work.commit(b="three"), first.contents)
    assert list(second.contents.values()) == [b"three"]
    assert [(entry.path, entry.size) for entry in second.entries] == [("a.yaml", 3), ("b.yaml", 5)]


def test_two_files_of_one_content_are_two_entries_of_one_blob(work: Work) -> None:
    snapshot = opened(work).snapshot(work.commit(a="same", b="same"))
    assert [entry.path for entry in snapshot.entries] == ["a.yaml", "b.yaml"]
    assert list(snapshot.contents.values()) == [b"same"]


def test_only_the_folder_of_the_source_is_read_with_paths_from_there(work: Work) -> None:
    work.write("sites/home/a.yaml", "a")
    commit = work.commit(outside="b")
    assert [entry.path for entry in opened(work, path="sites/home").snapshot(commit).entries] == ["a.yaml"]


@pytest.mark.parametrize("path", ["gone", "a.yaml", "-x", "HEAD:a.yaml"])
def test_a_vanished_folder_is_a_snapshot_without_entries(work: Work, path: str) -> None:
    commit = work.commit(a="a")
    assert opened(work, path=path).snapshot(commit).entries == ()


def test_an_empty_tree_is_a_snapshot_without_entries(work: Work) -> None:
    assert opened(work).snapshot(work.commit()).entries == ()


def test_a_tree_no_checkout_would_survive_is_only_names(work: Work) -> None:
    commit = work.commit(a="a")
    blob = work.git("rev-parse", "HEAD:a.yaml")
    tree = work.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", feed=b"100644 ..\0" + bytes.fromhex(blob))
    commit = work.git("commit-tree", tree, "-m", "by hand")
    assert (Entry("..", "file", blob, 1),) == opened(work).snapshot(commit).entries


def test_a_tree_that_lists_for_ever_is_rejected(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "MAX_LISTING_BYTES", 1_000_000)
    work.commit(a="a")
    tree = work.git("rev-parse", "HEAD^{tree}")
    for _ in range(12):
        tree = work.git("mktree", feed=b"".join(b"040000 tree %s\t%02d\n" % (tree.encode(), name) for name in range(10)))
    with pytest.raises(Rejected) as caught:
        opened(work).snapshot(work.git("commit-tree", tree, "-m", "bomb"))
    assert caught.value.problems[0].code == "tree-too-large"


def test_a_commit_of_too_much_inventory_is_rejected(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "MAX_CONTENT_BYTES", 10)
    with pytest.raises(Rejected):
        opened(work).snapshot(work.commit(a="123456", b="1234567"))


def test_a_missing_blob_is_damage_and_not_an_empty_file(work: Work) -> None:
    commit = work.commit_tree(f"100644 blob {'1' * 40}\ta.yaml\0".encode())
    with pytest.raises(Damaged, match="git fsck"):
        opened(work).snapshot(commit)


def test_a_replaced_object_does_not_change_what_a_commit_says(work: Work) -> None:
    commit = work.commit(a="signed")
    blob = work.git("rev-parse", "HEAD:a.yaml")
    work.git("replace", blob, work.git("hash-object", "-w", "--stdin", feed=b"forged"))
    assert {blob: b"signed"} == opened(work).snapshot(commit).contents


def test_branch_tag_and_commit_are_named_in_this_order(work: Work) -> None:
    first = work.commit(a="1")
    work.git("tag", "-a", "both", "-m", "annotated")
    work.git("tag", "v1")
    second = work.commit(a="2")
    work.git("branch", "both")
    work.git("branch", "feature/x")
    repository = opened(work)
    names = ["HEAD", "main", "both", "feature/x", "v1", "refs/tags/both", first, first[:10], "HEAD~1"]
    assert [second, second, second, second, first, first, first, first, first] == list(map(repository.resolve, names))


@pytest.mark.parametrize(
    "rev",
    ["gone", "--upload-pack=touch owned", "-x", "--all", "--help", "", "a b", "a\nHEAD", "\0", "HEAD:a.yaml", "f" * 40, "é"],
)
def test_a_name_that_names_no_commit_is_an_unknown_ref(work: Work, rev: str) -> None:
    work.commit(a="1")
    with pytest.raises(UnknownRef, match=r"correct the name|control character"):
        opened(work).resolve(rev)


def test_an_unborn_head_is_an_unknown_ref_with_a_next_step(work: Work) -> None:
    with pytest.raises(UnknownRef, match="push one"):
        opened(work).fetch()


def test_a_change_among_ten_thousand_files_is_read_quickly(work: Work) -> None:
    for number in range(10_000):
        work.write(f"{number // 100}/{number}.yaml", f"name: node-{number}\n")
    repository = opened(work)
    known = set(repository.snapshot(work.commit()).contents)
    work.commit(changed="x")
    start = time.perf_counter()
    snapshot = repository.snapshot(repository.fetch(), known)
    print(f"fetch and snapshot of one change among 10,000 files: {(time.perf_counter() - start) * 1000:.0f} ms (goal: 150)")
    assert (len(snapshot.entries), list(snapshot.contents.values())) == (10_001, [b"x"])
