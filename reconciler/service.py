"""The reconciler as a service: look at git whenever it may have changed, publish, and say where things stand.

Shell. One look at a time, each in a thread (git objects of one repository must not be shared between threads); the loop only
waits. One service at a time owns a state directory's plans, whoever serves them. It can be stopped in the middle of anything:
what a look has not finished, the next one finds undone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec

from netboot.artifacts import ArtifactStore
from netboot.commit_status import of_commit
from netboot.log import Log
from netboot.markers import LOOK_NOW
from netboot.plans import PlanStore
from netboot.reconcile_document import Reconciliation
from netboot.reconciliation import read_reconciliation, write_reconciliation
from netboot.try_files import told
from netboot.try_status import status_of
from reconciler.changes import HeldBack
from reconciler.errors import Unavailable
from reconciler.forges import Forge
from reconciler.git import LocalRepository, open_repository
from reconciler.guard import Guard
from reconciler.mirror import Mirror
from reconciler.policing import Policing
from reconciler.problems import Problem
from reconciler.reconcile import Delayed, Outcome, Published, Reconciler, Refused, Waiting
from reconciler.reporter import Reporter
from reconciler.source import Source
from reconciler.trier import Trier
from reconciler.trust import NO_FLOOR, Floor
from reconciler.watch import Watcher

TIDY_SECONDS = 3600.0
MOST_PROBLEMS = 500
"""Of a commit, in the status."""
MOST_MACHINES = 20
"""By name, of what policy holds."""
STOP_SECONDS = 1.0
"""What a look under way has to come to its end before it is left behind."""


class Busy(Exception):
    """Another reconciler owns this state directory; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class ReconcileSettings:
    source: Source
    state: Path
    artifacts: Path | None = None
    poll: float = 30.0
    """Seconds between looks at a repository that nothing else announces changes of."""
    timeout: float = 60.0
    """Seconds for any one git command."""
    floor: Floor = NO_FLOOR
    forge: Forge | None = None
    """Who is told what became of each commit."""


