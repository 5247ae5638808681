"""The action that leaves the restart to the end of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.actions import reboot
from tests.agent.actions.devices import environment, machine


def test_it_succeeds_and_says_who_restarts_the_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == reboot.ACTION.run(environment(tmp_path, machine()))
    assert "restarts when its run has ended" in capsys.readouterr().out
