"""docs/actions.md is the reference of the standard actions: all of them, with every parameter as the code has it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.actions.base import Action
from agent.actions.builder import standard_actions
from agent.workflow import STANDARD

PAGE = (Path(__file__).parents[3] / "docs" / "actions.md").read_text()
ACTIONS = [action for _, action in standard_actions()]


def expected(action: Action) -> str:
    """The beginning of its section."""
    rows = "".join(f"| `{each.name}` | {_default(each.default)} | {each.meaning} |\n" for each in action.parameters)
    table = f"\n| parameter | default | meaning |\n|---|---|---|\n{rows}" if rows else ""
    return f"## {action.name}\n\n{action.meaning}\n{table}\n"


def _default(value: str | None) -> str:
    return "required" if value is None else f"`{value}`" if value else ""


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_every_action_is_documented_as_its_code_says(action: Action) -> None:
    assert expected(action) in f"{PAGE}\n"


def test_every_section_is_of_an_action_that_there_is() -> None:
    assert {"Disks", "Images"} == set(re.findall(r"^## (.+)$", PAGE, re.MULTILINE)) - {action.name for action in ACTIONS}


def test_an_action_is_started_by_the_module_that_bears_its_name() -> None:
    assert [action.name.replace("-", "_") for action in ACTIONS] == [
        module.rpartition(".")[2] for module, _ in standard_actions()
    ]


def test_every_action_is_known_to_whoever_must_tell_what_a_workflow_writes() -> None:
    assert {action.name for action in ACTIONS} == STANDARD.keys()
