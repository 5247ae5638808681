"""Child processes on a leash: none outlives the demo, however that ends.

Shell. Between the demo and each child stands `leash.py`, in a session of its own so that Ctrl-C reaches the demo alone. It
ends when the pipe that is its standard input does, and the kernel closes that with the demo.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from reconciler.demo import leash

PYTHON = (sys.executable, "-P")
"""Of the same environment; a folder called `agent` in the current one is not ours."""
LONGEST_LINE = 1 << 20


@asynccontextmanager
async def leashed(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], remove: Path | None = None
) -> AsyncIterator[Process]:
    """Started in `folder`, both outputs in one pipe; ended with all that came from it when the block is left.

    `remove`: a folder that is to go even when the demo is killed.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", leash.__file__),
        cwd=folder,
        env=dict(environment),
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
        limit=LONGEST_LINE,
    )
    assert process.stdin is not None  # noqa: S101 - asked for above
    try:
        process.stdin.write(json.dumps({"command": list(command), "remove": str(remove or "")}).encode() + b"\n")
        yield process
    finally:
        process.stdin.close()
        await process.communicate()


async def lines_of(process: Process) -> AsyncIterator[str]:
    """What it prints, line by line, until it ends."""
    assert process.stdout is not None  # noqa: S101 - `leashed` asked for it
    async for line in process.stdout:
        yield line.decode(errors="replace").rstrip()
