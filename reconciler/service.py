"""The reconciler as a service: look at git whenever it may have changed, publish, and say where things stand.

Shell. One thread owns the repository (git objects of one repository must not be shared between threads); the loop only waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from netboot.artifacts import ArtifactStore
from netboot.log import Log
from netboot.plans import PlanStore
from netboot.reconciliation import write_reconciliation
from netboot.status_documents import Reconciliation
from reconciler.git import LocalRepository, open_repository
from reconciler.problems import Problem
from reconciler.reconcile import Delayed, Outcome, Published, Reconciler, Refused
from reconciler.source import Source
from reconciler.watch import Watcher


@dataclass(frozen=True, slots=True)
class ReconcileSettings:
    source: Source
    state: Path
    artifacts: Path | None = None
    poll: float = 30.0
    """Seconds between looks at a repository that nothing else announces changes of."""
    timeout: float = 60.0
    """Seconds for any one git command."""


class Service:
    """`run` follows the repository until it is cancelled."""

    def __init__(self, settings: ReconcileSettings, log: Log) -> None:
        """Raises `Unavailable` when the mirror's place cannot be written."""
        self._settings = settings
        self._log = log
        self._plans = PlanStore(settings.state / "plans")
        self._repository = open_repository(settings.source, settings.state / "git", settings.timeout)
        artifacts = ArtifactStore(settings.artifacts, settings.state)
        self._reconciler = Reconciler(self._repository, self._plans, artifacts)
        self._word = Reconciliation(
            source=str(settings.source),
            branch=settings.source.ref,
            path=settings.source.path,
            plan=self._plans.current_id() or "",
        )

    async def run(self) -> None:
        """Never ends by a fault of the commit or the world."""
        local = self._repository if isinstance(self._repository, LocalRepository) else None
        failures = 0
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "git") as thread, contextlib.closing(self._repository):
            async with Watcher(lambda: local.directories if local else (), self._settings.poll) as watcher:
                while True:
                    outcome = await loop.run_in_executor(thread, self._look)
                    failures = failures + 1 if isinstance(outcome, Delayed) else 0
                    await watcher.wait(failures)

    def _look(self) -> Outcome:
        started = time.time()
        outcome = self._reconciler.step()
        word = _told(self._word, outcome, started)
        if outcome_changed(self._word, word):
            self._say(outcome)
        self._word = word
        with contextlib.suppress(OSError):  # the disk is full: the outcome is in the log, and is written again next time
            write_reconciliation(self._settings.state, word)
        if isinstance(outcome, Published) and outcome.changed:
            self._prune()
        self._log.flush()
        return outcome

    def _say(self, outcome: Outcome) -> None:
        match outcome:
            case Published(revision, plan, _, warnings):
                self._log.info("published", revision=revision, plan=plan, warnings=len(warnings))
            case Refused(revision, problems):
                for problem in problems:
                    self._log.warning("problem", revision=revision, problem=str(problem))
                self._log.warning("rejected", revision=revision, problems=len(problems))
            case Delayed(revision, reason):
                self._log.warning("unavailable", revision=revision, reason=reason)

    def _prune(self) -> None:
        try:
            pinned = json.loads((self._settings.state / "pinned.json").read_bytes())
        except (OSError, ValueError):
            pinned = []
        try:
            self._plans.prune(pinned)
        except (OSError, ValueError) as error:
            self._log.warning("not-pruned", reason=str(error))


def outcome_changed(before: Reconciliation, after: Reconciliation) -> bool:
    """Whether there is news: the same answer to the same commit is logged once."""
    return replace(before, last_attempt=None, last_success=None) != replace(after, last_attempt=None, last_success=None)


def _told(before: Reconciliation, outcome: Outcome, started: float) -> Reconciliation:
    """The word after a look that began at `started`."""
    word = replace(before, last_attempt=started, unavailable="")
    match outcome:
        case Published(revision, plan, _, warnings):
            return replace(word, head=revision, revision=revision, plan=plan, problems=_plain(warnings), last_success=started)
        case Refused(revision, problems):
            return replace(word, head=revision, problems=_plain(problems), last_success=started)
        case Delayed(revision, reason):
            return replace(word, head=revision or before.head, unavailable=reason)


def _plain(problems: Sequence[Problem]) -> list[dict[str, object]]:
    return [asdict(problem) for problem in problems]
