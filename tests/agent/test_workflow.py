"""The workflow document: what one side writes is what the other reads."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workflow import Action, Archive, Task, Workflow, from_json, to_json

words = st.lists(st.text(), max_size=3).map(tuple)
actions = st.builds(
    Action,
    name=st.text(),
    image=st.text(),
    command=words,
    timeout=st.integers(0, 10**6),
    volumes=words,
    environment=st.dictionaries(st.text(), st.text(), max_size=3),
    pid=st.text(),
    retries=st.integers(0, 9),
    on_failure=words,
    on_timeout=words,
    if_=st.sampled_from(["success", "failure", "always"]),
    archive=st.none() | st.builds(Archive, url=st.text(), sha256=st.text(), size=st.integers(0)),
)
tasks = st.builds(Task, name=st.text(), worker=st.text(), actions=st.lists(actions, max_size=3).map(tuple))
workflows = st.builds(
    Workflow,
    name=st.text(),
    tasks=st.lists(tasks, max_size=3).map(tuple),
    global_timeout=st.integers(0),
    then=st.sampled_from(["reboot", "poweroff", "kexec", "wait"]),
)


@given(workflows)
def test_a_workflow_survives_the_wire(workflow: Workflow) -> None:
    assert workflow == from_json(json.loads(json.dumps(to_json(workflow))))


def test_only_names_and_images_are_required() -> None:
    document = {"name": "w", "tasks": [{"name": "t", "worker": "m", "actions": [{"name": "a", "image": "i"}]}]}
    assert Workflow("w", (Task("t", "m", (Action("a", "i"),)),)) == from_json(document)


@pytest.mark.parametrize(
    "document",
    [{}, {"name": "w"}, {"name": "w", "tasks": [{}]}, {"name": "w", "tasks": 3}, {"name": "w", "tasks": [], "then": "sleep"}],
)
def test_what_is_not_a_workflow_is_refused(document: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_json(document)


def test_an_action_is_found_by_task_and_name() -> None:
    workflow = Workflow("w", (Task("t", "m", (Action("a", "i"), Action("b", "j"))),))
    assert workflow.action("t", "b").image == "j"
    with pytest.raises(KeyError, match="t/c"):
        workflow.action("t", "c")
