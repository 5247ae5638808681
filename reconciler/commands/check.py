"""`gitboot check`: every problem that a server would report, before it does."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.check import as_json, as_text, passes
from reconciler.commands import options
from reconciler.commands.reading import read


@click.command("check", help="Report every problem of an inventory: a folder, a repository, or one revision of it.")
@click.argument("target", metavar="PATH_OR_REPO[@REV]")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For people or programs."
)
@options.artifacts
def command(target: str, form: str, artifacts: Path | None) -> int:
    plan, problems = read(target, artifacts)
    click.echo(as_json(problems) if form == "json" else as_text(problems), nl=False)
    if artifacts is None and plan is not None and any(not each.url for each in plan.artifacts.values()):
        click.echo(
            "Not looked at: whether artefacts are there, and what image archives hold; give --artifacts DIR for that.", err=True
        )
    return 0 if passes(problems) else 1
