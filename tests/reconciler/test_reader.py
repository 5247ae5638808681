"""The reader parses a blob once, whatever the commit is called, and never reads what it should not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.reader import Reader, printable
from reconciler.snapshot import MAX_FILE_BYTES, Entry, Snapshot
from tests.reconciler.inventories import MACHINE, PROFILE, SITE, SOUND, snapshot


def without_contents(commit: Snapshot, reader: Reader) -> Snapshot:
    """What a caller hands over who carries only blobs the reader does not know."""
    return replace(commit, contents={blob: data for blob, data in commit.contents.items() if blob not in reader.known})


def test_an_unchanged_blob_gives_the_identical_objects_and_need_not_be_carried() -> None:
    reader = Reader()
    before, _ = reader.read(snapshot(SOUND))
    commit = without_contents(snapshot({**SOUND, "profile.yaml": PROFILE + "  # changed\n"}, "2b1d"), reader)
    assert len(commit.contents) == 1
    after, problems = reader.read(commit)
    assert before is not None
    assert after is not None
    assert problems == ()
    assert after.hardware["node-01"] is before.hardware["node-01"]
    assert after.profiles["inspect"] is not before.profiles["inspect"]
    assert ("1f0c", "2b1d") == (before.revision, after.revision)


def test_objects_stay_identical_across_a_commit_that_is_rejected() -> None:
    reader = Reader()
    before, _ = reader.read(snapshot(SOUND))
    rejected, problems = reader.read(without_contents(snapshot({**SOUND, "profile.yaml": f"{PROFILE}]"}), reader))
    assert rejected is None
    assert [problem.code for problem in problems] == ["yaml-syntax"]
    after, _ = reader.read(without_contents(snapshot(SOUND), reader))
    assert before is not None
    assert after is not None
    assert after.hardware["node-01"] is before.hardware["node-01"]


def test_a_renamed_file_is_not_parsed_again_but_its_places_move() -> None:
    reader = Reader()
    before, _ = reader.read(snapshot(SOUND))
    moved = {("racks/r1.yaml" if path == "hardware.yaml" else path): text for path, text in SOUND.items()}
    after, _ = reader.read(replace(snapshot(moved), contents={}))
    assert before is not None
    assert after is not None
    assert after.hardware["node-01"] == before.hardware["node-01"]
    assert str(after.hardware["node-01"].where("spec.profile")) == "racks/r1.yaml:5:12"


def test_a_renamed_file_takes_its_problems_with_it() -> None:
    reader = Reader()
    files = {**SOUND, "hardware.yaml": MACHINE.replace("hostname", "hostnam")}
    reader.read(snapshot(files))
    moved = {("a.yaml" if path == "hardware.yaml" else path): text for path, text in files.items()}
    _, problems = reader.read(replace(snapshot(moved), contents={}))
    assert [(problem.file, problem.code) for problem in problems] == [("a.yaml", "unknown-field")]


def test_the_same_content_in_two_files_is_two_of_everything() -> None:
    _, problems = Reader().read(snapshot({**SOUND, "copy.yaml": PROFILE}))
    assert [(problem.file, problem.code) for problem in problems] == [("profile.yaml", "duplicate-name")]
    assert "copy.yaml:3:18" in problems[0].message


def test_what_is_no_longer_in_the_tree_is_forgotten() -> None:
    reader = Reader()
    reader.read(snapshot(SOUND))
    small = snapshot({"site.yaml": SITE})
    reader.read(small)
    assert reader.known == set(small.contents)
    with pytest.raises(KeyError):
        reader.read(replace(snapshot(SOUND), contents={}))


def test_content_that_is_neither_known_nor_carried_is_the_callers_fault() -> None:
    with pytest.raises(KeyError):
        Reader().read(replace(snapshot(SOUND), contents={}))


@pytest.mark.parametrize("files", [{}, {"README.md": "# nothing"}, {".github/ci.yaml": "a: 1"}])
def test_a_tree_without_inventory_is_rejected_not_empty(files: dict[str, str]) -> None:
    inventory, problems = Reader().read(snapshot(files))
    assert inventory is None
    assert [(problem.file, problem.line, problem.code) for problem in problems] == [("", 0, "empty-inventory")]


def with_entry(entry: Entry) -> Snapshot:
    sound = snapshot(SOUND)
    return replace(sound, entries=tuple(sorted((*sound.entries, entry), key=lambda each: each.path)))


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (Entry("more.yaml", "symlink", "00", 7), "unread-symlink"),
        (Entry("more", "submodule", "00", 0), "unread-submodule"),
        (Entry("more.yaml", "file", "00", MAX_FILE_BYTES + 1), "file-too-large"),
    ],
)
def test_what_is_not_read_although_it_may_matter_is_an_error(entry: Entry, code: str) -> None:
    inventory, problems = Reader().read(with_entry(entry))
    assert inventory is None
    assert [(problem.file, problem.line, problem.column, problem.code) for problem in problems] == [(entry.path, 0, 0, code)]


@pytest.mark.parametrize(
    "entry",
    [
        Entry("README", "symlink", "00", 7),
        Entry("image.iso", "file", "00", MAX_FILE_BYTES + 1),
        Entry(".hidden/more.yaml", "symlink", "00", 7),
    ],
)
def test_what_is_no_inventory_is_nobodys_business(entry: Entry) -> None:
    inventory, problems = Reader().read(with_entry(entry))
    assert inventory is not None
    assert problems == ()


def test_problems_come_in_order_of_place_and_once() -> None:
    files = {"b.yaml": "a: [", "a.yaml": "apiVersion: x\n---\nkind: y\n"}
    _, problems = Reader().read(snapshot(files))
    assert list(problems) == sorted(set(problems))


def test_warnings_alone_do_not_reject() -> None:
    inventory, problems = Reader().read(snapshot({**SOUND, "compose.yaml": "services: {}\n"}))
    assert inventory is not None
    assert [problem.severity for problem in problems] == ["warning"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("machines/ä.yaml", "machines/ä.yaml"),
        ("a\udcff.yaml", "a\\xff.yaml"),
        ("a\nb.yaml", "a\\nb.yaml"),
        ("a\x1b[31m.yaml", "a\\x1b[31m.yaml"),
    ],
)
def test_a_path_is_printed_on_one_line_whatever_git_stores(path: str, expected: str) -> None:
    assert expected == printable(path)
    _, problems = Reader().read(snapshot({**SOUND, path: "x"}))
    assert [problem.file for problem in problems] == [expected]
