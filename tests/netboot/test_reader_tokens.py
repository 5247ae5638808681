"""The list of tokens on disk: who may read it, who changes it, and that a server sees it at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from netboot.errors import Malformed
from netboot.reader_tokens import NAME, TokenFile, add_token, list_tokens, remove_token
from netboot.readers import PREFIX, digest_of


def test_a_token_is_known_to_a_running_server_until_it_is_removed(tmp_path: Path) -> None:
    server = TokenFile(tmp_path)
    assert [] == server.tokens()
    token = add_token(tmp_path, "ada")
    assert [("ada", digest_of(token))] == [(each.name, each.sha256) for each in server.tokens()]
    assert remove_token(tmp_path, "ada")
    assert [] == server.tokens()
    assert "" == server.trouble


def test_a_token_is_long_by_chance_and_nowhere_on_disk(tmp_path: Path) -> None:
    tokens = {add_token(tmp_path, str(number)) for number in range(10)}
    assert 10 == len(tokens)
    for token in tokens:
        assert token.startswith(PREFIX)
        assert 43 == len(token.removeprefix(PREFIX))  # 256 bits
        assert token not in (tmp_path / NAME).read_text()


def test_the_list_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        add_token(tmp_path, "ada")
    finally:
        os.umask(before)
    assert 0o600 == (tmp_path / NAME).stat().st_mode & 0o777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_adds_belongs_to_the_servers_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 4711, 4712)
    add_token(tmp_path, "ada")
    found = (tmp_path / NAME).stat()
    assert (4711, 4712) == (found.st_uid, found.st_gid)


def test_a_name_is_taken_once_and_the_first_one_stays(tmp_path: Path) -> None:
    token = add_token(tmp_path, "ada")
    with pytest.raises(FileExistsError):
        add_token(tmp_path, "ada")
    assert [digest_of(token)] == [each.sha256 for each in list_tokens(tmp_path)]


def test_who_is_not_there_cannot_be_removed(tmp_path: Path) -> None:
    add_token(tmp_path, "ada")
    assert not remove_token(tmp_path, "bob")
    assert ["ada"] == [each.name for each in list_tokens(tmp_path)]


def test_two_who_add_at_once_are_both_there(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: add_token(tmp_path, str(number)), range(32)))
    assert {str(number) for number in range(32)} == {each.name for each in list_tokens(tmp_path)}


def test_what_was_left_by_one_that_was_killed_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.new").write_text("half")
    add_token(tmp_path, "ada")
    assert [NAME] == [path.name for path in tmp_path.iterdir()]


def test_a_damaged_list_lets_nobody_in_says_so_and_is_not_overwritten(tmp_path: Path) -> None:
    server = TokenFile(tmp_path)
    add_token(tmp_path, "ada")
    assert server.tokens()
    (tmp_path / NAME).write_text("{")
    for _ in range(2):
        assert [] == server.tokens()
        assert "is damaged" in server.trouble
    with pytest.raises(Malformed):
        add_token(tmp_path, "bob")
    assert "{" == (tmp_path / NAME).read_text()
    (tmp_path / NAME).unlink()
    assert [] == server.tokens()
    assert "" == server.trouble


def test_a_list_that_cannot_be_read_lets_nobody_in_and_says_so(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    server = TokenFile(tmp_path)
    assert [] == server.tokens()
    assert "cannot be read (Is a directory)" in server.trouble