class Service:
    """`run` follows the repository until it is cancelled; `close` gives the state directory back."""

    def __init__(self, settings: ReconcileSettings, log: Log) -> None:
        """Raises Busy, OSError, and `Unavailable` when the mirror's place cannot be written, or when there is neither a
        repository at a local path nor a plan that could be served meanwhile."""
        self._settings = settings
        self._log = log
        self._lock = _lock(settings.state)
        self._plans = PlanStore(settings.state / "plans")
        self._repository = open_repository(settings.source, settings.state / "git", settings.timeout)
        if isinstance(self._repository, LocalRepository) and self._plans.current_id() is None:
            _ = self._repository.directories
        self._artifacts = ArtifactStore(settings.artifacts, settings.state)
        guard = Guard(self._repository, settings.state, self._plans, settings.floor)
        policing = Policing(self._repository, settings.state, self._plans, settings.floor)
        self._reconciler = Reconciler(self._repository, self._plans, self._artifacts, guard, policing)
        self._trier = Trier(self._repository, settings.state, self._plans, self._artifacts, guard)
        self._word = _last_word(settings, self._plans.current_id() or "")
        self._reporter = Reporter(settings.state, settings.forge, log) if settings.forge else None
        self._tidied = time.monotonic()
        self._thread: threading.Thread | None = None

    async def run(self) -> None:
        """Never ends by a fault of the commit or the world."""
        local = self._repository if isinstance(self._repository, LocalRepository) else None
        if self._reporter:
            self._reporter.start()
        failures = 0
        find, marker = (lambda: local.directories if local else ()), self._settings.state / LOOK_NOW
        async with Watcher(find, self._settings.poll, marker=marker) as watcher:
            while True:
                outcome = await self._in_thread(self._look)
                failures = failures + 1 if isinstance(outcome, Delayed) else 0
                await watcher.wait(failures)

    def close(self) -> None:
        """Returns soon, whatever a look is doing: a git is killed, a download left behind."""
        self._repository.close()
        self._artifacts.stop()
        if self._reporter:
            self._reporter.close()
        if self._thread:
            self._thread.join(STOP_SECONDS)
        if not self._thread or not self._thread.is_alive():
            os.close(self._lock)  # else the end of the process gives it back

    async def _in_thread(self, work: Callable[[], Outcome]) -> Outcome:
        """In a daemon, for the end of the process must not wait for it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()

        def run() -> None:
            try:
                outcome, error = work(), None
            except Exception as failed:
                outcome, error = None, failed
            with contextlib.suppress(RuntimeError):  # the loop is gone, and nobody waits any more
                loop.call_soon_threadsafe(_settle, future, outcome, error)

        self._thread = threading.Thread(target=run, name="git", daemon=True)
        self._thread.start()
        return await future

    def _look(self) -> Outcome:
        started = time.time()
        outcome = self._reconciler.step()
        word = self._with_report(self._with_history(_told(self._word, outcome, started)))
        if outcome_changed(self._word, word) or (isinstance(outcome, Published) and outcome.changed):
            self._say(outcome)
        self._word = word
        with contextlib.suppress(OSError):  # the disk is full: the outcome is in the log, and is written again next time
            write_reconciliation(self._settings.state, word)
        self._try()
        if isinstance(outcome, Published):
            if outcome.changed:
                self._prune()
            else:
                self._tidy()
        self._log.flush_soon()
        return outcome

    def _with_report(self, word: Reconciliation) -> Reconciliation:
        """The forge is told as well, in the reporter's own time."""
        if self._reporter and (report := of_commit(word)):
            self._reporter.say(report)
        return replace(word, forge=self._reporter.trouble if self._reporter else "")

    def _try(self) -> None:
        """After what is for everybody."""
        try:
            for judged in self._trier.step():
                asked, why = judged.asked, judged.refused or judged.unavailable
                why = why or "; ".join(str(each["message"]) for each in judged.problems[:3])
                said = self._log.info if judged.plan else self._log.warning
                said("try", machine=asked.machine, ref=asked.ref, by=asked.by, revision=judged.revision, reason=why)
            for each in told(self._settings.state) if self._reporter else ():
                if self._reporter and (status := status_of(each)):
                    self._reporter.say(status)
        except OSError as error:
            self._log.warning("tries-not-judged", reason=str(error))

    def _with_history(self, word: Reconciliation) -> Reconciliation:
        """When the head moved: whether it moved on, or somebody rewrote history. A rewritten one is followed all the same."""
        before = self._word.head
        if word.head == before or not before:
            return word
        try:
            follows = self._repository.follows(word.head, before)
        except Unavailable:
            follows = None
        history = {True: "continued", False: "rewritten", None: "unknown"}[follows]
        if follows is False:
            self._log.warning("history-rewritten", revision=word.head, previous=before)
        return replace(word, previous=before, history=history)

    def _say(self, outcome: Outcome) -> None:
        match outcome:
            case Published(revision, plan, _, warnings, held):
                self._log.info("published", revision=revision, plan=plan, warnings=len(warnings))
                self._say_held(held, revision, plan)
            case Waiting(revision, plan, _, held):
                self._say_held(held, revision, plan)
            case Refused(revision, problems):
                for problem in problems:
                    self._log.warning("problem", revision=revision, problem=str(problem))
                self._log.warning("rejected", revision=revision, problems=len(problems))
            case Delayed(revision, reason, defect):
                self._log.warning("unavailable", revision=revision, reason=reason)
                if defect:
                    self._log.error("defect", revision=revision, traceback=defect)

    def _say_held(self, held: Sequence[HeldBack], revision: str, plan: str) -> None:
        for each in held:
            what = "commit-waits" if each.whole else "held"
            self._log.warning(what, revision=revision, plan=plan, rule=each.rule, why=each.why, machines=len(each.machines))

    def _prune(self) -> None:
        """Pins that cannot be read keep everything: a plan too many is on disk, and none is missing."""
        try:
            pinned = frozenset(json.loads((self._settings.state / "pinned.json").read_bytes()))
        except FileNotFoundError:
            pinned = frozenset()
        except (OSError, ValueError, TypeError, RecursionError) as error:
            self._log.warning("not-pruned", reason=f"pinned.json: {error}")
            return
        try:
            self._plans.prune(pinned | self._trier.plans)
            self._artifacts.forget(self._plans.artifacts())
        except (OSError, ValueError) as error:
            self._log.warning("not-pruned", reason=str(error))

    def _tidy(self) -> None:
        """Now and then, when there was nothing else to do."""
        if isinstance(self._repository, Mirror) and time.monotonic() - self._tidied > TIDY_SECONDS:
            self._tidied = time.monotonic()
            self._repository.tidy()


