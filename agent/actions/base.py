"""What every standard action stands on: it is handed its settings, runs tools, and ends with 0 or a sentence.

Shell. Law: whatever goes wrong that is not our own mistake is one sentence on standard error and exit status 1; a tool that
fails is named with what it said. What an action says goes to standard output at once, a line at a time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from agent.actions.settings import Failed, Parameter, Settings, read

MACHINE = "/gitboot/machine.json"
QUIET = {"LC_ALL": "C", "DM_DISABLE_UDEV": "1", "MDADM_NO_UDEV": "1", "LVM_SUPPRESS_FD_WARNINGS": "1"}
"""For the tools: there is no udev to wait for, so they make the nodes of devices themselves."""
STDERR_KEPT = 2000
"""Characters of what a failed tool said; the last ones say why."""


@dataclass(frozen=True, slots=True)
class Job:
    """What an action is handed."""

    name: str
    settings: Settings
    machine: Mapping[str, Any]
    """The machine document, fixed when the run began; {} where there is none, as when a person tries an action by hand."""
    folder: Path
    """Of the run, the same for all its actions, in memory: `written` in it names the disks that this run has written to."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """For what the machine document says is in a variable."""

    def say(self, text: str) -> None:
        say(f"{self.name}: {text}")


@dataclass(frozen=True, slots=True)
class Action:
    """A standard action; its module has it as `ACTION`."""

    name: str
    """Of its image."""
    meaning: str
    parameters: Sequence[Parameter]
    act: Callable[[Job], None]
    replaced: bool = False
    """Whether a workflow's `command` runs in its place; else those words are handed to it."""

    def run(self, environ: Mapping[str, str]) -> int:
        """The exit status."""
        try:
            self.act(job(self.name, read(self.parameters, environ), environ))
        except Failed as error:
            return _complain(f"{self.name}: {error}", error.status)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            return _complain(f"{self.name}: {error.strerror or error}{where}")
        return 0

    def program(self) -> NoReturn:
        signal.signal(signal.SIGTERM, _stop)  # the first process of a container has no default for it
        raise SystemExit(self.run(os.environ))


def job(name: str, settings: Settings, environ: Mapping[str, str]) -> Job:
    """Raises Failed if the machine document is there and not one."""
    place = Path(environ.get("GITBOOT_MACHINE") or MACHINE)
    try:
        document = json.loads(place.read_bytes())
    except FileNotFoundError:
        document = {}
    except ValueError as error:
        raise Failed(f"{place} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Failed(f"{place} is not a machine document")
    return Job(name, settings, document, place.parent, environ)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the log of the action is its standard output


def tool(
    *words: str | Path, given: bytes = b"", environment: Mapping[str, str] | None = None, good: Collection[int] = (0,)
) -> str:
    """Run a tool, say that, and return its standard output. `given` is its standard input, never shown; `environment` is all
    that it is to know in place of what we know; `good` are the exit statuses that are no failure.

    Raises Failed with what it said if it is not there or fails.
    """
    command = [str(word) for word in words]
    say(f"+ {' '.join(command)}")
    try:
        known = {**(os.environ if environment is None else environment), **QUIET}
        done = subprocess.run(command, input=given, capture_output=True, check=False, env=known)
    except FileNotFoundError as error:
        raise Failed(f"this image has no {command[0]}") from error
    if done.returncode in good:
        return done.stdout.decode(errors="replace")
    said = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace")[-STDERR_KEPT:]
    how = f"was killed by signal {-done.returncode}" if done.returncode < 0 else f"failed with exit status {done.returncode}"
    raise Failed(f"{' '.join(command)} {how}" + (f": {said}" if said else ""))


def _complain(text: str, status: int = 1) -> int:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - where a person and the agent look for the reason
    return status


def _stop(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)
