"""`gitboot check`: every problem that a server would report, before it does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from netboot.key_files import BadKey, read_keys
from reconciler.annotations import FORMS, of_problems
from reconciler.check import as_json, as_text, passes
from reconciler.commands import options
from reconciler.commands.reading import read
from reconciler.commands.signing import floor_of, signatures
from reconciler.problems import Problem
from reconciler.sentence import Sentence
from reconciler.target import prefix_of


@click.command("check", help="Report every problem of an inventory: a folder, a repository, or one revision of it.")
@click.argument("target", metavar="PATH_OR_REPO[@REV]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", *FORMS]),
    default="text",
    show_default=True,
    help="For people, programs, or who shows it beside the lines.",
)
@options.artifacts
@options.age_identity
@click.option("--since", metavar="REV", help="Judge signatures too, as a server that serves this commit would.")
@options.trust_floor
def command(
    target: str, form: str, artifacts: Path | None, age_identity: tuple[Path, ...], since: str | None, trust_floor: Path | None
) -> int:
    try:
        keys = read_keys(age_identity) if age_identity else None
    except BadKey as error:
        raise Sentence(str(error), 2) from None
    plan, problems = read(target, artifacts, keys)
    if since or trust_floor:
        problems = (*problems, *signatures(target, since, floor_of(trust_floor)))
    click.echo(_shown(problems, form, target), nl=False)
    if artifacts is None and plan is not None and any(not each.url for each in plan.artifacts.values()):
        click.echo(
            "Not looked at: whether artefacts are there, and what image archives hold; give --artifacts DIR for that.", err=True
        )
    if not (since or trust_floor) and plan is not None and plan.site.trust.commits != "off":
        click.echo("Not looked at: signatures; give --since REV, the commit that is served, for that.", err=True)
    return 0 if passes(problems) else 1


def _shown(problems: Iterable[Problem], form: str, target: str) -> str:
    if form in FORMS:
        return FORMS[form](of_problems(problems, prefix_of(target)))
    return as_json(problems) if form == "json" else as_text(problems)
