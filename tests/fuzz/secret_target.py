"""The secret target: a file becomes a Secret or problems, and what a Secret holds is opened or is not, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from netboot.plan import encode
from netboot.secrets import Unreadable, login, open_secret, parse_keys
from reconciler.formats import read_file
from reconciler.inventory import SecretDoc
from tests.secret_documents import IDENTITY

KEYS = parse_keys(IDENTITY)


def secret(data: bytes) -> None:
    """Whoever can push writes Secret documents, with ciphertext of their own; the server opens each at once."""
    for each in read_file("secret.yaml", data).objects:
        if isinstance(each, SecretDoc):
            encode(each.sealed)
            with _refusable():
                opened = open_secret(each.sealed, KEYS)
                assert opened.keys() == each.sealed.keys
                for value in opened.values():
                    login(value, "r:5000")
    with suppress(ValueError):
        parse_keys(data.decode(errors="replace"))


@contextmanager
def _refusable() -> Iterator[None]:
    """What cannot be read is refused, but not because something broke that nobody foresaw."""
    try:
        yield
    except Unreadable as error:
        if "a defect of gitboot" in str(error):
            raise AssertionError(error) from error