def outcome_changed(before: Reconciliation, after: Reconciliation) -> bool:
    """Whether there is news: the same answer to the same commit is logged once."""

    def lasting(word: Reconciliation) -> Reconciliation:
        return replace(word, last_attempt=None, last_success=None, forge="")

    return lasting(before) != lasting(after)


def _lock(state: Path) -> int:
    """An flock, which the kernel gives back however the process ends. Raises Busy or OSError."""
    state.mkdir(parents=True, exist_ok=True)
    file = os.open(state / "reconcile.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(file, 64).decode(errors="replace").strip() or "unknown"
        os.close(file)
        raise Busy(
            f"{state} is already followed by another gitboot (process {owner}). "
            "Stop that one, or give this one another directory with --state."
        ) from None
    os.ftruncate(file, 0)
    os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    return file


def _last_word(settings: ReconcileSettings, plan: str) -> Reconciliation:
    """Where things stood before we were started: a git server that is down must not make us forget what is served."""
    source = settings.source
    here = Reconciliation(source=str(source), branch=source.ref, path=source.path, plan=plan)
    before = read_reconciliation(settings.state)
    if before and (before.source, before.branch, before.path) == (here.source, here.branch, here.path):
        return replace(before, plan=plan, unavailable="")
    return here


def _told(before: Reconciliation, outcome: Outcome, started: float) -> Reconciliation:
    """The word after a look that began at `started`."""
    word = replace(before, last_attempt=started, unavailable="")
    match outcome:
        case Published(revision, plan, _, warnings, held):
            word = replace(word, head=revision, revision=revision, plan=plan, last_success=started)
            return replace(word, problems=_plain(warnings), held=_shown(held))
        case Waiting(revision, _, warnings, held):
            return replace(word, head=revision, problems=_plain(warnings), held=_shown(held), last_success=started)
        case Refused(revision, problems):
            served = tuple(each for each in word.held if not each["whole"])
            return replace(word, head=revision, problems=_plain(problems), held=served, last_success=started)
        case Delayed(revision, reason):
            return replace(word, head=revision or before.head, unavailable=reason)


def _shown(held: Sequence[HeldBack]) -> tuple[dict[str, object], ...]:
    """With the first machines of each by name, and how many there are."""
    return tuple(
        {**msgspec.structs.asdict(each), "machines": list(each.machines[:MOST_MACHINES]), "count": len(each.machines)}
        for each in held[:MOST_PROBLEMS]
    )


def _plain(problems: Sequence[Problem]) -> list[dict[str, object]]:
    """All of them, or the first `MOST_PROBLEMS`, errors before warnings, and how many there are besides: the status is rendered
    again with every event, beside machines that wait."""
    if len(problems) <= MOST_PROBLEMS:
        return [asdict(problem) for problem in problems]
    first = sorted(problems, key=lambda problem: problem.severity == "warning")[:MOST_PROBLEMS]
    message = f"and {len(problems) - len(first)} more problems: `gitboot check` names them all"
    return [asdict(problem) for problem in (*first, Problem("", 0, 0, "", "more-problems", first[-1].severity, message))]


def _settle(future: asyncio.Future[Outcome], outcome: Outcome | None, error: Exception | None) -> None:
    if future.done():
        return  # cancelled meanwhile
    if outcome is not None:
        future.set_result(outcome)
    else:
        future.set_exception(error or RuntimeError("a look without an outcome"))
