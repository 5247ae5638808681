"""The whole agent with real processes and a real server: in this process, and as one that is killed with SIGKILL."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.client import Refused, Server
from agent.commands import Finish
from agent.container import Around
from agent.machine import Machine
from agent.messages import Claim
from agent.runtime import ProcessRuntime
from agent.worker import Pace, Worker
from agent.workflow import Action, Secret, Task, Workflow
from tests.agent.fakes import FakeServer
from tests.agent.http_server import BOOT, TOKEN, FaultyServer, at_work

pytestmark = pytest.mark.shell

FAST = Pace(heartbeat=0.01, log=0.01)


def shell(name: str, script: str, **options: object) -> Action:
    return Action(name, "img", ("sh", "-c", script), **options)  # type: ignore[arg-type]  # options are fields of Action


def workflow(*actions: Action, global_timeout: int = 0) -> Workflow:
    return Workflow("w", (Task("t", "m", actions),), global_timeout)


def carry_out(server: FaultyServer, state: Path, said: Callable[[str], None] = lambda _: None) -> Finish:
    ours = Server(server.url, BOOT, TOKEN, pause=lambda _: None, kept=at_work())
    claim = ours.claim("s1")
    assert isinstance(claim, Claim)
    folder = state / "gitboot"
    runtime = ProcessRuntime(state, Around(claim.run, server.url, str(folder)))
    return Worker(claim, ours, runtime, Machine(folder, claim.machine, said, state / "by-gitboot"), said, FAST).work()


def test_a_workflow_is_carried_out_and_its_logs_are_at_the_server(tmp_path: Path) -> None:
    fake = FakeServer(workflow(shell("a", "echo hello"), shell("b", "echo $DISK >&2", environment={"DISK": "/dev/sda"})))
    said: list[str] = []
    with FaultyServer(fake) as server:
        assert Finish("SUCCESS", "") == carry_out(server, tmp_path / "state", said.append)
    assert fake.ends() == [("a", 1, "SUCCESS"), ("b", 1, "SUCCESS")]
    assert fake.logs == {("t", "a", 1): b"hello\n", ("t", "b", 1): b"/dev/sda\n"}
    lines = [
        "action 1 of 2: t/a starts",
        "action 1 of 2: t/a SUCCESS",
        "action 2 of 2: t/b starts",
        "action 2 of 2: t/b SUCCESS",
    ]
    assert said == [*lines, "workflow w SUCCESS"]


def test_a_failure_runs_its_handler_and_tells_the_reason(tmp_path: Path) -> None:
    fails = shell("a", "echo no such mirror; exit 3", on_failure=("sh", "-c", "echo cleaned"))
    fake = FakeServer(workflow(fails, shell("b", "true")))
    said: list[str] = []
    with FaultyServer(fake) as server:
        assert Finish("FAILED", "t/a: exit code 3: no such mirror") == carry_out(server, tmp_path / "state", said.append)
    assert fake.ends() == [("a", 1, "FAILED"), ("a:on-failure", 1, "SUCCESS")]
    assert fake.logs == {("t", "a", 1): b"no such mirror\n", ("t", "a:on-failure", 1): b"cleaned\n"}
    assert "action 1 of 2: t/a FAILED, exit code 3: no such mirror" in said


def test_a_disk_that_cannot_be_told_ends_the_run_before_anything_is_started(tmp_path: Path) -> None:
    writing = shell("a", f"touch {tmp_path}/ran", environment={"DEST_DISK": "/dev/disk/by-gitboot/root"})
    fake = FakeServer(workflow(writing), machine={"name": "m", "disks": [{"name": "root", "serial": "no such serial"}]})
    with FaultyServer(fake) as server:
        finish = carry_out(server, tmp_path / "state")
    assert finish.state == "FAILED"
    assert finish.reason.startswith("nothing was started: disk root (serial no such serial) is not in this machine; there is ")
    assert ["run-ended"] == [event["type"] for event in fake.accepted]
    assert not (tmp_path / "ran").exists()


def test_a_machine_that_nothing_can_be_written_to_says_so_without_a_number(tmp_path: Path) -> None:
    (tmp_path / "gitboot").write_text("in the way of the folder that actions share")
    with FaultyServer(FakeServer(workflow(shell("a", "true")))) as server:
        finish = carry_out(server, tmp_path)
    assert Finish("FAILED", f"nothing was started: File exists: {tmp_path}/gitboot") == finish


def test_an_action_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    fake = FakeServer(workflow(shell("a", "echo began; exec sleep 300", timeout=5)))
    with FaultyServer(fake) as server:
        assert carry_out(server, tmp_path / "state").state == "TIMEOUT"
    assert fake.logs == {("t", "a", 1): b"began\n"}


def test_a_log_is_at_the_server_while_its_action_runs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    fake = FakeServer(workflow(shell("a", f"echo began; read line < {tmp_path}/go")))
    with FaultyServer(fake) as server:
        agent = threading.Thread(target=carry_out, args=(server, tmp_path / "state"))
        agent.start()
        server.wait_until(lambda: bool(fake.logs))
        assert fake.in_flight is not None
        (tmp_path / "go").write_text("\n")
        agent.join(30)
    assert fake.ended is not None


@pytest.mark.parametrize(("change", "state"), [({"cancel": True}, "FAILED"), ({"gone": "another boot has it"}, "GONE")])
def test_a_heartbeat_stops_what_runs(tmp_path: Path, change: dict[str, object], state: str) -> None:
    fake = FakeServer(workflow(shell("a", "echo began; exec sleep 300")))

    def stop_it(path: str, number: int) -> str:
        if fake.logs:
            vars(fake).update(change)
        return ""

    with FaultyServer(fake, stop_it) as server:
        finish = carry_out(server, tmp_path / "state")
    assert state == finish.state
    assert processes_of(tmp_path / "state") == []


@pytest.mark.parametrize("seed", range(20))
def test_a_bad_network_changes_nothing(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    fake = FakeServer(workflow(shell("a", "seq 500; echo x >> $OUT", environment={"OUT": str(tmp_path / "ran")})))
    with FaultyServer(fake, lambda path, n: dice.choice(["", "", "lost", "deaf", "500"])) as server:
        assert carry_out(server, tmp_path / "state").state == "SUCCESS"
    assert (tmp_path / "ran").read_text() == "x\n"
    assert fake.logs == {("t", "a", 1): "".join(f"{n}\n" for n in range(1, 501)).encode()}


def test_a_refusal_leaves_nothing_behind_in_this_process(tmp_path: Path) -> None:
    fake = FakeServer(workflow(shell("a", "true")))
    with (
        FaultyServer(fake, lambda path, n: "403" if path == "/agent/report" else "") as server,
        pytest.raises(Refused, match="403"),
    ):
        carry_out(server, tmp_path / "state")
    assert [threading.main_thread()] == [thread for thread in threading.enumerate() if not thread.daemon]


# kill -9


class Agents:
    """Starts `python -m agent` again and again until one of them says that there is nothing more to do."""

    def __init__(self, server: FaultyServer, state: Path) -> None:
        self._command = [sys.executable, "-m", "agent", "--server", server.url, "--boot", BOOT, "--token", TOKEN]
        self._command += ["--state", str(state), "--links", str(state / "by-gitboot")]
        self.current: subprocess.Popen[str] | None = None
        self.started = 0

    def kill(self) -> None:
        if self.current:
            self.current.kill()

    def start(self) -> None:
        self.current = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        self.started += 1

    def run_to_the_end(self) -> str:
        """What the last one said."""
        for _ in range(20):
            if self.current is None:
                self.start()
            assert self.current is not None
            said = self.current.communicate(timeout=60)[0]
            code, self.current = self.current.returncode, None
            if code == 0:
                return said
            assert code == -signal.SIGKILL, said
        raise AssertionError("it never ends")


def test_an_action_is_found_by_the_next_agent_and_not_run_twice(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for fifo in ("began", "go"):
        os.mkfifo(tmp_path / fifo)
    script = f"echo x >> {tmp_path}/ran; echo one; echo > {tmp_path}/began; read line < {tmp_path}/go; echo two"
    fake = FakeServer(workflow(shell("a", script)))
    with FaultyServer(fake) as server:
        agents = Agents(server, tmp_path / "state")
        request.addfinalizer(agents.kill)
        agents.start()
        (tmp_path / "began").read_text()
        agents.kill()
        assert agents.current is not None
        agents.current.communicate(timeout=30)
        agents.start()
        server.wait_until(lambda: "/agent/log" in after_second_claim(server.requests))  # so it was found
        (tmp_path / "go").write_text("\n")
        said = agents.run_to_the_end()
    assert "t/a still runs" in said
    assert said.endswith("then: reboot\n")
    assert (tmp_path / "ran").read_text() == "x\n"
    assert fake.ends() == [("a", 1, "SUCCESS")]
    assert fake.logs == {("t", "a", 1): b"one\ntwo\n"}


def after_second_claim(requests: list[str]) -> list[str]:
    claims = [number for number, path in enumerate(requests) if path == "/agent/claim"]
    return requests[claims[1] :] if len(claims) > 1 else []


@pytest.mark.parametrize("seed", range(50))
def test_an_agent_killed_anywhere_runs_nothing_twice_and_comes_to_the_end(
    tmp_path: Path, request: pytest.FixtureRequest, seed: int
) -> None:
    """Killed before or after requests drawn by the seed, with answers lost and doubled on the way."""
    dice = random.Random(seed)
    kills = {dice.randint(1, 9): dice.choice(["before", "after"]) for _ in range(2)}
    script = f"echo $GITBOOT_ACTION.$GITBOOT_ATTEMPT >> {tmp_path}/ran; seq 50"
    actions = [shell("a", script, retries=2), shell("b", f"{script}; exit 1", on_failure=("sh", "-c", script))]
    fake = FakeServer(workflow(*actions))

    def maybe_kill(when: str, number: int) -> None:
        if kills.get(number) == when:
            agents.kill()

    def fault(path: str, number: int) -> str:
        maybe_kill("before", number)
        return dice.choice(["", "lost", "500"]) if number % 4 == 1 else ""  # seldom: pauses grow

    with FaultyServer(fake, fault) as server:
        server.after = lambda path, number: maybe_kill("after", number)
        agents = Agents(server, tmp_path / "state")
        request.addfinalizer(agents.kill)
        agents.run_to_the_end()
    ran = (tmp_path / "ran").read_text().split()
    assert len(ran) == len(set(ran)), "an attempt ran twice"
    assert set(ran) <= {f"{action}.{attempt}" for _, action, attempt in fake.starts()}
    assert len(fake.starts()) == len(fake.ends())
    assert fake.ended is not None
    assert fake.ended["state"] == "FAILED"
    assert ("b:on-failure", 1) in [(action, attempt) for action, attempt, _ in fake.ends()]
    whole = "".join(f"{n}\n" for n in range(1, 51)).encode()
    assert all(fake.logs[("t", action, attempt)] == whole for action, attempt, state in fake.ends() if state != "INTERRUPTED")
    assert processes_of(tmp_path / "state") == []


def processes_of(state: Path) -> list[str]:
    """Command lines of live processes that name this state directory: supervisors."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            found += [line] if f"{state}/" in line else []
    return found


