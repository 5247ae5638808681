"""Two revisions of one repository, read and compiled one after the other: what they share is read and compiled once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from netboot.plan import BootPlan, digest_of
from netboot.plan import encode as as_bytes
from reconciler.check import as_text
from reconciler.commands.reading import found
from reconciler.commands.remembering import Remembered
from reconciler.compile import Compiler
from reconciler.errors import BadSource, Unavailable
from reconciler.images import Held
from reconciler.inventory import Inventory
from reconciler.memory import Memory
from reconciler.problems import Problem, Rejected
from reconciler.reader import Reader
from reconciler.repository import Repository
from reconciler.sentence import Sentence
from reconciler.snapshot import Snapshot
from reconciler.target import open_target, snapshot_of_folder
from reconciler.validate import Findings, validate


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
class Revisions:
    """One after the other, each beginning with what the one before has taught."""

    artifacts: Path | None
    memory: Memory | None
    """What an earlier comparison has left."""
    learnt: Memory | None = None
    """To be left for a later one: of the first revision, which is the one that stays."""
    _first: bool = True
    _reader: Reader = field(init=False)
    _compiler: Compiler = field(default_factory=Compiler)

    def __post_init__(self) -> None:
        self._reader = Reader(self.memory.files if self.memory else None)

    @property
    def known(self) -> frozenset[str]:
        return self._reader.known

    def read(self, snapshot: Snapshot) -> tuple[Inventory | None, BootPlan | None, tuple[Problem, ...]]:
        """What it says, what that compiles to, None when there is an error, and all its problems. Raises Rejected."""
        inventory, problems = self._reader.read(snapshot)
        if inventory is None:
            return None, None, problems
        artifacts, archives = found(inventory, self.artifacts)
        digest = digest_of(as_bytes((artifacts, archives)))
        before, self.memory = self.memory, None
        first, self._first = self._first, False
        known = before is not None and before.files.keys() == self._reader.files.keys()
        if before and before.artifacts == digest:
            self._recall(before, inventory if known else validate(Findings.of(before.files.values()), ""), archives)
            if known:
                return inventory, before.dump.plan, problems
        compiled = self._compiler.compile(inventory, artifacts, archives)
        if first and compiled.dump:
            self.learnt = Memory(self._reader.files, compiled.dump, digest)
        return inventory, compiled.dump.plan if compiled.dump else None, (*problems, *compiled.problems)

    def _recall(self, memory: Memory, inventory: Inventory | None, archives: Mapping[str, Held] | None) -> None:
        """`inventory`: what the memory is of."""
        if inventory is not None:
            self._compiler.remember(inventory, memory.dump.plan, archives)


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
    with _sentences(), open_target(f"{repo}@{asked.before}") as repository:
        base = repository.fetch()
        head = repository.resolve(asked.after) if asked.after is not None else ""
        if asked.forked:
            base = repository.merge_base(base, head)
        after = (asked.after or "the files as they lie", head)
        return sides_of(repository, (asked.before, base), after, artifacts, None if head else Path(repo))


def sides_of(
    repository: Repository, first: tuple[str, str], second: tuple[str, str], artifacts: Path | None, lies: Path | None = None
) -> tuple[Side, Side]:
    """Each by what it is called and its commit; `lies`: the folder that is the second one. Raises Sentence and Unavailable."""
    place = Remembered(f"{repository.source}\0{repository.source.path}")
    revisions = Revisions(artifacts, place.recall())
    before = _side(*first, revisions, repository.snapshot(first[1], revisions.known))
    snapshot = snapshot_of_folder(lies) if lies else repository.snapshot(second[1], revisions.known)
    after = _side(*second, revisions, snapshot)
    if before.plan is None and not _is_empty(before):
        raise Sentence(f"{before.called} cannot be served, so that nothing can be compared to it:\n{as_text(before.problems)}")
    if after.plan is None:
        raise Sentence(f"{after.called} cannot be served, and a server would go on as before:\n{as_text(after.problems)}")
    if revisions.learnt:
        place.keep(revisions.learnt)
    return before, after


def _side(called: str, revision: str, revisions: Revisions, snapshot: Snapshot) -> Side:
    named = f"{called} ({revision[:12]})" if revision and not revision.startswith(called) else called
    try:
        return Side(named, revision, *revisions.read(snapshot), snapshot)
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
