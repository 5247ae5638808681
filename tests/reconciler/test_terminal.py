"""What commands print, on a real terminal: a pseudo-terminal that a test reads."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

pytestmark = pytest.mark.shell
WORK = """
from reconciler.commands.terminal import working
with working("looking", 2) as step:
    step("fetching")
    step("packing")
print("done")
"""


def on_a_terminal(script: str) -> tuple[str, str]:
    """What it wrote to its output, a pipe, and to the terminal where errors go."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True)
        os.close(theirs)
        seen = b""
        try:
            while piece := terminal.read(4096):
                seen += piece
        except OSError:  # Linux says so that the other end is closed
            pass
    return done.stdout.decode(), seen.decode()


def test_long_work_shows_a_bar_to_whoever_looks_and_leaves_the_output_alone() -> None:
    said, seen = on_a_terminal(WORK)
    assert "done\n" == said
    assert "packing" in seen
    assert "0:00:0" in seen


def test_where_nobody_looks_there_is_no_bar() -> None:
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, timeout=60, check=True)
    assert ("done\n", "") == (done.stdout, done.stderr)
