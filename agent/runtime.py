"""Runtimes carry out one attempt of an action: `Runtime` is what the agent needs of one, `ProcessRuntime` the plain one.

Shell, standard library only. Law: an attempt, once started, can be found again by an agent that knows nothing but its name,
runs at most once, and leaves its log and its end in its directory STATE/<run>/<task>/<action>.<attempt>/.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from agent import supervisor
from agent.commands import Exited, Found, NotFound
from agent.container import Around, environment
from agent.given import NOTHING, Given
from agent.messages import Attempt
from agent.scrub import Scrubber
from agent.workflow import Action

PATIENCE = 60.0
"""Seconds for which what a dead supervisor left may take to die."""


class Runtime(Protocol):
    """Attempts are those of one run. Nothing here raises for what an action does or is: that is its exit."""

    def start(self, attempt: Attempt, action: Action, command: tuple[str, ...], given: Given = NOTHING) -> None:
        """Begin; what cannot begin has exited at once. Must not be called twice for the same attempt."""

    def begun(self, attempt: Attempt) -> None:
        """Block until a started attempt runs or has exited: from then on its timeout counts."""

    def find(self, attempt: Attempt) -> Found | NotFound:
        """What became of an attempt that an earlier agent was to start. After `NotFound` it never starts."""

    def wait(self, attempt: Attempt) -> Exited:
        """Block until a started or found attempt has ended, then say how. Called in a thread of its own."""

    def kill(self, attempt: Attempt) -> None:
        """Ask it to end (SIGTERM), make it end 5 s later (SIGKILL); return at once."""

    def log(self, attempt: Attempt) -> Path:
        """The file its output goes to; it may not exist yet."""

    def clear(self) -> None:
        """The run is over: remove what it left."""


class ProcessRuntime:
    """Runs `action.command` as a process of this host; images, volumes and pid namespaces are not looked at.

    The process gets the action's environment, PATH and HOME unless the action sets them, and what every action is told about
    its run (GITBOOT_…). It does not get the agent's own environment.
    """

    def __init__(self, state: Path, around: Around, scrubber: Scrubber | None = None) -> None:
        """`scrubber`: what must be in no log, besides what an action is given."""
        self._around = around
        self._scrubber = scrubber or Scrubber()
        self._directory = directory_of(state, around.run)
        self._children: dict[Attempt, subprocess.Popen[bytes]] = {}

    def start(self, attempt: Attempt, action: Action, command: tuple[str, ...], given: Given = NOTHING) -> None:
        place = self._place(attempt)
        try:
            self._end_stale(place)
            place.mkdir(parents=True, mode=0o700)
            if not command:
                raise ValueError(f"the process runtime has no images: action {attempt.action} needs a command")
            if given.files:
                raise ValueError("the process runtime has no mounts: give the action its secrets as variables")
            hidden = (*self._scrubber.values, *given.values)
            self._children[attempt] = self._supervise(place, command, self._environment(attempt, action, given), hidden)
        except (OSError, ValueError) as error:
            self._could_not_start(place, str(error))

    def begun(self, attempt: Attempt) -> None:
        """There is no image to wait for."""

    def find(self, attempt: Attempt) -> Found | NotFound:
        place = self._place(attempt)
        if ended := read_end(place):
            return ended
        process = self._identity(place)
        if process.get("pid") is None:
            return NotFound("the agent stopped before the action began")
        if process["system"] != supervisor.system_id():
            return NotFound("the machine was reset")
        if _lives(process):
            return Found(seconds_since(process["start"]))
        if supervisor.process_start(process["pid"]) is None:  # otherwise the pid, and so the session, is another's by now
            supervisor.end_session(process["pid"], PATIENCE)
        ended = read_end(place)  # it may have ended between the two looks
        return ended or NotFound("the action's supervisor was killed")

    def wait(self, attempt: Attempt) -> Exited:
        place = self._place(attempt)
        if child := self._children.pop(attempt, None):
            child.wait()
        else:
            _await_end(_read(place / "process"))
        match self.find(attempt):
            case Found(_, Exited() as ended):
                return ended
            case NotFound(reason):
                return Exited(None, reason=reason)
        raise AssertionError(f"{attempt} has ended and still runs")

    def kill(self, attempt: Attempt) -> None:
        process = self._identity(self._place(attempt))
        if process.get("pid") is not None and _lives(process):
            os.kill(process["pid"], signal.SIGTERM)  # the supervisor does the rest, whatever becomes of this agent

    def log(self, attempt: Attempt) -> Path:
        return self._place(attempt) / "log"

    def clear(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def _place(self, attempt: Attempt) -> Path:
        return place_of(self._directory, attempt)

    def _environment(self, attempt: Attempt, action: Action, given: Given) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": os.environ.get("HOME", "/"),
            **environment(self._around, attempt, action, self._around.folder, given.environment),
        }

    @staticmethod
    def _supervise(
        place: Path, command: tuple[str, ...], environment: dict[str, str], hidden: Sequence[str]
    ) -> subprocess.Popen[bytes]:
        # -I and -S: no user's or site's Python files have a say, and it starts in a third of the time
        program = [sys.executable, "-I", "-S", supervisor.__file__, str(place), *command]
        with (place / "log").open("ab") as log:
            process = subprocess.Popen(
                program, cwd="/", env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        assert process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        with process.stdin as secrets:
            secrets.write(json.dumps(hidden).encode())
        return process

    def _identity(self, place: Path) -> dict[str, Any]:
        """Who supervises the attempt; nobody, and then nobody ever will, if it has not begun (see supervisor.py)."""
        if not place.exists():
            return {}
        if not (place / "process").exists():
            supervisor.link_once(place / "process", {"pid": None})
        return _read(place / "process")

    def _end_stale(self, place: Path) -> None:
        """Whatever has this name is from before a reset of the machine: it must neither run on nor be taken for the new one."""
        if place.exists():
            process = self._identity(place)
            if process.get("pid") is not None and _lives(process):
                os.kill(process["pid"], signal.SIGKILL)
                supervisor.end_session(process["pid"], PATIENCE)
            shutil.rmtree(place)

    def _could_not_start(self, place: Path, reason: str) -> None:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        supervisor.write_whole(place / "exit", {"exit_code": 127, "signal": None, "reason": reason, "ran": 0.0})


def directory_of(state: Path, run: str) -> Path:
    """Where a run has all that it leaves on this machine."""
    return state / _file_name(run)


def place_of(directory: Path, attempt: Attempt) -> Path:
    """An attempt's own folder in the directory of its run."""
    return directory / _file_name(attempt.task) / f"{_file_name(attempt.action)}.{attempt.number}"


