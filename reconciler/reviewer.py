"""Answers to what pages ask of the repository, each worked out by a process of its own.

Shell. The law: whatever a commit holds, it costs the server no more than the bounds below: one process at a time, behind
whoever serves machines for the processor, killed at its deadline or its memory's end; and so many answers are kept, until
what they rest on is another. A git that it runs just then has a session of its own and is not killed with it: it reads what
is on disk, for nobody any more, and ends where it is through or says the next thing.
"""

from __future__ import annotations

import asyncio
import errno
import json
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import reconciler
from netboot.log import Log
from netboot.review import Document, NotAnswered, Question
from reconciler.gitprocess import TimedOut, TooMuchOutput, exchange, kill_group, reap

SECONDS = 120.0
"""From the start of a process to its end."""
PATIENCE = 3.0
"""Until whoever asks is told to ask again."""
ORPHANED = 5
"""Seconds after its deadline until a process ends by itself, should there be nobody any more who kills it."""
MEMORY = 4 << 30
LONGEST = 8 << 20
"""Bytes of an answer."""
_CHILD = f"""import sys
sys.path.insert(0, {str(Path(reconciler.__file__).parents[1])!r})
from reconciler.commands.reviewing import main
main()"""
"""The very code that asks, wherever it was started from."""
MOST_WAITING, MOST_KEPT = 8, 32
FRESH_SECONDS = 60.0
"""For which an answer is kept that is not sure to last."""


class ChildReviewer:
    """Of one state directory. `close` ends what is under way."""

    def __init__(
        self, state: Path, log: Log, floor: Path | None = None, seconds: float = SECONDS, patience: float = PATIENCE
    ) -> None:
        self._log = log
        self._told = {"state": str(state), "floor": str(floor or ""), "memory": MEMORY, "seconds": int(seconds) + ORPHANED}
        self._seconds, self._patience = seconds, patience
        self._turn = asyncio.Semaphore(1)
        self._guard = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._asked: dict[Question, asyncio.Task[Document]] = {}
        self._kept: OrderedDict[Question, tuple[float, Document]] = OrderedDict()
        """With the moment until which they are, by the monotonic clock."""

    async def ask(self, question: Question) -> Document | None:
        """As `netboot.review.Reviewer` has it."""
        if (known := self._known(question)) is None:
            task = self._asked.get(question) or self._begin(question)
            done, _ = await asyncio.wait([task], timeout=self._patience)
            if not done:
                return None
            known = task.result()
        if "trouble" in known:
            raise NotAnswered(str(known["trouble"]))
        return known

    def close(self) -> None:
        with self._guard:
            self._closed = True
            if self._running is not None:
                kill_group(self._running)

    def _known(self, question: Question) -> Document | None:
        until, document = self._kept.get(question, (0.0, {}))
        if until < time.monotonic():
            return None
        self._kept.move_to_end(question)
        return document

    def _begin(self, question: Question) -> asyncio.Task[Document]:
        if len(self._asked) >= MOST_WAITING:
            raise NotAnswered("Too much is asked at once; load this page again in a minute.")
        task = asyncio.create_task(self._work(question), name=f"review {question.kind}")
        self._asked[question] = task
        task.add_done_callback(lambda _: self._asked.pop(question, None))
        return task

    async def _work(self, question: Question) -> Document:
        async with self._turn:
            document = await asyncio.to_thread(self._run, question)
        if "defect" in document:
            self._log.error("defect", what=question.kind, traceback=str(document["defect"]))
        until = float("inf") if document.get("lasts") else time.monotonic() + FRESH_SECONDS
        self._kept[question] = (until, document)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return document

    def _run(self, question: Question) -> dict[str, Any]:
        asked = {**self._told, "kind": question.kind, "subject": question.subject, "at": question.at}
        try:
            process = self._start()
        except OSError as error:
            return {"trouble": f"It cannot be worked out here ({error.strerror}); ask on the command line."}
        try:
            output, complaint = exchange(process, json.dumps(asked).encode(), LONGEST, time.monotonic() + self._seconds)
        except TimedOut:
            return {"trouble": f"It takes longer than the {self._seconds:g} s that a page may have; ask on the command line."}
        except TooMuchOutput:
            return {"trouble": "The answer is too long for a page; ask on the command line."}
        finally:
            kill_group(process)
            reap(process)
        return {"trouble": "The server ends."} if self._closed else _document(output, complaint)

    def _start(self) -> subprocess.Popen[bytes]:
        """Raises OSError."""
        with self._guard:
            if self._closed:
                raise OSError(errno.ESHUTDOWN, "the server ends")
            pipe = subprocess.PIPE
            command = [sys.executable, "-P", "-c", _CHILD]
            self._running = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
            return self._running


def _document(output: bytes, complaint: bytes) -> dict[str, Any]:
    """`complaint`: what the process said beside it."""
    try:
        document = json.loads(output)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        trouble = "It could not be worked out here, for lack of memory or by a defect; ask on the command line."
        return {"trouble": trouble, "defect": complaint.decode(errors="replace")}
    return document
