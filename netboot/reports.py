"""What an agent may say about its run, and whether it makes sense now.

Core. Law: a report is accepted only if the run's own document and what was accepted before allow it; every objection is a
sentence that the agent's log can show. The wire shape is the `event` of `POST /agent/report` (docs/agent-protocol.md).
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from agent.workflow import Action, Task
from netboot.errors import Malformed
from netboot.events import ActionEnd, ActionEnded, ActionStarted, RunEnded
from netboot.records import ActionStatus, RunStatus

MOST_REASON = 1000
ON_FAILURE, ON_TIMEOUT = ":on-failure", ":on-timeout"
"""Endings of the names under which handlers are reported; no action of a workflow may end so."""


class Started(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="action-started"):
    task: str
    action: str
    attempt: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="action-ended"):
    task: str
    action: str
    attempt: int
    state: ActionEnd
    exit_code: int | None = None
    reason: str = ""


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="run-ended"):
    """`CANCELLED` is not here: only the server cancels."""

    state: Literal["SUCCESS", "FAILED", "TIMEOUT"]
    reason: str = ""


Report: TypeAlias = Started | Ended | Finished


class SessionRequest(msgspec.Struct, frozen=True):
    """Body of POST /agent/session."""

    boot: str
    system: str


class ClaimRequest(msgspec.Struct, frozen=True):
    """Body of POST /agent/claim."""

    boot: str
    system: str


class ReportRequest(msgspec.Struct, frozen=True):
    """Body of POST /agent/report."""

    boot: str
    run: str
    sequence: int
    event: Report


class HeartbeatRequest(msgspec.Struct, frozen=True):
    """Body of POST /agent/heartbeat."""

    boot: str
    run: str
    clock: float | None = None
    """What time it is there, seconds since the epoch."""


def decode_session(body: bytes) -> SessionRequest:
    """Raises Malformed, and nothing else, for any bytes; so do its three sisters."""
    return _decode(body, SessionRequest)


def decode_claim(body: bytes) -> ClaimRequest:
    return _decode(body, ClaimRequest)


def decode_report(body: bytes) -> ReportRequest:
    return _decode(body, ReportRequest)


def decode_heartbeat(body: bytes) -> HeartbeatRequest:
    return _decode(body, HeartbeatRequest)


_Request = TypeVar("_Request", SessionRequest, ClaimRequest, ReportRequest, HeartbeatRequest)


def _decode(body: bytes, shape: type[_Request]) -> _Request:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not a {shape.__name__}: {error}") from error


def to_event(report: Report, run: str, sequence: int, at: float) -> ActionStarted | ActionEnded | RunEnded:
    """A reason is cut to `MOST_REASON` characters: it is read in tables and on the machine's console."""
    match report:
        case Started(task=task, action=action, attempt=attempt):
            return ActionStarted(at=at, run=run, sequence=sequence, task=task, action=action, attempt=attempt)
        case Ended():
            fields = msgspec.structs.asdict(report) | {"reason": report.reason[:MOST_REASON]}
            return ActionEnded(at=at, run=run, sequence=sequence, **fields)
        case Finished(state=state, reason=reason):
            return RunEnded(at=at, run=run, sequence=sequence, state=state, reason=reason[:MOST_REASON])


def ended(event: ActionEnded | ActionStatus) -> dict[str, Any]:
    """The report of an end, as it is on the wire. `event` is over."""
    return {
        "type": "action-ended",
        "task": event.task,
        "action": event.action,
        "attempt": event.attempt,
        "state": event.state,
        "exit_code": event.exit_code,
        "reason": event.reason,
    }


def objection(run: RunStatus, report: Report) -> str | None:
    """Why `report` cannot be the next one of `run`, which is in progress; None when it can."""
    match report:
        case Started():
            return _against_start(run, report)
        case Ended():
            return _against_end(run, report)
        case Finished():
            return _against_finish(run, report)


def verdict(run: RunStatus) -> ActionStatus | None:
    """The attempt that decided that `run` fails: the last one its action may have, or one whose handler was already called.
    Of several it is the first: those after it are what its task does after a failure.
    """
    for task in run.document.tasks:
        attempts = run.current(task.name)
        for action in task.actions:
            if failed := _failed_for_good(attempts, action):
                return failed
    return None


def anything_left(run: RunStatus, failed: ActionStatus) -> bool:
    """Whether something is still to be done though `failed` has decided that the run fails."""
    return run.in_flight is not None or _handler_due(run, run.attempts[-1]) or _due_after(run, failed) is not None


def unfinished_task(run: RunStatus) -> str | None:
    """Name of the task that was begun and is not complete: what a reset interrupts. None between tasks."""
    for task in run.document.tasks:
        if run.current(task.name) and _undone(run, task):
            return task.name
    return None


def _failed_for_good(attempts: list[ActionStatus], action: Action) -> ActionStatus | None:
    last = _last(attempts, action.name)
    if last is None or last.state in ("RUNNING", "SUCCESS"):
        return None
    handled = any(_is_handler(attempt.action) and _base(attempt.action) == action.name for attempt in attempts)
    return last if handled or last.attempt > action.retries else None


