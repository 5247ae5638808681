"""`gitboot wait`: end when a machine's run has ended, for scripts."""

from __future__ import annotations

import time
from pathlib import Path

import click

from reconciler.commands import completion, options
from reconciler.commands.documents import Document, over_http
from reconciler.commands.terminal import printable
from reconciler.sentence import Sentence

STATES = ("SUCCESS", "FAILED", "TIMEOUT", "CANCELLED")
PAUSE = 1.0
"""Seconds between two looks."""


@click.command("wait", help="Wait until a machine's run has ended: exit code 0 when it ended as asked for, 1 when otherwise.")
@click.argument("machine", shell_complete=completion.machines)
@click.option("--for", "state", type=click.Choice(STATES), default="SUCCESS", show_default=True, help="How it is to end.")
@click.option("--timeout", type=click.FloatRange(0), default=3600, show_default=True, metavar="SECONDS", help="Patience.")
@options.server
@options.token_file
def command(machine: str, state: str, timeout: float, server: str, token_file: Path | None) -> None:
    token, until = options.token_from(token_file), time.monotonic() + timeout
    while True:
        with over_http(server, token) as read:
            document = read(f"hardware/{machine}.json")
        if document is None:
            raise Sentence(printable(f"{server} knows no machine {machine!r}; `gitboot status` lists them."), 2)
        if over(document):
            break
        if time.monotonic() >= until:
            raise Sentence(printable(f"After {timeout:g} s no run of {machine} has ended: {_doing(document)}."))
        time.sleep(PAUSE)
    if document["run"]["state"] != state:
        raise Sentence(printable(f"{machine}: {_doing(document)}."))
    click.echo(printable(f"{machine}: {_doing(document)}."))


def over(machine: Document) -> bool:
    """Whether its last run has ended, and git asks for no other now."""
    run = machine["run"]
    return run is not None and run["state"] in STATES and machine["step"]["action"] != "run"


def _doing(machine: Document) -> str:
    run = machine["run"]
    if run is None or (machine["step"]["action"] == "run" and run["state"] in STATES):
        return str(machine["next"])
    why = f" ({run['reason']})" if run["reason"] else ""
    return f"workflow {run['workflow']} run {run['number']} {run['state']}{why}"