def read_end(place: Path) -> Found | None:
    """The end that is written down in an attempt's folder; None: none is."""
    document = _read(place / "exit")
    ended = Exited(document["exit_code"], document["signal"], document["reason"]) if document else None
    return Found(document["ran"], ended) if ended else None


def _file_name(name: str) -> str:
    """Any name as one that is safe in a path, different for different names; a long one ends in its digest."""
    quoted = quote(name, safe=" ", errors="surrogatepass").replace(".", "%2E")
    return quoted if len(quoted) <= 100 else quoted[:60] + "%" + sha256(quoted.encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return document


def _lives(process: dict[str, Any]) -> bool:
    """Is it that process and not a later one with its pid?"""
    same_system: bool = process["system"] == supervisor.system_id()
    return same_system and supervisor.process_start(process["pid"]) == process["start"]


def seconds_since(ticks: int) -> float:
    """Seconds of this system's life since a `supervisor.process_start`."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _await_end(process: dict[str, Any]) -> None:
    """Wait for a process that is not our child (a pidfd becomes readable at its end)."""
    if process.get("pid") is None:
        return
    try:
        handle = os.pidfd_open(process["pid"])
    except ProcessLookupError:
        return
    try:
        if _lives(process):
            select.select([handle], [], [])
    finally:
        os.close(handle)
