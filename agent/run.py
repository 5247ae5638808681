"""One run of a workflow, as a state machine: events in, commands out, time as an argument.

Core, standard library only. Laws:
- An action is started only after the report of its start was accepted, and the next thing only after its end was.
- At most one action is in flight, and at most one report.
- Every start that was accepted gets exactly one end, unless the server says that the run is gone.
- FINISHED is final: whatever comes later is ignored.

The caller feeds `receive` with what happened and carries out the commands in order; at `timer` it sends a `Tick`.

What ends how (also in docs/agent-protocol.md): an attempt that fails, times out or was interrupted is repeated while `retries`
remain, after 1, 2, 4 … 30 s. After the last one the handler (on-timeout after TIMEOUT, otherwise on-failure) runs under the
action's own timeout, then what its task has after a failure (`if: failure`, `if: always`); whatever comes of those, the run
ends TIMEOUT or FAILED for the first that failed. Cancellation and the global timeout kill what runs and end the run with none
of this. A success of the last action wins over both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Literal

from agent import messages
from agent.commands import (
    Accepted,
    Begun,
    Cancelled,
    Command,
    Commands,
    Event,
    Exited,
    Find,
    Finish,
    Found,
    Gone,
    Kill,
    NotFound,
    Report,
    Start,
    Tick,
)
from agent.messages import ActionEnded, ActionStarted, ActionState, Attempt, Claim, RunEnded, RunState
from agent.workflow import Action

LONGEST_PAUSE = 30.0
"""Seconds between two attempts, at most."""
KILL_PATIENCE = 60.0
"""Seconds until an action that survives even SIGKILL (a disk that hangs in the kernel) is given up, and the run with it."""


class Phase(Enum):
    STARTING = auto()  # a start is reported and not yet accepted
    FINDING = auto()  # after the agent's own restart: what became of the attempt in flight?
    CHECKING = auto()  # after the agent's own restart: is what had ended really gone?
    RUNNING = auto()
    KILLING = auto()
    ENDING = auto()  # an end is reported and not yet accepted
    PAUSED = auto()  # until the next attempt
    CLOSING = auto()  # the end of the run is reported and not yet accepted
    FINISHED = auto()


@dataclass(frozen=True, slots=True)
class _Step:
    """What is to be done: an action, or one of its handlers."""

    task: str
    action: Action
    handler: str = ""
    number: int = 1

    @property
    def attempt(self) -> Attempt:
        name = f"{self.action.name}:{self.handler}" if self.handler else self.action.name
        return Attempt(self.task, name, self.number)

    @property
    def command(self) -> tuple[str, ...]:
        by_handler = {"on-failure": self.action.on_failure, "on-timeout": self.action.on_timeout}
        return by_handler.get(self.handler, self.action.command)


@dataclass(frozen=True, slots=True)
class _Halt:
    """Why nothing more is started, and how what is in flight and the run end for it."""

    action: ActionState
    run: RunState | Literal["GONE"]
    reason: str


@dataclass(frozen=True, slots=True)
class _Failure:
    """An action has failed for good: how the run will end for it, once its task has done what it does after a failure."""

    task: str
    state: RunState
    reason: str

    @classmethod
    def of(cls, ended: ActionEnded) -> _Failure:
        return cls(ended.attempt.task, "TIMEOUT" if ended.state == "TIMEOUT" else "FAILED", f"{ended.attempt}: {ended.reason}")

    @classmethod
    def of_handler(cls, step: _Step) -> _Failure:
        """When the server did not say what had failed."""
        state: RunState = "TIMEOUT" if step.handler == "on-timeout" else "FAILED"
        return cls(step.task, state, f"{step.task}/{step.action.name} did not succeed")


class Run:
    """Construct it from the answer to a claim, carry out `begin()`, then whatever `receive()` says until `Finish`."""

    def __init__(self, claim: Claim, now: float) -> None:
        self.phase = Phase.PAUSED
        self._now = now
        self._sequence = claim.sequence
        self._halt: _Halt | None = None
        self._failure = _Failure.of(claim.failed) if claim.failed else None
        self._closing = RunEnded("SUCCESS", "")
        self._due: float | None = None
        limit = claim.workflow.global_timeout
        self._limit = limit
        self._global_due = now - claim.started + limit if limit else None
        self._ended = claim.last
        self._resume = claim.resume
        self._done = claim.done
        self._steps = [_Step(task.name, action) for task in claim.workflow.tasks for action in task.actions]

    @property
    def timer(self) -> float | None:
        """When to send a `Tick`, on the clock of `now`; None: no need."""
        pending = (self._due, self._global_due if self._can_halt else None)
        return min((due for due in pending if due is not None), default=None)

    def begin(self) -> Commands:
        """The first commands: the first action, or whatever was in flight when an earlier agent stopped."""
        if self._resume and self._go_to(self._resume):
            return self._enter(Phase.FINDING, Find(self._resume))
        if self._ended and self._go_to(self._ended.attempt):
            over = self._ended.state == "SUCCESS" and not self._step.handler
            return self._go_on(self._ended) if over else self._enter(Phase.CHECKING, Find(self._ended.attempt))
        return self._next()

    def refuse(self, reason: str) -> Commands:
        """In place of `begin`: nothing of the run can be carried out here."""
        return self._report_run("FAILED", reason)

    def receive(self, event: Event, now: float) -> Commands:
        """What to do about `event`. What does not fit the phase (a late tick, a doubled answer) is ignored."""
        self._now = now
        if halt := self._halted_by(event):
            self._halt = halt
            return _WHEN_HALTED[self.phase](self)
        reaction = _TRANSITIONS.get((self.phase, type(event)))
        return reaction(self, event) if reaction else ()

    # Where we are

    @property
    def _step(self) -> _Step:
        return self._steps[0]

    def _go_to(self, attempt: Attempt) -> bool:
        """Make the first step stand for `attempt`, dropping those before it; False when there is no such step."""
        name, handler = messages.main_action(attempt.action)
        for index, step in enumerate(self._steps):
            if (step.task, step.action.name) == (attempt.task, name):
                self._steps[: index + 1] = [replace(step, handler=handler, number=attempt.number)]
                return True
        return False

    def _enter(self, phase: Phase, *commands: Command, due: float | None = None) -> Commands:
        self.phase, self._due = phase, due
        return commands

    def _report(self, phase: Phase, event: messages.Event) -> Commands:
        return self._enter(phase, Report(self._sequence + 1, event))

    # What stops everything

    def _halted_by(self, event: Event) -> _Halt | None:
        match event:
            case Gone(reason) if self.phase != Phase.FINISHED and not self._gone:
                return _Halt("INTERRUPTED", "GONE", reason)
            case Cancelled() if self._can_halt:
                return _Halt("INTERRUPTED", "FAILED", "cancelled")
            case Tick() if self._can_halt and self._global_due is not None and self._now >= self._global_due:
                return _Halt("TIMEOUT", "TIMEOUT", f"the workflow took longer than its global timeout of {self._limit} s")
        return None

    @property
    def _gone(self) -> bool:
        return self._halt is not None and self._halt.run == "GONE"

    @property
    def _can_halt(self) -> bool:
        return self._halt is None and self.phase not in (Phase.CLOSING, Phase.FINISHED)

    def _keep_waiting(self) -> Commands:
        """The answer we wait for decides; a run that is gone gets none."""
        return self._close() if self._gone else ()

    def _stay(self) -> Commands:
        """First we must know that nothing runs any more."""
        return ()

    def _kill(self) -> Commands:
        return self._enter(Phase.KILLING, Kill(self._step.attempt), due=self._now + KILL_PATIENCE)

    def _close(self) -> Commands:
        """Nothing runs and `_halt` says why nothing will; a failure before it is still the cause."""
        halt = self._halt
        assert halt is not None  # noqa: S101 - for the type checker: every caller has just seen it
        if halt.run == "GONE":
            return self._finish("GONE", halt.reason)
        cause = self._failure or halt
        return self._report_run(halt.run if isinstance(cause, _Halt) else cause.state, cause.reason)

    # Reactions: the life of a step

    def _next(self) -> Commands:
        self._drop_unwanted()
        if self._steps:
            return self._begin()
        failure = self._failure
        return self._report_run(failure.state, failure.reason) if failure else self._report_run("SUCCESS", "")

    def _drop_unwanted(self) -> None:
        while self._steps and not self._is_wanted(self._step):
            self._steps.pop(0)

    def _is_wanted(self, step: _Step) -> bool:
        if (step.task, step.action.name) in self._done:
            return False
        if self._failure:
            return step.task == self._failure.task and step.action.if_ != "success"
        return step.action.if_ != "failure"

    def _begin(self) -> Commands:
        return self._report(Phase.STARTING, ActionStarted(self._step.attempt))

    def _start(self, event: Accepted) -> Commands:
        if not self._takes(event):
            return ()
        if self._halt:
            return self._end(self._halt.action, None, f"not started: {self._halt.reason}")
        self._enter(Phase.RUNNING)
        return (Start(self._step.attempt, self._step.action, self._step.command),)

    def _count(self, _: Begun) -> Commands:
        """Fetching the image may have taken minutes; they are not the action's."""
        self._run_for(0.0)
        return ()

    def _run_for(self, already: float) -> None:
        limit = self._step.action.timeout
        self._enter(Phase.RUNNING, due=self._now - already + limit if limit else None)

    def _find(self, event: Found) -> Commands:
        if event.ended:
            late = 0 < self._step.action.timeout <= event.ran and event.ended.exit_code != 0
            return self._end_of_time(event.ended.exit_code) if late else self._exit(event.ended)
        self._run_for(event.ran)
        return self._kill() if self._halt else ()

    def _lose(self, event: NotFound) -> Commands:
        return self._end("INTERRUPTED", None, event.reason)

    def _check(self, event: Found | NotFound) -> Commands:
        if isinstance(event, Found) and event.ended is None:
            self._halt = self._halt or self._survivor()
        return self._close() if self._halt else self._go_on(self._last_end)

    def _exit(self, event: Exited) -> Commands:
        if event.exit_code == 0:
            return self._end("SUCCESS", 0, "")
        return self._end("FAILED", event.exit_code, event.why)

    def _time_out(self, _: Tick) -> Commands:
        return self._kill() if self._is_due() else ()

    def _is_dead(self, event: Exited) -> Commands:
        if self._halt:
            return self._end(self._halt.action, event.exit_code, self._halt.reason)
        return self._end_of_time(event.exit_code)

    def _end_of_time(self, exit_code: int | None = None) -> Commands:
        return self._end("TIMEOUT", exit_code, f"took longer than its timeout of {self._step.action.timeout} s")

    def _give_up_killing(self, _: Tick) -> Commands:
        if not self._is_due():
            return ()
        self._halt = self._halt or self._survivor()
        return self._end(self._halt.action, None, f"still there {KILL_PATIENCE:.0f} s after it was killed")

    def _survivor(self) -> _Halt:
        """What cannot be killed must not get company: nothing more is started on this machine."""
        return _Halt("TIMEOUT", "FAILED", f"{self._step.attempt} took longer than its timeout and cannot be killed")

    def _end(self, state: ActionState, exit_code: int | None, reason: str) -> Commands:
        ended = self._ended = ActionEnded(self._step.attempt, state, exit_code, reason)
        return self._close() if self._gone else self._report(Phase.ENDING, ended)

    # Reactions: after an end

    def _after(self, event: Accepted) -> Commands:
        return self._go_on(self._last_end) if self._takes(event) else ()

    @property
    def _last_end(self) -> ActionEnded:
        assert self._ended is not None  # noqa: S101 - for the type checker: the phases that ask follow an end
        return self._ended

    def _go_on(self, ended: ActionEnded) -> Commands:
        step, succeeded = self._step, ended.state == "SUCCESS"
        if succeeded and not step.handler:
            self._steps.pop(0)
            self._drop_unwanted()
            return self._close() if self._halt and self._steps else self._next()
        if self._halt:
            return self._close()
        if step.handler:
            self._failure = self._failure or _Failure.of_handler(step)
            self._steps.pop(0)
            return self._next()
        if step.number <= step.action.retries:
            return self._pause(step)
        return self._fail(step, ended)

    def _fail(self, step: _Step, ended: ActionEnded) -> Commands:
        """No attempt is left: the handler, if there is one, then what the task has after a failure, then the end."""
        self._failure = self._failure or _Failure.of(ended)
        self._steps[0] = replace(step, handler="on-timeout" if ended.state == "TIMEOUT" else "on-failure", number=1)
        if self._step.command:
            return self._begin()
        self._steps.pop(0)
        return self._next()

    def _pause(self, step: _Step) -> Commands:
        self._steps[0] = replace(step, number=step.number + 1)
        return self._enter(Phase.PAUSED, due=self._now + min(2.0 ** (step.number - 1), LONGEST_PAUSE))

    def _again(self, _: Tick) -> Commands:
        return self._begin() if self._is_due() else ()

    def _report_run(self, state: RunState, reason: str) -> Commands:
        self._closing = RunEnded(state, reason)
        return self._report(Phase.CLOSING, self._closing)

    def _closed(self, event: Accepted) -> Commands:
        return self._finish(self._closing.state, self._closing.reason) if self._takes(event) else ()

    def _finish(self, state: RunState | Literal["GONE"], reason: str) -> Commands:
        return self._enter(Phase.FINISHED, Finish(state, reason))

    def _takes(self, event: Accepted) -> bool:
        """Is this the answer to the report in flight, and not to one before?"""
        if event.sequence != self._sequence + 1:
            return False
        self._sequence += 1
        return True

    def _is_due(self) -> bool:
        return self._due is not None and self._now >= self._due


