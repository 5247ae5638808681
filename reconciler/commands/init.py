"""`gitboot init`: declare a state directory to be a new site."""

from __future__ import annotations

from pathlib import Path

import click

from netboot.markers import declare_new_site
from reconciler.sentence import Sentence


@click.command("init", help="Declare a state directory to be a new site, so that runs may start.")
@click.argument("state", type=click.Path(path_type=Path, file_okay=False))
def command(state: Path) -> None:
    if any((state / "journal").glob("*")) and (state / "site").exists():
        raise Sentence(f"{state} is a site already; nothing to do.")
    try:
        declare_new_site(state)
    except OSError as error:
        raise Sentence(f"{state} cannot be written ({error.strerror}); check its owner and the disk.") from None
    click.echo(f"{state} is declared a new site: machines with work in git will start it at their next boot.")
