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
        document = {"kind": "Issues", "counts": {}, "issues": said.issues}
        return said.status if path == "/status/issues.json" else 500, as_said(document)

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
