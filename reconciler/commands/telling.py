"""The story of one machine on a terminal: its phases, what is expected next and by when, and what was said and done.

Law: it is told from the documents alone, and of a server that has no stories yet, nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.table import Table
from rich.text import Text

from reconciler.commands.documents import Document, Read
from reconciler.commands.terminal import COLOURS, columns, printable

MOST_EVENTS = 12
"""Shown of the last boot, unless all are asked for."""


def facts(machine: Document, now: float) -> Iterator[tuple[str, str]]:
    """Name and value: which phase it is in for how long, and what it waits for."""
    story, boot = machine.get("story"), machine["boot"]
    if not story:
        yield "boot", f"{boot['phase']}: {boot['reason']}" if boot else "never"
        return
    phases, following = story["phases"], story["next"]
    last = phases[-1] if phases else None
    if last and last["ended"] is None:
        usually = f", usually {seconds(last['expected']['median'])}" if last["expected"] else ""
        what = f": {last['what']}" if last["what"] else ""
        yield "boot", f"{last['name']} for {seconds(now - _instant(last['began']))}{usually}{what}"
    else:
        yield "boot", f"{boot['phase']}, closed: {boot['reason']}" if boot else "never"
    yield "waits for", f"{following['what']}{_due(following['by'], now)}"
    if following["why"] and not (last and following["why"] == last["what"]):
        yield "because", following["why"]


def phases(machine: Document, now: float) -> Iterator[Table]:
    found = (machine.get("story") or {"phases": ()})["phases"]
    if not found:
        return
    table = columns("PHASE", "BEGAN", "TOOK", "USUALLY", "WHAT")
    for each in found:
        goes_on = each["ended"] is None
        took = f"{seconds(now - _instant(each['began']))} …" if goes_on else seconds(each["seconds"])
        what = each["what"] if each["name"] == "actions" or goes_on else ""
        state = Text(printable(what or "-"), COLOURS.get(each["state"] or "", ""))
        table.add_row(*map(_text, (each["name"], clock(each["began"]), took, usual(each["expected"]))), state)
    yield table


def events(machine: Document, read: Read, everything: bool) -> Iterator[Table]:
    """Of its last boot, where the server still knows them."""
    path = (machine.get("story") or {}).get("document")
    told = read(path.removeprefix("/status/")) if path else None
    if not told or not told["boots"] or not (found := told["boots"][0]["events"]):
        return
    table = columns("AT", "EVENT")
    if len(found) > MOST_EVENTS and not everything:
        table.add_row("", _text(f"{len(found) - MOST_EVENTS} before these: -o wide"))
        found = found[-MOST_EVENTS:]
    for each in found:
        again = f" ({each['times']} times until {clock(each['last'])})" if each["times"] > 1 else ""
        table.add_row(_text(clock(each["at"])), _text(f"{each['text']}{again}"))
    yield table


def usually(machine: Document, task: str, action: str) -> str:
    """How long an action of its last boot takes elsewhere."""
    parts = (part for phase in (machine.get("story") or {"phases": ()})["phases"] for part in phase["parts"])
    known = [part["expected"] for part in parts if (part["task"], part["action"]) == (task, action)]
    return usual(known[-1]) if known else "-"


def usual(expected: Document | None) -> str:
    """`40 s to 55 s`: half of them, and nine of ten."""
    if not expected:
        return "-"
    median, high = seconds(expected["median"]), seconds(expected["high"])
    return median if median == high else f"{median} to {high}"


def seconds(span: float) -> str:
    """`0.3 s`, `12 s`, `3m 20s`, `2h 5m`, `3d 4h`."""
    span = max(span, 0.0)
    if span < 9.95:
        return f"{span:.1f} s"
    whole = round(span)
    for size, letter, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= 2 * size:
            return f"{whole // size}{letter} {whole % size // part}{smaller}"
    return f"{whole} s"


def clock(at: str) -> str:
    """`2026-01-31T12:00:00.123Z` → `2026-01-31 12:00:00`, in UTC as all times are."""
    return at[:19].replace("T", " ")


def _due(by: str | None, now: float) -> str:
    if by is None:
        return ""
    left = _instant(by) - now
    return f", within {seconds(left)}" if left >= 0 else f", overdue for {seconds(-left)}"


def _instant(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _text(value: object) -> Text:
    return Text(printable(value))
