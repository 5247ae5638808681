"""The fleet at a glance: a row for each machine, and which of them are asked for.

Core. The law: a row says what the machine's own document says, shorter; and the query in a page's address is the whole of what
decides which rows it shows, so that an address can be kept and sent to somebody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any
from urllib.parse import urlencode

import msgspec

from netboot.boot import Plans, next_step, sentence_of
from netboot.heard import Heard
from netboot.issues import Issue, Moment, of_machine
from netboot.observed import Observed
from netboot.plan import BootPlan, Machine
from netboot.records import RunStatus
from netboot.run_documents import Document, rfc3339

FLEET_PATH = "fleet.json"
PAGE = 100
"""Rows of a page."""
SLICE = 250
"""Machines that are looked at in one go: some 5 ms."""
SORTS = ("name", "phase", "state", "issue", "seen")
AWAY = "away"
"""Instead of a phase, while no boot is open: powered off, or in its own system."""


class Row(msgspec.Struct, frozen=True):
    name: str
    address: str = ""
    labels: Mapping[str, str] = {}
    phase: str = AWAY
    workflow: str = ""
    state: str = ""
    done: int = 0
    """Actions, of `total`."""
    total: int = 0
    issues: tuple[str, ...] = ()
    """Kinds, the first found first."""
    seen: float = 0.0
    """Seconds since the epoch; 0: never."""
    next: str = ""
    """What it would do if it booted now, and why, for people (`boot.next_step`)."""

    @property
    def words(self) -> str:
        """What a search looks in."""
        return " ".join((self.name, self.address, *(f"{key}={value}" for key, value in self.labels.items()))).lower()


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """All machines at one moment, in order of name."""

    rows: Sequence[Row] = ()
    issues: Sequence[Issue] = ()


def surveying(plans: Plans, observed: Observed, hold: str, heard: Heard, now: float) -> Generator[None, None, Survey]:
    """Stops to let others do something after every `SLICE` machines, each of which is seen as it is then."""
    at, rows, found = Moment.of(hold, heard, now), list[Row](), list[Issue]()
    for number, (_, machine) in enumerate(sorted(plans.current.machines.items()), 1):
        issues = list(of_machine(plans, machine, observed, at))
        rows.append(_row(plans.current, machine, observed, hold, heard, issues))
        found += issues
        if number % SLICE == 0:
            yield
    return Survey(rows, found)


def _row(plan: BootPlan, machine: Machine, observed: Observed, hold: str, heard: Heard, issues: Iterable[Issue]) -> Row:
    boot, runs = observed.last_boot_of(machine.name), observed.runs_of(machine.name, machine.macs)
    run = next((each for each in reversed(runs) if each.active), runs[-1] if runs else None)
    is_open = boot is not None and boot.closed is None
    step = next_step(plan, machine, observed, hold, boot.id if boot and is_open else "")
    return Row(
        name=machine.name,
        address=_address(machine, observed, heard),
        labels=machine.labels,
        phase=boot.phase if boot and is_open else AWAY,
        workflow=run.workflow if run else "",
        state=run.state if run else "",
        done=len(run.done()) if run else 0,
        total=_actions(run) if run else 0,
        issues=tuple(dict.fromkeys(each.kind for each in issues)),
        seen=boot.last_seen if boot else 0.0,
        next=sentence_of(step),
    )


def _address(machine: Machine, observed: Observed, heard: Heard) -> str:
    given, lent = (each.address for each in machine.interfaces), (observed.address_of.get(mac) for mac in machine.macs)
    return next(filter(None, chain(given, lent, map(heard.address_of, machine.macs))), "")


def _actions(run: RunStatus) -> int:
    return sum(len(task.actions) for task in run.document.tasks)


# What is asked for --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Query:
    """A page's address, behind the question mark. "" or 1: not said."""

    q: str = ""
    """Words that all have to be found in name, address or labels."""
    phase: str = ""
    state: str = ""
    issue: str = ""
    """The kind of an issue, or `any`."""
    sort: str = "name"
    page: int = 1
    by: str = ""
    """The label that the map is made by."""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Query:
        """Whatever stands there: what cannot be understood is as if it were not said."""
        return cls(
            q=given.get("q", "")[:200],
            phase=given.get("phase", ""),
            state=given.get("state", ""),
            issue=given.get("issue", ""),
            sort=sort if (sort := given.get("sort", "")) in SORTS else "name",
            page=page_of(given.get("page", "")),
            by=given.get("by", "")[:200],
        )

    def but(self, **changed: object) -> str:
        """The address of a page like this one, but for that; on its first page unless that is what is changed."""
        said: dict[str, object] = {
            "q": self.q, "phase": self.phase, "state": self.state, "issue": self.issue, "sort": self.sort, "by": self.by
        }  # fmt: skip
        said |= changed
        return "/?" + urlencode({key: value for key, value in said.items() if value not in ("", "name", 1)})


