"""What commands print for people: colours only where somebody looks at them, and nothing a terminal would obey."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {
    "SUCCESS": "green",
    "RUNNING": "cyan",
    "FAILED": "red",
    "TIMEOUT": "red",
    "INTERRUPTED": "red",
    "CANCELLED": "yellow",
}
"""Of a run, an action, an attempt."""
WIDE = 4096
"""Columns where the output is no terminal: a line is a line, for grep and for a pager."""


def printable(value: object) -> str:
    """The text with what a terminal might obey made visible: names come from git, reasons from machines."""
    text = str(value)
    return text if text.isprintable() else "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def show(*what: Table | Text | str) -> None:
    """Print tables, and text that is `printable` already. NO_COLOR is obeyed."""
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else WIDE, highlight=False, markup=False, emoji=False, soft_wrap=not terminal)
    with console.capture() as capture:
        for each in what:
            console.print(each)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


@contextmanager
def working(what: str, steps: int | None = None) -> Iterator[Callable[[str], None]]:
    """A bar while there is work that takes long, with its time, where somebody looks at errors' output; elsewhere nothing.

    `steps`: how often what is yielded will be called, with what is done from then on; None: nobody knows.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    shown = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*shown, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=steps)
        begun = -1

        def step(name: str) -> None:
            nonlocal begun
            begun += 1
            progress.update(task, description=name, completed=begun)

        yield step


def columns(*names: str) -> Table:
    """A table without lines."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name != names[-1] and not sys.stdout.isatty())
    return table


def serialized(document: Mapping[str, object], form: str) -> str:
    """For programs, as `json` or `yaml`; nothing but ASCII, so nothing that a terminal would obey."""
    if form == "json":
        return json.dumps(document, indent=2) + "\n"
    import yaml

    return yaml.safe_dump(document, sort_keys=False)


def age(at: str | None, now: float) -> str:
    """`2026-01-31T12:00:00.123Z` → `12s`, `3m`, `5h`, `2d`; `never`."""
    if at is None:
        return "never"
    seconds = max(0, int(now - datetime.fromisoformat(at).timestamp()))
    for size, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{letter}"
    return f"{seconds}s"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
