"""A problem: what is wrong with a commit, where, and what to do about it.

Core. Problems are collected, never raised one by one: one commit, all complaints, zero effect. Only `Rejected` is raised,
at the end, with every one of them. A warning never rejects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One complaint. Ordered by place, so that output is the same on every run."""

    file: str
    line: int
    """From 1; 0 when the problem is the file (or the tree) as a whole."""
    column: int
    """From 1; 0 as for `line`."""
    path: str
    """Where in the document, as `spec.interfaces[0].mac`; "" for the whole document."""
    code: str
    """Stable kebab-case name, documented in docs/problems.md: `duplicate-mac`, `unknown-field` …"""
    severity: Severity
    message: str
    """One sentence that names the fault and the next step."""

    def __str__(self) -> str:
        return f"{self.where}{self.severity}: {self.message} [{self.code}]"

    @property
    def where(self) -> str:
        """`file:line:column: `, and less of it for a problem of a file, or of the tree, as a whole."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: " if place else ""


class Rejected(Exception):
    """The commit cannot be served. Nothing changes on the wire; the last good plan keeps serving."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(problems))
        errors = sum(problem.severity == "error" for problem in self.problems)
        super().__init__(f"{errors} problem{'s' if errors != 1 else ''}")
