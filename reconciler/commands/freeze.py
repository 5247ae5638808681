"""`gitboot freeze`: start no new runs, whatever git says."""

from __future__ import annotations

from pathlib import Path

import click

from netboot.markers import freeze
from reconciler.commands import options
from reconciler.sentence import Sentence


@click.command("freeze", help="Start no new runs until `gitboot unfreeze`. Works with git and the server down.")
@options.state
@click.option("--reason", default="", metavar="TEXT", help="Shown in the status and on the consoles of waiting machines.")
def command(state: Path, reason: str) -> None:
    try:
        sentence = freeze(state, reason)
    except FileNotFoundError:
        raise Sentence(f"There is no state directory {state}; correct --state.", 2) from None
    except OSError as error:
        raise Sentence(f"{state} cannot be written ({error.strerror}); check its owner and the disk.") from None
    click.echo(f"New runs are held: {sentence}. Runs in progress go on. `gitboot unfreeze --state {state}` ends it.")
