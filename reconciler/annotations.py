"""Annotations: what is said of a line, in the words of those who show it beside the line.

Core. The law: the same annotations give the same bytes, sorted by place; whatever a file of the inventory holds, it cannot
become a command of the runner that reads the output, or a path outside of the repository.

| form | who shows it | source |
|---|---|---|
| github | GitHub and Gitea Actions, from the log of a job | docs.github.com, "Workflow commands"; toolkit `command.ts` |
| gitlab | GitLab, from a job's `codequality` report | docs.gitlab.com, "Code Quality report format" |
| sarif | GitHub's code scanning, editors | OASIS, SARIF version 2.1.0 |
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from reconciler.problems import Problem

Level = Literal["error", "warning", "notice"]


@dataclass(frozen=True, slots=True, order=True)
class Annotation:
    """Ordered by place. `line` and `column` are from 1, and 0 for the file as a whole; `file` is "" for the whole tree."""

    file: str
    line: int
    column: int
    level: Level
    code: str
    message: str


def of_problems(problems: Iterable[Problem], prefix: str = "") -> list[Annotation]:
    """`prefix`: the inventory's folder in its repository, "" or with a slash at its end: forges know files from the top."""
    return [
        Annotation(
            prefix + problem.file if problem.file else "",
            problem.line,
            problem.column,
            problem.severity,
            problem.code,
            f"{problem.path}: {problem.message}" if problem.path else problem.message,
        )
        for problem in problems
    ]


def as_github(annotations: Iterable[Annotation]) -> str:
    """One workflow command for each, errors first: a runner shows ten of each level and step."""
    return "".join(f"{_command(each)}\n" for each in sorted(set(annotations), key=_gravity))


def _gravity(annotation: Annotation) -> tuple[int, Annotation]:
    return ("error", "warning", "notice").index(annotation.level), annotation


def _command(annotation: Annotation) -> str:
    title = f"{_place(annotation)}{annotation.code}"
    properties = {"file": annotation.file, "line": annotation.line, "col": annotation.column, "title": title}
    told = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items() if value)
    return f"::{annotation.level} {told}::{_data(annotation.message)}"


def _place(annotation: Annotation) -> str:
    """For the log, which shows a title and no file."""
    return f"{annotation.file}:{annotation.line} " if annotation.line else f"{annotation.file} " if annotation.file else ""


def _data(text: str) -> str:
    return _plain(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _plain(text: str) -> str:
    """Without what no output can hold: git allows any bytes in a path."""
    return text.encode(errors="replace").decode()


def as_gitlab(annotations: Iterable[Annotation]) -> str:
    """The report that a job names under `artifacts:reports:codequality`; ends with a line break."""
    levels = {"error": "critical", "warning": "major", "notice": "info"}
    return _json(
        [
            {
                "description": _plain(each.message),
                "check_name": each.code,
                "fingerprint": _fingerprint(each),
                "severity": levels[each.level],
                "location": {"path": _plain(each.file) or ".", "lines": {"begin": max(each.line, 1)}},
            }
            for each in sorted(set(annotations))
        ]
    )


def as_sarif(annotations: Iterable[Annotation]) -> str:
    """One run of a tool, with a rule for each code; ends with a line break."""
    ordered = sorted(set(annotations))
    codes = sorted({each.code for each in ordered})
    return _json(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {"driver": {"name": "gitboot", "rules": [_rule(code) for code in codes]}},
                    "columnKind": "unicodeCodePoints",
                    "results": [_result(each, codes.index(each.code)) for each in ordered],
                }
            ],
        }
    )


def _rule(code: str) -> Mapping[str, Any]:
    words = code.replace("-", " ")
    return {"id": code, "shortDescription": {"text": words[:1].upper() + words[1:]}}


def _result(annotation: Annotation, rule: int) -> Mapping[str, Any]:
    where: dict[str, Any] = {"artifactLocation": {"uri": _uri(annotation.file)}}
    if annotation.line:
        where["region"] = {"startLine": annotation.line} | ({"startColumn": annotation.column} if annotation.column else {})
    return {
        "ruleId": annotation.code,
        "ruleIndex": rule,
        "level": annotation.level.replace("notice", "note"),
        "message": {"text": _plain(annotation.message)},
        "locations": [{"physicalLocation": where}],
        "partialFingerprints": {"gitboot/v1": _fingerprint(annotation)},
    }


def _uri(path: str) -> str:
    """Relative, for whoever joins it to the repository's own; "." for the whole tree."""
    return quote(path.encode(errors="surrogateescape")) if path else "."


def _fingerprint(annotation: Annotation) -> str:
    """The same wherever the line has moved to in its file."""
    parts = (annotation.file, annotation.code, annotation.message)
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()


def _json(content: Any) -> str:
    return json.dumps(content, indent=2) + "\n"


FORMS: Mapping[str, Callable[[Iterable[Annotation]], str]] = {"github": as_github, "gitlab": as_gitlab, "sarif": as_sarif}
"""Format → how annotations are written in it."""
