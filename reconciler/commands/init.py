"""`gitboot init`: declare a state directory to be a new site."""

from __future__ import annotations

from pathlib import Path

import click

from netboot.events import JournalOpened
from netboot.journal_format import scan
from netboot.markers import declare_new_site
from reconciler.sentence import Sentence


@click.command("init", help="Declare a state directory to be a new site, so that runs may start.")
@click.argument("state", type=click.Path(path_type=Path, file_okay=False))
def command(state: Path) -> None:
    if (state / ".git").exists() or (state / "objects").is_dir():
        raise Sentence(f"{state} is a git repository; a state directory is a folder of its own, such as /var/lib/gitboot.", 2)
    try:
        if _is_a_site(state):
            click.echo(f"{state} is a site already; nothing to do.")
            return
        declare_new_site(state)
    except OSError as error:
        raise Sentence(f"{state} cannot be written ({error.strerror}); check its owner and the disk.") from None
    click.echo(f"{state} is declared a new site: machines with work in git will start it at their next boot.")


def _is_a_site(state: Path) -> bool:
    """Whether its journal was opened, once and for ever. What is damaged there is for the server to say."""
    for segment in sorted((state / "journal").glob("*.jsonl")):
        if any(isinstance(event, JournalOpened) for event in scan(segment.read_bytes(), int(segment.stem)).events):
            return True
    return False
