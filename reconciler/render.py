"""Render: a template, a machine and a workflow become the document that the agent will carry out.

Core. Rendering happens at commit: a template that does not render rejects the commit and never reaches a machine. The data a
template sees is plain: the workflow's `hardwareMap` at the root (with `device_1`, the machine's first MAC, unless said), and
`hardware` and `workflow`. docs/templates.md shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from agent.workflow import Action, Task, Workflow, to_json
from reconciler import values
from reconciler.formats.document import parse_workflow_document
from reconciler.inventory import Hardware, Place, TemplateDoc, WorkflowDoc
from reconciler.problems import Problem
from reconciler.template import Template, TemplateError, compile_template


@dataclass(frozen=True, slots=True)
class Rendered:
    """`document` is `agent.workflow.to_json(Workflow)`, or None when there is an error among the problems."""

    document: dict[str, Any] | None
    problems: tuple[Problem, ...]


class _Failed(Exception):
    """One leaf or the text did not render."""

    def __init__(self, place: Place, path: str, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(*place, path, "template-render", "error", message)


def render(template: TemplateDoc, hardware: Hardware, workflow: WorkflowDoc) -> Rendered:
    """Every problem names the template's line; what depends on the machine names the machine too."""
    data = template_data(hardware, workflow)
    try:
        rendered = _text(template, data, hardware) if template.text is not None else _leaves(template, data, hardware)
    except _Failed as failed:
        return Rendered(None, (failed.problem,))
    document, problems = parse_workflow_document(rendered, template)
    if document is None:
        return Rendered(None, problems)
    foreign = _foreign_workers(document, template, hardware, workflow)
    if foreign:
        return Rendered(None, (*problems, *foreign))
    return Rendered(to_json(_workflow(document, hardware)), problems)


def template_data(hardware: Hardware, workflow: WorkflowDoc) -> dict[str, object]:
    """Plain maps, lists, texts and numbers; nothing else ever reaches a template."""
    machine = {
        "name": hardware.name,
        "arch": hardware.arch,
        "labels": dict(hardware.labels),
        "interfaces": [
            {"mac": each.mac, "address": str(each.address or ""), "hostname": each.hostname or ""}
            for each in hardware.interfaces
        ],
        "disks": [
            {"name": disk.name, "path": disk.path or "", "serial": disk.serial or "", "wwn": disk.wwn or ""}
            for disk in hardware.disks
        ],
    }
    return {
        "device_1": hardware.interfaces[0].mac,
        **workflow.hardware_map,
        "hardware": machine,
        "workflow": {"name": workflow.name, "run": workflow.run},
    }


def _text(template: TemplateDoc, data: Mapping[str, object], hardware: Hardware) -> str:
    try:
        return _compiled(template.text or "").render(data)
    except TemplateError as error:
        place = template.place_in_text(error.line, error.column)
        raise _Failed(place, "", _sentence(error, hardware)) from None


def _leaves(template: TemplateDoc, data: Mapping[str, object], hardware: Hardware) -> dict[str, Any]:
    def walk(value: object, path: tuple[str | int, ...]) -> object:
        if isinstance(value, Mapping):
            return {key: walk(each, (*path, key)) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [walk(each, (*path, index)) for index, each in enumerate(value)]
        if not isinstance(value, str) or "{{" not in value:
            return value
        try:
            return _compiled(value).render(data)
        except TemplateError as error:
            raise _Failed(template.where(path), _dotted(path), _sentence(error, hardware)) from None

    rendered = walk(template.document, ("spec",))
    if not isinstance(rendered, dict):
        raise TypeError("a structured template is a map")  # its schema has seen to it
    return rendered


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Template:
    return compile_template(text)


def _sentence(error: TemplateError, hardware: Hardware) -> str:
    return f"The template does not render for {hardware.name}: {error.message}."


def _foreign_workers(
    document: Mapping[str, Any], template: TemplateDoc, hardware: Hardware, workflow: WorkflowDoc
) -> tuple[Problem, ...]:
    """Handing a workflow over between machines is not there yet, so a task for another machine would never run."""
    own = {hardware.name, *(each.mac for each in hardware.interfaces)}
    problems = []
    for task in document["tasks"]:
        if task["worker"] is not None and _worker(task["worker"]) not in own:
            message = (
                f"The task {task['name']!r} of workflow {workflow.name} is for the worker {task['worker']!r}, which is not "
                f'{hardware.name}; write "{{{{.device_1}}}}" or one of its MACs.'
            )
            problems.append(Problem(*template.place, "", "foreign-worker", "error", message))
    return tuple(problems)


def _worker(written: str) -> str:
    try:
        return values.mac(written)
    except ValueError:
        return written


def _workflow(document: Mapping[str, Any], hardware: Hardware) -> Workflow:
    """The agent's form: task volumes come first, task environment is beaten by the action's, as Tinkerbell has it."""
    tasks = tuple(
        Task(
            name=task["name"],
            worker=task["worker"] or hardware.name,
            actions=tuple(_action(task, action) for action in task["actions"]),
        )
        for task in document["tasks"]
    )
    return Workflow(name=document["name"], tasks=tasks, global_timeout=document["global_timeout"] or 0)


def _action(task: Mapping[str, Any], action: Mapping[str, Any]) -> Action:
    return Action(
        name=action["name"],
        image=action["image"],
        command=tuple(action["command"]),
        timeout=action["timeout"] or 0,
        volumes=(*task["volumes"], *action["volumes"]),
        environment={**task["environment"], **action["environment"]},
        pid=action["pid"] or "",
        retries=action["retries"],
        on_failure=tuple(action["on-failure"]),
        on_timeout=tuple(action["on-timeout"]),
    )


def _dotted(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
