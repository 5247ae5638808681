"""What a template renders to is a whole document, or every problem of it with a place in the template's file."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.formats.document import is_bare, parse_workflow_document
from reconciler.inventory import TemplateDoc
from reconciler.template import compile_template
from tests.reconciler.inventories import BARE, RICH, SOUND, read


def bare(text: str = BARE) -> TemplateDoc:
    return read({**SOUND, "bare.yaml": text}).templates["bare"]


def found(rendered: str | dict[str, Any], template: TemplateDoc) -> list[str]:
    document, problems = parse_workflow_document(rendered, template)
    assert (document is None) == any(problem.severity == "error" for problem in problems)
    return [f"{each.line}:{each.column} {each.code} {each.path}".rstrip() for each in problems]


def test_nothing_is_left_to_default() -> None:
    template = bare()
    text = compile_template(BARE).render({"device_1": "52:54:00:12:34:01"})
    document, problems = parse_workflow_document(text, template)
    assert () == problems
    action = {
        "name": "look",
        "image": "look:v1",
        "command": [],
        "timeout": 60,
        "volumes": [],
        "environment": {},
        "pid": None,
        "retries": 0,
        "if": "success",
        "on-failure": [],
        "on-timeout": [],
        "secrets": [],
    }
    task = {"name": "look", "worker": "52:54:00:12:34:01", "volumes": [], "environment": {}, "actions": [action]}
    assert {"version": "0.1", "name": "bare", "global_timeout": None, "then": "reboot", "tasks": [task]} == document


def test_a_structured_template_renders_to_a_document_with_places_in_its_spec() -> None:
    template = read(RICH).templates["debian"]
    document = render(template.document, {"device_1": "a", "disk": "/dev/sda", "limit": "1h"})
    parsed, problems = parse_workflow_document(document, template)
    assert () == problems
    assert parsed is not None
    assert ("debian", 1800) == (parsed["name"], parsed["global_timeout"])
    assert ([600, 3600], "host") == (
        [each["timeout"] for each in parsed["tasks"][0]["actions"]],
        parsed["tasks"][0]["actions"][1]["pid"],
    )
    assert ("kexec", ["success", "always"]) == (parsed["then"], [each["if"] for each in parsed["tasks"][0]["actions"]])
    document = render(template.document, {"device_1": "a", "disk": "/dev/sda", "limit": "soon"})
    assert ["27:63 bad-value spec.tasks[0].actions[1].timeout"] == found(document, template)


def test_a_limit_of_zero_is_no_limit() -> None:
    document, problems = parse_workflow_document(STATIC.replace("timeout: 60", "timeout: 0s"), bare())
    assert () == problems
    assert document is not None
    assert document["tasks"][0]["actions"][0]["timeout"] is None


def render(value: Any, data: dict[str, object]) -> Any:
    if isinstance(value, str):
        return compile_template(value).render(data)
    if isinstance(value, dict):
        return {key: render(each, data) for key, each in value.items()}
    return [render(each, data) for each in value] if isinstance(value, list) else value


ACTION = '  - {name: look, image: "look:v1", timeout: 60}\n'
TASK = "- {name: look, actions: [{name: a, image: b, timeout: 1}]}\n"
CASES = {
    "an unknown field": ("image:", "imag: x, image:", ["6:18 unknown-field tasks[0].actions[0].imag"]),
    "no image": (', image: "look:v1"', "", ["6:5 missing-field tasks[0].actions[0]"]),
    "an empty image": ('"look:v1"', '""', ["6:25 bad-value tasks[0].actions[0].image"]),
    "no actions": (f"\n{ACTION}", " []\n", ["5:12 bad-value tasks[0].actions"]),
    "a task twice": ("tasks:\n", f"tasks:\n{TASK}", ["5:9 duplicate-name tasks[1].name"]),
    "a handler's name": ("{name: look,", "{name: 'look:on-failure',", ["6:12 reserved-name tasks[0].actions[0].name"]),
    "a negative limit": ("timeout: 60", "timeout: -1", ["6:45 bad-value tasks[0].actions[0].timeout"]),
    "too many retries": ("timeout: 60", "timeout: 60, retries: 1001", ["6:58 bad-value tasks[0].actions[0].retries"]),
    "half a volume": ("timeout: 60", "timeout: 60, volumes: [/dev]", ["6:59 bad-value tasks[0].actions[0].volumes[0]"]),
    "no limit": (", timeout: 60", "", ["6:5 no-timeout tasks[0].actions[0]"]),
    "no limit on purpose": ("timeout: 60", "timeout: 0", []),
    "a key twice": ("timeout: 60", "name: x", ["6:36 duplicate-key tasks[0].actions[0].name"]),
    "what is no YAML": ("timeout: 60}", "timeout: 60", ["7:1 yaml-syntax"]),
    "an expression that is left": ("timeout: 60", "timeout: '{{ x }}'", ["6:45 bad-value tasks[0].actions[0].timeout"]),
    "a list": (BARE, "- a", ["1:1 wrong-type"]),
    "nothing": (BARE, "", ["1:1 wrong-type"]),
    "two documents": ("tasks:", "---\ntasks:", ["1:1 wrong-type"]),
}  # fmt: skip
STATIC = BARE.replace('  worker: "{{ .device_1 }}"\n', "")


@pytest.mark.parametrize("reason", CASES)
def test_a_rendered_text_that_is_wrong_is_a_problem_at_its_line(reason: str) -> None:
    old, new, expected = CASES[reason]
    text = new if old == BARE else STATIC.replace(old, new)
    template = TemplateDoc("bare", bare().source, text, None)
    assert expected == found(text, template)


def test_when_rendering_moved_lines_the_place_is_the_template_and_the_line_is_in_the_message() -> None:
    template = bare()
    text = "\n\n" + STATIC.replace("look:v1", " ")
    (problem,) = parse_workflow_document(text, template)[1]
    assert ("bare.yaml", 1, 1, "bad-value") == (problem.file, problem.line, problem.column, problem.code)
    assert problem.message.startswith("As rendered, in line 8: ")


def test_problems_in_the_text_of_a_data_template_are_at_their_line_of_the_file() -> None:
    template = read(RICH).templates["text"]
    assert template.text is not None
    text = template.text.replace("{{ if .device_1 }}", "").replace("{{ end }}", "").replace("timeout", "timeot")
    assert ["11:48 unknown-field spec.data"] == found(text, template)


def test_equal_renderings_give_equal_problems_so_that_machines_share_warnings() -> None:
    text = STATIC.replace(", timeout: 60", "")
    template = bare()
    assert parse_workflow_document(text, template)[1] == parse_workflow_document(text, template)[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BARE, True),
        ("---\nversion: 0.1\n", True),
        ("version: '0.1'   # Tinkerbell\r\n", True),
        ("apiVersion: gitboot/v1\nversion: 0.1\n", False),
        ("version: 3\nservices: {}\n", False),
        ("spec:\n  version: 0.1\n", False),
        ("version: 0.12\n", False),
    ],
)
def test_a_bare_document_is_told_by_its_version_line(text: str, expected: bool) -> None:
    assert expected == is_bare(text.encode())
