"""Events as JSON: round trip, refusal of anything else, and their schema."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, get_args

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netboot import events
from netboot.errors import Malformed
from netboot.events import Event, decode, encode
from netboot.observed import fold

TYPES = [kind for group in get_args(Event) for kind in (get_args(group) or (group,))]


def schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(resources.files("schemas").joinpath("journal-event.json").read_text())
    return document


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "at": st.floats(0, 1e10),
    "document": st.dictionaries(st.text(), st.text() | st.integers(-(2**53), 2**53) | st.lists(st.text()), max_size=3),
    "machine_document": st.dictionaries(st.text(), st.text(), max_size=3),
    **dict.fromkeys(("number", "sequence", "attempt", "reset", "resets", "retry"), st.integers(1, 2**31)),
}
"""What the types alone do not say."""


def strategy() -> st.SearchStrategy[Event]:
    kinds = [st.builds(k, **{name: FIELDS[name] for name in k.__struct_fields__ if name in FIELDS}) for k in TYPES]
    return st.one_of(kinds)


@given(strategy())
def test_an_event_survives_the_journal(event: Event) -> None:
    assert event == decode(encode(event))


VALIDATOR = jsonschema.Draft202012Validator(schema())


@settings(max_examples=60)
@given(strategy())
def test_every_event_fits_the_schema(event: Event) -> None:
    VALIDATOR.validate(json.loads(encode(event)))


def test_the_schema_names_every_type_and_every_field() -> None:
    described = {kind["properties"]["type"]["const"]: set(kind["properties"]) - {"type"} for kind in schema()["oneOf"]}
    actual = {str(kind.__struct_config__.tag): set(kind.__struct_fields__) for kind in TYPES}
    assert described == actual


@given(st.binary())
def test_other_bytes_are_malformed_and_nothing_else(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'{"type":"no-such","at":1}', id="unknown type"),
        pytest.param(b'{"at":1}', id="no type"),
        pytest.param(b'{"type":"boot-closed","at":1,"boot":"b"}', id="a field is missing"),
        pytest.param(b'{"type":"boot-closed","at":"1","boot":"b","reason":""}', id="a field has another type"),
        pytest.param(b'{"type":"boot-advanced","at":1,"boot":"b","phase":"moon"}', id="no such phase"),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_an_event_that_is_not_one_of_ours_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        decode(payload)


def test_defaults_are_left_out_of_the_journal() -> None:
    event = events.RunEnded(at=1.0, run="r", state="FAILED", reason="x")
    assert {"type", "at", "run", "state", "reason"} == set(msgspec.json.decode(encode(event)))


def test_a_run_in_a_journal_of_the_first_release_has_one_try_and_is_kept_for_a_look() -> None:
    line = (
        b'{"type":"run-started","at":1.0,"run":"r","workflow":"w","machine":"m","macs":[],"number":1,"boot":"b","system":"s",'
        b'"plan":"p","document":{"name":"w","global_timeout":0,"tasks":[{"name":"t","worker":"m","actions":[{"name":"a","image":"i"}]}]}}'
    )
    run = fold([decode(line)]).runs["r"]
    assert (1, 0, "rescue", "reboot", "success") == (
        run.number_of_try,
        run.retry,
        run.on_failure,
        run.document.then,
        run.document.tasks[0].actions[0].if_,
    )
