"""Workflow documents: the tasks and actions that a template renders to.

Core. The law: `parse_workflow_document` gives a document in which nothing is left to default, or no document and every
problem of it. The form is Tinkerbell's (`version: "0.1"`), its shape `schemas/template.json`, whichever way it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler import values
from reconciler.inventory import TemplateDoc
from reconciler.places import Mark, Path, Source
from reconciler.problems import Problem
from reconciler.shape import Complaints, check
from reconciler.template import TemplateError, compile_template
from reconciler.yaml import Fault, read

_BARE = re.compile(rb"""^version:[ \t]*(["']?)0\.1\1[ \t]*(#.*)?\r?$""", re.MULTILINE)
_OURS = re.compile(rb"^apiVersion:", re.MULTILINE)
_NAME = re.compile(r"^name:.*$", re.MULTILINE)


def is_bare(data: bytes) -> bool:
    """Whether a file is a bare workflow document. Told by two lines, since before it is rendered it need not be YAML."""
    return bool(_BARE.search(data)) and not _OURS.search(data)


def bare_template(text: str, file: str, complaints: Complaints) -> TemplateDoc | None:
    """The template that a bare file is, named by its top-level `name:` line."""
    line = _NAME.search(text)
    documents = read(line[0].encode()).documents if line else ()
    named = documents[0].value if documents else None
    name = named.get("name") if isinstance(named, dict) else None
    if isinstance(name, int | float):
        name = line[0].removeprefix("name:").strip() if line else None
    if not isinstance(name, str) or not name or "{{" in name or len(name) > 199:
        message = (
            "A bare workflow document needs a line 'name: …' of its own, without {{ }}: workflows refer to it by that name."
        )
        complaints.at((), "missing-field", message)
        return None
    row = text.count("\n", 0, line.start()) + 1 if line else 1
    mark = Mark(row, 7, (row, 1))
    template = TemplateDoc(name, Source(file, Mark(1, 1, (1, 1), {"name": mark})), text, None)
    check_syntax(template, complaints)
    return None if complaints.errors else template


# Before rendering ------------------------------------------------------------------------------------------------------


def check_names(names: Sequence[object], path: Path, noun: str, complaints: Complaints) -> None:
    """Complains of every name that stands twice in a list of named things."""
    seen: dict[object, int] = {}
    for index, name in enumerate(names):
        first = seen.setdefault(name, index)
        if first != index:
            place = complaints.source.at((*complaints.prefix, *path, first, "name"))
            message = f"There is a {noun} named {name!r} already, in line {place.line}: give this one another name."
            complaints.at((*path, index, "name"), "duplicate-name", message)


def check_syntax(template: TemplateDoc, complaints: Complaints) -> None:
    """Complains of everything in a template that could not be rendered with any data."""
    if template.document is not None:
        _check_document_names(template.document, complaints, ("spec",))
        for path, text in _leaves(template.document, ("spec",)):
            if "{{" in text and (error := _syntax_error(text)):
                complaints.at(path, "template-syntax", f"This is not a template: {error.message}.")
    elif template.text is not None:
        problems = _text_problems(template, template.text)
        complaints.found |= dict.fromkeys(problem for problem in problems if problem.severity == "error")


def _syntax_error(text: str) -> TemplateError | None:
    try:
        compile_template(text)
    except TemplateError as error:
        return error
    return None


def _text_problems(template: TemplateDoc, text: str) -> tuple[Problem, ...]:
    """Text without expressions renders to itself, so that nothing has to wait until it is rendered."""
    if "{{" not in text:
        return parse_workflow_document(text, template)[1]
    if (error := _syntax_error(text)) is None:
        return ()
    place = template.place_in_text(error.line, error.column)
    path = "spec.data" if "spec" in template.source else ""
    return (Problem(*place, path, "template-syntax", "error", f"This is not a template: {error.message}."),)


def _leaves(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _leaves(each, (*path, index))


def _check_document_names(document: Mapping[str, Any], complaints: Complaints, path: Path = ()) -> None:
    tasks = document["tasks"]
    check_names([task["name"] for task in tasks], (*path, "tasks"), "task", complaints)
    for index, task in enumerate(tasks):
        names = [action["name"] for action in task["actions"]]
        check_names(names, (*path, "tasks", index, "actions"), "action", complaints)
        _check_reserved(names, (*path, "tasks", index, "actions"), complaints)


def _check_reserved(names: Sequence[object], path: Path, complaints: Complaints) -> None:
    """Handlers are reported under the name of their action and these endings."""
    for index, name in enumerate(names):
        if str(name).endswith((":on-failure", ":on-timeout")):
            message = f"The name {name!r} is kept for the handler of another action: choose a name without this ending."
            complaints.at((*path, index, "name"), "reserved-name", message)


# After rendering -------------------------------------------------------------------------------------------------------


def parse_workflow_document(
    rendered: str | Mapping[str, Any], template: TemplateDoc
) -> tuple[dict[str, Any] | None, tuple[Problem, ...]]:
    """What a template rendered to, as a workflow document with every default filled in, and its problems.

    `rendered` is the text that `template.text` gave, or `template.document` with every text rendered. The document is plain:
    `{"version", "name", "global_timeout", "then", "tasks": [{"name", "worker", "volumes", "environment", "actions": [{"name",
    "image", "command", "timeout", "volumes", "environment", "pid", "retries", "if", "on-failure", "on-timeout",
    "secrets"}]}]}`; time limits are seconds or None, `worker` and `pid` text or None, the rest lists, maps of text and numbers.
    None means that there is an error among the problems. Equal renderings give equal problems: machines that share a template
    share its warnings.
    """
    if isinstance(rendered, str):
        return _parse_text(rendered, template)
    complaints = Complaints(template.source, ("spec",))
    document = _complete(dict(rendered), template.name, complaints, complaints.source.written)
    return document, tuple(complaints.found)


def _parse_text(rendered: str, template: TemplateDoc) -> tuple[dict[str, Any] | None, tuple[Problem, ...]]:
    """Lines of the text are lines of the file only while rendering moved none."""
    text = template.text or ""
    still = text.count("\n") == rendered.count("\n")
    reading = read(rendered.encode("utf-8", "surrogatepass"))
    documents = reading.documents
    root = documents[0].root if documents else Mark(1, 1, (1, 1))
    complaints = Complaints(Source(template.source.file, root))
    for fault in reading.faults:
        complaints.fault(fault)
    document = None
    if len(documents) == 1 and not complaints.errors:
        source = complaints.source
        document = _complete(documents[0].value, template.name, complaints, source.written)
    elif not complaints.errors:
        complaints.fault(Fault(1, 1, (), "wrong-type", "This renders to no single document: it must be one map with tasks."))
    return document, tuple(_relocated(problem, template, still) for problem in complaints.found)


def _relocated(problem: Problem, template: TemplateDoc, still: bool) -> Problem:
    if "spec" in template.source:
        problem = replace(problem, path="spec.data")
    if still:
        place = template.place_in_text(problem.line, problem.column)
        return replace(problem, line=place.line, column=place.column)
    message = f"As rendered, in line {problem.line}: {problem.message}"
    return replace(problem, line=template.text_line, column=template.text_column, message=message)


def _complete(value: Any, name: str, complaints: Complaints, written: Any) -> dict[str, Any] | None:
    check("document", value, complaints, written)
    if complaints.errors:
        return None
    _check_document_names(value, complaints)
    tasks = [_task(task, ("tasks", index), complaints) for index, task in enumerate(value["tasks"])]
    document = {
        "version": value.get("version", "0.1"),
        "name": value.get("name", name),
        "global_timeout": _limit(value, "global_timeout"),
        "then": value.get("then", "reboot"),
        "tasks": tasks,
    }
    return None if complaints.errors else document


def _task(task: Mapping[str, Any], path: Path, complaints: Complaints) -> dict[str, Any]:
    actions = [_action(action, (*path, "actions", index), complaints) for index, action in enumerate(task["actions"])]
    return {
        "name": task["name"],
        "worker": task.get("worker"),
        "volumes": list(task.get("volumes", ())),
        "environment": dict(task.get("environment", {})),
        "actions": actions,
    }


def _action(action: Mapping[str, Any], path: Path, complaints: Complaints) -> dict[str, Any]:
    if "timeout" not in action:
        message = f"The action {action['name']!r} may take forever: give it a timeout, such as 'timeout: 10m'."
        complaints.at(path, "no-timeout", message, "warning")
    return {
        "name": action["name"],
        "image": action["image"],
        "command": list(action.get("command", ())),
        "timeout": _limit(action, "timeout"),
        "volumes": list(action.get("volumes", ())),
        "environment": dict(action.get("environment", {})),
        "pid": action.get("pid") or None,
        "retries": values.count(action.get("retries", 0)),
        "if": action.get("if", "success"),
        "on-failure": list(action.get("on-failure", ())),
        "on-timeout": list(action.get("on-timeout", ())),
        "secrets": _secrets(action, path, complaints),
    }


def _secrets(action: Mapping[str, Any], path: Path, complaints: Complaints) -> list[dict[str, str]]:
    """`[{"name", "key", "env", "file"}]`; no two of them may mean the same variable or file."""
    taken = set(action.get("environment", {}))
    secrets = []
    for index, each in enumerate(action.get("secrets", ())):
        target = each.get("env") or each.get("file")
        if target in taken:
            message = f"{target} is set already in this action: give this secret another place."
            complaints.at((*path, "secrets", index), "duplicate-name", message)
        taken.add(target)
        secrets.append({**each["secretRef"], "env": each.get("env", ""), "file": each.get("file", "")})
    return secrets


def _limit(value: Mapping[str, Any], field: str) -> int | None:
    """Seconds; None when there is no limit, which 0 says too."""
    return (values.limit(value[field]) or None) if field in value else None
