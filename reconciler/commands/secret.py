"""`gitboot secret`: values for git, encrypted for those who may read them."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pyrage

from netboot.secrets import LONGEST, SHORTEST
from reconciler.sentence import Sentence


@click.group("secret", help="Encrypt values for git.")
def command() -> None:
    pass


@command.command("encrypt", help="Encrypt a value with age and print what belongs into a Secret document.")
@click.option(
    "--recipient", multiple=True, required=True, metavar="age1…", help="Public key of a server; may be given several times."
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-", metavar="[FILE|-]")
def encrypt(recipient: tuple[str, ...], file: Path) -> None:
    value = _read(file)
    try:
        text = value.decode()
        to = [pyrage.x25519.Recipient.from_str(each) for each in recipient]
    except UnicodeDecodeError:
        raise Sentence("The value is not UTF-8 text; encode it in base64 first.") from None
    except pyrage.RecipientError:
        raise Sentence("A --recipient is no public key of age; `age-keygen` prints one, and it begins with age1.", 2) from None
    if "\0" in text or not SHORTEST <= len(text.strip()) <= LONGEST:
        raise Sentence(f"A value has from {SHORTEST} to {LONGEST} characters, and no NUL among them.")
    click.echo(pyrage.encrypt(value, to, armored=True).decode(), nl=False)


def _read(file: Path) -> bytes:
    """A person at a terminal is asked, so that the value is in no history of a shell."""
    if str(file) != "-":
        try:
            return file.read_bytes()
        except OSError as error:
            raise Sentence(f"{file} cannot be read ({error.strerror}); correct the path.", 2) from None
    if sys.stdin.isatty():
        return str(click.prompt("Value", hide_input=True, err=True)).encode()
    return sys.stdin.buffer.read()
