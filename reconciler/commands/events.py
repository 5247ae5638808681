"""`gitboot events`: what happened to machines, and what happens."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from netboot.issue_document import ISSUES_PATH
from netboot.run_documents import rfc3339
from netboot.status_documents import RECONCILE_PATH
from reconciler.commands import choosing, completion, options
from reconciler.commands.choosing import Chosen, chosen
from reconciler.commands.documents import Reader, over_http
from reconciler.commands.following import News, changes
from reconciler.commands.terminal import COLOURS, printable
from reconciler.happenings import Happening, of_issues, of_machine, of_site

REST = 10
"""How many times as long as the server took to work out the issues of its whole fleet it is left alone with them."""


@click.command("events", help="Print what happened to machines since they were last switched on. MACHINES is a name or a list.")
@click.argument("machines", required=False, shell_complete=completion.machines)
@choosing.labels_option
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@click.option("-n", "--last", type=click.IntRange(0), default=20, show_default=True, metavar="N", help="How many of the past.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["lines", "json"]),
    default="lines",
    show_default=True,
    help="As what; json: an object in each line.",
)
@options.server
@options.token_file
def command(
    machines: str | None,
    labels: tuple[str, ...],
    follow: bool,
    last: int,
    output: str,
    server: str,
    token_file: Path | None,
) -> None:
    token, teller = options.token_from(token_file), _Teller(chosen(machines, labels))
    for news in changes(server, token) if follow else iter([None]):
        with over_http(server, token) as read:
            fresh = sorted(teller.fresh(read, news), key=lambda each: each.at)
        for each in fresh if teller.began else fresh[len(fresh) - min(last, len(fresh)) :]:
            click.echo(_object(each) if output == "json" else _line(each))
        teller.began = True


class _Teller:
    """Remembers what was told."""

    def __init__(self, asked: Chosen) -> None:
        self._asked = asked
        self._meant: set[str] = set()
        self._told: dict[str, set[str]] = {}
        """Document → keys of what it tells."""
        self._open: dict[str, Happening] = {}
        """Issues."""
        self._rested = 0.0
        self.began = False

    def fresh(self, read: Reader, news: News) -> Iterator[Happening]:
        """What was not told yet of what changed."""
        if news is None:
            for document in choosing.documents(read, self._asked):
                self._meant.add(document["name"])
                yield from self._new(document["name"], of_machine(document))
        else:
            yield from self._changed(read, news)
        if self._asked == Chosen(None) and (news is None or RECONCILE_PATH in news) and (site := read(RECONCILE_PATH)):
            yield from self._new("", of_site(site))
        if (now := time.monotonic()) >= self._rested:
            yield from self._issues(read)
            self._rested = now + REST * (time.monotonic() - now)

    def _changed(self, read: Reader, news: Iterable[str]) -> Iterator[Happening]:
        names = {path.removeprefix("hardware/").removesuffix(".json") for path in news if path.startswith("hardware/")}
        for name in sorted(names if self._asked == Chosen(None) else names & self._meant):
            if document := read(f"hardware/{name}.json"):
                yield from self._new(name, of_machine(document))

    def _new(self, whose: str, found: Iterable[Happening]) -> Iterator[Happening]:
        """What a document does not tell any more is forgotten: a machine has one boot at a time."""
        now = {each.key: each for each in found}
        told = self._told.get(whose, set())
        yield from (each for key, each in now.items() if key not in told)
        self._told[whose] = set(now)

    def _issues(self, read: Reader) -> Iterator[Happening]:
        at = rfc3339(datetime.now(UTC).timestamp())
        found = of_issues(read(ISSUES_PATH) or {"issues": []}, at)
        now = {each.key: each for each in found if self._asked == Chosen(None) or each.machine in self._meant}
        yield from (now[key] for key in now.keys() - self._open.keys())
        for key in self._open.keys() - now.keys():
            cured = self._open[key]
            yield cured._replace(at=at, text=f"no more {cured.text}", state="SUCCESS")
        self._open = now


def _line(each: Happening) -> str:
    text = click.style(printable(each.text), fg=COLOURS.get(each.state))
    return f"{each.at}  {printable(each.machine) or '(site)':<12}  {text}"


def _object(each: Happening) -> str:
    """For programs; nothing but ASCII, so nothing that a terminal would obey. `key` stays the same where it is told again."""
    said = {"at": each.at, "machine": each.machine or None, "text": each.text, "state": each.state or None, "key": each.key}
    return json.dumps(said)
