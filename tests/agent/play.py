"""An agent's run played against a server, without processes and clocks: what happens is chosen by the test."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

from agent.commands import (
    Accepted,
    Begun,
    Cancelled,
    Command,
    Event,
    Exited,
    Find,
    Finish,
    Found,
    Gone,
    NotFound,
    Report,
    Start,
    Tick,
)
from agent.messages import Attempt, Claim, claim_from_json, event_to_json
from agent.run import Run
from tests.agent.fakes import Answer, Document

OK = Exited(0)


class Server(Protocol):
    def claim(self, system: str) -> Answer: ...
    def report(self, sequence: int, event: Document) -> Answer: ...
    @property
    def in_flight(self) -> Document | None: ...


@dataclass
class World:
    """Plays server and runtime for a `Run`, keeps both to the rules, and restarts the agent when told to."""

    server: Server
    now: float = 0.0
    running: Attempt | None = None
    ended: dict[Attempt, Exited] = field(default_factory=dict)
    asked: list[Command] = field(default_factory=list)
    finish: Finish | None = None

    def boot(self) -> None:
        """The agent starts, again or for the first time; what ran goes on running."""
        _, answer = self.server.claim("s")
        claim = claim_from_json(answer)
        if not isinstance(claim, Claim):
            self.finish = self.finish or Finish("GONE", claim.reason)
            return
        self.run = Run(replace(claim, started=self.now), self.now)
        self.asked = list(self.run.begin())
        self._obey()

    def tell(self, event: Event) -> None:
        assert self.finish is None or not self.run.receive(event, self.now)
        if self.finish is None:
            self.asked += self.run.receive(event, self.now)
            self._obey()

    def _obey(self) -> None:
        for command in list(self.asked):
            match command:
                case Start(attempt):
                    assert self.running is None, f"{attempt} started beside {self.running}"
                    flying = self.server.in_flight
                    assert flying is not None, f"{attempt} started before it was accepted"
                    assert (attempt.action, attempt.number) == (flying["action"], flying["attempt"])
                    assert attempt not in self.ended, f"{attempt} started twice"
                    self.running = attempt
                    assert self.run.receive(Begun(), self.now) == ()
                case Finish():
                    self.finish = command
                case _:
                    continue
            self.asked.remove(command)

    def possible(self) -> list[str]:
        """What may happen next."""
        moves = ["restart", "tick", "stray", "cancel"]
        moves += ["exit"] * 3 if self.running else []
        moves += ["answer"] * 4 if any(isinstance(one, Report | Find) for one in self.asked) else []
        return moves

    def do(self, move: str, code: int) -> None:
        match move:
            case "restart":
                self.boot()
            case "tick":
                self.now = max(self.now, self.run.timer or 0.0)
                self.tell(Tick())
            case "stray":
                self.tell((Accepted(99), Found(1.0, OK), NotFound("stray"), Tick())[code] if not self._finding else Tick())
            case "cancel":
                self.tell(Cancelled())
            case "exit" if self.running:
                self.ended[self.running], self.running = Exited(code), None
                self.tell(Exited(code))
            case "answer":
                self._answer(next(one for one in self.asked if isinstance(one, Report | Find)))

    @property
    def _finding(self) -> bool:
        return any(isinstance(one, Find) for one in self.asked)

    def _answer(self, command: Command) -> None:
        self.asked.remove(command)
        match command:
            case Report(sequence, event):
                status, answer = self.server.report(sequence, event_to_json(event))
                assert status in (200, 410), answer
                self.tell(Accepted(sequence) if status == 200 else Gone(answer["error"]))
            case Find(attempt):
                ended = self.ended.get(attempt)
                known = attempt == self.running or ended is not None
                self.tell(Found(1.0, ended) if known else NotFound("no trace"))

    def lose(self) -> None:
        """The answer to the report on its way is lost; the report was not."""
        for command in self.asked:
            if isinstance(command, Report):
                self.server.report(command.sequence, event_to_json(command.event))

    def reset(self) -> None:
        """The machine begins anew: nothing runs, and nobody remembers."""
        self.running, self.ended, self.asked = None, {}, []
        self.boot()

    def calm_down(self) -> None:
        """Everything asked for is answered, what runs exits, and time passes: the run must come to its end."""
        for _ in range(200):
            if self.finish:
                return
            waiting = any(isinstance(one, Report | Find) for one in self.asked)
            self.do("answer" if waiting else "exit" if self.running else "tick", 0)
        raise AssertionError(f"the run does not end: {self.run.phase}")
