"""Commit statuses, as forges call them: what is to stand beside a commit.

Core. A status is about one commit under one context; a later one about both takes the place of an earlier one. It holds
nothing secret: it is shown to whoever may see the commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from netboot.reconcile_document import Reconciliation

CONTEXT = "gitboot"
State = Literal["pending", "success", "failure"]


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """Any text may stand in it; what a forge cannot take is cut where it is sent (`reconciler.forges`)."""

    revision: str
    """The commit's full object id."""
    state: State
    context: str
    """What tells this status from others of the commit: `gitboot`, `gitboot/rehearsal node-01` …"""
    description: str
    """One short sentence: GitHub shows 140 characters, GitLab 255."""
    url: str = ""
    """Where there is more to read, as http(s); "": nowhere."""

    @property
    def subject(self) -> tuple[str, str]:
        return self.revision, self.context


def of_commit(word: Reconciliation) -> CommitStatus | None:
    """What is to be said of the newest commit; None while nothing was decided about it.

    Two servers that read two folders of one repository do not speak over each other.
    """
    if not word.head or word.unavailable:
        return None
    context = f"{CONTEXT}/{word.path}" if word.path else CONTEXT
    errors = [problem for problem in word.problems if problem.get("severity") == "error"]
    if word.held and not errors:
        rules = ", ".join(dict.fromkeys(each["rule"] for each in word.held))
        whole = ", and none of it is served" if any(each["whole"] for each in word.held) else ""
        return CommitStatus(word.head, "pending", context, f"held{whole}: {rules}")
    if word.head == word.revision:
        warned = f", with {_count(len(word.problems), 'warning')}" if word.problems else ""
        return CommitStatus(word.head, "success", context, f"serving{warned}")
    if errors:
        more = any(problem.get("code") == "more-problems" for problem in errors)
        counted = f"more than {len(errors) - 1} problems" if more else _count(len(errors), "problem")
        return CommitStatus(
            word.head, "failure", context, f"rejected: {counted}; {_place(errors[0])}{errors[0].get('message', '')}"
        )
    return None


def _place(problem: Mapping[str, Any]) -> str:
    file, line = problem.get("file"), problem.get("line")
    return (f"{file}:{line}: " if line else f"{file}: ") if file else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
