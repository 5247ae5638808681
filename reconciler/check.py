"""Check: problems as people and programs read them.

Core. The law: the same problems give the same bytes, sorted by place; what a person reads ends with the next step, and what
a program reads says in `ok` what the exit status says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from reconciler.problems import Problem


def passes(problems: Iterable[Problem]) -> bool:
    """Whether a commit with these problems is served; warnings do not stand in its way."""
    return not any(problem.severity == "error" for problem in problems)


def as_text(problems: Iterable[Problem]) -> str:
    """One line for each problem, as compilers print them, and a summary; ends with a line break."""
    ordered = sorted(set(problems))
    return "".join(f"{line}\n" for line in (*map(_line, ordered), _summary(ordered)))


def as_json(problems: Iterable[Problem]) -> str:
    """`{"ok": …, "problems": [{"file", "line", "column", "path", "code", "severity", "message"}]}`; ends with a line break."""
    ordered = sorted(set(problems))
    report = {"ok": passes(ordered), "problems": [asdict(problem) for problem in ordered]}
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def _line(problem: Problem) -> str:
    path = f"{problem.path}: " if problem.path else ""
    return f"{problem.where}{problem.severity}: {path}{problem.message} [{problem.code}]"


def _summary(problems: list[Problem]) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    counted = " and ".join(_count(number, noun) for number, noun in ((errors, "error"), (warnings, "warning")) if number)
    if errors:
        return f"{counted}: mend the errors and check again; docs/problems.md explains each. The last good commit stays served."
    if warnings:
        return f"{counted}: the commit can be served; docs/problems.md explains each."
    return "No problems: the commit can be served."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
