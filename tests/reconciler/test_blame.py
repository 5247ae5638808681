"""Every line is told of with the commit that wrote it, or with a sentence in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.blame import UNCOMMITTED, Author, Line, Written, authors
from reconciler.git import open_repository
from reconciler.mirror import Mirror
from reconciler.repository import Repository
from reconciler.source import Source
from tests.reconciler.gitkit import Work, free_port, git_daemon

pytestmark = pytest.mark.shell


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def opened(work: Work, path: str = "") -> Repository:
    return open_repository(Source(str(work.path), "HEAD", path), work.path.parent / "unused", 20)


def asked(work: Work, *lines: Line, path: str = "", folder: dict[str, str] | None = None) -> dict[Line, Author]:
    lying = None if folder is None else {name: text.encode() for name, text in folder.items()}
    repository = opened(work, path)
    return authors(repository, repository.fetch(), lines, lying)


def commits(found: dict[Line, Author]) -> list[str]:
    return [each.commit.id if isinstance(each, Written) else each for each in found.values()]


def test_each_line_has_the_commit_that_wrote_it_with_author_date_and_subject(work: Work) -> None:
    first = work.commit(site="one\ntwo\nthree\n")
    work.git("config", "user.name", "Bob")
    second = work.commit(site="one\nTWO\nthree\n")
    found = asked(work, ("site.yaml", 1), ("site.yaml", 2), ("site.yaml", 3))
    assert [first, second, first] == commits(found)
    author = found["site.yaml", 2]
    assert isinstance(author, Written)
    assert ("Ann <ann@lab.example>", "change", False) == (author.commit.author, author.commit.subject, author.cut)
    assert int(work.git("log", "-1", "--format=%at", second)) == author.commit.authored


def test_a_file_that_was_renamed_keeps_its_authors(work: Work) -> None:
    first = work.commit(old="one\ntwo\nthree\nfour\n")
    work.git("mv", "old.yaml", "new.yaml")
    second = work.commit(new="one\ntwo\nthree\nFOUR\n")
    assert [first, second] == commits(asked(work, ("new.yaml", 1), ("new.yaml", 4)))


def test_the_folder_of_the_inventory_is_where_its_files_are_looked_for(work: Work) -> None:
    work.write("sites/lab/site.yaml", "one\n")
    commit = work.commit(site="another\n")
    assert [commit] == commits(asked(work, ("site.yaml", 1), path="sites/lab"))


def test_what_lies_in_the_folder_and_in_no_commit_says_so_and_the_rest_keeps_its_authors(work: Work) -> None:
    commit = work.commit(site="one\ntwo\nthree\n")
    folder = {"site.yaml": "zero\none\nTWO\nthree\n", "new.yaml": "one\n"}
    lines = [("site.yaml", line) for line in (1, 2, 3, 4)]
    assert [UNCOMMITTED, commit, UNCOMMITTED, commit, UNCOMMITTED] == commits(
        asked(work, *lines, ("new.yaml", 1), folder=folder)
    )


def test_a_line_that_is_not_there_costs_only_its_own_file_the_answer(work: Work) -> None:
    commit = work.commit(site="one\n", other="two\n")
    found = commits(asked(work, ("site.yaml", 7), ("other.yaml", 1), ("gone.yaml", 1)))
    assert commit == found[1]
    assert "has only 1 line" in found[0] or "has only 1 lines" in found[0]
    assert "gone.yaml" in found[2]


def test_where_history_is_cut_off_the_commit_may_not_be_the_first(work: Work, tmp_path: Path) -> None:
    work.commit(site="one\n", other="two\n")
    last = work.commit(other="TWO\n")
    with git_daemon(work.path.parent, free_port()) as address:
        mirror = Mirror(tmp_path / "mirror", Source(f"{address}/work/.git"), 20)
        found = authors(mirror, mirror.fetch(), [("site.yaml", 1)])
        assert [last] == commits(found)
        assert [True] == [isinstance(each, Written) and each.cut for each in found.values()]
        mirror.deepen()
        found = authors(mirror, last, [("site.yaml", 1), ("other.yaml", 1)])
    assert [False, False] == [isinstance(each, Written) and each.cut for each in found.values()]


def test_the_repositorys_own_configuration_neither_runs_anything_nor_hides_a_commit(work: Work, tmp_path: Path) -> None:
    work.commit(site="address: 10.1.0.11\n")
    second = work.commit(site="address: 10.1.0.12\n")
    ran = tmp_path / "ran"
    work.write(".git/info/attributes", "* diff=evil filter=evil\n")
    work.write("ignored", f"{second}\n")
    for key in ("diff.evil.textconv", "diff.evil.command", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process"):
        work.git("config", key, f"touch {ran}; cat")
    work.git("config", "diff.external", f"touch {ran}")
    work.git("config", "blame.ignoreRevsFile", str(work.path / "ignored"))
    assert [second] == commits(asked(work, ("site.yaml", 1)))
    assert [UNCOMMITTED] == commits(asked(work, ("site.yaml", 1), folder={"site.yaml": "three\n"}))
    assert not ran.exists()
    work.git("blame", "--porcelain", "HEAD", "--", "site.yaml")
    assert ran.exists(), "plain git runs it, so that this test can fail"
