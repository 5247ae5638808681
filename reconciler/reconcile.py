"""Reconcile: bring the served plan to what git says.

Shell. The whole flow of a commit is `Reconciler.step`: fetch, read, compile, publish. Each step ends in an outcome that says
whose turn it is: a rejected commit waits for the next commit, an unavailable world is tried again, and neither changes what
is served.
"""

from __future__ import annotations

import traceback
from collections import ChainMap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from netboot.artifacts import ArtifactStore, MirrorError
from netboot.errors import Malformed
from netboot.plan import Artifact
from netboot.plans import PlanStore, Revision
from reconciler.changes import HeldBack
from reconciler.compile import Compiled, Compiler
from reconciler.errors import Unavailable
from reconciler.guard import Guard
from reconciler.images import Held
from reconciler.inventory import Inventory
from reconciler.policing import Policing
from reconciler.problems import Problem, Rejected
from reconciler.reader import Reader
from reconciler.repository import Repository


@dataclass(frozen=True, slots=True)
class Published:
    """The revision is served. `changed` is False when it compiled to the plan that was served already."""

    revision: str
    plan: str
    changed: bool
    warnings: tuple[Problem, ...]
    held: tuple[HeldBack, ...] = ()
    """What policy holds of it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Policy's word: nothing changed, until the plan is approved or there is another commit."""

    revision: str
    plan: str
    warnings: tuple[Problem, ...]
    held: tuple[HeldBack, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The commit's fault: nothing changed, and nothing will until there is another commit."""

    revision: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Delayed:
    """The world's fault: tried again. `revision` is "" when not even that could be had."""

    revision: str
    reason: str
    defect: str = ""
    """A traceback, when it was nobody's fault but ours."""


Outcome = Published | Waiting | Refused | Delayed
_MENDED_OUTSIDE = ("missing-artifact", "bad-archive", "duplicate-image", "untrusted-commit", "untrusted-history")
"""Faults that another file in the artefact folder, or a signed tag, mends, without another commit."""


class Reconciler:
    """Reads one repository into one plan store. Not safe for two threads at once."""

    def __init__(
        self, repository: Repository, plans: PlanStore, artifacts: ArtifactStore, guard: Guard, policing: Policing
    ) -> None:
        self._repository = repository
        self._guard = guard
        self._policing = policing
        self._plans = plans
        self._artifacts = artifacts
        self._reader = Reader()
        self._compiler = Compiler()
        self._firmware: tuple[str, ...] = ()
        """Folders of which every file belongs to the plan, as of the last commit that was read."""
        self._settled: tuple[str, Mapping[str, Artifact], Outcome] | None = None
        self._places: dict[str, bytes] = {}
        """Shards of provenance that the compiler handed out, of a commit that was rejected or could not be written."""

    def step(self) -> Outcome:
        """One look at git. Never raises: a commit that we cannot digest must not end a server either."""
        revision = ""
        try:
            self._policing.mend()
            revision = self._repository.fetch()
            if (outcome := self._unchanged(revision)) is not None:
                return outcome
            untrusted = self._guard.admit(revision)
            inventory, problems = self._read(revision)
            artifacts = self._find(inventory)
            archives = archives_of(inventory, artifacts, self._artifacts)
            outcome = self._publish(revision, self._compiler.compile(inventory, artifacts, archives), untrusted + problems)
            self._settled = (revision, artifacts, outcome)
            return outcome
        except Rejected as rejected:
            outcome = Refused(revision, rejected.problems)
            self._settled = (revision, {}, outcome)
            return outcome
        except (Unavailable, MirrorError) as error:
            return Delayed(revision, str(error))
        except OSError as error:
            return Delayed(revision, f"A file cannot be used ({error}); free space, or mend its disk or its permissions.")
        except Exception as error:
            self._reader, self._compiler = Reader(), Compiler()  # whatever they remember may be half of something
            reason = f"gitboot failed on this commit ({error!r}): a defect; please report it with the log's traceback"
            return Delayed(revision, reason, "".join(traceback.format_exception(error)))

    def _unchanged(self, revision: str) -> Outcome | None:
        """The last outcome, when neither the commit nor a local artefact it names has changed, and the plan is still whole."""
        if self._settled is None or self._settled[0] != revision:
            return None
        _, artifacts, outcome = self._settled
        if isinstance(outcome, Refused) and any(problem.code in _MENDED_OUTSIDE for problem in outcome.problems):
            return None
        local = [path for path in artifacts if not _is_url(path)] + self._below(self._firmware)
        if self._artifacts.find(local) != {path: artifacts.get(path) for path in local}:
            return None
        if isinstance(outcome, Published) and not self._is_served(outcome.plan):
            return None
        return replace(outcome, changed=False) if isinstance(outcome, Published) else outcome

    def _read(self, revision: str) -> tuple[Inventory, tuple[Problem, ...]]:
        inventory, problems = self._reader.read(self._repository.snapshot(revision, self._reader.known))
        if inventory is None:
            raise Rejected(problems)
        return inventory, problems

    def _find(self, inventory: Inventory) -> dict[str, Artifact]:
        self._firmware = tuple(inventory.firmware)
        return artifacts_of(inventory, self._artifacts)

    def _below(self, folders: Iterable[str]) -> list[str]:
        return [path for folder in folders for path in self._artifacts.below(folder)]

    def _publish(self, revision: str, compiled: Compiled, problems: tuple[Problem, ...]) -> Outcome:
        problems = tuple(sorted({*problems, *compiled.problems}))
        buckets = dict(compiled.provenance.buckets)
        known = ChainMap(dict(self._places), compiled.provenance.shards)  # type: ignore[arg-type] # is only read
        self._places = {digest: known[digest] for digest in self._plans.lacking(buckets.values()) if digest in known}
        if compiled.dump is None:
            raise Rejected(problems)
        plan = compiled.dump.plan.id
        changed = not self._is_served(plan)
        self._guard.weigh(revision, compiled.dump.plan)
        judged = self._policing.judge(revision, compiled.dump.plan)
        problems = (*problems, *judged.problems)
        if judged.waits:
            return Waiting(revision, plan, problems, judged.said)
        self._guard.keep(revision, compiled.dump.plan.site.trust, judged.holds)
        if changed:
            self._plans.publish(
                compiled.dump, self._plans.current_id() == plan, judged.holds
            )  # it is damaged if it is the same
        elif judged.holds != self._plans.holds(plan):
            self._plans.write_holds(judged.holds)
        self._plans.write_revision(Revision(revision, plan, buckets), self._places)
        self._places = {}
        return Published(revision, plan, changed, problems, judged.said)

    def _is_served(self, plan: str) -> bool:
        """Whether it is the current plan, and whole."""
        return self._plans.current_id() == plan and not self._plans.damage(plan)


def artifacts_of(inventory: Inventory, store: ArtifactStore) -> dict[str, Artifact]:
    """Everything the plan needs is here before the plan is: local files hashed, URLs with a digest mirrored.

    Raises MirrorError and OSError.
    """
    references = [reference for profile in inventory.profiles.values() for reference in profile.references]
    paths = [reference.path for reference in references if reference.path]
    firmware = [path for folder in inventory.firmware for path in store.below(folder)]
    found = store.find([*paths, *inventory.site.images.archives, *firmware])
    for reference in references:
        if reference.url and reference.sha256:
            found[reference.url] = store.fetch(reference.url, reference.sha256)
    return found


def archives_of(inventory: Inventory, found: Mapping[str, Artifact], store: ArtifactStore) -> dict[str, Held]:
    """What those of the site's archives hold that were found. Raises MirrorError and OSError."""
    archives: dict[str, Held] = {}
    for path in inventory.site.images.archives:
        if (artifact := found.get(path)) is not None:
            try:
                archives[path] = Held(artifact, store.images(artifact))
            except Malformed as malformed:
                archives[path] = Held(artifact, (), str(malformed))
    return archives


def _is_url(path: str) -> bool:
    return "://" in path
