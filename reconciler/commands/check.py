"""`gitboot check`: every problem that a server would report, before it does."""

from __future__ import annotations

from pathlib import Path

import click

from netboot.artifacts import ArtifactStore
from netboot.plan import Artifact
from reconciler.check import as_json, as_text, passes
from reconciler.compile import Compiler
from reconciler.errors import BadSource, Unavailable
from reconciler.inventory import Inventory
from reconciler.problems import Problem, Rejected
from reconciler.reader import Reader
from reconciler.sentence import Sentence
from reconciler.target import snapshot_of_target


@click.command("check", help="Report every problem of an inventory: a folder, a repository, or one revision of it.")
@click.argument("target", metavar="PATH_OR_REPO[@REV]")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--artifacts",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Also say which kernels and initrds are missing in this folder.",
)
def command(target: str, form: str, artifacts: Path | None) -> int:
    problems = find_problems(target, artifacts)
    click.echo(as_json(problems) if form == "json" else as_text(problems), nl=False)
    return 0 if passes(problems) else 1


def find_problems(target: str, artifacts: Path | None) -> tuple[Problem, ...]:
    """Raises Sentence when the target cannot be read at all."""
    try:
        inventory, problems = Reader().read(snapshot_of_target(target))
    except Rejected as rejected:
        return rejected.problems
    except (Unavailable, BadSource) as error:
        raise Sentence(str(error), 2) from None
    if inventory is None:
        return problems
    return (*problems, *Compiler().compile(inventory, _found(inventory, artifacts)).problems)


def _found(inventory: Inventory, folder: Path | None) -> dict[str, Artifact] | None:
    """What is in the artefact folder; URLs are taken at their word here, the server fetches and verifies them."""
    if folder is None:
        return None
    references = [each for profile in inventory.profiles.values() for each in profile.references]
    found = ArtifactStore(folder, None).find(each.path for each in references if each.path)
    return found | {each.url: Artifact(each.url, each.sha256) for each in references if each.url and each.sha256}
