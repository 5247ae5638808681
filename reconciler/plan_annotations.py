"""What a change does, beside the lines that decide it.

Core. The law: each machine that changes is in an annotation, at a line of the change that decides something of it where there
is one, with its consequence; machines that change alike are told of together. What is no more there has no line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from netboot.plan import BootPlan
from reconciler.annotations import Annotation, Level
from reconciler.changes import Change, Difference, Setting
from reconciler.grouping import grouped
from reconciler.inventory import Inventory
from reconciler.origins import Line
from reconciler.reader import printable
from reconciler.snapshot import Snapshot
from reconciler.why import Case

MOST_SETTINGS = 3
"""Of a line, that are named with their values."""
_LONGEST = 80
"""Characters of a value; the plan itself has all of it."""
_LEVELS: dict[str, Level] = {"destructive": "warning", "blocked": "warning"}
_NOWHERE: Line = ("", 0)

Written = Mapping[str, frozenset[int]]
"""File → the lines that a change wrote."""


def of_difference(
    difference: Difference, plan: BootPlan, inventory: Inventory, written: Written, prefix: str = ""
) -> list[Annotation]:
    """`plan` and `inventory`: of the second side. `prefix`: as for `reconciler.annotations.of_problems`."""
    return [
        _annotation(group.changes, settings, prefix + file if file else "", line)
        for group in grouped(difference.machines)
        for (file, line), settings in _placed(group.changes[0], plan, inventory, written).items()
    ]


def written_lines(before: Snapshot, after: Snapshot) -> Written:
    """What the second holds that the first does not. A line that was moved counts as it was."""
    old, found = {entry.path: entry.blob for entry in before.entries}, {}
    for entry in after.entries:
        content = after.contents.get(entry.blob)
        if content is not None and old.get(entry.path) != entry.blob:
            there = Counter(before.contents.get(old.get(entry.path, ""), b"").splitlines())
            found[printable(entry.path)] = frozenset(_new(content.splitlines(), there))
    return found


def _new(lines: Sequence[bytes], there: Counter[bytes]) -> Iterator[int]:
    for number, line in enumerate(lines, 1):
        if there[line]:
            there[line] -= 1
        else:
            yield number


def _placed(change: Change, plan: BootPlan, inventory: Inventory, written: Written) -> dict[Line, list[Setting]]:
    """Line → what it decides. Where no line that was written decides anything, one that was there, or that of its name."""
    if change.machine not in plan.machines:
        return {_NOWHERE: []}
    place = inventory.hardware[change.machine].where(("metadata", "name"))
    own: Line = (place.file, place.line)
    if change.kind != "changed":
        return {own: []}
    case = Case(inventory, plan, change.machine)
    placed: dict[Line, list[Setting]] = {}
    older = [own]
    for setting in change.settings:
        lines = _lines(case, setting)
        new = [line for line in lines if line[1] in written.get(line[0], ())]
        older += [] if new else lines
        if new:
            placed.setdefault(new[0], []).append(setting)
    return placed or {older[1] if len(older) > 1 else own: list(change.settings)}


def _lines(case: Case, setting: Setting) -> tuple[Line, ...]:
    """Of what decides it now; none when nobody gives it any more, or it has no line."""
    if setting.after is None:
        return ()
    try:
        by = case.reason(setting.name, setting.after).by
    except LookupError:  # it is none of the facts that have a reason
        return ()
    return tuple(origin.line for origin in by if origin.line is not None)


def _annotation(changes: Sequence[Change], settings: list[Setting], file: str, line: int) -> Annotation:
    first = changes[0]
    who = first.machine if len(changes) == 1 else f"{len(changes)} machines, as {first.machine}"
    what = {"added": "new", "removed": "removed", "renamed": f"was {first.was}"}.get(first.kind, "")
    because = f" ({first.reasons[0]})" if first.reasons else ""
    parts = [f"{who}: {first.consequence}{because}", *([what] if what else []), *_told(settings)]
    level = _LEVELS.get(first.consequence, "notice")
    return Annotation(file, line, 0, level, first.consequence.replace(" ", "-"), "; ".join(parts))


def _told(settings: list[Setting]) -> Iterator[str]:
    for setting in settings[:MOST_SETTINGS]:
        yield f"{setting.name}: {_value(setting.before)} → {_value(setting.after)}"
    if len(settings) > MOST_SETTINGS:
        yield f"and {len(settings) - MOST_SETTINGS} more settings"


def _value(value: str | None) -> str:
    line = "nothing" if value is None else " ".join(value.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
