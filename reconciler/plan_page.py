"""The difference as a page shows it: what `gitboot plan` says as text, as values that a template lays out.

Core. The law: it tells and leaves out exactly what the text does, so that it is small however much differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.changes import MEANING, Difference
from reconciler.grouping import grouped
from reconciler.plan_text import MOST_GROUPS, Row, clean, held_line, rows, site_rows, summary, title

MOST_NAMES = 20
"""Machines of a group that lead to their own pages."""


def as_page(difference: Difference) -> dict[str, Any]:
    """`groups` the gravest first; `rest`: machines in groups beyond the most that are told."""
    if not difference:
        return {"summary": "", "held": [], "groups": [], "rest": 0, "site": []}
    found = grouped(difference.machines)
    groups = []
    for group in found[:MOST_GROUPS]:
        told, untold = rows(group)
        groups.append({
            "consequence": group.consequence,
            "meaning": MEANING[group.consequence],
            "title": clean(title(group)),
            "machines": [each.machine for each in group.changes[:MOST_NAMES] if each.kind != "removed"],
            "reasons": [clean(each) for each in group.reasons],
            "rows": _rows(told),
            "untold": max(0, untold),
        })  # fmt: skip
    return {
        "summary": summary(difference),
        "held": [{"what": clean(held_line(each)), "release": clean(each.release)} for each in difference.held],
        "groups": groups,
        "rest": sum(len(group.changes) for group in found[MOST_GROUPS:]),
        "site": _rows(site_rows(difference)),
    }


def _rows(told: Iterable[Row]) -> list[dict[str, Any]]:
    """Of a long text only the lines that differ."""
    return [
        {
            "name": clean(each.name),
            "before": None if each.lines else each.before,
            "after": None if each.lines else each.after,
            "lines": list(each.lines),
        }
        for each in told
    ]
