"""`gitboot issues`, against a server that says what the test has it say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from reconciler.cli import gitboot
from tests.reconciler.answers import answering
from tests.reconciler.answers import said as as_said

pytestmark = pytest.mark.shell
ISSUE = {
    "kind": "agent-lost",
    "machine": "node-01",
    "since": "2026-01-31T12:00:00Z",
    "title": "T",
    "message": "silent \x1b[31m",
}


class Said:
    issues: list[dict[str, Any]]
    status = 200


@pytest.fixture
def server() -> Iterator[tuple[str, Said]]:
    said = Said()

    def answer(path: str, _: str) -> tuple[int, bytes]:
        documents: dict[str, dict[str, Any]] = {
            "/status/issues.json": {"kind": "Issues", "counts": {}, "issues": said.issues},
            "/status/index.json": {"documents": ["/status/hardware/node-01.json", "/status/hardware/node-02.json"]},
            "/status/fleet.json": {"machines": [{"name": f"node-0{n}", "labels": {"rack": f"r{n}"}} for n in (1, 2)]},
        }
        return said.status if path in documents else 500, as_said(documents.get(path, {}))

    with answering(answer) as url:
        yield url, said


def test_issues_are_a_table_and_an_exit_code(server: tuple[str, Said]) -> None:
    url, said = server
    said.issues = [ISSUE, ISSUE | {"kind": "runs-held", "machine": None, "since": None}]
    result = CliRunner().invoke(gitboot, ["issues", "--server", url], standalone_mode=False)
    head, first, second = result.output.splitlines()
    assert ["MACHINE", "ISSUE", "FOR", "WHAT"] == head.split()
    assert ["node-01", "agent-lost"] == first.split()[:2]
    assert first.endswith(r"silent \x1b[31m")
    assert ["(site)", "runs-held", "-"] == second.split()[:3]
    assert result.return_value == 1


def test_issues_are_for_programs_too(server: tuple[str, Said]) -> None:
    url, said = server
    said.issues = [ISSUE]
    for form, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        result = CliRunner().invoke(gitboot, ["issues", "--server", url, "-o", form], standalone_mode=False)
        assert result.output.isascii()
        assert "\x1b" not in result.output
        assert [ISSUE] == read(result.output)["issues"]
        assert result.return_value == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [(("--machines", "node-[01-02]"), ["node-01", "node-02"]), (("--machines", "node-02"), ["node-02"]),
     (("-l", "rack=r1"), ["node-01"]), (("-l", "rack=r1", "--machines", "node-02"), [])],
)  # fmt: skip
def test_issues_of_some_machines_are_theirs_alone(
    server: tuple[str, Said], words: tuple[str, ...], expected: list[str]
) -> None:
    url, said = server
    said.issues = [ISSUE, ISSUE | {"machine": "node-02"}, ISSUE | {"kind": "runs-held", "machine": None}]
    result = CliRunner().invoke(gitboot, ["issues", "--server", url, "-o", "json", *words], standalone_mode=False)
    found = json.loads(result.output)
    assert expected == [each["machine"] for each in found["issues"]]
    assert ({"agent-lost": len(expected)} if expected else {}) == found["counts"]
    assert bool(expected) == result.return_value


def test_a_machine_that_nobody_has_is_no_all_clear(server: tuple[str, Said]) -> None:
    server[1].issues = []
    result = CliRunner().invoke(gitboot, ["issues", "--server", server[0], "--machines", "node-03"])
    assert (2, True) == (result.exit_code, "There is no machine 'node-03'" in result.output)


def test_nothing_is_said_so_and_exits_with_0(server: tuple[str, Said]) -> None:
    url, said = server
    said.issues = []
    result = CliRunner().invoke(gitboot, ["issues", "--server", url], standalone_mode=False)
    assert ("Nothing that anybody has to look at.\n", 0) == (result.output, result.return_value)


def test_an_issue_is_explained_without_a_server() -> None:
    result = CliRunner().invoke(gitboot, ["issues", "boot-loop"], standalone_mode=False)
    assert "What to do: Look at its console after the hand-over" in result.output


def test_an_unknown_name_is_told_the_known_ones() -> None:
    result = CliRunner().invoke(gitboot, ["issues", "boot-lop"])
    assert result.exit_code == 2
    assert "boot-loop" in result.output
