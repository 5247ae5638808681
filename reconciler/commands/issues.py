"""`gitboot issues`: what somebody ought to look at now, and what each of it means."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from netboot.issue_document import ISSUES_PATH
from netboot.issue_kinds import CATALOGUE, Kind
from reconciler.commands import choosing, completion, options
from reconciler.commands.choosing import Chosen, chosen
from reconciler.commands.documents import Document, over_http
from reconciler.commands.terminal import age, columns, printable, serialized, show
from reconciler.sentence import Sentence

KINDS = {str(name): kind for name, kind in CATALOGUE.items()}


@click.command("issues", help="Show what somebody ought to look at; with an issue's NAME, what it means and what to do.")
@click.argument("name", required=False, shell_complete=lambda _, __, begun: [each for each in KINDS if each.startswith(begun)])
@click.option("--machines", metavar="LIST", shell_complete=completion.machines, help="Only those of machines: 'node-[01-16]'.")
@choosing.labels_option
@options.server
@options.token_file
@click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True, help="As what."
)
def command(
    name: str | None, machines: str | None, labels: tuple[str, ...], server: str, token_file: Path | None, output: str
) -> int:
    """The exit code is 1 when there are issues, so that a script can ask."""
    if name is not None:
        if name not in KINDS:
            raise Sentence(f"There is no issue {name!r}; there are {', '.join(KINDS)}.", 2)
        click.echo(explained(KINDS[name]), nl=False)
        return 0
    asked = chosen(machines, labels)
    with over_http(server, options.token_from(token_file)) as read:
        document = read(ISSUES_PATH)
        if document is None:
            raise Sentence(f"{server} knows no issues; is it a gitboot of this version?")
        if asked != Chosen(None):
            document = _only(document, set(choosing.names(read, asked)))
    if output == "table":
        show(issue_table(document["issues"], time.time()) if document["issues"] else "Nothing that anybody has to look at.")
    else:
        click.echo(serialized(document, output), nl=False)
    return 1 if document["issues"] else 0


def _only(document: Document, machines: set[str]) -> Document:
    """The issues of these machines, counted anew; none of the site."""
    issues = [each for each in document["issues"] if each["machine"] in machines]
    return document | {"counts": dict(Counter(each["kind"] for each in issues)), "issues": issues}


def explained(kind: Kind) -> str:
    lines = [kind.title, "", *textwrap.wrap(kind.means, 100), "", "Likely causes, the likeliest first:"]
    lines += [line for cause in kind.causes for line in textwrap.wrap(cause, 96, initial_indent="- ", subsequent_indent="  ")]
    return "\n".join([*lines, "", *textwrap.wrap(f"What to do: {kind.remedy}", 100), ""])


def issue_table(issues: list[Document], now: float) -> Table:
    table = columns("MACHINE", "ISSUE", "FOR", "WHAT")
    for each in issues:
        since = age(each["since"], now) if each["since"] else "-"
        table.add_row(*(Text(printable(text)) for text in (each["machine"] or "(site)", each["kind"], since, each["message"])))
    return table
