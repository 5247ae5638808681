"""Tools of Debian's are run alike for everybody, and what they complain of is short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.os import debian
from agent.os.debian import CannotBuild, run, unpack

pytestmark = pytest.mark.shell


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what a tool said is kept."""
    folder = tmp_path / "logs"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_short_complaint_is_said_whole(logs: Path) -> None:
    with pytest.raises(CannotBuild, match=r"^`sh` failed: E: Unable to locate package firmware-bnx2$"):
        run(["sh", "-c", "echo I: trying >&2; echo E: Unable to locate package firmware-bnx2 >&2; exit 1"])
    assert [] == list(logs.iterdir())


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo E: no such suite; seq 100", "E: no such suite"),
        ("seq 100", "98 / 99 / 100"),
        ("yes error | head", "error / error / error"),
    ],
)
def test_of_a_long_complaint_what_matters_is_said_and_where_the_rest_is(logs: Path, script: str, told: str) -> None:
    with pytest.raises(CannotBuild) as raised:
        run(["sh", "-c", f"echo printed; {{ {script}; }} >&2; exit 1"])
    (log,) = logs.iterdir()
    assert f"`sh` failed: {told}; all that it said is in {log}" == str(raised.value)
    assert log.read_text().startswith("printed\n")


def test_a_full_disk_is_told_in_one_clause() -> None:
    full = r"^`sh` failed: No space left on device; free some, or choose another place \(--out, or TMPDIR\)\.$"
    with pytest.raises(CannotBuild, match=full):
        run(["sh", "-c", "seq 100 >&2; echo 'E: write (28: No space left on device) [IP: ::1]' >&2; exit 1"])


def test_who_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "PATIENCE", 0.01)
    with pytest.raises(CannotBuild, match="`sleep` took longer than"):
        run(["sleep", "60"])


def test_what_is_missing_is_named() -> None:
    with pytest.raises(CannotBuild, match=r"^`no-such-tool` is missing: apt-get install no-such-tool$"):
        run(["no-such-tool"])


def test_nothing_of_the_callers_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "SOURCE_DATE_EPOCH", "PYTHONHASHSEED"):
        monkeypatch.setenv(name, "7")
    assert "C.UTF-8  0\n" == run(["sh", "-c", 'echo "$LC_ALL $SOURCE_DATE_EPOCH $PYTHONHASHSEED"'])


def test_mmdebstrap_is_told_what_to_unpack_and_from_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one that only writes down what it is told."""
    fake = tmp_path / "bin/mmdebstrap"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/told\ncat >>{tmp_path}/told\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=":")
    unpack(["kmod", "fdisk"], "arm64", tmp_path / "root", "Types: deb\n", ["Proxy"], ["--setup-hook=true"])
    told = (tmp_path / "told").read_text().splitlines()
    assert {"--architectures=arm64", "--include=kmod,fdisk", "--aptopt=Proxy", "--setup-hook=true"} <= {*told}
    assert ["", str(tmp_path / "root"), "-", "Types: deb"] == told[-4:]
    assert all(re.match("--", each) for each in told[:-4])
