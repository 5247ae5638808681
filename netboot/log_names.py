"""Where an attempt's output is kept, whatever the workflow's author called its tasks.

Core. Law: names come from git and from agents, so they are hostile: of a name nothing enters a path but `A-Z a-z 0-9 _ - =`,
and two different names never share a path.
"""

from __future__ import annotations

import hashlib
import re
from typing import TypeAlias

from netboot.observed import Observed
from netboot.runs import Refused
from netboot.store import LogName

LONGEST = 100
"""Characters of one part of a path; file systems take 255 bytes."""

Placed: TypeAlias = LogName | Refused


def safe(name: str) -> str:
    """Injective: other bytes become `=XX` as in quoted-printable; what is too long ends in a digest of the whole."""
    quoted = re.sub(rb"[^A-Za-z0-9_-]", lambda byte: b"=%02X" % byte[0][0], name.encode(errors="surrogatepass")).decode()
    if not quoted:
        return "="
    if len(quoted) <= LONGEST:
        return quoted
    return f"{quoted[: LONGEST - 34]}=={hashlib.sha256(quoted.encode()).hexdigest()[:32]}"


def path(log: LogName) -> str:
    """`<run>/<task>/<action>.<attempt>.log`, below STATE/logs and below the URL /logs/."""
    restarted = f"reset-{log.reset}." if log.reset else ""
    return f"{safe(log.run)}/{safe(log.task)}/{safe(log.action)}.{restarted}{log.attempt}.log"


def console_log(boot: str) -> LogName:
    """What the console of a boot's system said, kept as a run's log is; no run has an id like that."""
    return LogName(f"boot-{boot}", "os", "console", 1)


def syslog_log(boot: str) -> LogName:
    """What the machine said by syslog in that boot."""
    return LogName(f"boot-{boot}", "os", "syslog", 1)


def place(observed: Observed, boot: str, run_id: str, task: str, action: str, attempt: int) -> Placed:
    """Which log an agent may write to: one of an attempt that its own run has started. Late output is welcome."""
    run = observed.runs.get(run_id)
    if run is None:
        return Refused(404, f"run {run_id} is not known here")
    if run.boot != boot:
        return Refused(410, f"run {run_id} was taken over by boot {run.boot}")
    for known in reversed(run.attempts):
        if (known.task, known.action, known.attempt) == (task, action, attempt):
            return LogName(run_id, task, action, attempt, known.reset)
    return Refused(404, f"attempt {attempt} of {task}/{action} was never started")
