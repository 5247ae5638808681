"""`gitboot logs`: what the actions of a machine, or of a workflow on all its machines, printed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from reconciler.commands import choosing, completion, options
from reconciler.commands.choosing import chosen
from reconciler.commands.documents import Document, Reader, reading
from reconciler.commands.terminal import printable
from reconciler.hostlist import is_list
from reconciler.sentence import Sentence

PAUSE = 1.0
"""Seconds between two looks, while it follows."""
LONGEST = 64 << 10
"""Bytes of a line without an end that are waited with."""
_END = re.compile(rb"\r\n|\n|\r(?=.)", re.DOTALL)
"""Of a line. Programs that paint a bar go back with CR; one at the very end may be half of a CR LF."""


@click.command(
    "logs",
    help="Print what actions printed: those of a machine's latest run, or those of a workflow on all its machines;"
    " of a list like 'node-[01-16]', machine by machine.",
)
@click.argument("name", metavar="MACHINES|WORKFLOW", required=False, shell_complete=completion.machines_and_workflows)
@choosing.labels_option
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended; for a machine without one, until it has.")
@click.option("--action", metavar="NAME", help="Of this action alone.")
@click.option("--console", is_flag=True, help="The console of the machine's in-memory OS instead.")
@click.option("--syslog", is_flag=True, help="What the machine sent by syslog in its last boot instead.")
@options.server
@options.state_instead
@options.token_file
def command(
    name: str | None,
    labels: tuple[str, ...],
    follow: bool,
    action: str | None,
    console: bool,
    syslog: bool,
    server: str,
    state: Path | None,
    token_file: Path | None,
) -> int:
    """The exit code is 1 where nothing was printed so far."""
    if name is None and not labels:
        raise Sentence("Say whose logs: `gitboot logs node-01`, 'node-[01-16]', a workflow, or -l rack=r1.", 2)
    printer, asked = _Printer(), chosen(name, labels)
    with reading(server, state, token_file) as read:
        names = [name] if name and not labels and not is_list(name) else choosing.names(read, asked)
        whose = choosing.few(names) or "no machine with these labels"
        while True:
            logs, over = _logs(read, names, action, "syslog" if syslog else "console" if console else "")
            for log in logs:
                printer.catch_up(read, log)
            if over or not follow:
                break
            printer.wait(whose)
            time.sleep(PAUSE)
    if printer.silent:
        hint = f" {names[0]}` says what it waits for" if len(names) == 1 else "` says what they wait for"
        raise Sentence(printable(f"{whose} has printed nothing so far; `gitboot status{hint}."))
    return 0


class Log(NamedTuple):
    path: str
    """Below the server's root: `/logs/…`."""
    title: str
    over: bool
    """Nothing is added any more."""


def _logs(read: Reader, names: list[str], action: str | None, of_boot: str) -> tuple[list[Log], bool]:
    """Name by name, of each in the order in which they began, and whether all of them are complete. `of_boot`: `console`,
    `syslog`, or "". Raises Sentence for an action that no run has."""
    if of_boot:
        found = [_of_boot(read(f"hardware/{name}.json"), name, of_boot) for name in names]
        return [log for logs, _ in found for log in logs], all(over for _, over in found)
    told = [_runs(read, name) for name in names]
    runs = [run for found, _ in told for run in found]
    known = dict.fromkeys(each["name"] for run in runs for _, each in _actions(run))
    if action is not None and runs and action not in known:
        workflows = ", ".join(dict.fromkeys(run["workflow"] for run in runs))
        raise Sentence(printable(f"{workflows} has no action {action!r}; there are {', '.join(known)}."), 2)
    return [log for run in runs for log in _of_run(run, action)], all(over for _, over in told)


def _runs(read: Reader, name: str) -> tuple[list[Document], bool]:
    """The last run of a machine, or those of a workflow; and whether they are over, with no other to come."""
    machine = read(f"hardware/{name}.json")
    if machine is not None:
        runs, over = [machine["run"]] if machine["run"] else [], machine["step"]["action"] != "run"
    else:
        workflow = read(f"workflows/{name}.json")
        if workflow is None:
            raise Sentence(printable(f"There is no machine and no workflow {name!r}; `gitboot status` lists the machines."), 2)
        runs, over = latest(workflow), workflow["state"] not in ("PENDING", "RUNNING")
    return runs, over and all(run["state"] != "RUNNING" for run in runs)


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


def _actions(run: Document) -> list[tuple[str, Document]]:
    """With the names of their tasks."""
    return [(task["name"], each) for task in run["tasks"] for each in task["actions"]]


def _of_run(run: Document, action: str | None) -> Iterator[Log]:
    begun = [(attempt, task, each["name"]) for task, each in _actions(run) for attempt in each["attempts"]]
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
            if len(self._rest[log.path]) > LONGEST:
                lines.append(self._rest.pop(log.path))
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
