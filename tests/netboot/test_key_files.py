"""Keys are read from files that are not in the state directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from netboot.key_files import BadKey, read_keys
from tests.secret_documents import IDENTITY, recipient


def test_every_file_adds_its_keys(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(f"# made by hand\n{IDENTITY}\n")
    (tmp_path / "two").write_text(IDENTITY)
    assert (recipient(),) * 2 == read_keys([tmp_path / "one", tmp_path / "two"], tmp_path / "state").public


def test_a_key_in_the_state_directory_is_refused_however_it_is_named(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "age.key").write_text(IDENTITY)
    (tmp_path / "link").symlink_to(state / "age.key")
    for path in (state / "age.key", tmp_path / "link", state / ".." / "state" / "age.key"):
        with pytest.raises(BadKey, match="lies in the state directory; keep the key elsewhere"):
            read_keys([path], state)


def test_what_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for path, reason in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "bytes", "no age identity"),
    ):
        with pytest.raises(BadKey, match=reason):
            read_keys([path])
