"""`gitboot why`: where each value that a machine gets comes from, who wrote it, and what it beat."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from netboot.masks import masked
from reconciler.asked import ACTION, answers, nearest
from reconciler.blame import Author, Line, Written
from reconciler.commands import options
from reconciler.commands.explaining import Evidence, of_state, of_target
from reconciler.commands.reading import find_machine, target_at
from reconciler.commands.terminal import columns, printable, show
from reconciler.origins import Origin
from reconciler.sentence import Sentence
from reconciler.why import Explained, explain

MOST_IN_DETAIL = 4
LONGEST = 60
"""Characters of a value in a list."""
WIDE = 140
"""Columns of a terminal that a list has room in for commits and authors; the others are told them of a single setting."""


@click.command(
    "why",
    help="Say where every value that a machine gets comes from: file, line, commit, author, date, and what it beat. SETTING is"
    " said as people say it: `option 15`, `kernel argument console`, `action 3 env IMG_URL`, `is it netbooting`.",
)
@click.argument("machine", metavar="NAME_OR_MAC")
@click.argument("setting", nargs=-1)
@click.option("--repo", metavar="PATH_OR_REPO", help="The inventory. [default: this folder]")
@options.at
@click.option("--state", type=options.FOLDER, metavar="DIR", help="What a server serves now, and what it saw of the machine.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
@options.artifacts
def command(
    machine: str,
    setting: tuple[str, ...],
    repo: str | None,
    at: str | None,
    state: Path | None,
    form: str,
    artifacts: Path | None,
) -> None:
    if state and at:
        raise Sentence("--state asks for what is served now, and --at for another commit; leave one of them away.", 2)
    with of_state(state, machine, repo) if state else of_target(target_at(repo or ".", at), artifacts) as evidence:
        name = find_machine(evidence.plan, machine).machine.name
        known = explain(evidence.inventory, evidence.plan, name, evidence.following(name))
        meant = _meant(" ".join(setting), known, name)
        _print(name, meant, evidence, form, bool(setting))


def _meant(question: str, known: Sequence[Explained], machine: str) -> Sequence[Explained]:
    if not question:
        return known
    if found := answers(question, known):
        return found
    offered = ", ".join(f"`{name}`" for name in nearest(question, known))
    raise Sentence(
        printable(f"{machine} has no setting {question!r}; the nearest are {offered}. `gitboot why {machine}` lists them all."),
        2,
    )


def _print(name: str, meant: Sequence[Explained], evidence: Evidence, form: str, asked: bool) -> None:
    lines = {each.line for one in meant for each in (*one.reason.by, *one.reason.beaten) if each.line}
    authors = evidence.authors(sorted(lines))
    if form == "json":
        click.echo(json.dumps(document(name, meant, evidence, authors), indent=2, ensure_ascii=False))
    elif asked and len(meant) <= MOST_IN_DETAIL:
        show(*(part for each in meant for part in _detail(each, evidence, authors)))
    else:
        show(_heading(name, evidence), _list(meant, authors))


# For people ------------------------------------------------------------------------------------------------------------


def _heading(name: str, evidence: Evidence) -> Text:
    revision = evidence.revision[:12]
    if evidence.status is not None:
        return Text(f"{name}, as commit {revision} has it, which is served", "bold")
    if evidence.committed:
        return Text(f"{name}, as commit {revision} has it", "bold")
    return Text(f"{name}, as the folder has it" + (f", which is checked out from {revision}" if revision else ""), "bold")


def _detail(one: Explained, evidence: Evidence, authors: dict[Line, Author]) -> Iterable[Table | Text]:
    """A value, and a paragraph for each line that had a part in it."""
    yield Text.assemble((printable(one.setting), "bold"), "\n", *_shown(one.value), "\n")
    table = columns("", "", "")
    table.show_header = False
    labels = ["set by", *[""] * (len(one.reason.by) - 1), *(["beats"] if one.reason.beaten else [])]
    labels += [""] * (len(one.reason.beaten) - 1)
    for label, each in zip(labels, (*one.reason.by, *one.reason.beaten), strict=True):
        if each.line is None:
            table.add_row(Text(f"  {label}"), Text("-"), Text(printable(each.what)))
            continue
        where, written = f"{each.line[0]}:{each.line[1]}", masked(one.setting, evidence.text(*each.line))
        table.add_row(Text(f"  {label}"), Text(printable(where), "cyan"), Text(printable(written)))
        table.add_row("", "", Text(printable(each.what), "dim"))
        table.add_row("", "", Text(printable(_who(authors[each.line])), "dim"))
    yield table
    yield Text("")


def _shown(value: str) -> list[tuple[str, str]]:
    """Each line of it by itself, moved to the right."""
    return [("\n".join(f"  {printable(line)}" for line in value.split("\n")), "green")]


def _who(author: Author) -> str:
    if isinstance(author, str):
        return author
    commit = author.commit
    when = f"{commit.short}  {_date(commit.authored)}  {commit.author}: {commit.subject}"
    return f"{when} (or before it: older history is not here)" if author.cut else when


def _date(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _list(known: Iterable[Explained], authors: dict[Line, Author]) -> Table:
    """A line for each value, those of one interface, workflow, action or profile below its name."""
    wide = not sys.stdout.isatty() or get_terminal_size().columns >= WIDE
    table = columns("SETTING", "VALUE", "SET BY", *(("COMMIT", "DATE", "AUTHOR") if wide else ("DATE",)))
    group = ""
    for each in known:
        begin, name = group_of(each.setting)
        if begin != group and begin:
            table.add_row(Text(printable(begin), "bold"))
        group = begin
        origin = each.reason.by[0] if each.reason.by else Origin("-")
        where = f"{origin.line[0]}:{origin.line[1]}" if origin.line else origin.what
        commit, date, author = _columns(authors[origin.line] if origin.line else "")
        table.add_row(
            Text(printable(f"  {name}" if begin else name)),
            Text(_cut(each.value, LONGEST if wide else LONGEST // 2), "green"),
            Text(printable(where), "cyan" if origin.line else "dim"),
            *((commit, date, author) if wide else (date if date.plain else commit,)),
        )
    return table


_GROUPS = (
    re.compile(r"(?P<group>(?:workflow|profile) \S+) (?P<name>.+)"),
    re.compile(r"(?P<group>metadata) (?:/latest/)?(?P<name>.+)"),
    re.compile(r"(?P<name>.+) (?P<group>[0-9a-f]{2}(:[0-9a-f]{2}){5})"),
)


def group_of(setting: str) -> tuple[str, str]:
    """What a setting stands below in a list, or "", and what it is called there."""
    if (action := ACTION.fullmatch(setting)) and action["setting"]:
        return f"{action['workflow']} action {action['action']}", action["setting"]
    found = next((found for each in _GROUPS if (found := each.fullmatch(setting))), None)
    return (found["group"], found["name"]) if found else ("", setting)


def _cut(value: str, longest: int) -> str:
    first, newline, _ = value.partition("\n")
    shown = printable(first)
    return f"{shown[: longest - 1]}…" if newline or len(shown) > longest else shown


def _columns(author: Author) -> tuple[Text, Text, Text]:
    if isinstance(author, str):
        return Text(printable(author), "dim"), Text(""), Text("")
    name = author.commit.author.partition(" <")[0]
    return Text(f"{author.commit.short}{'^' if author.cut else ''}"), Text(_date(author.commit.authored)), Text(printable(name))


# For programs ------------------------------------------------------------------------------------------------------------


def document(name: str, known: Iterable[Explained], evidence: Evidence, authors: dict[Line, Author]) -> dict[str, Any]:
    def told(setting: str, origin: Origin) -> dict[str, Any]:
        if origin.line is None:
            return {"what": origin.what}
        file, line = origin.line
        text = masked(setting, evidence.text(file, line))
        return {"what": origin.what, "file": file, "line": line, "text": text, **_author(authors[origin.line])}

    return {
        "apiVersion": "gitboot/v1",
        "kind": "Explanation",
        "machine": name,
        "revision": evidence.revision if evidence.committed else "",
        "plan": evidence.plan.id,
        "settings": [
            {
                "name": each.setting,
                "value": each.value,
                "by": [told(each.setting, origin) for origin in each.reason.by],
                "beats": [told(each.setting, origin) for origin in each.reason.beaten],
            }
            for each in known
        ],
    }


def _author(author: Author) -> dict[str, Any]:
    if isinstance(author, Written):
        commit = author.commit
        when = datetime.fromtimestamp(commit.authored, UTC).isoformat()
        said = {"commit": commit.id, "author": commit.author, "date": when, "subject": commit.subject}
        return {**said, "orBefore": True} if author.cut else said
    return {"unknown": author}
