"""The server's side of the agent protocol in few lines, without I/O: it holds the agent to the rules and remembers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.workflow import Workflow, to_json

Document = dict[str, Any]
Answer = tuple[int, Document]


@dataclass
class FakeServer:
    """`accepted` are the events in order; `logs` the bytes per (task, action, attempt); `inventories` what was told."""

    workflow: Workflow
    run: str = "r1"
    then: str = "reboot"
    accepted: list[Document] = field(default_factory=list)
    logs: dict[tuple[str, str, int], bytes] = field(default_factory=dict)
    system: str = ""
    gone: str = ""
    cancel: bool = False
    locked: str = ""
    """Why no secret is given."""
    login: Document | None = None
    """What opens the registry of actions that have a `login`."""
    machine: Document = field(default_factory=dict)
    inventories: list[Document] = field(default_factory=list)

    @property
    def ended(self) -> Document | None:
        return next((event for event in self.accepted if event["type"] == "run-ended"), None)

    @property
    def in_flight(self) -> Document | None:
        return self.accepted[-1] if self.accepted and self.accepted[-1]["type"] == "action-started" else None

    def claim(self, system: str) -> Answer:
        self.system = self.system or system
        if self.ended or self.gone or system != self.system:
            return 200, {"run": None, "then": self.then, "reason": "the work is done", "retry": 0}
        resume = self.in_flight and {key: self.in_flight[key] for key in ("task", "action", "attempt")}
        done = [[e["task"], e["action"]] for e in self.accepted if e.get("state") == "SUCCESS" and "task" in e]
        last = self.accepted[-1] if self.accepted and not resume else None
        run = {"id": self.run, "workflow": to_json(self.workflow), "sequence": len(self.accepted), "started": 0.0}
        run["machine"] = self.machine
        return 200, {"run": {**run, "resume": resume, "done": done, "last": last, "failed": self._failed()}}

    def _failed(self) -> Document | None:
        """The first end that no further attempt follows."""
        retries = {action.name: action.retries for task in self.workflow.tasks for action in task.actions}
        ends = (event for event in self.accepted if event["type"] == "action-ended" and event["state"] != "SUCCESS")
        return next((event for event in ends if event["attempt"] > retries.get(event["action"], 99)), None)

    def report(self, sequence: int, event: Document) -> Answer:
        if self.accepted[sequence - 1 : sequence] == [event]:
            return 200, {"accepted": sequence}
        if self.gone or self.ended:
            return 410, {"error": self.gone or "the run has ended"}
        if problem := self._refuse(sequence, event):
            return 409, {"error": problem, "sequence": len(self.accepted)}
        self.accepted.append(event)
        return 200, {"accepted": sequence}

    def log(self, attempt: tuple[str, str, int], offset: int, chunk: bytes) -> Answer:
        held = self.logs.get(attempt, b"")
        if offset != len(held):
            return 409, {"size": len(held)}
        self.logs[attempt] = held + chunk
        return 200, {"size": len(held) + len(chunk)}

    def heartbeat(self) -> Answer:
        return (410, {"error": self.gone}) if self.gone else (200, {"cancel": self.cancel})

    def inventory(self, hardware: Document) -> Answer:
        self.inventories.append(hardware)
        return 200, {"kept": True}

    def secrets(self, task: str, action: str) -> Answer:
        """Of the action in flight; values are `secret <name>/<key>`."""
        if not self.in_flight or (self.in_flight["task"], self.in_flight["action"]) != (task, action):
            return 409, {"error": f"{task}/{action} is not in flight"}
        if self.locked:
            return 409, {"error": self.locked}
        main = action.removesuffix(":on-failure").removesuffix(":on-timeout")
        found = []
        for each in self.workflow.action(task, main).secrets:
            where = {"env": each.env} if each.env else {"file": each.file}
            found.append({**where, "value": f"secret {each.name}/{each.key}"})
        return 200, {"secrets": found, "login": self.login if self.workflow.action(task, main).login else None}

    def _refuse(self, sequence: int, event: Document) -> str:
        if sequence != len(self.accepted) + 1:
            return f"report {sequence} after {len(self.accepted)}"
        of = tuple(event.get(key) for key in ("task", "action", "attempt"))
        running = self.in_flight and tuple(self.in_flight[key] for key in ("task", "action", "attempt"))
        match event["type"]:
            case "action-started" if running:
                return f"{of} while {running} runs"
            case "action-started" if of in self.starts():
                return f"{of} started twice"
            case "action-ended" if of != running:
                return f"{of} ended, but {running} runs"
            case "run-ended" if running:
                return f"ended while {running} runs"
        return ""

    def starts(self) -> list[tuple[str, str, int]]:
        return [(e["task"], e["action"], e["attempt"]) for e in self.accepted if e["type"] == "action-started"]

    def ends(self) -> list[tuple[str, int, str]]:
        return [(e["action"], e["attempt"], e["state"]) for e in self.accepted if e["type"] == "action-ended"]
