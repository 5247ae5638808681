"""`gitboot actions build`: what cannot become an archive is said in a sentence, and before anything is built."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import gitboot
from reconciler.commands import actions as command


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(gitboot, ["actions", "build", *map(str, words)], catch_exceptions=False)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A build that only writes down what it was asked for."""
    names: list[str] = []

    def build(out: Path, arch: str, sources: str, tags: Sequence[str], prefix: str) -> list[str]:
        names.extend(f"{prefix}disk-wipe:{tag}" for tag in tags)
        out.write_bytes(b"archive")
        return names

    monkeypatch.setattr(command, "host_release", lambda: ("bookworm", ""))
    monkeypatch.setattr(command, "build", build)
    return names


def test_what_was_built_is_named_with_what_comes_next(tmp_path: Path, asked: list[str]) -> None:
    result = call("--out", tmp_path / "a.tar", "--tag", "v3", "--prefix", "registry.example:5000/gitboot/")
    assert (0, ["registry.example:5000/gitboot/disk-wipe:v3"]) == (result.exit_code, asked)
    assert result.output.endswith("name it in the Site's images.archives\n")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--tag", ""), ("--tag", "a b"), ("--tag", "v3:1"), ("--tag", ".v3"), ("--prefix", "http://a/"), ("--prefix", "a/B/")],
)
def test_a_name_that_no_engine_takes_is_refused_before_anything_is_built(
    tmp_path: Path, asked: list[str], option: str, value: str
) -> None:
    result = call("--out", tmp_path / "a.tar", option, value)
    assert (2, []) == (result.exit_code, asked)
    assert f"{option} is {value!r}: write" in " ".join(result.output.split())


def test_a_full_disk_is_told_with_the_two_places_that_may_be_meant(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object) -> list[str]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(command, "build", build)
    result = call("--out", tmp_path / "a.tar")
    assert 1 == result.exit_code
    assert "free some, or set --out or TMPDIR" in " ".join(result.output.split())
