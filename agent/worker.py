"""The loop: the one place where what happens is fed to the run machine, and where its commands are carried out.

Shell, standard library only. Law: everything that happens reaches the machine through one queue, in order. Reports are sent
from the loop itself, which is no loss: while one is on its way nothing of ours runs. Beside the loop there are three threads:
one waits for the action's end, one sends its log, one sends heartbeats; none of them decides anything.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent import messages
from agent.client import Refused, Server, Unavailable
from agent.commands import Begun, Command, Commands, Event, Exited, Find, Finish, Found, Kill, Report, Start, Tick
from agent.disks import NoMatch
from agent.given import NOTHING, Given
from agent.logs import LogUpload, last_words
from agent.machine import Machine
from agent.messages import Attempt, Claim, RunEnded
from agent.run import Run
from agent.runtime import Runtime
from agent.workflow import Action


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two heartbeats, and between two looks at a growing log."""

    heartbeat: float = 10.0
    log: float = 1.0


class Every(threading.Thread):
    """Calls `do` every so many seconds until stopped."""

    def __init__(self, seconds: float, do: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._seconds = seconds
        self._do = do
        self._stopped = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._do()

    def stop(self) -> None:
        self._stopped.set()
        self.join()


class Worker:
    """Carries out one claimed run to its end: `Worker(…).work()`."""

    def __init__(
        self,
        claim: Claim,
        server: Server,
        runtime: Runtime,
        machine: Machine,
        say: Callable[[str], None],
        pace: Pace | None = None,
    ) -> None:
        self._claim = claim
        self._server = server
        self._runtime = runtime
        self._machine = machine
        self._say = say
        self._pace = pace or Pace()
        self._run = Run(claim, time.monotonic())
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._finish: Finish | None = None
        self._log: LogUpload | None = None
        self._log_thread: Every | None = None

    def work(self) -> Finish:
        """Raises Refused when the server will have nothing to do with us; what runs then runs on, and can be found."""
        heartbeat = Every(self._pace.heartbeat, self._beat)
        try:
            self._obey(self._begin())
            while self._finish is None:
                event = self._next_event()
                self._obey(self._run.receive(event, time.monotonic()))
        finally:
            heartbeat.stop()
            self._stop_log_thread()
        return self._finish

    def _begin(self) -> Commands:
        try:
            self._machine.prepare(self._claim.workflow)
        except NoMatch as reason:
            return self._run.refuse(f"nothing was started: {reason}")
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            return self._run.refuse(f"nothing was started: {error.strerror or error}{where}")
        return self._run.begin()

    def _next_event(self) -> Event:
        due = self._run.timer
        try:
            return self._events.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
        except queue.Empty:
            return Tick()

    def _obey(self, commands: Commands) -> None:
        for command in commands:
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        match command:
            case Report():
                self._report(command)
            case Start():
                self._start(command)
            case Find(attempt):
                self._find(attempt)
            case Kill(attempt):
                self._say(f"stopping {attempt}")
                self._runtime.kill(attempt)
            case Finish():
                self._finish = command
                if command.state != "GONE":  # after a 409 we may be given the same run again
                    self._runtime.clear()

    def _start(self, start: Start) -> None:
        attempt, action = start.attempt, start.action
        try:
            given = self._given(attempt, action)
        except Refused as error:
            self._events.put(Exited(None, reason=f"it is not given its secrets: {error}"))
            return
        self._runtime.start(attempt, action, start.command, given)
        self._follow_log(attempt)
        self._in_thread(self._tell_begin_and_end, attempt)

    def _given(self, attempt: Attempt, action: Action) -> Given:
        """Raises Refused."""
        return self._server.secrets(self._claim.run, attempt) if action.secrets or action.login else NOTHING

    def _find(self, attempt: Attempt) -> None:
        try:
            self._given(attempt, self._claim.workflow.action(attempt.task, messages.main_action(attempt.action)[0]))
        except Refused as error:
            self._say(f"nobody says what is secret in the log of {attempt}, so that nothing of it is shown: {error}")
            self._server.scrubber.hide_everything()
        found = self._runtime.find(attempt)
        if isinstance(found, Found) and found.ended:
            found = replace(found, ended=self._with_last_words(attempt, found.ended))
        self._events.put(found)
        if isinstance(found, Found):
            self._follow_log(attempt)
            if found.ended is None:
                self._say(f"{attempt} still runs")
                self._in_thread(self._tell_end, attempt)

    def _in_thread(self, tell: Callable[[Attempt], None], attempt: Attempt) -> None:
        threading.Thread(target=tell, args=(attempt,), daemon=True).start()

    def _tell_begin_and_end(self, attempt: Attempt) -> None:
        self._runtime.begun(attempt)
        self._events.put(Begun())
        self._tell_end(attempt)

    def _tell_end(self, attempt: Attempt) -> None:
        try:
            ended = self._runtime.wait(attempt)
        except OSError as error:
            ended = Exited(None, reason=f"the runtime lost it: {error}")
        self._machine.refresh()
        self._events.put(self._with_last_words(attempt, ended))

    def _with_last_words(self, attempt: Attempt, ended: Exited) -> Exited:
        return replace(ended, last_words=last_words(self._runtime.log(attempt)))

    def _report(self, report: Report) -> None:
        self._flush_log()
        if isinstance(report.event, RunEnded) and report.event.state == "SUCCESS":
            self._machine.mark()
        self._say(messages.describe(report.event, self._claim.workflow))
        self._events.put(self._server.report(self._claim.run, report.sequence, report.event))
        self._flush_log()  # a server that was away is back now

    def _beat(self) -> None:
        try:
            order = self._server.heartbeat(self._claim.run)
        except (Unavailable, Refused):
            return  # the next report meets the same trouble, and acts on it
        if order:
            self._events.put(order)

    def _follow_log(self, attempt: Attempt) -> None:
        self._stop_log_thread()
        run, server = self._claim.run, self._server
        self._log = LogUpload(
            self._runtime.log(attempt), lambda offset, chunk: server.log(run, attempt, offset, chunk), self._say
        )
        self._log_thread = Every(self._pace.log, self._log.ship)

    def _stop_log_thread(self) -> None:
        if self._log_thread:
            self._log_thread.stop()
            self._log_thread = None

    def _flush_log(self) -> None:
        self._stop_log_thread()
        if self._log and not self._log.flush(self._server.pause):
            self._say("the rest of the log could not be sent yet")
