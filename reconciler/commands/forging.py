"""The forge that the servers and `comment` speak with: its flags, and the token that no flag holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from reconciler.commands.options import Command
from reconciler.forges import KINDS, BadForge, Forge, forge_of
from reconciler.sentence import Sentence

TOKEN = "GITBOOT_FORGE_TOKEN"  # noqa: S105 - the name of the variable


def options(command: Command) -> Command:
    """Who is told, and where."""
    for option in (
        click.option("--forge-token-file", type=click.Path(path_type=Path), metavar="FILE",
                     help=f"Holds the token to speak with; without it the environment's {TOKEN} counts."),
        click.option("--forge-project", default="", metavar="OWNER/NAME", help="The repository's name there."),
        click.option("--forge-url", default="", metavar="URL",
                     help="Its address, or its API's; github.com and gitlab.com need none."),
        click.option("--forge", type=click.Choice(KINDS), help="The forge; gitea is Forgejo too."),
    ):  # fmt: skip
        command = option(command)
    return command


def forge_from(given: Mapping[str, Any]) -> Forge | None:
    """None where no forge is named. Raises Sentence."""
    if given["forge"] is None:
        if given["forge_url"] or given["forge_project"] or given["forge_token_file"]:
            raise Sentence("Say with --forge which forge it is: github, gitlab or gitea.", 2)
        return None
    try:
        return forge_of(given["forge"], given["forge_url"], given["forge_project"], _token(given["forge_token_file"]))
    except BadForge as error:
        raise Sentence(str(error), 2) from None


def _token(file: Path | None) -> str:
    try:
        token = file.read_text().strip() if file else os.environ.get(TOKEN, "").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Sentence(f"The forge's token file {file} cannot be read ({error}); correct --forge-token-file.", 2) from None
    if not token:
        raise Sentence(f"There is no token for the forge: give --forge-token-file FILE, or set {TOKEN}.", 2)
    return token
