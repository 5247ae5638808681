"""Which machines a command is about: a name, a list such as `node[01-16]`, labels."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple

import click

from reconciler.commands.documents import Document, Read
from reconciler.commands.terminal import printable
from reconciler.hostlist import expand
from reconciler.sentence import Sentence

labels_option = click.option(
    "-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Only machines with this label; all of several."
)


class Chosen(NamedTuple):
    machines: str | None
    """A host list; None: all."""
    labels: tuple[tuple[str, str], ...] = ()


def chosen(machines: str | None, labels: tuple[str, ...]) -> Chosen:
    """As the command line has them. Raises Sentence for what is no label."""
    return Chosen(machines, tuple(map(_label, labels)))


def documents(read: Read, asked: Chosen) -> Iterator[Document]:
    """Of the machines that are meant. Raises Sentence for a name that nobody has."""
    found = (document for name in _names(read, asked) if (document := read(f"hardware/{name}.json")) is not None)
    return (each for each in found if set(asked.labels) <= each["labels"].items())


def _names(read: Read, asked: Chosen) -> list[str]:
    names = _machines(read)
    if asked.machines is None:
        return names
    try:
        wanted = expand(asked.machines)
    except ValueError as error:
        raise Sentence(printable(str(error)), 2) from None
    known = set(names)
    for name in wanted:
        if name not in known:
            close = get_close_matches(name.lower(), names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"machines there: {len(names)}; `gitboot status` lists them."
            raise Sentence(printable(f"There is no machine {name!r}; {hint}"), 2)
    return wanted


def _machines(read: Read) -> list[str]:
    index = read("index.json") or {}
    paths = [str(path).removeprefix("/status/") for path in index.get("documents", [])]
    return sorted(path[len("hardware/") : -len(".json")] for path in paths if path.startswith("hardware/"))


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Sentence(f"{text!r} is no label; write --label rack=r1.", 2)
    return key, value