def _handler_due(run: RunStatus, last: ActionStatus) -> bool:
    """Whether the workflow has a handler for how the last attempt of all failed. A handler is due at once or not at all."""
    if _is_handler(last.action):
        return False
    action = run.document.action(last.task, last.action)
    handler = action.on_timeout if last.state == "TIMEOUT" else action.on_failure
    return bool(handler) and _failed_for_good(run.current(last.task), action) is not None


def _due_after(run: RunStatus, failed: ActionStatus) -> Action | None:
    """What the task of `failed` does next because of it (`if: failure` or `always`); None: all of that is over."""
    attempts, passed = run.current(failed.task), False
    for action in _actions(run, failed.task):
        last = _last(attempts, action.name)
        over = last is not None and (last.state == "SUCCESS" or _failed_for_good(attempts, action) is not None)
        if passed and action.if_ != "success" and not over:
            return action
        passed = passed or action.name == failed.action
    return None


def _undone(run: RunStatus, task: Task) -> list[Action]:
    """What a task must still do to succeed."""
    done = set(run.done())
    return [action for action in task.actions if action.if_ != "failure" and (task.name, action.name) not in done]


def _actions(run: RunStatus, task: str) -> tuple[Action, ...]:
    return next((each.actions for each in run.document.tasks if each.name == task), ())


def _against_start(run: RunStatus, report: Started) -> str | None:
    where = f"{report.task}/{report.action}"
    if flying := run.in_flight:
        return f"{where} cannot start while {flying.task}/{flying.action} is in flight"
    actions = _actions(run, report.task)
    action = next((action for action in actions if action.name == _base(report.action)), None)
    if action is None:
        return f"the workflow has no action {where}"
    if _is_handler(report.action):
        return _against_handler(run, report, action)
    if error := _out_of_turn(run, report.task, action):
        return error
    last = _last(run.current(report.task), report.action)
    due = last.attempt + 1 if last else 1
    return None if report.attempt == due else f"{where}: the next attempt is {due}, not {report.attempt}"


def _out_of_turn(run: RunStatus, task: str, action: Action) -> str | None:
    where = f"{task}/{action.name}"
    if failed := verdict(run):
        if (failed.task, _due_after(run, failed)) == (task, action):
            return None
        return f"{where} cannot start: {failed.task}/{failed.action} has failed and the run with it"
    if action.if_ == "failure":
        return f"{where} cannot start: it is for after a failure, and nothing before it in its task has failed"
    done, actions = set(run.done()), _actions(run, task)
    if (task, action.name) in done:
        return f"{where} has already succeeded"
    for earlier in actions[: actions.index(action)]:
        if earlier.if_ != "failure" and (task, earlier.name) not in done:
            return f"{where} cannot start before {task}/{earlier.name} has succeeded"
    return None


def _against_handler(run: RunStatus, report: Started, action: Action) -> str | None:
    where = f"{report.task}/{report.action}"
    wanted = action.on_failure if report.action.endswith(ON_FAILURE) else action.on_timeout
    if not wanted:
        return f"the workflow has no handler {where}"
    attempts = run.current(report.task)
    last = _last(attempts, action.name)
    causes = ("FAILED", "INTERRUPTED") if report.action.endswith(ON_FAILURE) else ("TIMEOUT",)
    if last is None or last.state not in causes:
        return f"{where} cannot start: {report.task}/{action.name} did not end as {' or '.join(causes)}"
    if _last(attempts, report.action) or report.attempt != 1:
        return f"{where}: a handler has one attempt"
    return None


def _against_end(run: RunStatus, report: Ended) -> str | None:
    flying = run.in_flight
    if flying and (flying.task, flying.action, flying.attempt) == (report.task, report.action, report.attempt):
        return None
    now = f"{flying.task}/{flying.action} attempt {flying.attempt} is" if flying else "nothing is"
    return f"{report.task}/{report.action} attempt {report.attempt} cannot end: {now} in flight"


def _against_finish(run: RunStatus, report: Finished) -> str | None:
    if report.state != "SUCCESS":
        return None  # an agent may give up at any moment, for instance at the global timeout
    if flying := run.in_flight:
        return f"the run cannot succeed while {flying.task}/{flying.action} is in flight"
    for task in run.document.tasks:
        if undone := _undone(run, task):
            return f"the run cannot succeed before {task.name}/{undone[0].name} has"
    return None


def _last(attempts: list[ActionStatus], action: str) -> ActionStatus | None:
    return next((attempt for attempt in reversed(attempts) if attempt.action == action), None)


def _is_handler(action: str) -> bool:
    return action.endswith((ON_FAILURE, ON_TIMEOUT))


def _base(action: str) -> str:
    return action.removesuffix(ON_FAILURE).removesuffix(ON_TIMEOUT)
