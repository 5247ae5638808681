"""Completion, as a person has it who presses Tab in bash."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reconciler.answers import answering, said
from tests.reconciler.test_commands import call

pytestmark = pytest.mark.shell
REPOSITORY = Path(__file__).parents[2]
INDEX = {"documents": ["/status/hardware/node-01.json", "/status/workflows/nodes.json", "/status/reconcile.json"]}


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where `gitboot` is, as pip installs it."""
    program = tmp_path / "gitboot"
    program.write_text(f"#!{sys.executable}\nfrom reconciler.cli import main\nmain()\n")
    program.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def tab(path: str, line: str) -> set[str]:
    """What bash offers at the end of a line."""
    words = shlex.split(line.replace("|", "''"))
    quoted = " ".join(map(shlex.quote, words))
    script = f'eval "$(gitboot completion bash)"; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; '
    script += '_gitboot_completion gitboot; printf "%s\\n" "${COMPREPLY[@]}"'
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, timeout=60, check=True)
    assert "" == done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gitboot sta", {"status"}),
        ("gitboot os |", {"build", "list"}),
        ("gitboot wait --f", {"--for"}),
        ("gitboot wait node-01 --for S", {"SUCCESS"}),
        ("gitboot issues boot-l", {"boot-loop"}),
        ("gitboot status --server http://127.0.0.1:1 no", set()),
    ],
    ids=lambda each: each if isinstance(each, str) else "words",  # of a set the order is another in each process
)
def test_bash_completes(path: str, line: str, offered: set[str]) -> None:
    assert offered == tab(path, line)


def test_bash_completes_the_names_of_what_the_server_knows(path: str) -> None:
    with answering(lambda path, _: (200, said(INDEX)) if path == "/status/index.json" else (404, b"")) as url:
        assert {"node-01"} == tab(path, f"gitboot status --server {url} no")
        assert {"node-01", "nodes"} == tab(path, f"gitboot logs --server {url} no")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_script(shell: str) -> None:
    assert "_GITBOOT_COMPLETE" in call("completion", shell).output
