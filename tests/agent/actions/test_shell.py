"""The action that runs the workflow's own command."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.actions import shell
from tests.agent.actions.devices import environment, machine


def test_without_a_command_it_fails_and_says_what_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == shell.ACTION.run(environment(tmp_path, machine()))
    assert "give this action a command" in capsys.readouterr().err


def test_a_command_runs_in_its_place() -> None:
    assert shell.ACTION.replaced
