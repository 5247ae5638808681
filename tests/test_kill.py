"""kill -9 at random moments of a busy site: what was accepted is there, what ended stays ended, nothing runs twice."""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.session import Signer, from_json
from netboot.events import ActionStarted, RunEnded, RunStarted
from netboot.journal import Journal
from netboot.observed import Observed
from netboot.plans import PlanStore
from tests.reconciler.gitkit import Work
from tests.reconciler.inventories import PROFILE, SITE, TEMPLATE
from tests.reconciler.process import FREE, Gitboot, by_tls

pytestmark = pytest.mark.shell
MACHINES, ROUNDS, SEED = 20, 15, 4
ACTIONS = ("one", "two", "three")


def inventory(work: Work, address_step: int, run: int) -> None:
    """Twenty machines with a workflow each; `run` counts up so that there is always work."""
    actions = ", ".join(f'{{name: {name}, image: "i:v1", timeout: 60}}' for name in ACTIONS)
    work.write("site.yaml", SITE)
    work.write("profile.yaml", PROFILE)
    work.write("template.yaml", TEMPLATE.split("    actions:")[0] + f"    actions: [{actions}]\n")
    for number in range(MACHINES):
        name = f"node-{number:02}"
        work.write(
            f"{name}.yaml",
            f"""\
apiVersion: gitboot/v1
kind: Hardware
metadata: {{name: {name}}}
spec:
  profile: inspect
  interfaces: [{{mac: "{mac(number)}", address: 10.1.{address_step}.{number + 10}}}]
---
apiVersion: gitboot/v1
kind: Workflow
metadata: {{name: look-{number:02}}}
spec: {{template: look, hardware: {name}, run: {run}}}
""",
        )
    work.commit()


def mac(number: int) -> str:
    return f"52:54:00:12:34:{number:02x}"


def script_path(number: int) -> str:
    return f"/ipxe/{mac(number).replace(':', '-')}/boot.ipxe"


def as_machine(number: int, step: int = 0) -> dict[str, str]:
    """Through a proxy that the server trusts. `step`: which of its addresses the machine has."""
    return {"X-Forwarded-For": f"10.1.{step}.{number + 10}"}


def agent_command(script: str, state: Path) -> list[str]:
    """The agent of this source, told what a boot's script tells its kernel; all that it keeps is below `state`."""
    words = dict(word.split("=", 1) for word in script.split() if word.startswith("gitboot."))
    options = [f"--{name.removeprefix('gitboot.')}={value}" for name, value in words.items()]
    return [sys.executable, "-m", "agent", *options, "--state", str(state), "--links", str(state / "by-gitboot")]


@dataclass
class Truth:
    """What agents were told: it must be in the journal, whatever happens to the server."""

    accepted: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    """(run, sequence, event)."""
    ended: dict[str, str] = field(default_factory=dict)


