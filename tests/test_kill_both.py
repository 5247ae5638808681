"""kill -9 of a real server and of real agents, at random moments: nothing is lost, nothing runs twice, and all of it ends well.

`GITBOOT_KILLS=200` kills so often; without it a tenth of that, as much as belongs into every run of the tests.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from netboot.events import ActionEnded, ActionStarted, RunEnded
from tests.reconciler.gitkit import Work
from tests.reconciler.inventories import PROFILE, SITE
from tests.reconciler.process import Gitboot
from tests.test_kill import agent_command, as_machine, journal, mac, script_path

pytestmark = pytest.mark.shell
KILLS = int(os.environ.get("GITBOOT_KILLS", "20"))
MACHINES = 3
WORKFLOWS = KILLS
"""Of each machine: enough to be busy until the last kill."""
DEADLINE = 30.0 + 3 * KILLS


def inventory(work: Work, ran: Path) -> None:
    """Every attempt leaves a line in `ran`, and a log."""
    note = f'echo "$GITBOOT_RUN $GITBOOT_ACTION.$GITBOOT_ATTEMPT" >> {ran}; seq 50'
    work.write("site.yaml", SITE)
    work.write("profile.yaml", PROFILE)
    work.write(
        "template.yaml",
        f"""\
apiVersion: gitboot/v1
kind: Template
metadata: {{name: note}}
spec:
  tasks:
  - name: note
    actions:
    - {{name: one, image: "i:v1", timeout: 60, retries: 9, command: [sh, -c, '{note}']}}
    - {{name: two, image: "i:v1", timeout: 60, retries: 9, command: [sh, -c, '{note}']}}
""",
    )
    for number in range(MACHINES):
        hardware = f"""\
apiVersion: gitboot/v1
kind: Hardware
metadata: {{name: node-{number:02}, labels: {{kind: busy}}}}
spec: {{profile: inspect, interfaces: [{{mac: "{mac(number)}", address: 10.1.0.{number + 10}}}]}}
"""
        work.write(f"node-{number:02}.yaml", hardware)
    for number in range(WORKFLOWS):
        workflow = f"""\
apiVersion: gitboot/v1
kind: Workflow
metadata: {{name: note-{number:03}}}
spec: {{template: note, hardware: {{matchLabels: {{kind: busy}}}}}}
"""
        work.write(f"note-{number:03}.yaml", workflow)
    work.commit()


class Machine(threading.Thread):
    """Boots, and starts its agent again whenever that is killed, until the agent says that there is nothing more to do."""

    def __init__(self, number: int, port: int, state: Path) -> None:
        super().__init__(daemon=True)
        self._number, self._port, self._state = number, port, state
        self.agent: subprocess.Popen[str] | None = None
        self.defects: list[str] = []
        self.kills = 0

    def run(self) -> None:
        command = agent_command(self._script(), self._state)
        while True:
            self.agent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            said = self.agent.communicate()[0]
            if self.agent.returncode == 0:
                if not said.endswith("then: reboot\n"):
                    self.defects.append(said)
                return
            if self.agent.returncode != -9:
                self.defects.append(said)
                return

    def kill(self) -> None:
        if self.agent and self.agent.poll() is None:
            self.agent.kill()
            self.kills += 1

    def _script(self) -> str:
        """The boot's own words for its kernel."""
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
                connection.request("GET", script_path(self._number), headers=as_machine(self._number))
                script = connection.getresponse().read().decode()
                if "gitboot.token=" in script:
                    return script
            time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.timeout(60 + 6 * KILLS)
def test_a_server_and_agents_killed_again_and_again_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    chance, port = random.Random(7), free_port()
    work, state, art, ran = Work(tmp_path / "site"), tmp_path / "state", tmp_path / "art", tmp_path / "ran"
    (art / "inspect").mkdir(parents=True)
    (art / "inspect/vmlinuz").write_bytes(b"kernel")
    inventory(work, ran)
    options = ["--listen", "127.0.0.1", "--dhcp-port", "0", "--tftp-port", "0", "--http-port", str(port), "--new-site"]
    options += ["--https-port", str(free_port()), "--trusted-proxy", "127.0.0.1/32"]
    serve: list[str | Path] = ["serve", "--repo", work.path, "--state", state, "--artifacts", art, *options]
    machines = [Machine(number, port, tmp_path / f"agent-{number}") for number in range(MACHINES)]
    for machine in machines:
        machine.start()
    server = Gitboot(*serve)
    servers_killed = 0
    for _ in range(KILLS):
        assert port == server.port
        time.sleep(chance.uniform(0.05, 0.5))
        if chance.random() < 0.5:
            server.kill()
            servers_killed += 1
            server = Gitboot(*serve)
        else:
            chance.choice(machines).kill()
    with server:
        for machine in machines:
            machine.join(DEADLINE)
            assert not machine.is_alive(), "a machine does not come to the end of its work"
        assert 0 == server.stop()
    assert [] == [defect for machine in machines for defect in machine.defects]
    assert (servers_killed > 0, sum(machine.kills for machine in machines) > 0) == (True, True)
    check(state, ran)


def check(state: Path, ran: Path) -> None:
    events = journal(state)
    starts = [(event.run, f"{event.action}.{event.attempt}") for event in events if isinstance(event, ActionStarted)]
    executed = [tuple(line.split()) for line in ran.read_text().splitlines()]
    assert [] == [attempt for attempt, times in Counter(executed).items() if times > 1]
    assert set(executed) <= set(starts)
    ends = [event for event in events if isinstance(event, ActionEnded)]
    assert len(starts) == len(ends)
    assert {"SUCCESS": MACHINES * WORKFLOWS} == Counter(event.state for event in events if isinstance(event, RunEnded))
    done = {(event.run, f"{event.action}.{event.attempt}") for event in ends if event.state == "SUCCESS"}
    assert 2 * MACHINES * WORKFLOWS == len(done)
    assert done <= set(executed)
    whole = "".join(f"{number}\n" for number in range(1, 51))
    cut = [attempt for attempt in done if (state / f"logs/{attempt[0]}/note/{attempt[1]}.log").read_text() != whole]
    assert [] == cut
