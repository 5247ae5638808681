"""What `gitboot why` and `gitboot history` look at: an inventory with its plan and the repository that it is from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from netboot.boot import next_step
from netboot.observed import Observed
from netboot.plan import BootPlan
from netboot.plans import PlanStore
from reconciler.blame import UNCOMMITTED, Author, Line, authors
from reconciler.check import as_text
from reconciler.commands.documents import files
from reconciler.commands.reading import compiled, find_machine
from reconciler.errors import BadSource, Unavailable, UnknownRef
from reconciler.git import open_repository
from reconciler.inventory import Inventory
from reconciler.problems import Rejected
from reconciler.reader import printable
from reconciler.repository import Repository
from reconciler.sentence import Sentence
from reconciler.snapshot import Snapshot
from reconciler.source import Local, Source
from reconciler.target import lies_here, open_target, snapshot_of_folder
from reconciler.why import Next


@dataclass(frozen=True, slots=True)
class Evidence:
    """One inventory, whole, and what there is to say about its lines."""

    inventory: Inventory
    plan: BootPlan
    committed: bool
    """False: it is a folder as it lies."""
    paths: Mapping[str, str]
    """What places call a file → its path as git has it."""
    contents: Mapping[str, bytes]
    """By that."""
    repository: Repository | None
    """None: there is none, for the reason that `unknown` says."""
    revision: str
    """The commit, or for a folder as it lies the one it was checked out from."""
    unknown: str = ""
    status: Mapping[str, Any] | None = None
    """Of the machine, by a server."""

    def text(self, file: str, line: int) -> str:
        """A line of a file, or "" when it has not so many."""
        lines = self.contents.get(self.paths.get(file, ""), b"").decode("utf-8", "replace").split("\n")
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""

    def authors(self, lines: Iterable[Line]) -> dict[Line, Author]:
        """Of each line, who wrote it or why nobody can say."""
        if self.repository is None:
            return dict.fromkeys(lines, self.unknown)
        asked = {(file, line): (self.paths.get(file, file), line) for file, line in lines}
        found = authors(self.repository, self.revision, asked.values(), None if self.committed else self.contents)
        return {line: found[known] for line, known in asked.items()}

    def following(self, machine: str) -> Next:
        """By what a server saw of it, or else as for a machine that nothing was seen of."""
        if self.status is not None:
            status = self.status
            workflow = str(status["step"]["workflow"] or "")
            known = workflow if workflow in self.inventory.workflows else ""  # the status may be a moment older than the plan
            return Next(_tried(status.get("trying")) + str(status["next"]), known, _under_way(status["boot"], self.plan))
        return Next.of(next_step(self.plan, self.plan.machines[machine], Observed(), "", ""))


def _tried(trying: Mapping[str, Any] | None) -> str:
    """What comes before all that git names."""
    if trying is None or trying["state"] not in ("waiting", "running"):
        return ""
    commit = trying["revision"][:12]
    verb = "rehearses" if trying["rehearse"] else "tries"
    return f"{verb} commit {commit} once, which `--at {commit}` explains; then: "


def _under_way(boot: Mapping[str, Any] | None, plan: BootPlan) -> str:
    """What a boot that is open does, and by which plan."""
    if boot is None or boot["closed"] is not None:
        return ""
    by = "the plan that is served" if boot["plan"] == plan.id else f"plan {boot['plan'][:12]}, to which it keeps"
    since, why = boot["phases"].get(boot["phase"], boot["opened"]), boot["reason"] or "it has no script yet"
    return f"phase {boot['phase']} since {since}, by {by}; {why}"


@contextmanager
def of_target(target: str, artifacts: Path | None) -> Iterator[Evidence]:
    """Of a folder as it lies, or of a commit. Raises Sentence."""
    with _sentences(), ExitStack() as stack:
        folder = lies_here(target)
        if folder is None:
            repository = stack.enter_context(open_target(target))
            revision = repository.fetch()
            repository.deepen()
            evidence = _evidence(repository.snapshot(revision), artifacts, repository, revision)
        else:
            evidence = _evidence(snapshot_of_folder(folder), artifacts, *_around(stack, target))
        yield evidence


def _around(stack: ExitStack, folder: str) -> tuple[Repository | None, str, str]:
    """The repository that a folder is from, and the commit; or why there is none."""
    try:
        repository = stack.enter_context(open_target(f"{folder}@HEAD"))
        return repository, repository.fetch(), ""
    except UnknownRef:
        return None, "", UNCOMMITTED
    except Unavailable:
        return None, "", "in no git repository"


@contextmanager
def of_state(state: Path, machine: str, repository: str | None) -> Iterator[Evidence]:
    """What a server serves, from its state directory; `repository`: another clone of what it follows. Raises Sentence."""
    with _sentences(), files(state) as read:
        site, plan = read("reconcile.json"), _served(state)
        if site is None or plan is None or not site["revision"]:
            raise Sentence(f"{state} serves no commit yet; `gitboot status --state {state}` says why.")
        status = read(f"hardware/{find_machine(plan, machine).machine.name}.json")
        source = followed(state, site, repository)
        with closing(open_repository(source, state / "git")) as opened:
            evidence = _evidence(opened.snapshot(site["revision"]), None, opened, site["revision"])
            yield replace(evidence, plan=plan, status=status)


def _served(state: Path) -> BootPlan | None:
    store = PlanStore(state / "plans")
    try:
        plan_id = store.current_id()
        return store.load(plan_id) if plan_id else None
    except (OSError, ValueError) as error:
        raise Sentence(f"The served plan cannot be read: {error}; is {state} the server's state directory?") from None


def followed(state: Path, site: Mapping[str, Any], repository: str | None) -> Source:
    """A remote repository is in the server's mirror, as far as that goes."""
    followed = Source(repository or str(site["source"]))
    local = followed.location if isinstance(followed.location, Local) else None
    if local and not repository and not local.path.is_absolute() and not local.path.exists():
        raise Sentence(
            f"The server follows {followed.url}, which it was told in another folder than this one: name it by --repo.", 2
        )
    url = followed.url if local else str(state / "git")
    return Source(url, site["revision"], str(site["path"]))


def _evidence(
    snapshot: Snapshot, artifacts: Path | None, repository: Repository | None, revision: str, unknown: str = ""
) -> Evidence:
    inventory, plan, problems = compiled(snapshot, artifacts)
    if inventory is None or plan is None:
        raise Sentence(f"This inventory cannot be served:\n{as_text(problems)}")
    paths = {printable(entry.path): entry.path for entry in snapshot.entries}
    contents = {each.path: snapshot.contents[each.blob] for each in snapshot.entries if each.blob in snapshot.contents}
    return Evidence(inventory, plan, bool(snapshot.revision), paths, contents, repository, revision, unknown)


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except Rejected as rejected:
        raise Sentence(f"This inventory cannot be served:\n{as_text(rejected.problems)}") from None
    except (Unavailable, BadSource) as error:
        raise Sentence(str(error), 2) from None
