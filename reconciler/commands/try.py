"""`gitboot try`: one machine boots another commit, once; or rehearses it."""
# ruff: noqa: N999 - a module is called as its command is, and is never imported by a statement

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any

import click

from netboot.markers import look_now, who
from netboot.tries import Asked, Judged
from netboot.try_files import NAME, ask, read_judged, take_back
from netboot.try_status import up_to_date
from reconciler.commands import options
from reconciler.commands.terminal import columns, printable, show
from reconciler.problems import Problem
from reconciler.sentence import Sentence

STEP_SECONDS = 0.1


@click.command("try", help="Boot one machine by another commit of the repository, once. It is told so at its next boot.")
@click.argument("rev", required=False)
@click.option("--on", "machine", metavar="MACHINE", help="Which machine.")
@click.option("--rehearse", is_flag=True, help="Start none of its work: look whether it could be done, and what it would do.")
@click.option("--list", "listed", is_flag=True, help="Show what is tried, and what came of it.")
@click.option("--cancel", metavar="MACHINE", help="Take back what its next boot was to try.")
@click.option(
    "--wait", type=click.FloatRange(0), default=60.0, show_default=True, metavar="N", help="Seconds for git's answer."
)
@options.state
def command(
    rev: str | None, machine: str | None, rehearse: bool, listed: bool, cancel: str | None, wait: float, state: Path
) -> None:
    if not state.is_dir():
        raise Sentence(f"There is no state directory {state}; correct --state.", 2)
    if listed and not (rev or machine or cancel):
        _list(state)
    elif cancel and not (rev or machine or listed):
        _cancel(state, cancel)
    elif rev and machine and not (listed or cancel):
        _try(state, Asked(secrets.token_hex(8), machine, rev, rehearse, who(), time.time()), wait)
    else:
        raise Sentence("Say what to try and where (`gitboot try REV --on MACHINE`), or --list, or --cancel MACHINE.", 2)


def _try(state: Path, asked: Asked, wait: float) -> None:
    try:
        ask(state, asked)
        look_now(state)
    except OSError as error:
        if error.errno is None:  # it is about the name: nothing was asked of the system
            raise Sentence(f"{printable(str(error))}: correct --on.", 2) from None
        raise Sentence(f"{state} cannot be written ({error.strerror or error}); who may try is who may write there.") from None
    judged = _answer(state, asked, wait)
    if judged is None:
        raise Sentence(
            f"Nobody has looked at {printable(asked.ref)} yet: it is looked at as soon as `gitboot serve` or "
            f"`gitboot reconcile` runs with --state {state}. `gitboot try --list` shows what comes of it."
        )
    if judged.unavailable:
        raise Sentence(printable(f"{judged.unavailable} It is tried again; `gitboot try --cancel {asked.machine}` ends that."))
    if not judged.plan:
        raise Sentence("\n".join(map(printable, _why_not(judged))))
    does = "rehearses" if asked.rehearse else "boots by"
    click.echo(
        printable(f"{asked.machine} {does} commit {judged.revision[:12]} ({asked.ref}) at its next boot, and then no more.")
    )


def _answer(state: Path, asked: Asked, wait: float) -> Judged | None:
    until = time.monotonic() + wait
    while True:
        if judged := next((each for each in read_judged(state) if each.asked.id == asked.id), None):
            return judged
        if time.monotonic() >= until:
            return None
        time.sleep(STEP_SECONDS)


def _why_not(judged: Judged) -> list[str]:
    """Its lines."""
    machine, ref = judged.asked.machine, judged.asked.ref
    if judged.refused:
        return [f"{machine} does not try {ref}: {judged.refused}"]
    why = f"{machine} does not try {ref}, for commit {judged.revision[:12]} cannot be served:"
    return [why, *(f"  {Problem(**each)}" for each in judged.problems)]


def _cancel(state: Path, machine: str) -> None:
    try:
        if not take_back(state, machine):
            raise Sentence(f"Nothing is to be tried on {printable(machine)}; `gitboot try --list` shows what is.")
        look_now(state)
    except OSError as error:
        raise Sentence(f"{state} cannot be written ({error.strerror or error}); check its owner.") from None
    click.echo(f"{printable(machine)} boots what is served. If it has begun to boot already, that boot goes on.")


def _list(state: Path) -> None:
    try:
        tries: list[dict[str, Any]] = json.loads((state / "status" / NAME).read_bytes())["tries"]
    except FileNotFoundError:
        tries = []
    except (OSError, ValueError, KeyError) as error:
        raise Sentence(f"{state / 'status' / NAME} cannot be read ({error}); check its owner.") from None
    tries = up_to_date(tries, read_judged(state))
    if not tries:
        click.echo("Nothing was tried yet.")
        return
    table = columns("MACHINE", "COMMIT", "HOW", "STATE", "WHAT CAME OF IT")
    for each in tries:
        how = "rehearsal" if each["rehearse"] else "try"
        commit = f"{each['revision'][:12] or '?'} ({each['ref']})"
        table.add_row(*map(printable, (each["machine"], commit, how, each["result"] or each["state"], each["said"])))
    show(table, *filter(None, map(_findings, tries)))


def _findings(each: dict[str, Any]) -> str:
    lines = [f"  {found['state']:7}{found['kind']:7}{found['subject']}: {found['said']}" for found in each["findings"]]
    return "\n".join([f"{each['machine']}:", *map(printable, lines)]) if lines else ""
