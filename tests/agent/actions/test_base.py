"""How an action ends, whatever goes wrong in it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.actions.base import Action, Job, tool
from agent.actions.settings import Failed, Parameter

pytestmark = pytest.mark.shell


def action(act: Callable[[Job], None]) -> Action:
    return Action("try", "an action", (Parameter("DISK", "a disk", None),), act)


def outcome(act: Callable[[Job], None], capsys: pytest.CaptureFixture[str], **environ: str) -> tuple[int, str]:
    """Exit status and standard error."""
    status = action(act).run(environ)
    return status, capsys.readouterr().err


def test_an_action_that_works_exits_with_0_and_knows_its_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "machine.json").write_text(json.dumps({"name": "node-01"}))
    seen: list[Job] = []
    environ = {"DISK": "/dev/sda", "GITBOOT_MACHINE": str(tmp_path / "machine.json")}
    assert (0, "") == outcome(seen.append, capsys, **environ)
    (job,) = seen
    assert ("/dev/sda", {"name": "node-01"}, tmp_path) == (job.settings.text("DISK"), job.machine, job.folder)


def test_a_missing_parameter_a_failure_and_the_worlds_fault_are_each_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(job: Job) -> None:
        raise Failed("the disk is full")

    def breaks(job: Job) -> None:
        raise OSError(5, "Input/output error", "/dev/sda")

    assert (1, "try: DISK is not set: a disk\n") == outcome(fails, capsys)
    assert (1, "try: the disk is full\n") == outcome(fails, capsys, DISK="a")
    assert (1, "try: Input/output error: /dev/sda\n") == outcome(breaks, capsys, DISK="a")


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_machine_document_that_is_none_is_said(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "machine.json").write_text(content)
    status, said = outcome(lambda job: None, capsys, DISK="a", GITBOOT_MACHINE=str(tmp_path / "machine.json"))
    assert 1 == status
    assert said.startswith(f"try: {tmp_path}/machine.json is not ")


def test_a_tool_that_fails_is_named_with_what_it_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "in" == tool("cat", given=b"in")
    assert "+ cat\n" == capsys.readouterr().out
    with pytest.raises(Failed, match=r"^sh -c echo no >&2; exit 3 failed with exit status 3: no$"):
        tool("sh", "-c", "echo no >&2; exit 3")
    with pytest.raises(Failed, match=r"^sh -c kill \$\$ was killed by signal 15$"):
        tool("sh", "-c", "kill $$")
    with pytest.raises(Failed, match="this image has no no-such-tool"):
        tool("no-such-tool")


def test_an_action_that_is_stopped_cleans_up_after_itself() -> None:
    """Ended by SIGTERM, as an engine does it, its `finally` blocks still run."""
    program = """
import signal
from agent.actions.base import Action
def act(job):
    try:
        print("begun", flush=True)
        signal.pause()
    finally:
        print("cleaned up", flush=True)
Action("try", "", (), act).program()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert "begun\n" == process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert "cleaned up\n" == process.stdout.read()
    assert 128 + 15 == process.returncode