# Secrets ---------------------------------------------------------------------------------------------------------------

PW = Secret("db", "pw", env="PW")
VALUE = b"secret db/pw"


def test_an_action_gets_its_secret_and_nobody_else_hears_of_it(tmp_path: Path) -> None:
    tells = shell("a", 'echo "$PW"; echo "$PW" | base64; echo "failed with $PW"; exit 1', secrets=(PW,), on_failure=("env",))
    fake = FakeServer(workflow(tells, shell("b", 'test -z "$PW"', if_="always")))
    said: list[str] = []
    with FaultyServer(fake) as server:
        finish = carry_out(server, tmp_path / "state", said.append)
    assert ["a FAILED", "a:on-failure SUCCESS", "b SUCCESS"] == [f"{action} {state}" for action, _, state in fake.ends()]
    assert b"PW=" + b"*" * len(VALUE) in fake.logs["t", "a:on-failure", 1]
    assert "t/a: exit code 1: failed with ************" == finish.reason
    told = repr((fake.accepted, fake.logs, said, finish)).encode()
    assert not any(form in told for form in (VALUE, b64encode(VALUE)[:12]))
    assert not any(VALUE in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_an_action_whose_secret_is_refused_fails_with_the_reason(tmp_path: Path) -> None:
    fake = FakeServer(workflow(shell("a", f"touch {tmp_path}/ran", secrets=(PW,))), locked="secret db cannot be read: why")
    with FaultyServer(fake) as server:
        finish = carry_out(server, tmp_path / "state")
    assert "t/a: it is not given its secrets: secret db cannot be read: why (HTTP 409)" == finish.reason
    assert not (tmp_path / "ran").exists()


def test_an_agent_that_is_started_again_knows_what_is_secret_in_the_reason(tmp_path: Path) -> None:
    """Its predecessor was killed while the action ran."""
    os.mkfifo(tmp_path / "go")
    waits = shell("a", f'read line < {tmp_path}/go; echo "no $PW"; exit 1', secrets=(PW,))
    fake = FakeServer(workflow(waits))
    program = [sys.executable, "-m", "agent", "--boot", BOOT, "--token", TOKEN, "--state", str(tmp_path / "state")]
    program += ["--links", str(tmp_path / "by-gitboot")]
    with FaultyServer(fake) as server:
        first = subprocess.Popen([*program, "--server", server.url], stdout=subprocess.DEVNULL)
        server.wait_until(lambda: "/agent/secrets" in server.requests)
        (tmp_path / "go").open("w").close()  # somebody reads: the action runs
        first.kill()
        first.wait()
        second = subprocess.run([*program, "--server", server.url], stdout=subprocess.PIPE, timeout=60)
    assert fake.ended is not None
    told = repr((fake.accepted, fake.logs)).encode() + second.stdout
    assert b"no ************" in told
    assert VALUE not in told