def page_of(text: str) -> int:
    """The number of a page, from 1, as an address has it; 1 for what is none."""
    return max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) < 7 else 1


@dataclass(frozen=True, slots=True)
class Shown:
    rows: Sequence[Row]
    found: int
    """Of all pages."""
    pages: int
    page: int
    """The last one, where the query asked for one behind it."""


def matching(rows: Iterable[Row], query: Query) -> list[Row]:
    """What is meant, of all pages, in the order that is asked for. `rows`: in order of name."""
    words = query.q.lower().split()
    found = [row for row in rows if _is_meant(row, query) and all(word in row.words for word in words)]
    return found if query.sort == "name" else sorted(found, key=_ORDER[query.sort])


def select(found: Sequence[Row], query: Query) -> Shown:
    """One page of what is `matching`."""
    pages = max(1, -(-len(found) // PAGE))
    page = min(query.page, pages)
    return Shown(found[(page - 1) * PAGE : page * PAGE], len(found), pages, page)


_ORDER: Mapping[str, Callable[[Row], Any]] = {
    "phase": lambda row: (row.phase == AWAY, row.phase),
    "state": lambda row: (row.state == "", row.state),
    "issue": lambda row: (not row.issues, row.issues),
    "seen": lambda row: -row.seen,
}


def _is_meant(row: Row, query: Query) -> bool:
    return (
        query.phase in ("", row.phase)
        and query.state in ("", row.state)
        and (not query.issue or query.issue in row.issues or (query.issue == "any" and bool(row.issues)))
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """Over all machines, whatever is asked for: what there is to be asked for."""

    machines: int = 0
    phases: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, int] = field(default_factory=dict)
    issues: Mapping[str, int] = field(default_factory=dict)
    labels: Sequence[str] = ()
    """Keys, in order."""


def counts_of(rows: Sequence[Row]) -> Counts:
    return Counts(
        len(rows),
        Counter(row.phase for row in rows),
        Counter(row.state for row in rows if row.state),
        Counter(kind for row in rows for kind in row.issues),
        sorted({key for row in rows for key in row.labels}),
    )


def map_of(rows: Iterable[Row], label: str) -> dict[str, list[Row]]:
    """The machines by the value of a label, "" where they have none, in order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.labels.get(label, ""), []).append(row)
    return dict(sorted(found.items()))


@lru_cache(maxsize=1)
def fleet_document(plan: str, survey: Survey) -> Document:
    """`/status/fleet.json`, as `schemas/status-fleet.json` has it; not to be changed. `plan`: the id of what is served."""
    counts = counts_of(survey.rows)
    return {
        "apiVersion": "gitboot/v1",
        "kind": "Fleet",
        "plan": plan,
        "counts": {"phases": dict(counts.phases), "states": dict(counts.states), "issues": dict(counts.issues)},
        "machines": [_entry(row) for row in survey.rows],
    }


def _entry(row: Row) -> Document:
    return {
        "name": row.name,
        "address": row.address or None,
        "labels": dict(row.labels),
        "phase": row.phase,
        "workflow": row.workflow or None,
        "state": row.state or None,
        "done": row.done,
        "total": row.total,
        "issues": list(row.issues),
        "lastSeen": rfc3339(row.seen) if row.seen else None,
        "next": row.next,
    }
