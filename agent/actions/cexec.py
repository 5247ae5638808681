"""`cexec`: run a command in the installed system.

Shell, standard library only. Law: the action ends with the exit status of the command, and what the command says is its log.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from agent.actions.base import Action, Job
from agent.actions.settings import Failed, Parameter, Settings
from agent.actions.system import System, installed, running

PARAMETERS = (
    Parameter("BLOCK_DEVICE", "The root partition; when not given, all that the machine's `storage` in git mounts."),
    Parameter("FS_TYPE", "Filesystem of BLOCK_DEVICE; when not given, the kernel finds out."),
    Parameter("CHROOT", "Taken as given: the command always runs in the installed system."),
    Parameter("CMD_LINE", "The command; words are split as a shell does, and nothing else of a shell is done.", None),
    Parameter("DEFAULT_INTERPRETER", "What is to read CMD_LINE as one word, such as `/bin/sh -c`."),
    Parameter("UPDATE_RESOLV_CONF", "Whether the command may ask the name servers that this machine asks now.", "false"),
    Parameter("JSON_OUTPUT", "Taken as given: the log is what the command says."),
)


class Ended(Failed):
    """The command failed."""

    def __init__(self, status: int, command: str) -> None:
        super().__init__(f"{command} ended with exit status {status}")
        self.status = status


def act(job: Job) -> None:
    settings = job.settings
    words = command(settings)
    lent = our_resolvers if settings.flag("UPDATE_RESOLV_CONF") else nullcontext
    with (
        installed(job, settings.text("BLOCK_DEVICE"), settings.text("FS_TYPE"), "BLOCK_DEVICE") as system,
        running(system),
        lent(system),
    ):
        status = system.attend(*words)
    if status:
        raise Ended(status, words[0])


def command(settings: Settings) -> list[str]:
    """Raises Failed if it cannot be split into words."""
    try:
        line = settings.text("CMD_LINE")
        interpreter = shlex.split(settings.text("DEFAULT_INTERPRETER"))
        words = [*interpreter, line] if interpreter else shlex.split(line)
    except ValueError as error:
        raise Failed(f"the command cannot be split into words: {error}") from error
    if not words:
        raise Failed("CMD_LINE has no word in it")
    return words


@contextmanager
def our_resolvers(system: System) -> Iterator[None]:
    """What that system has for /etc/resolv.conf, a link most often, is there again afterwards."""
    place = system.real("/etc") / "resolv.conf"
    aside = place.with_name(".resolv.conf-gitboot")
    if there := os.path.lexists(place):
        place.rename(aside)
    try:
        system.write("/etc/resolv.conf", Path("/etc/resolv.conf").read_bytes())
        yield
    finally:
        place.unlink(missing_ok=True)
        if there:
            aside.rename(place)


ACTION = Action("cexec", "Runs a command in the installed system.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
