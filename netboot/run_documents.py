"""The part of a status document that tells one run: every task, every action, every attempt.

Core. Law: every action of the run's workflow appears, begun or not; what it was given (command, environment) never does.
Times are RFC 3339 in UTC, durations seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agent.workflow import Task
from netboot.endings import afterwards
from netboot.log_names import path
from netboot.records import ActionStatus, RunStatus
from netboot.store import LogName

Document = dict[str, Any]


_FIRST, _LAST = -62135596800.0, 253402300799.0
"""The years 1 to 9999: a damaged file may name any other."""


def rfc3339(at: float) -> str:
    """Seconds since the epoch → `2026-01-31T12:00:00.123Z`."""
    return (
        datetime.fromtimestamp(min(max(at, _FIRST), _LAST), UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    )


def time_of(at: float | None) -> str | None:
    """None: it never was."""
    return None if at is None else rfc3339(at)


def run_document(run: RunStatus, lost_since: float | None = None) -> Document:
    """`lost_since`: when its agent was last heard of, if that is too long ago (`endings.lost_since`)."""
    return {
        "id": run.id,
        "workflow": run.workflow,
        "machine": run.machine,
        "number": run.number,
        "repeat": run.repeat,
        "part": run.part,
        "try": run.number_of_try,
        "tries": run.retry + 1,
        "state": run.state,
        "reason": run.reason,
        "boot": run.boot,
        "plan": run.plan,
        "started": rfc3339(run.started),
        "ended": None if run.ended is None else rfc3339(run.ended),
        "then": None if run.state == "RUNNING" else "reboot" if run.may_be_tried_again else afterwards(run, run.state),
        "lostSince": None if lost_since is None else rfc3339(lost_since),
        "resetsAllowed": run.resets,
        "restarts": dict(run.restarts),
        "tasks": [_task(run, task) for task in run.document.tasks],
    }


def run_summary(run: RunStatus, machine: str, lost_since: float | None = None) -> Document:
    flying = run.in_flight
    lost = f", and its agent was last heard of at {rfc3339(lost_since)}" if lost_since is not None else ""
    doing = f"{flying.task}/{flying.action} is in flight" if flying else "between two actions"
    if run.may_be_tried_again:
        reason = (
            f"try {run.number_of_try} of {run.retry + 1} ended {run.state} ({run.reason}); the next begins when it boots again"
        )
        return {"machine": machine, "state": "PENDING", "reason": reason, "run": run.id}
    return {"machine": machine, "state": run.state, "reason": doing + lost if run.active else run.reason, "run": run.id}


def _task(run: RunStatus, task: Task) -> Document:
    attempts = [attempt for attempt in run.attempts if attempt.task == task.name]
    names = list(dict.fromkeys([*(action.name for action in task.actions), *(attempt.action for attempt in attempts)]))
    return {"name": task.name, "actions": [_action(run, name, attempts) for name in names]}


def _action(run: RunStatus, name: str, attempts: list[ActionStatus]) -> Document:
    """Its state is that of its last attempt since the task was last restarted."""
    mine = [attempt for attempt in attempts if attempt.action == name]
    begun = bool(mine) and mine[-1].reset == run.restarts.get(mine[-1].task, 0)
    state = mine[-1].state if begun else "PENDING" if run.active else "SKIPPED"
    return {"name": name, "state": state, "attempts": [_attempt(run.id, attempt) for attempt in mine]}


def _attempt(run: str, attempt: ActionStatus) -> Document:
    log = LogName(run, attempt.task, attempt.action, attempt.attempt, attempt.reset)
    ended = attempt.ended
    return {
        "attempt": attempt.attempt,
        "reset": attempt.reset,
        "state": attempt.state,
        "started": rfc3339(attempt.started),
        "ended": None if ended is None else rfc3339(ended),
        "seconds": None if ended is None else round(ended - attempt.started, 3),
        "exitCode": attempt.exit_code,
        "reason": attempt.reason,
        "log": f"/logs/{path(log)}",
    }
