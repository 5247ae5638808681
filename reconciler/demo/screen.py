"""What the demo shows: steps as they are reached, and on a terminal a live table with the last things on the wire.

Shell. The law: nothing else writes to the terminal meanwhile, and where there is none the same is said in plain lines.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from reconciler.demo.rows import Note, Row

STEPS = 100
"""Steps that are shown again when the terminal changes its size."""
RECENT = 6
"""Lines of what just happened below the table."""
STATES = {"SUCCESS": "green", "RUNNING": "yellow", "FAILED": "bold red", "TIMEOUT": "bold red", "CANCELLED": "red"}
COLUMNS = (("  MACHINE", 10), ("PHASE", 7), ("WORKFLOW", 22), ("ACTION", 12), ("STATE", 7))
"""Title and least width: the table must not jump while it fills."""
ROOMY = 76
"""Columns a terminal needs for that; in a smaller one the texts are cut."""
PHASES = {"disk": "green", "stuck": "bold red", "off": "dim", "waits": "yellow"}


class Screen(Protocol):
    def step(self, text: str) -> None:
        """Something is reached; stays readable."""

    def note(self, note: Note) -> None:
        """Something happened to a machine."""

    def show(self, rows: Sequence[Row]) -> None:
        """How the machines are now."""

    def explain(self, lines: Sequence[tuple[str, str]]) -> None:
        """What to do next: (word, text), shown from now on."""

    def redraw(self) -> None:
        """The terminal has another size."""


@contextmanager
def screen(stream: TextIO) -> Iterator[Screen]:
    console = Console(file=stream, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield Plain(stream)
        return
    live = Terminal(console)
    with Live(console=console, get_renderable=live.render, refresh_per_second=12, redirect_stdout=False, redirect_stderr=False):
        yield live


class Plain:
    """One line for each thing, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = time.monotonic()

    def step(self, text: str) -> None:
        self._say(text)

    def note(self, note: Note) -> None:
        self._say(f"  {note.machine}  {note.phase:<8} {note.text}")

    def show(self, rows: Sequence[Row]) -> None:
        """The notes have said it all."""

    def explain(self, lines: Sequence[tuple[str, str]]) -> None:
        for word, text in lines:
            self._say(f"{word}: {text}" if word else text)

    def redraw(self) -> None:
        """Lines that are written stay written."""

    def _say(self, text: str) -> None:
        self._stream.write(f"{time.monotonic() - self._started:6.2f} s  {_printable(text)}\n")
        self._stream.flush()


class Terminal:
    """Steps scroll by above; the table stays below them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._steps: deque[RenderableType] = deque(maxlen=STEPS)
        self._rows: Sequence[Row] = ()
        self._recent: deque[tuple[float, Note]] = deque(maxlen=RECENT)
        self._explained: Sequence[tuple[str, str]] = ()

    def step(self, text: str) -> None:
        self._recent.clear()
        line = Table.grid(padding=(0, 1))
        line.add_column(style="dim", justify="right", width=9, no_wrap=True)
        line.add_column(overflow="fold")
        line.add_row(f"{self._elapsed():.2f} s", Text(_printable(text)))
        self._steps.append(line)
        self._console.print(line)

    def note(self, note: Note) -> None:
        self._recent.append((self._elapsed(), note))

    def show(self, rows: Sequence[Row]) -> None:
        self._rows = tuple(rows)

    def explain(self, lines: Sequence[tuple[str, str]]) -> None:
        self._explained = tuple(lines)

    def redraw(self) -> None:
        """The terminal has broken the lines anew, and rich does not know where they are now: begin with an empty screen."""
        self._console.clear()
        self._console.print(Group(*self._steps))

    def render(self) -> RenderableType:
        """The live part. Called from rich's own thread: it only reads what is replaced as a whole."""
        parts: list[RenderableType] = []
        if self._rows:
            parts += [Text(), self._table()]
        if recent := tuple(self._recent):
            parts += [Text(), *(self._happened(at, note) for at, note in recent)]
        if self._explained:
            parts += [Text(), self._advice()]
        return Group(*parts)

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
        roomy = self._console.width >= ROOMY
        for title, width in COLUMNS:
            table.add_column(title, no_wrap=True, overflow="ellipsis", min_width=width if roomy else None)
        room = max(3, self._console.height - RECENT - len(self._explained) - 6)
        for row in self._rows[:room]:
            state = Text(row.state or "-", STATES.get(row.state, "dim"))
            phase = Text(row.phase, PHASES.get(row.phase, "cyan"))
            table.add_row(f"  {row.machine}", phase, row.workflow or "-", row.action or "-", state)
        if len(self._rows) > room:
            table.add_row(Text(f"  and {len(self._rows) - room} more", "dim"))
        return table

    def _happened(self, at: float, note: Note) -> Text:
        text = f"{at:7.2f} s  {note.machine}  {note.phase:<7} {note.text}"
        return Text(_printable(text), "dim", no_wrap=True, overflow="ellipsis")

    def _advice(self) -> Table:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for word, text in self._explained:
            grid.add_row(f"  {word}", Text(text))
        return grid

    def _elapsed(self) -> float:
        return time.monotonic() - self._started


def _printable(text: str) -> str:
    """A terminal must not obey what a name or a program's output holds."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
