"""schemathesis asks a live server whatever its OpenAPI document allows, and much that it does not.

The server is one of this process, on loopback; readers show a token, for `Host` is no name of loopback. A machine of git is
there too: what is asked in its agent's name is signed, and half of it is of the boot and the run that there are, so that
answers to those who may ask are compared with the document as well. No operation is without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import booleans
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok

from netboot.openapi import document
from netboot.reader_tokens import add_token
from netboot.readers import Admitted, Asked, NotAdmitted, Readers, Token
from netboot.server import Netboot
from tests.netboot.live_machine import Agent, right
from tests.netboot.live_server import Live

pytestmark = pytest.mark.shell
EXAMPLES = 20
"""Of each operation and each mode; with twice as many nothing else was found, and with twenty it takes ten seconds."""


def unlimited(self: Readers, asked: Asked, tokens: Sequence[Token], now: float) -> Admitted | NotAdmitted:
    """A day for each question."""
    return _admit(self, asked, tokens, now + 86400 * next(_days))


_admit, _days = Readers.admit, count()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Netboot, str]]:
    """One for each operation: what is asked of one changes what another answers."""
    with Live(tmp_path) as server:
        monkeypatch.setattr("netboot.reading.Readers.admit", unlimited)  # wrong tokens would soon be answered by 429 alone
        yield server, add_token(tmp_path / "state", "schemathesis")


NOT_HERE = {"POST /agent/secrets", "POST /agent/rehearsal"}
"""By TLS alone, and in a boot that rehearses alone."""
PROVEN = ("/agent/", "/hooks/")
"""Below these each question is signed here: schemathesis has nothing to prove itself with."""


def described() -> dict[str, Any]:
    whole = deepcopy(document())
    for path, operations in whole["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path.startswith(PROVEN) else operation["security"]
    return whole


def whole_numbers(value: Any) -> Any:
    """To JSON Schema 1.0 is an integer, and to this server it is none."""
    if isinstance(value, dict):
        return {name: whole_numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [whole_numbers(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


CHECKS = {"negative_data_rejection": {"expected-statuses": ["4xx"]}}
"""413 is a refusal too."""
CONFIG = schemathesis.config.SchemathesisConfig.from_dict({"checks": CHECKS})
SCHEMA = schemathesis.openapi.from_dict(described(), config=CONFIG)
OPERATIONS: list[APIOperation[Any, Any, Any, Any]] = [each.ok() for each in SCHEMA.get_all_operations() if isinstance(each, Ok)]


def can_be_wrong(operation: APIOperation[Any, Any, Any, Any]) -> bool:
    """Where every text is allowed nothing is."""
    definition = document()["paths"][operation.path][operation.method]
    bodies = definition.get("requestBody", {}).get("content", {}).values()
    given = [*definition.get("parameters", ()), *bodies]
    return any(each.get("schema", {"type": "string"}) != {"type": "string"} for each in given)


assert len(OPERATIONS) == sum(map(len, document()["paths"].values()))
ENDLESS = {"GET /events"}
"""Whose answer is read in test_dashboard.py: here nobody would ever hear the end of it."""
ASKED = [
    *((operation, GenerationMode.POSITIVE) for operation in OPERATIONS if operation.label not in ENDLESS),
    *((operation, GenerationMode.NEGATIVE) for operation in OPERATIONS if can_be_wrong(operation)),
]


@pytest.mark.parametrize(("operation", "mode"), ASKED, ids=[f"{each.label} {mode.value}" for each, mode in ASKED])
def test_whatever_is_asked_the_answer_is_one_that_the_document_names(
    server: tuple[Netboot, str], operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode
) -> None:
    netboot, reader = server
    agent = Agent.of(netboot)
    if operation.label != "POST /agent/session":
        agent.begin()
    headers = {"Host": "gitboot.lab.example", "Authorization": f"Bearer {reader}"}
    statuses = set[int]()

    def asked(case: Case[Any]) -> None:
        answer = case.call_and_validate(base_url=agent.base, headers=headers, auth=agent.prove)
        statuses.add(answer.status_code)

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode), ours=booleans())
    def ask(case: Case[Any], ours: bool) -> None:
        if isinstance(case.body, dict):
            case.body = whole_numbers(case.body)
        for said in (case.body, case.query):
            if ours and agent.signer and isinstance(said, dict):
                said |= {name: value for name, value in agent.known.items() if isinstance(said.get(name), str)}
        asked(case)

    if mode is GenerationMode.POSITIVE:
        asked(operation.Case(**right(agent, operation.label)))
        assert {each // 100 for each in statuses} == {4 if operation.label in NOT_HERE else 2}
    ask()
    assert 0 == netboot.world.counts["http", "defect"]
