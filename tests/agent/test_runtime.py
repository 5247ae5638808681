"""The process runtime with real processes: found again by another agent, killed whole, never run twice."""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import supervisor
from agent.commands import Exited, Found, NotFound
from agent.container import Around
from agent.given import Given
from agent.messages import Attempt
from agent.runtime import ProcessRuntime
from agent.workflow import Action

pytestmark = pytest.mark.shell

ATTEMPT = Attempt("os", "disk", 1)


class Gate:
    """A named pipe on which an action says that it has begun (`echo > GATE`), so that no test has to sleep."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def wait(self) -> bytes:
        assert select.select([self._reader], [], [], 20)[0], "the action never began"
        return os.read(self._reader, 4096)

    def close(self) -> None:
        os.close(self._reader)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def around(state: Path) -> Around:
    return Around("r1", "http://10.1.0.1", str(state / "gitboot"))


def start(runtime: ProcessRuntime, *command: str, attempt: Attempt = ATTEMPT, **environment: str) -> None:
    runtime.start(attempt, Action(attempt.action, "img", command, environment=environment), command)


def test_an_action_runs_and_its_output_and_exit_code_are_kept(state: Path) -> None:
    runtime = ProcessRuntime(state, around(state))
    start(runtime, "sh", "-c", "echo out; echo err >&2; exit 4")
    assert Exited(4) == runtime.wait(ATTEMPT)
    assert runtime.log(ATTEMPT).read_text() == "out\nerr\n"


def test_an_action_sees_its_environment_and_who_it_is_and_nothing_of_the_agent(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITBOOT_TOKEN", "secret")
    runtime = ProcessRuntime(state, around(state))
    start(runtime, "env", DEST_DISK="/dev/sda")
    runtime.wait(ATTEMPT)
    seen = dict(line.split("=", 1) for line in runtime.log(ATTEMPT).read_text().splitlines())
    expected = {"DEST_DISK": "/dev/sda", "GITBOOT_RUN": "r1", "GITBOOT_TASK": "os", "GITBOOT_ACTION": "disk"}
    expected |= {"GITBOOT_ATTEMPT": "1", "GITBOOT_IMAGE": "img", "GITBOOT_SERVER": "http://10.1.0.1"}
    expected |= {"GITBOOT_MACHINE": f"{state}/gitboot/machine.json"}
    assert expected.items() <= seen.items()
    assert {"PATH", "HOME"} | expected.keys() >= seen.keys() - {"LC_CTYPE", "PWD", "_"}


def test_an_action_without_a_command_has_no_image_to_fall_back_to(state: Path) -> None:
    runtime = ProcessRuntime(state, around(state))
    start(runtime)
    assert Exited(127, None, "the process runtime has no images: action disk needs a command") == runtime.wait(ATTEMPT)


def test_a_command_that_cannot_be_started_says_so(state: Path) -> None:
    runtime = ProcessRuntime(state, around(state))
    start(runtime, "/no/such/thing")
    ended = runtime.wait(ATTEMPT)
    assert ended.exit_code == 127
    assert "No such file" in ended.reason


def test_a_null_byte_in_a_command_is_a_reason_and_not_a_crash(state: Path) -> None:
    runtime = ProcessRuntime(state, around(state))
    start(runtime, "echo", "a\0b")
    assert "null byte" in runtime.wait(ATTEMPT).reason


def test_another_agent_finds_what_runs_and_waits_for_its_end(state: Path, gate: Gate, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    first = ProcessRuntime(state, around(state))
    start(first, "sh", "-c", f"echo > {gate.path}; read line < {tmp_path}/go; exit 6")
    gate.wait()
    later = ProcessRuntime(state, around(state))
    found = later.find(ATTEMPT)
    assert isinstance(found, Found)
    assert found.ended is None
    assert 0 <= found.ran < 60
    (tmp_path / "go").write_text("\n")
    assert Exited(6) == later.wait(ATTEMPT)
    first.wait(ATTEMPT)  # reaps the child


def test_another_agent_finds_what_ended_meanwhile(state: Path) -> None:
    first = ProcessRuntime(state, around(state))
    start(first, "sh", "-c", "exit 2")
    first.wait(ATTEMPT)
    found = ProcessRuntime(state, around(state)).find(ATTEMPT)
    assert isinstance(found, Found)
    assert Exited(2) == found.ended


def test_what_never_began_is_not_found_and_never_begins(state: Path) -> None:
    runtime = ProcessRuntime(state, around(state))
    assert isinstance(runtime.find(ATTEMPT), NotFound)
    place = runtime.log(ATTEMPT).parent
    place.mkdir(parents=True)  # an agent was killed right here, before its supervisor had begun
    assert isinstance(runtime.find(ATTEMPT), NotFound)
    assert supervisor.main([str(place), "touch", str(state / "ran")], b"[]") == 1
    assert not (state / "ran").exists()


def test_what_ran_before_a_reset_of_the_machine_is_not_found(state: Path) -> None:
    runtime = ProcessRuntime(state, around(state))
    place = runtime.log(ATTEMPT).parent
    place.mkdir(parents=True)
    start_time = supervisor.process_start(os.getpid())
    supervisor.link_once(place / "process", {"pid": os.getpid(), "start": start_time, "system": "another"})
    assert NotFound("the machine was reset") == runtime.find(ATTEMPT)


def test_a_later_process_with_the_same_pid_is_neither_found_nor_killed(state: Path, gate: Gate) -> None:
    runtime = ProcessRuntime(state, around(state))
    start(runtime, "sh", "-c", f"echo > {gate.path}; exec sleep 300", attempt=Attempt("os", "innocent", 1))
    gate.wait()
    innocent = supervisor_of(runtime, Attempt("os", "innocent", 1))
    place = runtime.log(ATTEMPT).parent
    place.mkdir(parents=True)
    supervisor.link_once(place / "process", {"pid": innocent, "start": 1, "system": supervisor.system_id()})
    assert isinstance(runtime.find(ATTEMPT), NotFound)
    runtime.kill(ATTEMPT)
    still = runtime.find(Attempt("os", "innocent", 1))
    assert isinstance(still, Found)
    assert still.ended is None
    assert len(supervisor.session_members(innocent)) == 1
    runtime.kill(Attempt("os", "innocent", 1))
    assert Exited(None, signal.SIGTERM) == runtime.wait(Attempt("os", "innocent", 1))


def test_a_kill_reaches_children_and_their_children(state: Path, gate: Gate) -> None:
    runtime = ProcessRuntime(state, around(state))
    script = f"sh -c 'sleep 300 & echo > {gate.path}; wait' & wait"
    start(runtime, "sh", "-c", script)
    gate.wait()
    session = supervisor_of(runtime, ATTEMPT)
    assert len(supervisor.session_members(session)) == 3
    runtime.kill(ATTEMPT)
    assert Exited(None, signal.SIGTERM) == runtime.wait(ATTEMPT)
    assert supervisor.session_members(session) == []


def test_what_ignores_the_polite_signal_is_killed_5_seconds_later(state: Path, gate: Gate) -> None:
    runtime = ProcessRuntime(state, around(state))
    start(runtime, "sh", "-c", f"trap '' TERM; echo > {gate.path}; sleep 300 & wait; wait")
    gate.wait()
    runtime.kill(ATTEMPT)
    assert Exited(None, signal.SIGKILL) == runtime.wait(ATTEMPT)
    found = runtime.find(ATTEMPT)
    assert isinstance(found, Found)
    assert found.ran >= supervisor.GRACE


def test_an_action_whose_supervisor_was_killed_is_ended_and_not_found(state: Path, gate: Gate) -> None:
    runtime = ProcessRuntime(state, around(state))
    start(runtime, "sh", "-c", f"echo > {gate.path}; exec sleep 300")
    gate.wait()
    session = supervisor_of(runtime, ATTEMPT)
    os.kill(session, signal.SIGKILL)
    assert Exited(None, reason="the action's supervisor was killed") == runtime.wait(ATTEMPT)
    assert supervisor.session_members(session) == []


def test_killing_before_the_action_began_keeps_it_from_beginning(state: Path) -> None:
    runtime = ProcessRuntime(state, around(state))
    start(runtime, "true")
    runtime.kill(ATTEMPT)
    ended = runtime.wait(ATTEMPT)
    assert ended in (Exited(None, reason="the agent stopped before the action began"), Exited(0), Exited(None, signal.SIGTERM))


def test_what_is_left_of_the_time_before_a_reset_is_cleared_away(state: Path, gate: Gate) -> None:
    first = ProcessRuntime(state, around(state))
    start(first, "sh", "-c", f"echo > {gate.path}; exec sleep 300")
    gate.wait()
    session = supervisor_of(first, ATTEMPT)
    second = ProcessRuntime(state, around(state))
    start(second, "echo", "new")
    assert Exited(0) == second.wait(ATTEMPT)
    assert second.log(ATTEMPT).read_text() == "new\n"
    first.wait(ATTEMPT)  # reaps the child
    assert supervisor.session_members(session) == []


@pytest.mark.parametrize("name", ["..", ".", "../../etc", "a/b", "a.1", "ä ö", "%2E", "\udc80", "ä" * 300])
def test_any_name_stays_inside_the_state_directory(state: Path, name: str) -> None:
    log = ProcessRuntime(state, Around(name, "", "")).log(Attempt(name, name, 1))
    assert len(log.resolve().relative_to(state.resolve()).parts) == 4
    assert max(len(part) for part in log.parts) < 255


def test_different_names_never_share_a_place(state: Path) -> None:
    runtime = ProcessRuntime(state, around(state))
    attempts = [Attempt("t", "a", 11), Attempt("t", "a.1", 1), Attempt("t/a", "1", 1), Attempt("t", "a%2E1", 1)]
    attempts += [Attempt("t", "x" * 300, 1), Attempt("t", "x" * 299 + "y", 1)]
    assert len(attempts) == len({runtime.log(attempt) for attempt in attempts})


def test_a_finished_run_leaves_nothing(state: Path) -> None:
    runtime = ProcessRuntime(state, around(state))
    start(runtime, "true")
    runtime.wait(ATTEMPT)
    runtime.clear()
    assert list(state.iterdir()) == []


def supervisor_of(runtime: ProcessRuntime, attempt: Attempt) -> int:
    pid = json.loads((runtime.log(attempt).parent / "process").read_text())["pid"]
    assert isinstance(pid, int)
    return pid


def test_a_secret_is_in_the_environment_and_not_in_what_is_left(state: Path) -> None:
    runtime = ProcessRuntime(state, around(state))
    command = ("sh", "-c", 'echo "it is $PW"; echo "$PW" | base64 >&2; test "$PW" = "correct horse"')
    runtime.start(ATTEMPT, Action("disk", "img", command), command, Given({"PW": "correct horse"}))
    assert Exited(0) == runtime.wait(ATTEMPT)
    assert b"it is *************\n" == runtime.log(ATTEMPT).read_bytes()[:20]
    files = [path.read_bytes() for path in state.rglob("*") if path.is_file()]
    assert not any(form in data for form in (b"correct horse", b"Y29ycmVj") for data in files)


def test_a_process_gets_no_files(state: Path) -> None:
    runtime = ProcessRuntime(state, around(state))
    runtime.start(ATTEMPT, Action("disk", "img", ("true",)), ("true",), Given(files={"/run/key": "correct horse"}))
    assert "the process runtime has no mounts" in runtime.wait(ATTEMPT).reason
