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
    return {"name": "node-01", "run": run, "step": step, "next": "runs workflow install run 3"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Says each document once, and the last for ever."""
    documents: list[dict[str, Any]] = []
    monkeypatch.setattr("reconciler.commands.wait.PAUSE", 0.0)

    def answer(path: str, _: str) -> tuple[int, bytes]:
        if path == "/status/index.json":
            return 200, said({"documents": ["/status/hardware/node-01.json"]})
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


# Several machines


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, list[str]], list[str]]]:
    """Each machine is in each of its states once, and in the last for ever; node-03 is in another rack. What was asked for."""
    states: dict[str, list[str]] = {}
    asked: list[str] = []
    monkeypatch.setattr("reconciler.commands.wait.PAUSE", 0.0)
    rows = [{"name": f"node-0{number}", "labels": {"rack": f"r{(number + 1) // 2}"}} for number in (1, 2, 3)]

    def answer(path: str, _: str) -> tuple[int, bytes]:
        asked.append(path)
        if path == "/status/index.json":
            return 200, said({"documents": [f"/status/hardware/{row['name']}.json" for row in rows]})
        if path == "/status/fleet.json":
            return 200, said({"machines": rows})
        name = path.removeprefix("/status/hardware/").removesuffix(".json")
        left = states[name]
        return 200, said(document(left.pop(0) if len(left) > 1 else left[0]) | {"name": name})

    with answering(answer) as url:
        yield url, states, asked


@pytest.mark.parametrize("words", [("node-[01-02]",), ("-l", "rack=r1")])
def test_it_waits_for_all_of_a_list_and_asks_no_more_for_who_is_done(
    three: tuple[str, dict[str, list[str]], list[str]], words: tuple[str, ...]
) -> None:
    url, states, asked = three
    states |= {"node-01": ["SUCCESS"], "node-02": ["RUNNING", "RUNNING", "SUCCESS"]}
    result = call("wait", *words, "--server", url)
    assert (0, ["node-01", "node-02"]) == (result.exit_code, [line.split(":")[0] for line in result.output.splitlines()])
    assert (1, 3) == tuple(asked.count(f"/status/hardware/node-0{number}.json") for number in (1, 2))


def test_the_machines_whose_runs_ended_otherwise_are_named(three: tuple[str, dict[str, list[str]], list[str]]) -> None:
    url, states, _ = three
    states |= {"node-01": ["RUNNING", "SUCCESS"], "node-02": ["FAILED"], "node-03": ["RUNNING", "CANCELLED"]}
    result = call("wait", "node-[01-03]", "--server", url)
    assert 1 == result.exit_code
    assert [
        "Error: node-02: workflow install run 2 FAILED (exit code 3).",
        "node-03: workflow install run 2 CANCELLED (exit code 3).",
    ] == result.stderr.splitlines()
    states |= {"node-02": ["FAILED"], "node-01": ["RUNNING"], "node-03": ["RUNNING"]}
    late = call("wait", "node-[01-03]", "--server", url, "--timeout", "0").stderr
    assert "node-02: workflow install run 2 FAILED" in late
    assert "no run of node-01, node-03 has ended: of node-01: workflow install run 2 RUNNING" in late


@pytest.mark.parametrize(
    ("words", "said_"),
    [((), "Say whom to wait for"), (("node-09",), "did you mean node-0"), (("-l", "rack=r9"), "No machine has these labels")],
)
def test_nobody_to_wait_for_is_said(
    three: tuple[str, dict[str, list[str]], list[str]], words: tuple[str, ...], said_: str
) -> None:
    result = call("wait", *words, "--server", three[0])
    assert (2, True) == (result.exit_code, said_ in result.output)
