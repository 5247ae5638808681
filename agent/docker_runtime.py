"""Runs one action as a container, and finds it again: `agent.runtime.Runtime` on a container engine.

Shell; the SDK behind `agent.engine` apart, standard library only. Laws: before an attempt is started, nothing else of its run
is left in the engine; a container is started only by the thread that made it, so one that an earlier agent made and did not
start never starts; an end is written down, with the whole log, before the container is removed.

STATE/<run>/<task>/<action>.<attempt>/log   what the container wrote, after our own lines about its image
                                      exit  {"exit_code", "signal", "reason", "ran"}, when it has ended
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from agent import supervisor
from agent.commands import Exited, Found, NotFound
from agent.container import (
    GRACE,
    KEPT_LOG,
    OFFSET_LABEL,
    Around,
    container_name,
    exit_of,
    has_begun,
    kills_for_memory,
    ran,
    specification,
)
from agent.engine import Engine, Refused, Unavailable
from agent.given import NOTHING, Given
from agent.images import Images, NotHad
from agent.logs import OURS
from agent.memory import MEMORY, lay_out, remove
from agent.messages import Attempt
from agent.runtime import directory_of, place_of, read_end, seconds_since
from agent.scrub import Scrubber, Stream
from agent.workflow import Action

PATIENCE = 120.0
"""Seconds for which an engine may be away before what it runs is given up."""
LOOK = 30.0
"""Seconds after which we look again whether a container still runs, should its end have passed unheard."""
VMSTAT = Path("/proc/vmstat")
LOG_PATIENCE = 20.0
"""Seconds for which the rest of a log may hold up its action's end."""

T = TypeVar("T")


@dataclass(slots=True)
class _Beginning:
    """`claimed` by the one who decides whether the container starts: the thread that makes it, or whoever stops it before."""

    done: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    claimed: bool = False

    def claim(self) -> bool:
        with self.lock:
            first, self.claimed = not self.claimed, True
        return first


