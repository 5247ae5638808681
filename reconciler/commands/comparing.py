"""Two revisions of one repository, read and compiled one after the other: what they share is read and compiled once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from netboot.plan import BootPlan
from reconciler.check import as_text
from reconciler.commands.reading import compile_found
from reconciler.compile import Compiler
from reconciler.errors import BadSource, Unavailable
from reconciler.inventory import Inventory
from reconciler.problems import Problem, Rejected
from reconciler.reader import Reader
from reconciler.sentence import Sentence
from reconciler.snapshot import Snapshot
from reconciler.target import open_target, snapshot_of_folder


@dataclass(frozen=True, slots=True)
class Range:
    """`before` and `after` as git names them."""

    before: str
    after: str | None
    """None: the files as they lie."""
    forked: bool = False
    """`A...B`: what is compared is not A, but where B left it."""


def range_of(text: str) -> Range:
    """`A..B`, `A...B`, or `A` alone, which is compared to the files as they lie. Nothing on either side of the dots is HEAD."""
    before, dots, after = text.partition("..")
    if not dots:
        return Range(text, None)
    return Range(before or "HEAD", after.removeprefix(".") or "HEAD", after.startswith("."))


@dataclass(slots=True)
class Compiled:
    """One after the other."""

    artifacts: Path | None
    _reader: Reader = field(default_factory=Reader)
    _compiler: Compiler = field(default_factory=Compiler)

    @property
    def known(self) -> frozenset[str]:
        return self._reader.known

    def plan(self, snapshot: Snapshot) -> tuple[Inventory | None, BootPlan | None, tuple[Problem, ...]]:
        """As `reading.read`, and what it was compiled from."""
        inventory, problems = self._reader.read(snapshot)
        if inventory is None:
            return None, None, problems
        return inventory, *compile_found(self._compiler, inventory, self.artifacts, problems)


@dataclass(frozen=True, slots=True)
class Side:
    called: str
    """As it was asked for, with its commit."""
    revision: str
    inventory: Inventory | None
    plan: BootPlan | None
    problems: tuple[Problem, ...]
    snapshot: Snapshot


def sides(repo: str, asked: Range, artifacts: Path | None) -> tuple[Side, Side]:
    """The second has a plan; the first has none where there is no inventory. Raises Sentence."""
    compiled = Compiled(artifacts)
    with _sentences(), open_target(f"{repo}@{asked.before}") as repository:
        base = repository.fetch()
        head = repository.resolve(asked.after) if asked.after is not None else ""
        if asked.forked:
            base = repository.merge_base(base, head)
        before = _side(asked.before, base, compiled, repository.snapshot(base, compiled.known))
        snapshot = repository.snapshot(head, compiled.known) if head else snapshot_of_folder(Path(repo))
        after = _side(asked.after or "the files as they lie", head, compiled, snapshot)
    if before.plan is None and not _is_empty(before):
        raise Sentence(f"{before.called} cannot be served, so that nothing can be compared to it:\n{as_text(before.problems)}")
    if after.plan is None:
        raise Sentence(f"{after.called} cannot be served, and a server would go on as before:\n{as_text(after.problems)}")
    return before, after


def _side(called: str, revision: str, compiled: Compiled, snapshot: Snapshot) -> Side:
    named = f"{called} ({revision[:12]})" if revision and not revision.startswith(called) else called
    try:
        return Side(named, revision, *compiled.plan(snapshot), snapshot)
    except Rejected as rejected:
        return Side(named, revision, None, None, rejected.problems, snapshot)


def _is_empty(side: Side) -> bool:
    return [problem.code for problem in side.problems] == ["empty-inventory"]


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except (Unavailable, BadSource) as error:
        raise Sentence(str(error)) from None
