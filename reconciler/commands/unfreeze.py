"""`gitboot unfreeze`: the end of `gitboot freeze`."""

from __future__ import annotations

from pathlib import Path

import click

from netboot.markers import unfreeze
from reconciler.commands import options
from reconciler.sentence import Sentence


@click.command("unfreeze", help="Let new runs start again.")
@options.state
def command(state: Path) -> None:
    if not state.is_dir():
        raise Sentence(f"There is no state directory {state}; correct --state.", 2)
    try:
        was = unfreeze(state)
    except OSError as error:
        raise Sentence(f"{state} cannot be written ({error.strerror}); check its owner.") from None
    click.echo("New runs may start again." if was else "It was not frozen; nothing to do.")
