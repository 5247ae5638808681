"""`gitboot token`: who may read a server's status, logs and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from netboot.errors import Malformed
from netboot.reader_tokens import NAME, add_token, list_tokens, remove_token
from reconciler.commands import options
from reconciler.commands.terminal import columns, printable, show
from reconciler.sentence import Sentence

LONGEST_NAME = 64


@click.group("token", help="Make, list and remove the tokens that may read a server's status.")
def command() -> None:
    pass


@command.command("add", help="Make a token and print it, this once; a running server knows it at once.")
@click.argument("name")
@options.state
def add(name: str, state: Path) -> None:
    if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        raise Sentence(f"A token's name is 1 to {LONGEST_NAME} printable characters: who or what reads with it.", 2)
    with _plainly(state):
        try:
            token = add_token(state, name)
        except FileExistsError:
            raise Sentence(
                f"There is a token {name!r} already: `gitboot token remove` it first, or choose another name.", 2
            ) from None
    click.echo(token)


@command.command("list", help="Show whose tokens there are. The tokens themselves are known to nobody here.")
@options.state
def list_command(state: Path) -> None:
    with _plainly(state):
        tokens = list_tokens(state)
    if not tokens:
        click.echo("There are no tokens; `gitboot token add` makes one.")
        return
    table = columns("NAME", "MADE")
    for each in tokens:
        table.add_row(printable(each.name), printable(each.made))
    show(table)


@command.command("remove", help="Make a token void at once.")
@click.argument("name")
@options.state
def remove(name: str, state: Path) -> None:
    with _plainly(state):
        found = remove_token(state, name)
    if not found:
        raise Sentence(f"There is no token {name!r}; `gitboot token list` names them.")
    click.echo(f"The token {printable(name)} is void.")


@contextmanager
def _plainly(state: Path) -> Iterator[None]:
    if not state.is_dir():
        raise Sentence(f"There is no state directory {state}; correct --state.", 2)
    try:
        yield
    except OSError as error:
        raise Sentence(f"{state / NAME}: {error.strerror or error}; run this as the server's user or as root.") from None
    except Malformed as error:
        raise Sentence(f"{state / NAME} is damaged ({error}); remove it and make the tokens anew.") from None
