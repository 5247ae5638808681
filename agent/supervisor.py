"""What stands between the agent and one action: starts it, outlives the agent, and writes down how it ended.

Shell, standard library only; a program of its own (`python supervisor.py DIRECTORY COMMAND…`) that needs nothing of the agent.
Law: whoever links DIRECTORY/process first decides. The supervisor links its own identity there before it starts the command;
an agent that finds no such file links a gravestone instead, and then this supervisor never starts anything. What it must take
out of the log it reads from its standard input, and without that it starts nothing either.

DIRECTORY/process  {"pid", "start", "system"} of this supervisor, which leads the session of all that the action starts
DIRECTORY/log      standard output and error, in order: what the agent gave this supervisor as its own
DIRECTORY/exit     {"exit_code", "signal", "reason", "ran"}, renamed into place whole
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

GRACE = 5
"""Seconds between SIGTERM and SIGKILL."""


def system_id() -> str:
    """The id of this start of the operating system: pids mean nothing beyond it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def process_start(pid: int) -> int | None:
    """When a live process began, in clock ticks since boot (field 22 of proc(5) stat): with the pid, its identity."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def session_members(session: int) -> list[int]:
    """The live processes of a session, without its leader."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != session:
            fields = _stat(int(entry.name))
            if fields and fields[0] not in "ZX" and int(fields[3]) == session:
                found.append(int(entry.name))
    return found


def signal_session(session: int, number: int) -> None:
    """Signal everybody in the session but its leader."""
    for pid in session_members(session):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def end_session(session: int, patience: float = math.inf) -> None:
    """Kill everybody in the session but its leader; return when they are dead, or after `patience` seconds.

    A killed process lives on until the kernel is done with it, and may be writing to the disk that the next action reads.
    """
    deadline = time.monotonic() + patience
    while session_members(session) and time.monotonic() < deadline:
        signal_session(session, signal.SIGKILL)
        time.sleep(0.01)


def write_whole(path: Path, document: Mapping[str, object]) -> None:
    """`path` is there afterwards with all of its content, or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(document))
    draft.replace(path)


def link_once(path: Path, document: Mapping[str, object]) -> bool:
    """Create `path` with this content; False when somebody else was first."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(document))
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def main(argv: list[str], told: bytes) -> int:
    """Run one action to its end. Returns 1 when an agent has already declared it lost, or is lost itself."""
    directory, command, me = Path(argv[0]), argv[1:], os.getpid()
    signal.signal(signal.SIGTERM, lambda *_: _terminate(me))
    signal.signal(signal.SIGALRM, lambda *_: signal_session(me, signal.SIGKILL))
    try:
        secrets = json.loads(told)
    except ValueError:  # the agent was killed while it told us
        return 1
    if not link_once(directory / "process", {"pid": me, "start": process_start(me), "system": system_id()}):
        return 1
    began = time.monotonic()
    outcome = _carry_out(command, secrets)
    write_whole(directory / "exit", {**outcome, "ran": time.monotonic() - began})
    return 0


def _terminate(session: int) -> None:
    signal_session(session, signal.SIGTERM)
    signal.alarm(GRACE)


def _carry_out(command: list[str], secrets: Sequence[str]) -> dict[str, object]:
    ours: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if secrets else {}
    try:
        child = subprocess.Popen(command, process_group=0, stdin=subprocess.DEVNULL, **ours)
    except (OSError, ValueError) as error:
        return {"exit_code": 127, "signal": None, "reason": f"{command[0]} cannot be started: {error}"}
    copier = threading.Thread(target=_copy_scrubbed, args=(child.stdout, secrets), daemon=True) if child.stdout else None
    if copier:
        copier.start()
    status = child.wait()
    end_session(os.getpid())  # like a container: when the main process ends, so does what it left behind
    if copier:
        copier.join(GRACE)  # what has fled into a session of its own may hold the pipe for ever
    return {"exit_code": None if status < 0 else status, "signal": -status if status < 0 else None, "reason": ""}


def _copy_scrubbed(output: IO[bytes], secrets: Sequence[str]) -> None:
    sys.path.append(str(Path(__file__).parents[1]))
    from agent.scrub import Scrubber

    scrubber = Scrubber()
    scrubber.learn(secrets)
    stream = scrubber.stream()
    with open(1, "wb", buffering=0, closefd=False) as log:
        while chunk := os.read(output.fileno(), 65536):
            log.write(stream.receive(chunk))
        log.write(stream.rest())


def _stat(pid: int) -> list[str]:
    """The fields of proc(5) stat from the third (state) on; empty when there is no such process."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return line.rpartition(")")[2].split()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.buffer.read()))