class DockerRuntime:
    def __init__(
        self,
        state: Path,
        around: Around,
        engine: Engine,
        images: Images,
        patience: float = PATIENCE,
        scrubber: Scrubber | None = None,
        memory: Path = MEMORY,
    ) -> None:
        self._directory = directory_of(state, around.run)
        self._around = around
        self._engine = engine
        self._images = images
        self._patience = patience
        self._scrubber = scrubber or Scrubber()
        self._memory = memory / self._directory.name
        self._pause = time.sleep
        self._beginnings: dict[Attempt, _Beginning] = {}
        self._kills: dict[Attempt, int] = {}
        """The kernel's count when the attempt was started; an agent that came later does not know it."""
        self._threads: dict[Attempt, threading.Thread] = {}
        self._logs: dict[Attempt, threading.Thread] = {}

    # The runtime

    def start(self, attempt: Attempt, action: Action, command: tuple[str, ...], given: Given = NOTHING) -> None:
        shutil.rmtree(self._place(attempt), ignore_errors=True)  # of the time before a reset of the machine
        self._place(attempt).mkdir(parents=True, mode=0o700)
        self._beginnings[attempt] = _Beginning()
        self._threads[attempt] = threading.Thread(target=self._begin, args=(attempt, action, command, given), daemon=True)
        self._threads[attempt].start()

    def begun(self, attempt: Attempt) -> None:
        self._beginnings[attempt].done.wait()

    def find(self, attempt: Attempt) -> Found | NotFound:
        if ended := self._written_end(attempt):
            return ended
        try:
            state = self._insist(lambda: self._engine.state(self._name(attempt)))
            if state is None:
                return NotFound("the agent stopped before the action began")
            if has_begun(state):
                self._follow_log(attempt)
            elif not state.get("Error"):
                self._insist(lambda: self._engine.remove(self._name(attempt)))
                return NotFound("the agent stopped before the action began")
            return self._settle(attempt, state) or Found(_running_for(state))
        except (Refused, Unavailable) as error:
            return NotFound(f"nobody knows what became of it: {error}")

    def wait(self, attempt: Attempt) -> Exited:
        while True:
            if (ended := self._written_end(attempt)) and ended.ended:
                return ended.ended
            try:
                state = self._insist(lambda: self._engine.state(self._name(attempt)))
            except (Refused, Unavailable) as error:
                return Exited(None, reason=f"it was lost: {error}")
            if state is None:
                return Exited(None, reason="its container was removed by somebody else")
            if self._settle(attempt, state) is None:
                with suppress(Refused, Unavailable):  # then we look again
                    self._engine.wait(self._name(attempt), LOOK)

    def kill(self, attempt: Attempt) -> None:
        beginning = self._beginnings.get(attempt)
        if beginning and beginning.claim():  # its image may take long; nobody waits for that now
            self._write_end(attempt, Exited(None, reason="stopped before it began"))
            beginning.done.set()
        else:
            threading.Thread(target=self._stop, args=(attempt,), daemon=True).start()

    def log(self, attempt: Attempt) -> Path:
        return self._place(attempt) / "log"

    def clear(self) -> None:
        with suppress(Refused, Unavailable):
            self._remove_all()
        shutil.rmtree(self._directory, ignore_errors=True)

    # The beginning

    def _begin(self, attempt: Attempt, action: Action, command: tuple[str, ...], given: Given) -> None:
        beginning = self._beginnings[attempt]
        try:
            self._insist(self._remove_all)
            image = self._images.get(action, lambda line: self._say(attempt, line), given.login)
        except (NotHad, Refused, Unavailable, OSError) as error:
            if beginning.claim():
                self._write_end(attempt, Exited(None, reason=str(error)))
        else:
            if beginning.claim():
                self._run(attempt, action, command, image, given)
        finally:
            beginning.done.set()

    def _run(self, attempt: Attempt, action: Action, command: tuple[str, ...], image: str, given: Given) -> None:
        name, log = self._name(attempt), self.log(attempt)
        offset = log.stat().st_size if log.exists() else 0
        driver, secrets = self._engine.log_driver, given.environment
        try:
            files = lay_out(self._memory / name, given.files)
            made = specification(self._around, attempt, action, command, image, offset, driver, secrets, files)
            self._engine.create(name, made)
            self._kills[attempt] = _kills()
            self._engine.start(name)
        except (Refused, Unavailable, OSError) as error:
            self._write_end(attempt, Exited(None, reason=f"its container could not be started: {error}"))
            with suppress(Refused, Unavailable):
                self._insist(lambda: self._engine.remove(name))  # it may have been started and our answer lost
            remove(self._memory / name)
        else:
            self._follow_log(attempt)

    def _remove_all(self) -> None:
        for name in self._engine.of_run(self._around.run):
            self._engine.remove(name)
        remove(self._memory)

    # The end

    def _settle(self, attempt: Attempt, state: Mapping[str, Any]) -> Found | None:
        """Write down the end of a container that has ended, and remove it: what it wrote inside itself is in memory here."""
        kills = _kills()
        ended = exit_of(state, starved=kills > self._kills.get(attempt, kills))
        if ended is None:
            return None
        if follower := self._logs.pop(attempt, None):
            follower.join(LOG_PATIENCE)
        found = Found(ran(state), ended)
        self._write_end(attempt, ended, found.ran)
        with suppress(Refused, Unavailable):  # the next start, or `clear`, does it
            self._engine.remove(self._name(attempt))
        remove(self._memory / self._name(attempt))
        return found

    def _stop(self, attempt: Attempt) -> None:
        """Until the engine has done it, or for as long as anybody waits for that."""
        if beginning := self._beginnings.get(attempt):
            beginning.done.wait()
        with suppress(Refused, Unavailable):
            self._insist(lambda: self._engine.stop(self._name(attempt), GRACE))

    def _write_end(self, attempt: Attempt, ended: Exited, ran: float = 0.0) -> None:
        reason = self._scrubber.text(ended.reason)
        document = {"exit_code": ended.exit_code, "signal": ended.signal, "reason": reason, "ran": ran}
        supervisor.write_whole(self._place(attempt) / "exit", document)

    def _written_end(self, attempt: Attempt) -> Found | None:
        return read_end(self._place(attempt))

    # Logs

    def _follow_log(self, attempt: Attempt) -> None:
        self._logs[attempt] = threading.Thread(target=self._copy_log, args=(attempt,), daemon=True)
        self._logs[attempt].start()

    def _copy_log(self, attempt: Attempt) -> None:
        """Until it is whole or the container is gone; over and over while the engine comes and goes."""
        while True:
            try:
                if self._copy_to_its_end(attempt):
                    return
                self._engine.wait(self._name(attempt), 1.0)
            except Refused:  # it was removed meanwhile
                return
            except (Unavailable, OSError):
                self._pause(1.0)

    def _copy_to_its_end(self, attempt: Attempt) -> bool:
        """Append what the log lacks; whether it is whole now.

        An engine stops telling when the container ends, which may be before its last words are written down. So only what it
        tells of a container that had ended before is all there is.
        """
        state = self._engine.state(self._name(attempt))
        if state is None:
            return True
        stream, whole = self._scrubber.stream(), exit_of(state) is not None
        with self.log(attempt).open("ab") as log:
            known = log.tell() - int(state["Labels"].get(OFFSET_LABEL, 0))
            for chunk in self._clean(self._name(attempt), stream, whole):
                log.write(chunk[max(0, known) :][: max(0, KEPT_LOG - log.tell())])
                log.flush()
                known -= len(chunk)
        return whole

    def _clean(self, name: str, stream: Stream, whole: bool) -> Iterator[bytes]:
        """Its output from the beginning, scrubbed; what is held back until we know how it goes on is told at its end."""
        for chunk in self._engine.output(name):
            yield stream.receive(chunk)
        if whole:
            yield stream.rest()

    def _say(self, attempt: Attempt, line: str) -> None:
        with self.log(attempt).open("a", errors="backslashreplace") as log:
            log.write(self._scrubber.text(f"{OURS}{line}\n"))

    # Helpers

    def _insist(self, ask: Callable[[], T]) -> T:
        """The engine may be away for a while: it is asked for `patience` seconds. Raises Unavailable, Refused."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return ask()
            except Unavailable:
                if time.monotonic() >= deadline:
                    raise
            self._pause(1.0)

    def _name(self, attempt: Attempt) -> str:
        return container_name(self._around.run, attempt)

    def _place(self, attempt: Attempt) -> Path:
        return place_of(self._directory, attempt)


def _kills() -> int:
    return kills_for_memory(VMSTAT.read_text())


def _running_for(state: Mapping[str, Any]) -> float:
    """Seconds by the clock that nobody sets: the age of the container's first process."""
    start = supervisor.process_start(int(state.get("Pid") or 0))
    return 0.0 if start is None else seconds_since(start)
