"""Real agents of several machines at a real server: work is handed on, and what git cancels is stopped."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.reconciler.gitkit import Work
from tests.reconciler.inventories import PROFILE, SITE
from tests.reconciler.process import FREE, Gitboot
from tests.test_kill import agent_command, as_machine, mac, script_path

pytestmark = pytest.mark.shell


def node(number: int) -> str:
    return f"""\
apiVersion: gitboot/v1
kind: Hardware
metadata: {{name: node-{number:02}}}
spec: {{profile: inspect, interfaces: [{{mac: "{mac(number)}", address: 10.1.0.{number + 10}}}]}}
---
"""


def workflow(*tasks: tuple[str, str], **spec: Any) -> str:
    """Tasks as (worker, shell script), named after their place."""
    actions = [
        {
            "name": f"t{n}",
            "worker": worker,
            "actions": [{"name": "do", "image": "i:v1", "timeout": 60, "command": ["sh", "-c", do]}],
        }
        for n, (worker, do) in enumerate(tasks)
    ]
    template = {"apiVersion": "gitboot/v1", "kind": "Template", "metadata": {"name": "shared"}, "spec": {"tasks": actions}}
    work = {"template": "shared", "hardware": "node-01", **spec}
    document = {"apiVersion": "gitboot/v1", "kind": "Workflow", "metadata": {"name": "shared"}, "spec": work}
    return "\n---\n".join(json.dumps(each) for each in (template, document)) + "\n"


@pytest.fixture
def site(tmp_path: Path) -> Work:
    work = Work(tmp_path / "site")
    (tmp_path / "art/inspect").mkdir(parents=True)
    (tmp_path / "art/inspect/vmlinuz").write_bytes(b"kernel")
    work.write("site.yaml", SITE)
    work.write("profile.yaml", PROFILE)
    work.write("nodes.yaml", node(1) + node(2))
    return work


def serving(tmp_path: Path, work: Work) -> Gitboot:
    options: list[str | Path] = [
        "--repo",
        work.path,
        "--state",
        tmp_path / "state",
        "--artifacts",
        tmp_path / "art",
        *FREE,
        "--new-site",
    ]
    return Gitboot("serve", *options)


class Machine(threading.Thread):
    """Boots, and asks for work again whenever its agent says `then: wait`; `then` is what it says at last."""

    def __init__(self, number: int, port: int, state: Path) -> None:
        super().__init__(daemon=True)
        self._number, self._port, self._state = number, port, state
        self._stopped = threading.Event()
        self.said: list[str] = []

    def run(self) -> None:
        command = agent_command(self._script(), self._state)
        while not self._stopped.wait(0.05):
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
            self.said.append(done.stdout)
            if not done.stdout.endswith("then: wait\n"):
                return

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def _script(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        connection.request("GET", script_path(self._number), headers=as_machine(self._number))
        script = connection.getresponse().read().decode()
        connection.close()
        return script


def test_two_machines_hand_a_workflow_on_and_back(tmp_path: Path, site: Work) -> None:
    note = f"echo $GITBOOT_TASK >> {tmp_path}/ran"
    site.write("work.yaml", workflow(("node-01", note), ("node-02", note), ("node-01", note)))
    site.commit()
    with serving(tmp_path, site) as server:
        server.wait_for("plan-served")
        machines = [Machine(number, server.port, tmp_path / f"agent-{number}") for number in (2, 1)]
        for machine in machines:
            machine.start()
        for machine in machines:
            machine.join(40)
            assert not machine.is_alive(), machine.said[-1:]
        assert "t0\nt1\nt2\n" == (tmp_path / "ran").read_text()
        assert [True, True] == [machine.said[-1].endswith("then: reboot\n") for machine in machines]
        found = json.loads(server.get("/status/workflows/shared.json"))
        assert "SUCCESS" == found["state"]
        assert [("node-01", "SUCCESS"), ("node-02", "SUCCESS"), ("node-01", "SUCCESS")] == [
            (each["machine"], each["state"]) for each in found["machines"]
        ]


def test_what_git_cancels_is_stopped_on_its_machine(tmp_path: Path, site: Work) -> None:
    script = f"trap 'echo stopped > {tmp_path}/end; exit 1' TERM; echo > {tmp_path}/begun; while :; do sleep 0.05; done"
    site.write("work.yaml", workflow(("node-01", script)))
    site.commit()
    with serving(tmp_path, site) as server:
        server.wait_for("plan-served")
        machine = Machine(1, server.port, tmp_path / "agent")
        machine.start()
        assert eventually(lambda: (tmp_path / "begun").exists())
        site.write("work.yaml", workflow(("node-01", script), cancel=True))
        site.commit()
        assert eventually(lambda: json.loads(server.get("/status/workflows/shared.json"))["state"] == "CANCELLED")
        assert eventually(lambda: (tmp_path / "end").exists()), machine.said  # with the next heartbeat
        assert eventually(lambda: bool(machine.said) and "then: wait" in machine.said[-1])
        machine.stop()


def eventually(condition: Any) -> bool:
    """Whether it holds within half a minute."""
    clock = threading.Event()
    for _ in range(600):
        if condition():
            return True
        clock.wait(0.05)
    return False
