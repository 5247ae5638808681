"""Where git stands, from one process to another: the old word or the new one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from netboot.reconcile_document import Reconciliation
from netboot.reconciliation import MOST_COMMITS, ReconciliationReader, read_reconciliation, write_reconciliation
from tests.netboot.killed import survivals

OLD = Reconciliation("/srv/site", "main", "lab", "c2", "c1", "p1", [{"code": "x"}], last_attempt=2.0, last_success=1.0)
NEW = replace(OLD, revision="c2", problems=[], last_success=3.0)


def test_a_word_is_read_when_it_is_new_and_only_then(tmp_path: Path) -> None:
    reader = ReconciliationReader(tmp_path)
    assert (False, None) == (reader.look(), reader.latest)
    write_reconciliation(tmp_path, OLD)
    assert (True, OLD) == (reader.look(), reader.latest)
    assert (False, OLD) == (reader.look(), reader.latest)
    write_reconciliation(tmp_path, NEW)
    assert (True, NEW) == (reader.look(), reader.latest)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"source": 3}', b'{"source": "\xff"}', b"[" * 5000])
def test_a_word_that_cannot_be_read_leaves_the_last_one(tmp_path: Path, content: bytes) -> None:
    write_reconciliation(tmp_path, OLD)
    reader = ReconciliationReader(tmp_path)
    reader.look()
    (tmp_path / "reconcile.json").write_bytes(content)
    assert (False, OLD) == (reader.look(), reader.latest)
    assert read_reconciliation(tmp_path) is None


def test_killed_while_writing_the_old_word_or_the_new_one_is_there(tmp_path: Path) -> None:
    state = tmp_path / "state"

    def prepare() -> None:
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        write_reconciliation(state, OLD)

    words = [read_reconciliation(state) for _ in survivals(state, prepare, lambda: write_reconciliation(state, NEW))]
    assert [OLD, NEW] == [words[0], words[-1]]
    assert all(word in (OLD, NEW) for word in words)


def test_who_is_reading_the_old_word_reads_it_to_its_end(tmp_path: Path) -> None:
    write_reconciliation(tmp_path, OLD)
    before = (tmp_path / "reconcile.json").read_bytes()
    with (tmp_path / "reconcile.json").open("rb") as reader:
        write_reconciliation(tmp_path, NEW)
        assert before == reader.read()


def test_of_the_plans_that_were_served_lately_their_commits_are_known(tmp_path: Path) -> None:
    reader = ReconciliationReader(tmp_path)
    assert "" == reader.commit_of("p1")
    for number in range(MOST_COMMITS + 2):
        write_reconciliation(tmp_path, Reconciliation("/srv/site", revision=f"c{number}", plan=f"p{number}"))
        assert reader.look()
    assert ("c2", "c257", "") == (reader.commit_of("p2"), reader.commit_of("p257"), reader.commit_of("p1"))
