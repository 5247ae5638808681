"""Reports to the forge, each a commit's status: a folder of small files, so that any process of a site may leave one.

Shell. A report is there from the moment `put` returns until its sender drops it, over restarts of both; only the newest about
one subject counts. The folder is bounded: what is oldest goes first, for nobody waits for it any more.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import msgspec

from netboot.commit_status import CommitStatus

FOLDER = "reports"
MOST = 200
"""Reports that wait: a forge that is down for a month must not fill a disk."""


def put(state: Path, report: CommitStatus) -> None:
    """Leave a report for whoever speaks with the forge. Raises OSError."""
    folder = state / FOLDER
    folder.mkdir(exist_ok=True)
    partial = folder / f"{time.time_ns():020}.new"
    partial.write_bytes(msgspec.json.encode(report))
    partial.replace(partial.with_suffix(".json"))


def waiting(state: Path) -> list[tuple[Path, CommitStatus]]:
    """Newest first, one for each subject. What is superseded, unreadable or too much is removed. Raises OSError."""
    newest: dict[tuple[str, str], tuple[Path, CommitStatus]] = {}
    for path in sorted((state / FOLDER).glob("*.json"), reverse=True):
        report = _read(path)
        if report is None or report.subject in newest or len(newest) >= MOST:
            drop(path)
        else:
            newest[report.subject] = path, report
    return list(newest.values())


def drop(path: Path) -> None:
    """It was said, or never can be. Raises OSError."""
    path.unlink(missing_ok=True)


def _read(path: Path) -> CommitStatus | None:
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return msgspec.json.decode(path.read_bytes(), type=CommitStatus)
    return None
