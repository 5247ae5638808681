"""Which machines a command is about: a name, a list such as `node[01-16]`, labels."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple

import click

from netboot.fleet import FLEET_PATH
from reconciler.commands.documents import Document, Read
from reconciler.commands.terminal import printable
from reconciler.hostlist import expand
from reconciler.sentence import Sentence

labels_option = click.option(
    "-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Only machines with this label; all of several."
)

MOST_NAMED = 10
"""Machines in a sentence."""


class Chosen(NamedTuple):
    machines: str | None
    """A host list; None: all."""
    labels: tuple[tuple[str, str], ...] = ()


def chosen(machines: str | None, labels: tuple[str, ...]) -> Chosen:
    """As the command line has them. Raises Sentence for what is no label."""
    return Chosen(machines, tuple(map(_label, labels)))


def documents(read: Read, asked: Chosen) -> Iterator[Document]:
    """Of the machines that are meant. Raises Sentence for a name that nobody has."""
    found = (document for name in _sifted(read, asked)[0] if (document := read(f"hardware/{name}.json")) is not None)
    return (each for each in found if _has(each, asked))


def rows(read: Read, asked: Chosen) -> list[Document] | None:
    """Of all machines with the labels, what a server says of each in its one document of all, which may be some seconds old.

    None: it is read from files, which have no such document, or certain machines are meant.
    """
    fleet = read(FLEET_PATH) if asked.machines is None else None
    return [row for row in fleet["machines"] if _has(row, asked)] if fleet else None


def names(read: Read, asked: Chosen) -> list[str]:
    """Of the machines that are meant, in the order in which they are written. Raises Sentence for a name that nobody has."""
    found, sure = _sifted(read, asked)
    return found if sure else [each["name"] for each in documents(read, asked)]


def few(names: list[str]) -> str:
    """For a sentence."""
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def _sifted(read: Read, asked: Chosen) -> tuple[list[str], bool]:
    """The names, and whether they are those with the labels: a server has all labels in one document, which may be some
    seconds old; the files of a state directory have them in each machine's."""
    named = _named(read, asked.machines)
    fleet = read(FLEET_PATH) if asked.labels else None
    if fleet is None:
        return named, not asked.labels
    meant = {row["name"] for row in fleet["machines"] if _has(row, asked)}
    return [name for name in named if name in meant], True


def _has(machine: Document, asked: Chosen) -> bool:
    return all(machine["labels"].get(key) == value for key, value in asked.labels)


def _named(read: Read, machines: str | None) -> list[str]:
    names = _machines(read)
    if machines is None:
        return names
    try:
        wanted = expand(machines)
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
