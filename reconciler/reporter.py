"""What is said to the forge, once each, in a thread of its own.

Shell. Law: nothing waits for the forge. A report lies in the outbox until it was taken, over restarts; what was said is
remembered, so that a restart says nothing twice. A forge that is down, slow or refuses is asked again, less and less often,
and what is wrong is one line in the log and one sentence in the status until it is mended.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from netboot import outbox
from netboot.commit_status import CommitStatus
from netboot.log import Log
from reconciler.backoff import next_delay
from reconciler.errors import Unavailable
from reconciler.forges import Answer, Barred, Forge, Later, Request, Trouble, status_request, verdict
from reconciler.web import exchange

SAID = "said"
MOST_SAID = 500
"""Subjects that are remembered; the oldest are forgotten, and nobody reports on them any more."""
IDLE = 5.0
"""Seconds between looks into the outbox, where other processes of the site put reports too."""


class _Said(msgspec.Struct, frozen=True):
    """What a forge was told last about each subject, the newest at the end."""

    forge: str
    reports: list[CommitStatus]


class Reporter:
    """`start` it, `say` what is to be said, `close` it. `trouble` is why the forge does not hear us, or ""."""

    def __init__(self, state: Path, forge: Forge, log: Log, exchange: Callable[[Request], Answer] = exchange) -> None:
        self.trouble = ""
        self._state = state
        self._forge = forge
        self._log = log
        self._exchange = exchange
        self._news = threading.Event()
        self._stopped = threading.Event()
        self._failures = 0
        self._said = {report.subject: report for report in self._remembered()}

    def start(self) -> None:
        threading.Thread(target=self._run, name="reporter", daemon=True).start()

    def close(self) -> None:
        """It is not waited for: what is not said now is said after the next start."""
        self._stopped.set()
        self._news.set()

    def say(self, report: CommitStatus) -> None:
        """Never raises: a full disk costs this report, and the same one comes again after the next start."""
        if self._said.get(report.subject) != report:
            with contextlib.suppress(OSError):
                outbox.put(self._state, report)
                self._news.set()

    def step(self) -> float:
        """Say what there is to say; seconds until it may be tried again, 0 when all was said. Never raises."""
        try:
            trouble = self._say_all()
        except OSError as error:
            trouble = Later(f"The reports in {self._state} cannot be used ({error}): mend its disk or its owner.")
        except Exception as error:  # ours; nothing but this thread may suffer from it
            trouble = Later(f"gitboot failed on a report ({error!r}): a defect; please report it.")
        if trouble is None:
            self._failures, self.trouble = 0, ""
            return 0.0
        self._failures += 1
        if trouble.reason != self.trouble:
            self.trouble = trouble.reason
            self._log.warning("forge-unavailable", reason=trouble.reason)
            self._log.flush_soon()
        pause = next_delay(self._failures, IDLE, random.random())  # noqa: S311 - spreads retries, guards nothing
        return max(pause, trouble.after) if isinstance(trouble, Later) else pause

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._news.clear()
            if pause := self.step():
                self._stopped.wait(pause)  # and no news: who asks for a pause means it
            else:
                self._news.wait(IDLE)

    def _say_all(self) -> Later | Barred | None:
        """The newest first: what a person waits for now is not held up by a commit that the forge has forgotten."""
        is_heard = False
        for path, report in outbox.waiting(self._state):
            if self._stopped.is_set():
                break
            if self._said.get(report.subject) != report:
                trouble = self._ask(report)
                forgotten = isinstance(trouble, Barred) and trouble.is_unknown and is_heard
                if isinstance(trouble, Later | Barred) and not forgotten:
                    return trouble
                if trouble is None:
                    is_heard = True
                else:
                    reason = trouble.reason
                    self._log.warning("report-refused", revision=report.revision, context=report.context, reason=reason)
                self._remember(report)
            outbox.drop(path)
        return None

    def _ask(self, report: CommitStatus) -> Trouble | None:
        try:
            answer = self._exchange(status_request(self._forge, report))
        except Unavailable as error:
            return Later(str(error))
        return verdict(self._forge, answer, time.time())

    def _remembered(self) -> list[CommitStatus]:
        """Another project is told everything anew."""
        try:
            said = msgspec.json.decode((self._state / outbox.FOLDER / SAID).read_bytes(), type=_Said)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return []
        return said.reports if said.forge == self._forge.base else []

    def _remember(self, report: CommitStatus) -> None:
        """Raises OSError; what was said is then said again after a restart, and not before."""
        self._said.pop(report.subject, None)
        self._said[report.subject] = report
        while len(self._said) > MOST_SAID:
            del self._said[next(iter(self._said))]
        partial = self._state / outbox.FOLDER / f"{SAID}.new"
        partial.write_bytes(msgspec.json.encode(_Said(self._forge.base, list(self._said.values()))))
        partial.replace(partial.with_suffix(""))
