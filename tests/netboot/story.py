"""A story told to observed state: boots, claims and reports, each decision applied as the server would."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Literal

from agent.workflow import Action, Task, Workflow, to_json
from netboot import reports, runs
from netboot.events import ActionEnd, BootOpened, Event, JournalOpened
from netboot.observed import Observed
from netboot.records import RunStatus
from netboot.runs import Accepted, Claimed, Duplicate, Nothing, Refused
from netboot.work import Work

AgentEnd = Literal["SUCCESS", "FAILED", "TIMEOUT"]
MAC = "52:54:00:12:34:01"
SECOND_MAC = "52:54:00:12:34:02"
RETRIED = Action("write", "image", retries=1, on_failure=("sync",), on_timeout=("sync",))
INSTALL = Workflow(
    "install",
    (
        Task("disk", "node-01", (Action("wipe", "image"), RETRIED)),
        Task("configure", "node-01", (Action("grub", "image"),)),
    ),
)


def work(workflow: Workflow = INSTALL, run: int = 1, **more: Any) -> Work:
    return Work(workflow=workflow.name, run=run, document=to_json(workflow), **more)


@dataclass
class Story:
    """`now` advances by a second with everything that happens."""

    observed: Observed = field(default_factory=Observed)
    journal: list[Event] = field(default_factory=list)
    now: float = 1000.0
    ids: itertools.count[int] = field(default_factory=itertools.count)

    def happen(self, *events: Event) -> None:
        for event in events:
            self.journal.append(event)
            self.observed.apply(event)

    def tick(self) -> float:
        self.now += 1.0
        return self.now

    def new_site(self) -> Story:
        self.happen(JournalOpened(at=self.tick(), journal="j1"))
        return self

    def boot(self, machine: str = "node-01", macs: tuple[str, ...] = (MAC,), plan: str = "plan-1", **more: Any) -> str:
        boot = f"boot-{next(self.ids)}"
        opened = {"via": "dhcp", "mac": macs[0]} | more
        self.happen(BootOpened(at=self.tick(), boot=boot, machine=machine, macs=macs, plan=plan, **opened))
        return boot

    def claim(self, boot: str, system: str = "os-1", asked: Work | None = None, **more: Any) -> Claimed | Nothing:
        run_id = f"run-{next(self.ids)}"
        decision = runs.claim(self.observed, boot, system, self.tick(), asked, run_id=run_id, **more)
        self.happen(*decision.events)
        return decision

    def claimed(self, boot: str, system: str = "os-1", asked: Work | None = None) -> dict[str, Any]:
        decision = self.claim(boot, system, asked or work())
        assert isinstance(decision, Claimed), decision
        return decision.answer

    def report(self, boot: str, run: str, event: reports.Report, sequence: int | None = None) -> Accepted | Duplicate | Refused:
        number = self.observed.runs[run].sequence + 1 if sequence is None else sequence
        decision = runs.report(self.observed, boot, run, number, event, self.tick())
        if isinstance(decision, Accepted):
            self.happen(*decision.events)
        return decision

    def start(self, boot: str, run: str, task: str, action: str, attempt: int = 1) -> Accepted | Duplicate | Refused:
        return self.report(boot, run, reports.Started(task=task, action=action, attempt=attempt))

    def end(
        self, boot: str, run: str, task: str, action: str, state: ActionEnd = "SUCCESS", attempt: int = 1, **more: Any
    ) -> Accepted | Duplicate | Refused:
        return self.report(boot, run, reports.Ended(task=task, action=action, attempt=attempt, state=state, **more))

    def do(self, boot: str, run: str, task: str, action: str, state: ActionEnd = "SUCCESS", attempt: int = 1) -> None:
        assert isinstance(self.start(boot, run, task, action, attempt), Accepted)
        assert isinstance(self.end(boot, run, task, action, state, attempt), Accepted)

    def finish(self, boot: str, run: str, state: AgentEnd = "SUCCESS", reason: str = "") -> Accepted | Duplicate | Refused:
        return self.report(boot, run, reports.Finished(state=state, reason=reason))

    def install(self, boot: str, run: str) -> RunStatus:
        """Carries the whole of INSTALL out."""
        for task, action in (("disk", "wipe"), ("disk", "write"), ("configure", "grub")):
            self.do(boot, run, task, action)
        assert isinstance(self.finish(boot, run), Accepted)
        return self.observed.runs[run]


def begun(**more: Any) -> tuple[Story, str, str]:
    """A new site on which node-01 has booted and claimed INSTALL: (story, boot, run)."""
    story = Story().new_site()
    boot = story.boot()
    return story, boot, story.claimed(boot, asked=work(**more))["id"]
