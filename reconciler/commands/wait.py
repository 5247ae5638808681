"""`gitboot wait`: end when a machine's run has ended, for scripts."""

from __future__ import annotations

import time
from pathlib import Path

import click

from reconciler.commands import choosing, completion, options
from reconciler.commands.choosing import chosen
from reconciler.commands.documents import Document, Reader, over_http
from reconciler.commands.terminal import printable
from reconciler.sentence import Sentence

STATES = ("SUCCESS", "FAILED", "TIMEOUT", "CANCELLED")
PAUSE = 1.0
"""Seconds between two looks."""


@click.command(
    "wait",
    help="Wait until the runs of machines have ended: exit code 0 when all ended as asked for, 1 when any did otherwise."
    " MACHINES is a name or a list: 'node-[01-16]'.",
)
@click.argument("machines", required=False, shell_complete=completion.machines)
@choosing.labels_option
@click.option("--for", "state", type=click.Choice(STATES), default="SUCCESS", show_default=True, help="How it is to end.")
@click.option("--timeout", type=click.FloatRange(0), default=3600, show_default=True, metavar="SECONDS", help="Patience.")
@options.server
@options.token_file
def command(
    machines: str | None, labels: tuple[str, ...], state: str, timeout: float, server: str, token_file: Path | None
) -> None:
    if machines is None and not labels:
        raise Sentence("Say whom to wait for: `gitboot wait node-01`, 'node-[01-16]', or -l rack=r1.", 2)
    token, until = options.token_from(token_file), time.monotonic() + timeout
    with over_http(server, token) as read:
        left = choosing.names(read, chosen(machines, labels))
    if not left:
        raise Sentence("No machine has these labels; `gitboot status -o wide` shows them.", 2)
    others: list[str] = []
    while True:
        with over_http(server, token) as read:
            found = [_document(read, name, server) for name in left]
        for each in filter(over, found):
            said = printable(f"{each['name']}: {_doing(each)}.")
            (others.append if each["run"]["state"] != state else click.echo)(said)
        late = [each for each in found if not over(each)]
        if not (left := [each["name"] for each in late]):
            break
        if time.monotonic() >= until:
            raise Sentence("\n".join([*others, printable(_too_late(late, timeout))]))
        time.sleep(PAUSE)
    if others:
        raise Sentence("\n".join(others))


def _document(read: Reader, name: str, server: str) -> Document:
    document = read(f"hardware/{name}.json")
    if document is None:
        raise Sentence(printable(f"{server} knows no machine {name!r} any more; `gitboot status` lists them."), 2)
    return document


def _too_late(late: list[Document], timeout: float) -> str:
    doing = _doing(late[0]) if len(late) == 1 else f"of {late[0]['name']}: {_doing(late[0])}"
    return f"After {timeout:g} s no run of {choosing.few([each['name'] for each in late])} has ended: {doing}."


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
