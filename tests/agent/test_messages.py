"""The words on the wire: events round trip, and an answer to a claim is either understood whole or refused."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import schemas
from agent.messages import (
    ActionEnded,
    ActionStarted,
    Attempt,
    Claim,
    Event,
    Idle,
    Malformed,
    RunEnded,
    claim_from_json,
    event_from_json,
    event_to_json,
    main_action,
)
from agent.workflow import Action, Task, Workflow, to_json

WORKFLOW = Workflow("install", (Task("os", "m", (Action("disk", "img"), Action("boot", "img"))),))

attempts = st.builds(Attempt, st.text(), st.text(), st.integers(1))
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(ActionStarted, attempts),
    st.builds(
        ActionEnded,
        attempts,
        st.sampled_from(["SUCCESS", "FAILED", "TIMEOUT", "INTERRUPTED"]),
        st.none() | st.integers(0, 255),
        st.text(),
    ),
    st.builds(RunEnded, st.sampled_from(["SUCCESS", "FAILED", "TIMEOUT"]), st.text()),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def claim_document(**changes: object) -> dict[str, Any]:
    run = {"id": "r1", "workflow": to_json(WORKFLOW), "sequence": 0, "resume": None, "done": [], "started": 0.0}
    return {"run": {**run, **changes}}


@given(events)
def test_an_event_survives_the_wire(event: Event) -> None:
    assert event == event_from_json(json.loads(json.dumps(event_to_json(event))))


def test_a_claim_is_read_whole() -> None:
    document = claim_document(
        sequence=3,
        resume={"task": "os", "action": "boot", "attempt": 2},
        done=[["os", "disk"]],
        started=7.5,
        machine={"name": "node-01"},
    )
    resume, done = Attempt("os", "boot", 2), frozenset({("os", "disk")})
    expected = Claim("r1", WORKFLOW, 3, 7.5, resume, done, machine={"name": "node-01"})
    assert expected == claim_from_json(json.loads(json.dumps(document)))


def test_a_handler_can_be_resumed() -> None:
    resume = {"task": "os", "action": "disk:on-failure", "attempt": 1}
    claim = claim_from_json(claim_document(resume=resume))
    assert isinstance(claim, Claim)
    assert Attempt("os", "disk:on-failure", 1) == claim.resume


def test_the_last_end_comes_with_the_claim() -> None:
    last = ActionEnded(Attempt("os", "disk", 1), "TIMEOUT", None, "late")
    claim = claim_from_json(claim_document(last=event_to_json(last)))
    assert isinstance(claim, Claim)
    assert last == claim.last


def test_nothing_to_do_says_what_then_and_why() -> None:
    document = {"run": None, "then": "reboot", "reason": "the work is done", "retry": 30}
    assert Idle("reboot", "the work is done", 30.0) == claim_from_json(document)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "run"),
        ({"run": None}, "then"),
        ({"run": None, "then": "explode", "reason": ""}, "explode"),
        ({"run": 7}, "not subscriptable"),
        (claim_document(workflow={"name": "w"}), "tasks"),
        (claim_document(resume={"task": "os", "action": "format", "attempt": 1}), "os/format"),
        (claim_document(resume={"task": "os", "action": "disk", "attempt": 1}, done=[["os", "disk"]]), "both done"),
        (claim_document(last={"type": "run-ended", "state": "SUCCESS", "reason": ""}), "end of an action"),
        (claim_document(sequence="x"), "invalid literal"),
        (claim_document(done=[["os"]]), "unpack"),
    ],
)
def test_a_malformed_answer_to_a_claim_is_refused_with_its_reason(document: dict[str, Any], reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        claim_from_json(document)


@given(st.dictionaries(st.sampled_from(["run", "then", "reason", "retry"]), json_values))
def test_no_answer_to_a_claim_raises_anything_but_malformed(document: dict[str, Any]) -> None:
    with contextlib.suppress(Malformed):
        claim_from_json(document)


@given(st.dictionaries(st.sampled_from(["type", "task", "state", "exit_code", "reason"]), json_values))
def test_no_event_raises_anything_but_malformed(document: dict[str, Any]) -> None:
    with contextlib.suppress(Malformed):
        event_from_json(document)


def test_a_handler_is_named_after_its_action() -> None:
    assert main_action("disk:on-failure") == ("disk", "on-failure")
    assert main_action("disk:on-timeout") == ("disk", "on-timeout")
    assert main_action("disk:odd") == ("disk:odd", "")


@given(st.integers(1), events)
def test_every_report_is_one_by_the_schema(sequence: int, event: Event) -> None:
    body = {"boot": "b7", "run": "r1", "sequence": sequence, "event": event_to_json(event)}
    validator("agent-report").validate(json.loads(json.dumps(body)))


LAST = event_to_json(ActionEnded(Attempt("os", "disk", 1), "FAILED", 1, "exit code 1"))
WORK = {"number": 2, "workflow": claim_document()["run"]["workflow"], "machine": {"name": "node-01"}}
RESUME = {"task": "os", "action": "disk", "attempt": 1}


@pytest.mark.parametrize(
    "document",
    [
        claim_document(),
        claim_document(last=None, done=[["os", "disk"]], resume={**RESUME, "action": "boot"}),
        claim_document(last=LAST),
        claim_document(machine={"name": "node-01", "run": {"id": "r1", "workflow": "install", "number": 1}}),
        {"run": None, "then": "wait", "reason": "frozen", "retry": 10},
        {"run": None, "then": "wait", "reason": "old?", "retry": 10, "rehearsal": {"works": [WORK]}},
    ],
)
def test_an_answer_to_a_claim_by_the_schema_is_understood(document: dict[str, Any]) -> None:
    wire = json.loads(json.dumps(document))
    validator("agent-claim").validate(wire)
    claim_from_json(wire)


@pytest.mark.parametrize("name", ["agent-claim", "agent-report", "agent-rehearsal"])
def test_every_field_of_the_schemas_is_described(name: str) -> None:
    def nameless(schema: dict[str, Any], where: str) -> list[str]:
        inner = list(schema.get("properties", {}).items()) + list(enumerate(schema.get("oneOf", [])))
        inner += [("[]", schema["items"])] if "items" in schema else []
        found = [line for key, one in inner if one != {"type": "null"} for line in nameless(one, f"{where}.{key}")]
        return found + ([] if schema.get("description", "").endswith(".") else [where])

    Draft202012Validator.check_schema(schemas.load(name))
    assert [] == nameless(schemas.load(name), name)


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schemas.load(name))
