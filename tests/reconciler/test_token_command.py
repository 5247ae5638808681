"""`gitboot token` and `gitboot status` with a token."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.reconciler.test_cli import call


def test_a_token_is_printed_once_listed_by_name_and_removed(tmp_path: Path) -> None:
    token = call("token", "add", "ada", "--state", str(tmp_path)).output.strip()
    listed = call("token", "list", "--state", str(tmp_path)).output
    assert token.startswith("gitboot_")
    assert "ada" in listed
    assert token not in listed
    assert "The token ada is void.\n" == call("token", "remove", "ada", "--state", str(tmp_path)).output
    assert "There are no tokens" in call("token", "list", "--state", str(tmp_path)).output


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("add", "ada"), 2, "There is a token 'ada' already"),
        (("add", ""), 2, "1 to 64 printable characters"),
        (("add", "x" * 65), 2, "1 to 64 printable characters"),
        (("add", "a\x1b[2Jb"), 2, "1 to 64 printable characters"),
        (("remove", "bob"), 1, "There is no token 'bob'; `gitboot token list` names them"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(tmp_path: Path, words: tuple[str, ...], status: int, said: str) -> None:
    call("token", "add", "ada", "--state", str(tmp_path))
    result = call("token", *words, "--state", str(tmp_path))
    assert status == result.exit_code
    assert said in result.output


@pytest.mark.parametrize("words", [("add", "x"), ("list",), ("remove", "x")])
def test_a_wrong_folder_and_a_damaged_list_are_sentences(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert "There is no state directory" in call("token", *words, "--state", str(tmp_path / "none")).output
    (tmp_path / "tokens.json").write_text("{")
    assert "is damaged" in call("token", *words, "--state", str(tmp_path)).output
    (tmp_path / "tokens.json").unlink()
    (tmp_path / "tokens.json").mkdir()
    assert "Is a directory; run this as the server's user or as root" in call("token", *words, "--state", str(tmp_path)).output


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read"), (b"\xff", "cannot be read"), (b"a\nb", "one line")])
def test_a_token_file_that_holds_no_token_is_a_sentence(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    result = call("status", "--token-file", str(tmp_path / "token"))
    assert (2, True) == (result.exit_code, said in result.output)
    assert os.linesep not in result.output.strip()
