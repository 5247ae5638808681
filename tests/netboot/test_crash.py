"""kill -9 of the server at random points of many machines' runs: what was acknowledged is there, and nothing ran twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from netboot.journal_format import scan
from netboot.observed import Observed
from tests.netboot.crash_server import RESETS
from tests.netboot.story import INSTALL

SITES, ROUNDS, MACHINES = 10, 20, 12
Message = dict[str, Any]
ORDER = [(task.name, action.name) for task in INSTALL.tasks for action in task.actions]


@dataclass
class Machine:
    """A machine with an agent that keeps every promise, and a memory of all that it was promised and all that it did."""

    number: int
    chance: random.Random
    system: int = 0
    boot: str = ""
    run: Message | None = None
    wanted: int = 1
    flying: tuple[str, str, int] | None = None
    request: Message | None = None
    acknowledged: dict[tuple[str, int], Message] = field(default_factory=dict)
    executed: Counter[tuple[str, int, str, str, int]] = field(default_factory=Counter)
    runs: dict[int, set[str]] = field(default_factory=dict)

    def ask(self) -> Message:
        """The next request; the one whose answer was lost is asked again, unless something happened to the machine."""
        luck = self.chance.random()
        if luck < 0.02:  # power cut
            self.boot, self.run, self.flying, self.request = "", None, None, None
            self.system += 1
        elif luck < 0.05:  # the agent crashed; what it executes goes on
            self.run, self.request = None, None
        if self.request is None:
            self.request = {"machine": self.number, **self.next()}
        return self.request

    def next(self) -> Message:
        if not self.boot:
            return {"op": "boot"}
        if self.run is None:
            return {"op": "claim", "boot": self.boot, "system": f"os-{self.system}", "number": self.wanted}
        return {
            "op": "report",
            "boot": self.boot,
            "run": self.run["id"],
            "sequence": self.run["sequence"] + 1,
            "event": self.event(self.run),
        }

    def event(self, run: Message) -> Message:
        if self.flying:
            task, action, attempt = self.flying
            failed = self.chance.random() < 0.05
            state = "FAILED" if failed else "SUCCESS"
            return {"type": "action-ended", "task": task, "action": action, "attempt": attempt, "state": state}
        last = run["last"]
        attempt = last["attempt"] + 1 if last and last["state"] != "SUCCESS" else 1
        for task, action in ORDER:
            if [task, action] not in run["done"]:
                if attempt > 1 + INSTALL.action(task, action).retries:
                    return {"type": "run-ended", "state": "FAILED"}
                return {"type": "action-started", "task": task, "action": action, "attempt": attempt}
        return {"type": "run-ended", "state": "SUCCESS"}

    def hear(self, answer: Message) -> None:
        request, self.request = self.request, None
        assert request is not None
        if "boot" in answer:
            self.boot = answer["boot"]
        elif "run" in answer:
            self.hear_claim(answer)
        elif "accepted" in answer:
            self.hear_accepted(request)
        else:  # the run was ended by the server: ask again
            assert answer["refused"] == 410, answer
            self.run = None

    def hear_claim(self, answer: Message) -> None:
        self.run = answer["run"]
        if self.run is None:
            self.boot = ""
            if "has already ended" in answer["reason"] or "has failed" in answer["reason"]:
                self.wanted += 1
            return
        self.runs.setdefault(self.wanted, set()).add(self.run["id"])
        resume = self.run["resume"]
        self.flying = (resume["task"], resume["action"], resume["attempt"]) if resume else None

    def hear_accepted(self, request: Message) -> None:
        event = request["event"]
        run = self.run
        assert run is not None
        run["sequence"] = request["sequence"]
        self.acknowledged[run["id"], request["sequence"]] = event
        match event["type"]:
            case "action-started":
                self.flying = (event["task"], event["action"], event["attempt"])
                self.executed[run["id"], self.system, *self.flying] += 1
            case "action-ended":
                self.flying, run["last"] = None, event
                if event["state"] == "SUCCESS":
                    run["done"].append([event["task"], event["action"]])
            case _:
                self.run, self.boot = None, ""
                self.wanted += 1


@pytest.fixture(scope="module")
def forge() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.netboot.crash_server"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, cwd=root) as process:
        yield process


class Site:
    def __init__(self, directory: Path, forge: subprocess.Popen[str], seed: int) -> None:
        self.state = directory / "state"
        self.chance = random.Random(seed)
        self.machines = [Machine(number, self.chance) for number in range(MACHINES)]
        self.ended: dict[str, tuple[str, str, float | None]] = {}
        self.kills_that_tore = 0
        self._forge = forge
        self._address = str(directory / "socket")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._address)
        self._listener.listen()
        self._listener.settimeout(60)

    def round(self) -> None:
        """One life of a server: it answers some requests of a crowd and is killed while it works on others."""
        assert self._forge.stdin is not None
        print(self.state, self._address, file=self._forge.stdin, flush=True)
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rwb") as stream:
            server = int(stream.readline())
            for machine in self.machines:
                self.send(stream, machine)
            for _ in range(self.chance.randrange(120)):
                stream.flush()
                answer = json.loads(stream.readline())
                machine = self.machines[answer["machine"]]
                machine.hear(answer)
                self.send(stream, machine)
            stream.flush()
            for _ in range(self.chance.randrange(20_000)):
                pass  # lets the server come a little further
            os.kill(server, signal.SIGKILL)
            with contextlib.suppress(ConnectionResetError):
                for line in stream:  # answers that were on their way are promises too
                    if line.endswith(b"\n"):
                        answer = json.loads(line)
                        self.machines[answer["machine"]].hear(answer)

    def send(self, stream: Any, machine: Machine) -> None:
        stream.write(json.dumps(machine.ask()).encode() + b"\n")

    def recovered(self) -> Observed:
        """What is on disk now, folded without the help of the journal's own recovery."""
        observed, first = Observed(), 1
        for segment in sorted((self.state / "journal").glob("*.jsonl")):
            found = scan(segment.read_bytes(), first)
            assert not found.problem or found.torn, found.problem
            self.kills_that_tore += found.torn
            first += len(found.events)
            for event in found.events:
                observed.apply(event)
        return observed

    def check(self) -> None:
        observed = self.recovered()
        for machine in self.machines:
            for (run, sequence), event in machine.acknowledged.items():
                accepted = observed.runs[run].reports[sequence - 1]
                assert event == {"type": event["type"]} | {key: getattr(accepted, key) for key in event if key != "type"}
            assert all(len(ids) == 1 for ids in machine.runs.values()), "one run number was given out twice"
            assert all(times == 1 for times in machine.executed.values()), "one attempt was executed twice"
        for known in observed.runs.values():
            if not known.active:
                end = (known.state, known.reason, known.ended)
                assert end == self.ended.setdefault(known.id, end)
            started = [(a.task, a.action, a.reset, a.attempt) for a in known.attempts]
            assert len(set(started)) == len(started)
            assert all(restarts <= RESETS for restarts in known.restarts.values())

    def close(self) -> None:
        self._listener.close()


@pytest.mark.shell
@pytest.mark.parametrize("seed", range(SITES))
def test_a_killed_server_keeps_every_promise(tmp_path: Path, forge: subprocess.Popen[str], seed: int) -> None:
    site = Site(tmp_path, forge, seed)
    for _ in range(ROUNDS):
        site.round()
        site.check()
    site.close()
    promised = sum(len(machine.acknowledged) for machine in site.machines)
    assert promised > ROUNDS * 10, "the crowd was too quiet to show anything"
    assert site.ended
