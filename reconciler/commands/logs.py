"""`gitboot logs`: what the actions of a machine, or of a workflow on all its machines, printed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from reconciler.commands import completion, options
from reconciler.commands.documents import Document, Reader, reading
from reconciler.commands.terminal import printable
from reconciler.sentence import Sentence

PAUSE = 1.0
"""Seconds between two looks, while it follows."""
_END = re.compile(rb"\r\n|\n|\r(?=.)", re.DOTALL)
"""Of a line. Programs that paint a bar go back with CR; one at the very end may be half of a CR LF."""


@click.command(
    "logs", help="Print what actions printed: those of a machine's latest run, or those of a workflow on all its machines."
)
@click.argument("name", metavar="MACHINE|WORKFLOW", shell_complete=completion.machines_and_workflows)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended; for a machine without one, until it has.")
@click.option("--action", metavar="NAME", help="Of this action alone.")
@click.option("--console", is_flag=True, help="The console of the machine's in-memory OS instead.")
@click.option("--syslog", is_flag=True, help="What the machine sent by syslog in its last boot instead.")
@options.server
@options.state_instead
@options.token_file
def command(
    name: str,
    follow: bool,
    action: str | None,
    console: bool,
    syslog: bool,
    server: str,
    state: Path | None,
    token_file: Path | None,
) -> int:
    """The exit code is 1 where nothing was printed so far."""
    printer = _Printer()
    with reading(server, state, token_file) as read:
        while True:
            logs, over = _logs(read, name, action, "syslog" if syslog else "console" if console else "")
            for log in logs:
                printer.catch_up(read, log)
            if over or not follow:
                break
            printer.wait(name)
            time.sleep(PAUSE)
    if printer.silent:
        raise Sentence(printable(f"{name} has printed nothing so far; `gitboot status {name}` says what it waits for."))
    return 0


class Log(NamedTuple):
    path: str
    """Below the server's root: `/logs/…`."""
    title: str
    over: bool
    """Nothing is added any more."""


def _logs(read: Reader, name: str, action: str | None, of_boot: str) -> tuple[list[Log], bool]:
    """In the order in which they began, and whether all of them are complete. `of_boot`: `console`, `syslog`, or ""."""
    machine = read(f"hardware/{name}.json")
    if of_boot:
        return _of_boot(machine, name, of_boot)
    if machine is not None:
        runs, over = [machine["run"]] if machine["run"] else [], machine["step"]["action"] != "run"
    else:
        workflow = read(f"workflows/{name}.json")
        if workflow is None:
            raise Sentence(printable(f"There is no machine and no workflow {name!r}; `gitboot status` lists the machines."), 2)
        runs, over = latest(workflow), workflow["state"] not in ("PENDING", "RUNNING")
    return [log for run in runs for log in logs_of(run, action)], over and all(run["state"] != "RUNNING" for run in runs)


def _of_boot(machine: Document | None, name: str, kind: str) -> tuple[list[Log], bool]:
    """A closed boot's console is complete; what its installed system sends by syslog goes on."""
    if machine is None:
        raise Sentence(printable(f"There is no machine {name!r}; `gitboot status` lists them."), 2)
    boot = machine["boot"]
    path = machine.get("syslog") if kind == "syslog" else (boot or {}).get("console")
    over = kind == "console" and boot is not None and boot["closed"] is not None
    return [Log(path, f"{machine['name']}: {kind}", over)] if path else [], over


def latest(workflow: Document) -> list[Document]:
    """Of each machine the last run with the number that git names, the machine that began first first."""
    runs = [run for run in workflow["runs"] if workflow["run"] in (None, run["number"])]
    return sorted({run["machine"]: run for run in reversed(runs)}.values(), key=lambda run: str(run["started"]))


def logs_of(run: Document, action: str | None) -> Iterator[Log]:
    """Raises Sentence for an action that the run has not."""
    actions = [(task["name"], each) for task in run["tasks"] for each in task["actions"]]
    names = [each["name"] for _, each in actions]
    if action is not None and action not in names:
        raise Sentence(printable(f"{run['workflow']} has no action {action!r}; there are {', '.join(names)}."), 2)
    begun = [(attempt, task, each["name"]) for task, each in actions for attempt in each["attempts"]]
    for attempt, task, name in sorted(begun, key=lambda each: str(each[0]["started"])):
        if action in (None, name):
            number = f", attempt {attempt['attempt']}" if attempt["attempt"] > 1 or attempt["reset"] else ""
            reset = f" after reset {attempt['reset']}" if attempt["reset"] else ""
            title = f"{run['machine']}: {run['workflow']} run {run['number']}, {task}/{name}{number}{reset}"
            yield Log(attempt["log"], title, attempt["ended"] is not None)


class _Printer:
    """Prints of each log what it has not printed yet, below a title wherever the log is another than the last."""

    def __init__(self) -> None:
        self._read: dict[str, int] = {}
        """Bytes."""
        self._rest: dict[str, bytes] = {}
        """A line that has no end yet."""
        self._complete: set[str] = set()
        self._last = ""
        self._told = False

    @property
    def silent(self) -> bool:
        return not self._last

    def wait(self, name: str) -> None:
        """Whoever sees nothing is told once that there is nothing yet."""
        if self.silent and not self._told:
            click.echo(printable(f"{name} has printed nothing so far; waiting, until Ctrl-C …"), err=True)
            self._told = True

    def catch_up(self, read: Reader, log: Log) -> None:
        """Asks for nothing of a log that was read to its end after it was over."""
        if log.path in self._complete:
            return
        while data := read.log(log.path, self._read.get(log.path, 0)):
            self._read[log.path] = self._read.get(log.path, 0) + len(data)
            *lines, self._rest[log.path] = _END.split(self._rest.get(log.path, b"") + data)
            self._print(log, lines)
        if log.over:
            self._complete.add(log.path)
            if rest := self._rest.pop(log.path, b""):
                self._print(log, [rest])

    def _print(self, log: Log, lines: list[bytes]) -> None:
        if lines and self._last != log.path:
            click.echo(f"{'' if self.silent else chr(10)}==> {printable(log.title)} <==")
            self._last = log.path
        for line in lines:
            click.echo("\t".join(map(printable, line.decode(errors="backslashreplace").split("\t"))))
