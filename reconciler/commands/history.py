"""`gitboot history`: every commit that changed what a machine is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from netboot.plan import BootPlan
from reconciler.blame import Author, Written, told
from reconciler.changes import Setting
from reconciler.commands import options
from reconciler.commands.explaining import of_state, of_target
from reconciler.commands.reading import find_machine, target_at
from reconciler.commands.terminal import printable, show
from reconciler.history import Changed, history
from reconciler.past import Past
from reconciler.repository import Repository
from reconciler.sentence import Sentence

MOST_SHOWN = 8
"""Settings of one commit."""
LONGEST = 60


@click.command("history", help="Show every commit that changed what a machine is sent, newest first, also under another name.")
@click.argument("machine", metavar="NAME_OR_MAC")
@click.option("--repo", metavar="PATH_OR_REPO", help="The inventory. [default: this folder]")
@options.at
@click.option("--state", type=options.FOLDER, metavar="DIR", help="What a server serves now.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
def command(machine: str, repo: str | None, at: str | None, state: Path | None, form: str) -> None:
    if state and at:
        raise Sentence("--state asks for what is served now, and --at for another commit; leave one of them away.", 2)
    with of_state(state, machine, repo) if state else of_target(target_at(repo or ".", at), None) as evidence:
        name = find_machine(evidence.plan, machine).machine.name
        if evidence.repository is None:
            raise Sentence(f"There is no history to look at: {repo or 'this folder'} is {evidence.unknown}.", 2)
        past = Past(evidence.repository, evidence.revision)
        found = changes(evidence.repository, past, name, evidence.revision, None if evidence.committed else evidence.plan)
        if form == "json":
            commits = [document(each, author) for each, author in found]
            head = {"apiVersion": "gitboot/v1", "kind": "MachineHistory", "machine": name}
            whole = {**head, "commits": commits, "rejected": list(past.rejected)}
            click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
            return
        for each, author in found:
            show(_block(each, author))
        if past.rejected:
            show(Text(f"Passed over, for they cannot be served: {', '.join(each[:12] for each in past.rejected)}", "dim"))


def changes(
    repository: Repository, past: Past, name: str, head: str, lies: BootPlan | None = None
) -> Iterator[tuple[Changed, Author]]:
    """Each as soon as it is found. `lies`: the plan of a folder as it lies, which comes before all commits."""
    parents = past.parents
    if lies is not None:
        head, parents = "", {"": (head,), **parents}
    for each in history(head, name, parents, lambda commit: past.served(commit) if commit else lies):
        yield each, told(repository, [each.commit])[each.commit] if each.commit else ""


def _block(change: Changed, author: Author) -> Text:
    """As a log has it: the commit, and below it what changed."""
    text = Text()
    if isinstance(author, Written):
        text.append(author.commit.short, "yellow")
        text.append(f"  {_date(author)}  {printable(author.commit.author)}: {printable(author.commit.subject)}\n")
    else:
        text.append(author or "not committed yet", "bold").append("\n")
    text.append_text(_outcome(change, author))
    shown = change.settings if change.kind in ("changed", "renamed") else ()
    for setting in shown[:MOST_SHOWN]:
        text.append_text(_line(setting))
    if len(shown) > MOST_SHOWN:
        text.append(
            f"  and {len(shown) - MOST_SHOWN} more settings; `gitboot history {change.machine} --format json` has all\n", "dim"
        )
    return text


def _outcome(change: Changed, author: Author) -> Text:
    name, was = printable(change.machine), printable(change.was)
    if change.kind == "added" and isinstance(author, Written) and author.cut:
        return Text(f"  {name} is there; older history is not here\n", "bold")
    said = {"added": f"  {name} is new\n", "removed": f"  {name} is removed\n", "renamed": f"  {was} is called {name} now\n"}
    return Text(said.get(change.kind, ""), "bold")


def _line(setting: Setting) -> Text:
    name, before, after = printable(setting.name), _cut(setting.before), _cut(setting.after)
    if setting.before is None:
        return Text.assemble("  ", ("+", "green"), f" {name}: {after}\n")
    if setting.after is None:
        return Text.assemble("  ", ("-", "red"), f" {name}: {before}\n")
    return Text.assemble("  ", ("~", "yellow"), f" {name}: {before} → {after}\n")


def _cut(value: str | None) -> str:
    first, newline, _ = (value or "").partition("\n")
    shown = printable(first)
    return f"{shown[: LONGEST - 1]}…" if newline or len(shown) > LONGEST else shown


def _date(author: Written) -> str:
    return f"{datetime.fromtimestamp(author.commit.authored, UTC):%Y-%m-%d}"


def document(change: Changed, author: Author) -> dict[str, Any]:
    who: dict[str, Any] = {"commit": change.commit}
    if isinstance(author, Written):
        commit = author.commit
        when = datetime.fromtimestamp(commit.authored, UTC).isoformat()
        who |= {"author": commit.author, "date": when, "subject": commit.subject}
        who |= {"orBefore": True} if author.cut else {}
    settings = [{"name": each.name, "before": each.before, "after": each.after} for each in change.settings]
    return {**who, "change": change.kind, "machine": change.machine, "was": change.was, "settings": settings}
