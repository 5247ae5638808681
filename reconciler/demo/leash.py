"""Runs a command that must not outlive the demo, nor leave anything behind.

Shell, standard library only: it is run as a script of its own, so that it starts at once. Standard input has one line, JSON
`{"command": [word, …], "remove": folder or ""}`, and then stays open. The law: when standard input ends, which it does however
the demo ends, or when the command ends, every process that came from the command is killed, those too that made themselves
sessions of their own; the folder is removed when it was standard input that ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): orphans of the command become our children, whatever session they are in."""
GRACE_SECONDS = 3
REMOVAL_TRIES = 20


def main() -> int:
    """The command's exit status, or 128 and the signal that ended it."""
    told = json.loads(sys.stdin.buffer.readline())
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = _start(told["command"])
    handle = os.pidfd_open(child)
    ready, _, _ = select.select([0, handle], [], [])
    if handle not in ready:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        select.select([handle], [], [], GRACE_SECONDS)
    status = _kill_all(child)
    if 0 in ready and told["remove"]:
        _remove(told["remove"])
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _start(command: list[str]) -> int:
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.execv(command[0], command)  # noqa: S606 - a fixed list of words, without a shell
        finally:
            os._exit(127)
    return child


def _kill_all(command: int) -> int:
    """Kill and reap until there is no child left; the wait status of the command."""
    result = 0
    while True:
        for process in _children():
            os.kill(process, signal.SIGKILL)
        try:
            process, status = os.wait()
        except ChildProcessError:
            return result
        if process == command:
            result = status


def _children() -> list[int]:
    """Field 4 of /proc/PID/stat is the parent; the name before it may hold anything (proc(5))."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == os.getpid():
            found.append(int(name))
    return found


def _remove(folder: str) -> None:
    """Other leashes are ending their commands meanwhile, which may still write there."""
    for _ in range(REMOVAL_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
