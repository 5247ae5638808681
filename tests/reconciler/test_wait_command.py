"""`gitboot wait`: ends when the run has, and says how by its exit code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.reconciler.answers import answering, said
from tests.reconciler.test_commands import call

pytestmark = pytest.mark.shell


def document(state: str | None, action: str = "disk") -> dict[str, Any]:
    run = {"workflow": "install", "number": 2, "state": state, "reason": "exit code 3"} if state else None
    step = {"action": action, "workflow": None, "run": None}
    return {"run": run, "step": step, "next": "runs workflow install run 3"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Says each document once, and the last for ever."""
    documents: list[dict[str, Any]] = []
    monkeypatch.setattr("reconciler.commands.wait.PAUSE", 0.0)

    def answer(*_: str) -> tuple[int, bytes]:
        return 200, said(documents.pop(0) if len(documents) > 1 else documents[0])

    with answering(answer) as url:
        yield url, documents


def test_it_waits_until_the_run_has_ended(server: tuple[str, list[dict[str, Any]]]) -> None:
    url, documents = server
    documents += [document(None, "run"), document("FAILED", "run"), document("RUNNING"), document("SUCCESS")]
    result = call("wait", "node-01", "--server", url)
    assert (0, "node-01: workflow install run 2 SUCCESS (exit code 3).") == (result.exit_code, result.output.strip())
    assert [document("SUCCESS")] == documents


def test_another_end_is_a_failure(server: tuple[str, list[dict[str, Any]]]) -> None:
    url, documents = server
    documents.append(document("FAILED"))
    result = call("wait", "node-01", "--server", url)
    assert (1, True) == (result.exit_code, "install run 2 FAILED" in result.output)
    assert 0 == call("wait", "node-01", "--server", url, "--for", "FAILED").exit_code


def test_patience_has_an_end(server: tuple[str, list[dict[str, Any]]]) -> None:
    url, documents = server
    documents.append(document("SUCCESS", "run"))
    result = call("wait", "node-01", "--server", url, "--timeout", "0")
    assert (1, True) == (result.exit_code, "no run of node-01 has ended: runs workflow install run 3" in result.output)
