"""The words agent and server exchange, as frozen values: events out, the answer to a claim in.

Core, standard library only. Law: `claim_from_json` raises `Malformed` and nothing else, for any JSON value; what it returns
is consistent (the attempt to resume exists in the workflow). `docs/agent-protocol.md` is the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from agent.workflow import Then, Workflow, from_json

HANDLERS = ("on-failure", "on-timeout")
"""A handler is reported as an action of its own: `<action>:<handler>`."""

ActionState: TypeAlias = Literal["SUCCESS", "FAILED", "TIMEOUT", "INTERRUPTED"]
RunState: TypeAlias = Literal["SUCCESS", "FAILED", "TIMEOUT"]


class Malformed(ValueError):
    """The peer sent what the protocol does not allow; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one action, or at its handler; `number` counts from 1."""

    task: str
    action: str
    number: int

    def __str__(self) -> str:
        return f"{self.task}/{self.action}" + (f" (attempt {self.number})" if self.number > 1 else "")


@dataclass(frozen=True, slots=True)
class ActionStarted:
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class ActionEnded:
    attempt: Attempt
    state: ActionState
    exit_code: int | None
    reason: str
    """Empty after SUCCESS; otherwise a sentence for the console and the status file."""


@dataclass(frozen=True, slots=True)
class RunEnded:
    state: RunState
    reason: str


Event: TypeAlias = ActionStarted | ActionEnded | RunEnded


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that is ours to carry out or to go on with."""

    run: str
    workflow: Workflow
    """The tasks of this machine only, and all of them."""
    sequence: int
    """Number of the last accepted report; 0: none yet."""
    started: float
    """Seconds since the run started."""
    resume: Attempt | None = None
    """The attempt whose start was accepted and whose end was not."""
    done: frozenset[tuple[str, str]] = frozenset()
    """(task, action) of what ended in SUCCESS."""
    last: ActionEnded | None = None
    """The last accepted report, if an action ended with it: what a restarted agent goes on from."""
    failed: ActionEnded | None = None
    """The attempt that decided that the run fails: only its handler and what its task does after a failure are left."""
    machine: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The machine document, as its schema has it: the agent hands it to the actions as it stands."""


@dataclass(frozen=True, slots=True)
class Idle:
    """There is no run for this boot: `then` do this. `retry`: seconds after which asking again makes sense."""

    then: Then
    reason: str
    retry: float


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One workflow that the machine would carry out."""

    number: int
    workflow: Workflow
    machine: Mapping[str, Any] = field(hash=False)
    """The machine document that its run would have."""


@dataclass(frozen=True, slots=True)
class Rehearse:
    """There is no run: these are to be looked at, and nothing of them started."""

    works: tuple[Rehearsed, ...]


def event_to_json(event: Event) -> dict[str, Any]:
    """The `event` of a report; `event_from_json` is the inverse."""
    match event:
        case ActionStarted(attempt):
            return {"type": "action-started", **_attempt_to_json(attempt)}
        case ActionEnded(attempt, state, exit_code, reason):
            ended = {"state": state, "exit_code": exit_code, "reason": reason}
            return {"type": "action-ended", **_attempt_to_json(attempt), **ended}
        case RunEnded(state, reason):
            return {"type": "run-ended", "state": state, "reason": reason}


def event_from_json(document: Mapping[str, Any]) -> Event:
    """Raises Malformed when the document is not an event."""
    try:
        match document["type"]:
            case "action-started":
                return ActionStarted(_attempt(document))
            case "action-ended":
                code = document["exit_code"]
                ended = None if code is None else int(code)
                return ActionEnded(_attempt(document), _action_state(document["state"]), ended, str(document["reason"]))
            case "run-ended":
                return RunEnded(_run_state(document["state"]), str(document["reason"]))
            case other:
                raise Malformed(f"{other!r} is not an event")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Malformed(f"not an event: {error!r}") from error


def claim_from_json(document: Mapping[str, Any]) -> Claim | Rehearse | Idle:
    """The answer to a claim. Raises Malformed when it is not one, or names an action that its workflow lacks."""
    try:
        run = document["run"]
        if run is None and document.get("rehearsal") is not None:
            return Rehearse(tuple(_rehearsed(work) for work in document["rehearsal"]["works"]))
        return _idle(document) if run is None else _claim(run)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Malformed(f"the answer to the claim is not one: {error!r}") from error


def main_action(name: str) -> tuple[str, str]:
    """`disk:on-failure` → (`disk`, `on-failure`); the handler is empty for an action itself."""
    for handler in HANDLERS:
        if name.endswith(f":{handler}"):
            return name.removesuffix(f":{handler}"), handler
    return name, ""


def describe(event: Event, workflow: Workflow) -> str:
    """The event as a line for the console: `action 2 of 3: os/disk FAILED, exit code 1`."""
    match event:
        case ActionStarted(attempt):
            return f"{_position(attempt, workflow)}: {attempt} starts"
        case ActionEnded(attempt, state, _, reason):
            return f"{_position(attempt, workflow)}: {attempt} {state}" + (f", {reason}" if reason else "")
        case RunEnded(state, reason):
            return f"workflow {workflow.name} {state}" + (f", {reason}" if reason else "")


def _position(attempt: Attempt, workflow: Workflow) -> str:
    actions = [(task.name, action.name) for task in workflow.tasks for action in task.actions]
    return f"action {actions.index((attempt.task, main_action(attempt.action)[0])) + 1} of {len(actions)}"


def _claim(run: Mapping[str, Any]) -> Claim:
    workflow = from_json(run["workflow"])
    resume = _attempt(run["resume"]) if run["resume"] is not None else None
    if resume:
        workflow.action(resume.task, main_action(resume.action)[0])
    done = frozenset((str(task), str(action)) for task, action in run["done"])
    if resume and (resume.task, resume.action) in done:
        raise Malformed(f"{resume} is both done and to be resumed")
    return Claim(
        run=str(run["id"]),
        workflow=workflow,
        sequence=int(run["sequence"]),
        started=float(run["started"]),
        resume=resume,
        done=done,
        last=_ended(run.get("last")),
        failed=_ended(run.get("failed")),
        machine=dict(run.get("machine") or {}),
    )


def _rehearsed(work: Mapping[str, Any]) -> Rehearsed:
    return Rehearsed(int(work["number"]), from_json(work["workflow"]), dict(work["machine"]))


def _ended(document: Mapping[str, Any] | None) -> ActionEnded | None:
    event = None if document is None else event_from_json(document)
    if event is None or isinstance(event, ActionEnded):
        return event
    raise Malformed(f"`last` and `failed` are to be the end of an action, not {event}")


def _idle(document: Mapping[str, Any]) -> Idle:
    then = document["then"]
    if then not in get_args(Then):
        raise Malformed(f"then: {then!r} is none of {', '.join(get_args(Then))}")
    return Idle(then, str(document["reason"]), float(document.get("retry", 0)))


def _attempt(document: Mapping[str, Any]) -> Attempt:
    return Attempt(str(document["task"]), str(document["action"]), int(document["attempt"]))


def _attempt_to_json(attempt: Attempt) -> dict[str, Any]:
    return {"task": attempt.task, "action": attempt.action, "attempt": attempt.number}


def _action_state(value: object) -> ActionState:
    match value:
        case "SUCCESS" | "FAILED" | "TIMEOUT" | "INTERRUPTED":
            return value
    raise Malformed(f"{value!r} is not the state of an ended action")


def _run_state(value: object) -> RunState:
    match value:
        case "SUCCESS" | "FAILED" | "TIMEOUT":
            return value
    raise Malformed(f"{value!r} is not the state of an ended run")
