"""What an action is given in secret is read strictly and shown to nobody."""

from __future__ import annotations

from typing import Any

import pytest

from agent.given import NOTHING, Given, given_from_json
from agent.messages import Malformed

ANSWER: dict[str, Any] = {
    "secrets": [{"env": "PW", "value": "correct horse"}, {"file": "/run/key", "value": "battery staple"}],
    "login": {"username": "me", "password": "pass word"},
}


def test_variables_files_and_a_login() -> None:
    given = given_from_json(ANSWER)
    assert Given({"PW": "correct horse"}, {"/run/key": "battery staple"}, {"username": "me", "password": "pass word"}) == given
    assert ["correct horse", "battery staple", "pass word"] == given.values
    assert NOTHING == given_from_json({"secrets": [], "login": None})


def test_no_value_is_in_its_repr() -> None:
    shown = repr(given_from_json(ANSWER)) + str(given_from_json(ANSWER))
    assert not any(value in shown for value in given_from_json(ANSWER).values)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"secrets": None},
        {"secrets": [{"value": "correct horse"}]},
        {"secrets": [{"env": "PW"}]},
        {"secrets": ["correct horse"]},
        {"secrets": [], "login": {"username": "me"}},
        {"secrets": [], "login": "correct horse"},
    ],
)
def test_what_is_no_answer_is_refused_without_repeating_it(document: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refused:
        given_from_json(document)
    assert "correct horse" not in str(refused.value)
