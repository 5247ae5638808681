"""A workflow at a glance: how many of its machines are in which state, and a page of them, each with its run.

Core. The law: it says what the workflow's own document says; and the query in a page's address is the whole of what decides
which machines it shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from netboot.fleet import page_of
from netboot.observed import Observed
from netboot.plan import BootPlan
from netboot.run_documents import Document, run_document, run_summary
from netboot.status_documents import standing, worst
from netboot.status_view import desired_workflow

PAGE = 50
"""Machines, or workflows, of a page."""
SLICE = 1000
"""Machines that are looked at in one go: some 5 ms."""
EARLIER = 50
"""Runs of the past that are shown."""


@dataclass(frozen=True, slots=True)
class Board:
    name: str
    number: int | None
    """Of the run that git asks for; None: git does not name the workflow any more."""
    repeat: str
    state: str
    counts: Mapping[str, int]
    machines: Sequence[Document]
    """As in the workflow's document; of one that git does not name any more its runs, the last one first."""
    earlier: Sequence[str] = ()
    """The last of its runs that are not a machine's present one, the newest first: their ids."""


def boarding(plan: BootPlan, name: str, observed: Observed, now: float) -> Generator[None, None, Board | None]:
    """None: nobody knows of it. O(its machines); it stops to let others do something after every `SLICE` of them."""
    desired = desired_workflow(plan, name, observed)
    if desired is None:
        past = [run_summary(run, run.machine) for run in reversed(observed.runs_of_workflow(name))]
        return _board(name, None, "", past) if past else None
    machines = []
    for number, carrier in enumerate(desired.machines, 1):
        machines.append(standing(name, desired, carrier, observed, now))
        if number % SLICE == 0:
            yield
    present = {machine["run"] for machine in machines}
    earlier = (run.id for run in reversed(observed.runs_of_workflow(name)) if run.id not in present)
    return replace(_board(name, desired.number, desired.repeat, machines), earlier=tuple(islice(earlier, EARLIER)))


def _board(name: str, number: int | None, repeat: str, machines: Sequence[Document]) -> Board:
    counts = Counter(str(each["state"]) for each in machines)
    return Board(name, number, repeat, worst(counts), counts, machines)


@dataclass(frozen=True, slots=True)
class Query:
    """A page's address, behind the question mark. "" or 1: not said."""

    q: str = ""
    """Part of a name."""
    state: str = ""
    page: int = 1
    axis: str = ""
    """`own`: each run from its own start on; `clock`: all by the clock; "": whichever shows more."""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Query:
        """Whatever stands there: what cannot be understood is as if it were not said."""
        axis = given.get("axis", "")
        return cls(
            q=given.get("q", "")[:200],
            state=given.get("state", ""),
            page=page_of(given.get("page", "")),
            axis=axis if axis in ("own", "clock") else "",
        )

    def but(self, **changed: object) -> str:
        """The address of a page like this one, but for that; on its first page unless that is what is changed."""
        said: dict[str, object] = {"q": self.q, "state": self.state, "axis": self.axis, **changed}
        return "?" + urlencode({key: value for key, value in said.items() if value not in ("", 1)})


@dataclass(frozen=True, slots=True)
class Shown:
    rows: Sequence[Any]
    found: int
    """Of all pages."""
    pages: int
    page: int
    """The last one, where the query asked for one behind it."""


def shown(found: Sequence[Any], page: int) -> Shown:
    """One page."""
    pages = max(1, -(-len(found) // PAGE))
    page = min(page, pages)
    return Shown(found[(page - 1) * PAGE : page * PAGE], len(found), pages, page)


def machines_of(board: Board, query: Query) -> Sequence[Document]:
    """Those that are asked for."""
    part = query.q.lower()
    if not part and not query.state:
        return board.machines
    return [each for each in board.machines if query.state in ("", each["state"]) and part in str(each["machine"]).lower()]


def run_of(machine: Document, observed: Observed) -> Document | None:
    """The whole run of one of a board's machines; None: it has not begun."""
    run = observed.runs.get(machine["run"] or "")
    return run_document(run) if run else None
