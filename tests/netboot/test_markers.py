"""Markers: what a person told a state directory, with nothing else running."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from netboot.markers import clear_new_site, declare_new_site, freeze, frozen, new_site_declared, unfreeze


def test_a_freeze_says_who_when_and_why_until_it_is_lifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ann")
    assert "" == frozen(tmp_path)
    sentence = freeze(tmp_path, "rack 3\nis being moved")
    assert sentence == frozen(tmp_path)
    assert sentence.startswith("frozen by ann on 2")
    assert sentence.endswith("UTC: rack 3 is being moved")
    assert unfreeze(tmp_path)
    assert not unfreeze(tmp_path)
    assert "" == frozen(tmp_path)


def test_the_last_freeze_counts(tmp_path: Path) -> None:
    freeze(tmp_path, "one")
    assert freeze(tmp_path, "two") == frozen(tmp_path)
    assert ["frozen"] == [file.name for file in tmp_path.iterdir()]


def test_somebody_without_a_name_can_freeze(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", _nobody)
    assert freeze(tmp_path, "").startswith("frozen by uid ")


def _nobody() -> str:
    raise KeyError("no such user")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\n"])
def test_whatever_the_marker_holds_it_freezes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "frozen").write_bytes(content)
    assert "" != frozen(tmp_path)


def test_a_marker_that_cannot_be_read_freezes(tmp_path: Path) -> None:
    (tmp_path / "frozen").mkdir()
    assert "cannot be read" in frozen(tmp_path)


def test_a_state_directory_that_is_not_there_cannot_be_frozen(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        freeze(tmp_path / "nowhere", "")


def test_a_new_site_stays_declared_until_it_is_done(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert not new_site_declared(state)
    declare_new_site(state)
    declare_new_site(state)
    assert new_site_declared(state)
    assert new_site_declared(state)
    clear_new_site(state)
    clear_new_site(state)
    assert not new_site_declared(state)