class Agent(threading.Thread):
    """One machine for ever: boots, claims, reports; after any trouble it repeats itself, as the real agent does."""

    def __init__(self, number: int, ports: Callable[[], tuple[int, int]], truth: Truth, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.number = number
        self._ports = ports
        self._truth = truth
        self._stop_asked = stop
        self.defects: list[str] = []

    def run(self) -> None:
        while not self._stop_asked.is_set():
            try:
                self._boot()
            except (OSError, http.client.HTTPException, _Unavailable):
                self._stop_asked.wait(0.02)
            except Exception as error:
                self.defects.append(repr(error))
                return

    def _boot(self) -> None:
        """It has every address that git ever gave it."""
        script = next(filter(None, map(self._script, range(5))), "")
        if "gitboot.token=" not in script:
            self._stop_asked.wait(0.02)  # to the disk: until a commit brings more work
            return
        words = dict(word.split("=", 1) for word in script.split() if word.startswith("gitboot."))
        boot = words["gitboot.boot"]
        signer = self._session(boot, words["gitboot.token"])
        while signer and (claim := self._insist("/agent/claim", signer, {"boot": boot, "system": f"os-{boot}"})).get("run"):
            self._carry_out(boot, signer, claim["run"])

    def _script(self, step: int) -> str:
        status, data = self._ask("GET", script_path(self.number), headers=as_machine(self.number, step))
        return data.decode() if status == 200 else ""

    def _session(self, boot: str, token: str) -> Signer | None:
        """None: the boot is over, or another has its session, as when the answer was lost with the server."""
        body = json.dumps({"boot": boot, "system": f"os-{boot}"}).encode()
        _, data = self._ask("POST", "/agent/session", body, {"Authorization": f"Bearer {token}"})
        session = from_json(json.loads(data))
        return Signer(session) if session else None

    def _carry_out(self, boot: str, signer: Signer, run: dict[str, Any]) -> None:
        sequence, done = run["sequence"], {tuple(each) for each in run["done"]}
        resumed = run["resume"]["action"] if run["resume"] else None
        events: list[dict[str, Any]] = []
        for action in ACTIONS:
            what = {"task": "look", "action": action, "attempt": 1}
            if ("look", action) in done:
                continue
            if action != resumed:
                events.append({"type": "action-started", **what})
            events.append({"type": "action-ended", **what, "state": "SUCCESS", "exit_code": 0, "reason": ""})
        for event in [*events, {"type": "run-ended", "state": "SUCCESS", "reason": ""}]:
            sequence += 1
            body = {"boot": boot, "run": run["id"], "sequence": sequence, "event": event}
            answer = self._insist("/agent/report", signer, body)
            if "accepted" not in answer:
                return  # taken over, or ended: a new claim brings the truth
            self._truth.accepted.append((run["id"], sequence, event))
            if event["type"] == "run-ended":
                self._truth.ended[run["id"]] = event["state"]

    def _insist(self, path: str, signer: Signer, body: dict[str, Any]) -> dict[str, Any]:
        """Repeated until it is answered: an answer that was lost is given again."""
        data = json.dumps(body).encode()
        while not self._stop_asked.is_set():
            try:
                status, said = self._ask("POST", path, data, {"Authorization": str(signer.sign("POST", path, data))})
            except (OSError, http.client.HTTPException, _Unavailable):
                self._stop_asked.wait(0.02)
                continue
            answer: dict[str, Any] = json.loads(said)
            if status == 401:
                signer.nonce = answer["nonce"]
                continue
            return answer
        raise _Unavailable

    def _ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        plain, secure = self._ports()
        agent = path.startswith("/agent/")
        connection = by_tls(secure, 5) if agent else http.client.HTTPConnection("127.0.0.1", plain, timeout=5)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            data = answer.read()
            if answer.status >= 500:
                raise _Unavailable
            return answer.status, data
        finally:
            connection.close()


class _Unavailable(Exception):
    """The server is away, or says that it cannot just now."""


def journal(state: Path) -> list[Any]:
    """Every event on disk, as a start would read it; raises when the fold would."""
    events: list[Any] = []
    here = Journal(state / "journal")
    here.open(events.append)
    observed = Observed()
    for event in events:
        observed.apply(event)
    here._thread.shutdown()
    return events


def check(state: Path, truth: Truth, accepted: int) -> None:
    """`accepted`: how many reports had been acknowledged when the server was killed."""
    events = journal(state)
    reported = {(event.run, event.sequence) for event in events if getattr(event, "sequence", 0)}
    lost = [(run, sequence) for run, sequence, _ in truth.accepted[:accepted] if (run, sequence) not in reported]
    assert [] == lost
    started = Counter((event.workflow, event.number) for event in events if isinstance(event, RunStarted))
    assert [] == [key for key, count in started.items() if count > 1]
    attempts = Counter((event.run, event.action) for event in events if isinstance(event, ActionStarted))
    assert [] == [key for key, count in attempts.items() if count > 1]
    ends = [event for event in events if isinstance(event, RunEnded)]
    assert len(ends) == len({event.run for event in ends})
    found = {event.run: event.state for event in ends}
    for run, end in list(truth.ended.items()):
        assert found.get(run, end) == end


def check_plan(state: Path) -> None:
    plans = PlanStore(state / "plans")
    current = plans.current_id()
    if current is not None:
        assert "" == plans.damage(current)
        plans.load(current)


@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # Python's own, when a handshake is cut off
def test_a_busy_server_killed_again_and_again_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    work, state, art = Work(tmp_path / "site"), tmp_path / "state", tmp_path / "art"
    (art / "inspect").mkdir(parents=True)
    (art / "inspect/vmlinuz").write_bytes(b"kernel")
    inventory(work, 0, 1)
    truth, stop, ports = Truth(), threading.Event(), [(1, 1)]
    agents = [Agent(number, lambda: ports[0], truth, stop) for number in range(MACHINES)]
    for agent in agents:
        agent.start()
    began = time.monotonic()
    for round_ in range(ROUNDS):
        with Gitboot("serve", "--repo", work.path, "--state", state, "--artifacts", art, *FREE, "--new-site") as server:
            ports[0] = server.port, server.secure_port
            if round_ % 3 == 1:  # killed during a publish, too
                inventory(work, round_ % 5, 1 + round_)
            time.sleep(chance.uniform(0.05, 0.6))
            accepted = len(truth.accepted)
        check(state, truth, accepted)
        check_plan(state)
    with Gitboot("serve", "--repo", work.path, "--state", state, "--artifacts", art, *FREE) as server:
        ports[0] = server.port, server.secure_port
        _until_all_is_done(server, agents)
        stop.set()
        for agent in agents:
            agent.join()
        accepted = len(truth.accepted)
        assert 0 == server.stop()
    check(state, truth, accepted)
    assert [] == [defect for agent in agents for defect in agent.defects]
    assert len(truth.ended) >= MACHINES
    print(f"{ROUNDS} kills, {accepted} reports, {len(truth.ended)} runs ended, {time.monotonic() - began:.1f} s")


def _until_all_is_done(server: Gitboot, agents: list[Agent]) -> None:
    deadline = time.monotonic() + 60  # a session whose key was lost with its answer lives for half a minute
    done, states, names = False, dict[str, int](), [""]
    while not done:
        assert time.monotonic() < deadline, f"the runs did not end: {states} {names}"
        states = json.loads(server.get("/status/reconcile.json"))["runs"]
        names = [json.loads(server.get(f"/status/workflows/look-{agent.number:02}.json"))["state"] for agent in agents]
        done = set(states) == {"SUCCESS"} and set(names) == {"SUCCESS"}
