"""The agent's machine against the server's, each as it is: neither ever says what the other refuses.

Restarts of the agent, resets of the machine, lost answers, cancellation and every outcome of every action, in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.workflow import Action, If, Task, Workflow
from netboot import endings, reports
from netboot.observed import fold
from netboot.records import RunStatus
from netboot.runs import Accepted, Claimed, Duplicate
from tests.agent.fakes import Answer, Document
from tests.agent.play import World
from tests.effort import examples
from tests.netboot.story import Story, work

conditions: st.SearchStrategy[If] = st.sampled_from(["success", "success", "failure", "always"])
actions = st.builds(
    Action,
    name=st.sampled_from("abc"),
    image=st.just("image"),
    retries=st.integers(0, 1),
    timeout=st.sampled_from([0, 3]),
    on_failure=st.sampled_from([(), ("f",)]),
    on_timeout=st.sampled_from([(), ("t",)]),
    if_=conditions,
)
lists = st.lists(actions, min_size=1, max_size=3, unique_by=lambda one: one.name).map(tuple)
workflows = st.lists(lists, min_size=1, max_size=2).map(
    lambda tasks: Workflow("install", tuple(Task(f"t{number}", "node-01", each) for number, each in enumerate(tasks)))
)


@dataclass
class Server:
    """gitboot's own decisions, with the journal in memory."""

    workflow: Workflow
    resets: int
    retry: int
    story: Story = field(default_factory=lambda: Story().new_site())
    system: int = 0
    boot: str = ""
    run: str = ""

    def reset(self) -> None:
        self.system += 1
        self.boot = self.story.boot()

    @property
    def status(self) -> RunStatus:
        return self.story.observed.runs[self.run]

    @property
    def in_flight(self) -> Document | None:
        flying = self.status.in_flight
        return {"action": flying.action, "attempt": flying.attempt} if flying else None

    def claim(self, system: str) -> Answer:
        asked = work(self.workflow, resets=self.resets, retry=self.retry)
        decision = self.story.claim(self.boot, f"os-{self.system}", asked)
        if isinstance(decision, Claimed):
            self.run = decision.run
            return 200, {"run": decision.answer}
        return 200, {"run": None, "then": decision.then, "reason": decision.reason, "retry": 10}

    def report(self, sequence: int, event: Document) -> Answer:
        report: reports.Report = msgspec.convert(event, reports.Report)
        match self.story.report(self.boot, self.run, report, sequence):
            case Accepted() | Duplicate():
                return 200, {"accepted": sequence}
            case refused:
                return refused.status, {"error": refused.error}


@settings(max_examples=examples(300))
@given(workflows, st.integers(0, 1), st.integers(0, 1), st.data())
def test_an_agent_that_keeps_to_the_protocol_is_never_refused(
    workflow: Workflow, resets: int, retry: int, data: st.DataObject
) -> None:
    server = Server(workflow, resets, retry)
    server.reset()
    world = World(server)
    world.boot()
    moves = ["reset", "lost", "cancel"]
    for _ in range(data.draw(st.integers(0, 30))):
        if world.finish:
            break
        possible = [each for each in world.possible() if each not in ("stray", "cancel")]
        happen(server, world, data.draw(st.sampled_from(possible * 3 + moves)), data.draw(st.sampled_from([0, 0, 1])))
    world.calm_down()
    check(server)


def happen(server: Server, world: World, move: str, code: int) -> None:
    match move:
        case "reset":
            server.reset()
            world.reset()
        case "lost":
            world.lose()
        case "cancel" if code:
            server.story.happen(*endings.cancel(server.story.observed, server.run, "enough", server.story.tick()))
        case "cancel":
            pass
        case _:
            world.do(move, code)


def check(server: Server) -> None:
    observed = server.story.observed
    assert observed == fold(server.story.journal)
    for run in observed.runs.values():
        assert not run.active
        assert run.in_flight is None
        begun = {(attempt.task, attempt.action) for attempt in run.attempts}
        for_failures = {(task.name, each.name) for task in run.document.tasks for each in task.actions if each.if_ == "failure"}
        whole = {(task.name, each.name) for task in run.document.tasks for each in task.actions}
        if run.state == "SUCCESS":
            assert (whole - for_failures, set()) == (set(run.done()), begun & for_failures)
        if begun & for_failures:
            assert any(attempt.state != "SUCCESS" for attempt in run.attempts)