_TRANSITIONS: Mapping[tuple[Phase, type[Event]], Callable[[Run, Any], Commands]] = {
    (Phase.STARTING, Accepted): Run._start,
    (Phase.FINDING, Found): Run._find,
    (Phase.FINDING, NotFound): Run._lose,
    (Phase.CHECKING, Found): Run._check,
    (Phase.CHECKING, NotFound): Run._check,
    (Phase.RUNNING, Begun): Run._count,
    (Phase.RUNNING, Exited): Run._exit,
    (Phase.RUNNING, Tick): Run._time_out,
    (Phase.KILLING, Exited): Run._is_dead,
    (Phase.KILLING, Tick): Run._give_up_killing,
    (Phase.ENDING, Accepted): Run._after,
    (Phase.PAUSED, Tick): Run._again,
    (Phase.CLOSING, Accepted): Run._closed,
}
"""The life of a run. A pair that is not here changes nothing."""

_WHEN_HALTED: Mapping[Phase, Callable[[Run], Commands]] = {
    Phase.STARTING: Run._keep_waiting,
    Phase.FINDING: Run._stay,
    Phase.CHECKING: Run._stay,
    Phase.RUNNING: Run._kill,
    Phase.KILLING: Run._stay,
    Phase.ENDING: Run._keep_waiting,
    Phase.PAUSED: Run._close,
    Phase.CLOSING: Run._keep_waiting,
}
"""Cancelled, gone, or out of time: what that means where we are."""
