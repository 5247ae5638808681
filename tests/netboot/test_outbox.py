"""Reports on their way to the forge."""

from __future__ import annotations

from pathlib import Path

import pytest

from netboot import outbox
from netboot.commit_status import CommitStatus

FIRST, SECOND = (
    CommitStatus("1f" * 20, "success", "gitboot", "serving"),
    CommitStatus("2f" * 20, "failure", "gitboot", "rejected"),
)


def reports(state: Path) -> list[CommitStatus]:
    return [report for _, report in outbox.waiting(state)]


def test_what_was_left_is_there_the_newest_first_until_it_is_dropped(tmp_path: Path) -> None:
    assert [] == outbox.waiting(tmp_path)
    outbox.put(tmp_path, FIRST)
    outbox.put(tmp_path, SECOND)
    assert [SECOND, FIRST] == reports(tmp_path)
    outbox.drop(outbox.waiting(tmp_path)[0][0])
    assert [FIRST] == reports(tmp_path)


def test_only_the_newest_about_one_subject_counts(tmp_path: Path) -> None:
    later = CommitStatus(FIRST.revision, "pending", FIRST.context, "held")
    for report in (FIRST, SECOND, later):
        outbox.put(tmp_path, report)
    assert [later, SECOND] == reports(tmp_path)
    assert 2 == len(list((tmp_path / outbox.FOLDER).iterdir()))


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"revision": 1}', b"\xff" * 20, b"[" * 100_000])
def test_a_damaged_report_is_removed_and_holds_up_no_other(tmp_path: Path, damage: bytes) -> None:
    outbox.put(tmp_path, FIRST)
    (tmp_path / outbox.FOLDER / "1.json").write_bytes(damage)
    assert [FIRST] == reports(tmp_path)
    assert 1 == len(list((tmp_path / outbox.FOLDER).iterdir()))


def test_a_report_that_is_being_written_is_not_seen(tmp_path: Path) -> None:
    outbox.put(tmp_path, FIRST)
    (tmp_path / outbox.FOLDER / "9.new").write_bytes(b"{")
    assert [FIRST] == reports(tmp_path)


def test_a_forge_that_is_down_for_long_fills_no_disk(tmp_path: Path) -> None:
    for number in range(outbox.MOST + 5):
        outbox.put(tmp_path, CommitStatus(f"{number:040}", "success", "gitboot", "serving"))
    found = reports(tmp_path)
    assert (outbox.MOST, f"{outbox.MOST + 4:040}") == (len(found), found[0].revision)
    assert outbox.MOST == len(list((tmp_path / outbox.FOLDER).iterdir()))
