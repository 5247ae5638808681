"""Conditions: what is true now of a machine or a workflow, in the form of Flux and Kubernetes.

Core. Law: each has a status, one word for programs and a sentence for people; `lastTransitionTime` is since when the status is
what it is, null: from the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from netboot.records import BootStatus, Contest, RunStatus
from netboot.run_documents import Document, rfc3339

RETURNS = 3
"""Boots in a row from which on a machine is said to be in a loop."""

Truth = Literal["True", "False", "Unknown"]


def condition(kind: str, status: Truth, reason: str, message: str, at: float | None) -> Document:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": None if at is None else rfc3339(at),
    }


def hardware_conditions(boot: BootStatus | None, run: RunStatus | None) -> list[Document]:
    state = ("PENDING" if run.may_be_tried_again else run.state) if run else "SUCCESS"
    message = f"workflow {run.workflow} run {run.number}: {run.state}" if run else "no workflow has run on this machine"
    if run and run.reason:
        message += f" ({run.reason})"
    changed = (run.ended or run.started) if run else boot.opened if boot else None
    booting: Truth = "True" if boot and boot.closed is None else "False"
    why = f"phase {boot.phase}" + (f": {boot.reason}" if boot.reason else "") if boot else "it has never been seen"
    since = (boot.opened if boot.closed is None else boot.closed) if boot else None
    return [
        *outcome_conditions(state, message, changed),
        condition("Booting", booting, "BootOpen" if booting == "True" else "NoOpenBoot", why, since),
    ]


def lost_condition(run: RunStatus | None, lost: float | None) -> Document:
    if run is None or lost is None:
        return condition("AgentLost", "False", "Heard", "no run waits for its agent", None)
    message = f"nothing was heard of the agent of workflow {run.workflow} run {run.number} since {rfc3339(lost)}"
    return condition("AgentLost", "True", "NotHeard", message, lost)


def outcome_conditions(state: str, message: str, at: float | None) -> list[Document]:
    """Flux's three: Ready, Reconciling (work in progress), Stalled (it will not get better by itself)."""
    working, failed = state in ("RUNNING", "PENDING"), state in ("FAILED", "TIMEOUT", "CANCELLED")
    reason = {"SUCCESS": "Succeeded", "TIMEOUT": "TimedOut"}.get(state, state.capitalize())
    ready: Truth = "Unknown" if working else "False" if failed else "True"
    return [
        condition("Ready", ready, reason, message, at),
        condition("Reconciling", "True" if working else "False", reason, message, at),
        condition("Stalled", "True" if failed else "False", reason, message, at),
    ]


def loop_condition(boot: BootStatus | None) -> Document:
    """A machine that its disk does not keep; it is told of, and never installed again for it."""
    if boot is None or boot.returns < RETURNS:
        return condition("BootLoop", "False", "NotSeen", "it does not come back from its disk over and over", None)
    message = f"it came back {boot.returns} times in a row within minutes of being handed over to its disk"
    return condition(
        "BootLoop", "True", "ComesBack", f"{message}: the disk does not boot, or the system on it restarts", boot.opened
    )


def contested_condition(contest: Contest | None) -> Document:
    """Two who both have a good token: the machine itself after a quick reset, or somebody who fetched its script."""
    if contest is None:
        return condition("Contested", "False", "Alone", "nobody else wants to speak for this machine", None)
    message = (
        f"somebody at {contest.peer} wants to speak for it while its agent is at work, and has to wait "
        f"(asked {contest.times} times, last {rfc3339(contest.last)}): a reset a moment ago, or another host"
    )
    return condition("Contested", "True", "Parked", message, contest.since)


def carried(fresh: Document, before: Mapping[str, Any] | None) -> Document:
    """The time of the last transition is that of `before` while the status is the same."""
    if before and before["status"] == fresh["status"]:
        return fresh | {"lastTransitionTime": before["lastTransitionTime"]}
    return fresh
