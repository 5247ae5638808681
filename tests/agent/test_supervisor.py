"""The supervisor's law: whoever links the identity first decides, and an action leaves its end and nothing else behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent import supervisor

pytestmark = pytest.mark.shell


def supervise(place: Path, *command: str, told: bytes = b"[]") -> int:
    program = [sys.executable, "-I", "-S", supervisor.__file__, str(place), *command]
    with (place / "log").open("wb") as log:
        return subprocess.run(program, start_new_session=True, input=told, stdout=log, stderr=log, timeout=30).returncode


def test_the_end_of_a_command_is_written_down(tmp_path: Path) -> None:
    assert supervise(tmp_path, "sh", "-c", "exit 3") == 0
    ended = json.loads((tmp_path / "exit").read_text())
    assert (ended["exit_code"], ended["signal"], ended["reason"]) == (3, None, "")
    assert 0 <= ended["ran"] < 30


def test_a_command_that_does_not_exist_has_a_reason(tmp_path: Path) -> None:
    supervise(tmp_path, "/no/such/thing")
    ended = json.loads((tmp_path / "exit").read_text())
    assert ended["exit_code"] == 127
    assert "/no/such/thing cannot be started" in ended["reason"]


def test_an_attempt_that_was_declared_lost_never_starts(tmp_path: Path) -> None:
    assert supervisor.link_once(tmp_path / "process", {"pid": None})
    assert supervise(tmp_path, "touch", str(tmp_path / "ran")) == 1
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "exit").exists()


def test_what_the_command_left_in_the_background_is_ended_with_it(tmp_path: Path) -> None:
    supervise(tmp_path, "sh", "-c", f"sleep 300 & echo $! > {tmp_path}/left")
    left = int((tmp_path / "left").read_text())
    assert supervisor.process_start(left) is None


def test_secrets_are_not_in_the_log_wherever_the_output_is_cut(tmp_path: Path) -> None:
    script = "printf 'a corr'; sleep 0.05; printf 'ect horse b\\n' >&2; printf 'correct horse' | base64; printf 'correct ho'"
    supervise(tmp_path, "sh", "-c", script, told=b'["correct horse"]')
    assert b"a ************* b\n********************\ncorrect ho" == (tmp_path / "log").read_bytes()


def test_what_flees_with_the_output_holds_up_its_end_for_seconds_only(tmp_path: Path) -> None:
    supervise(tmp_path, "sh", "-c", f"setsid sh -c 'echo $$ > {tmp_path}/left; exec sleep 300' & sleep 0.3", told=b'["secret"]')
    assert json.loads((tmp_path / "exit").read_text())["exit_code"] == 0
    os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("told", [b"", b"[", b'["corr'])
def test_a_supervisor_that_was_not_told_all_its_secrets_starts_nothing(tmp_path: Path, told: bytes) -> None:
    """The agent was killed while it told them."""
    assert supervise(tmp_path, "touch", str(tmp_path / "ran"), told=told) == 1
    assert ["log"] == [path.name for path in tmp_path.iterdir()]


def test_only_the_first_of_two_links_counts(tmp_path: Path) -> None:
    assert supervisor.link_once(tmp_path / "process", {"pid": 1})
    assert not supervisor.link_once(tmp_path / "process", {"pid": 2})
    assert json.loads((tmp_path / "process").read_text()) == {"pid": 1}
    assert [tmp_path / "process"] == list(tmp_path.iterdir())


def test_a_process_is_known_by_its_pid_and_the_time_it_began() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    mine, other = supervisor.process_start(os.getpid()), supervisor.process_start(child.pid)
    assert mine is not None
    assert other is not None
    assert mine < other
    child.communicate(timeout=10)
    assert supervisor.process_start(child.pid) is None


def test_a_process_that_is_dead_and_not_yet_reaped_is_no_member() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert child.pid not in supervisor.session_members(os.getsid(0))
    assert supervisor.process_start(child.pid) is None
    child.wait(timeout=10)
