"""What an agent may say about its run, and whether it makes sense now.

Core. Law: a report is accepted only if the run's own document and what was accepted before allow it; every objection is a
sentence that the agent's log can show. The wire shape is the `event` of `POST /agent/report` (docs/agent-protocol.md).
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypeVar

import msgspec

from agent.workflow import Action
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


def decode_claim(body: bytes) -> ClaimRequest:
    """Raises Malformed, and nothing else, for any bytes; so do its two sisters."""
    return _decode(body, ClaimRequest)


def decode_report(body: bytes) -> ReportRequest:
    return _decode(body, ReportRequest)


def decode_heartbeat(body: bytes) -> HeartbeatRequest:
    return _decode(body, HeartbeatRequest)


_Request = TypeVar("_Request", ClaimRequest, ReportRequest, HeartbeatRequest)


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


def from_event(event: ActionEnded) -> Ended:
    return Ended(
        task=event.task,
        action=event.action,
        attempt=event.attempt,
        state=event.state,
        exit_code=event.exit_code,
        reason=event.reason,
    )


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
    """The attempt that decided that `run` fails: the last one its action may have, or one whose handler was already called."""
    for task in run.document.tasks:
        attempts = run.current(task.name)
        handled = {_base(attempt.action) for attempt in attempts if _is_handler(attempt.action)}
        for action in task.actions:
            last = _last(attempts, action.name)
            if last and last.state not in ("RUNNING", "SUCCESS") and (last.attempt > action.retries or action.name in handled):
                return last
    return None


def handler_due(run: RunStatus, failed: ActionStatus) -> bool:
    """Whether the workflow has a handler for this verdict and it was not yet called."""
    action = run.document.action(failed.task, failed.action)
    name, handler = (ON_TIMEOUT, action.on_timeout) if failed.state == "TIMEOUT" else (ON_FAILURE, action.on_failure)
    return bool(handler) and _last(run.current(failed.task), failed.action + name) is None


def unfinished_task(run: RunStatus) -> str | None:
    """Name of the task that was begun and is not complete: what a reset interrupts. None between tasks."""
    done = set(run.done())
    for task in run.document.tasks:
        if run.current(task.name) and any((task.name, action.name) not in done for action in task.actions):
            return task.name
    return None


def _against_start(run: RunStatus, report: Started) -> str | None:
    where = f"{report.task}/{report.action}"
    if flying := run.in_flight:
        return f"{where} cannot start while {flying.task}/{flying.action} is in flight"
    actions = next((task.actions for task in run.document.tasks if task.name == report.task), ())
    action = next((action for action in actions if action.name == _base(report.action)), None)
    if action is None:
        return f"the workflow has no action {where}"
    if _is_handler(report.action):
        return _against_handler(run, report, action)
    if failed := verdict(run):
        return f"{where} cannot start: {failed.task}/{failed.action} has failed and the run with it"
    done = set(run.done())
    if (report.task, report.action) in done:
        return f"{where} has already succeeded"
    for earlier in actions[: actions.index(action)]:
        if (report.task, earlier.name) not in done:
            return f"{where} cannot start before {report.task}/{earlier.name} has succeeded"
    last = _last(run.current(report.task), report.action)
    due = last.attempt + 1 if last else 1
    return None if report.attempt == due else f"{where}: the next attempt is {due}, not {report.attempt}"


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
    done = set(run.done())
    for task in run.document.tasks:
        for action in task.actions:
            if (task.name, action.name) not in done:
                return f"the run cannot succeed before {task.name}/{action.name} has"
    return None


def _last(attempts: list[ActionStatus], action: str) -> ActionStatus | None:
    return next((attempt for attempt in reversed(attempts) if attempt.action == action), None)


def _is_handler(action: str) -> bool:
    return action.endswith((ON_FAILURE, ON_TIMEOUT))


def _base(action: str) -> str:
    return action.removesuffix(ON_FAILURE).removesuffix(ON_TIMEOUT)
