"""An agent's run played against a server, without processes and clocks: what happens is chosen by the test."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

from agent import commands
from agent.messages import Attempt, Claim, Idle, claim_from_json, event_to_json
from agent.run import Run
from tests.agent.fakes import Answer, Document

OK = commands.Exited(0)


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
    ended: dict[Attempt, commands.Exited] = field(default_factory=dict)
    asked: list[commands.Command] = field(default_factory=list)
    finish: commands.Finish | None = None

    def boot(self) -> None:
        """The agent starts, again or for the first time; what ran goes on running."""
        _, answer = self.server.claim("s")
        claim = claim_from_json(answer)
        if not isinstance(claim, Claim):
            assert isinstance(claim, Idle)
            self.finish = self.finish or commands.Finish("GONE", claim.reason)
            return
        self.run = Run(replace(claim, started=self.now), self.now)
        self.asked = list(self.run.begin())
        self._obey()

    def tell(self, event: commands.Event) -> None:
        assert self.finish is None or not self.run.receive(event, self.now)
        if self.finish is None:
            self.asked += self.run.receive(event, self.now)
            self._obey()

    def _obey(self) -> None:
        for command in list(self.asked):
            match command:
                case commands.Start(attempt):
                    assert self.running is None, f"{attempt} started beside {self.running}"
                    flying = self.server.in_flight
                    assert flying is not None, f"{attempt} started before it was accepted"
                    assert (attempt.action, attempt.number) == (flying["action"], flying["attempt"])
                    assert attempt not in self.ended, f"{attempt} started twice"
                    self.running = attempt
                    assert self.run.receive(commands.Begun(), self.now) == ()
                case commands.Finish():
                    self.finish = command
                case _:
                    continue
            self.asked.remove(command)

    def possible(self) -> list[str]:
        """What may happen next."""
        moves = ["restart", "tick", "stray", "cancel"]
        moves += ["exit"] * 3 if self.running else []
        moves += ["answer"] * 4 if any(isinstance(one, commands.Report | commands.Find) for one in self.asked) else []
        return moves

    def do(self, move: str, code: int) -> None:
        match move:
            case "restart":
                self.boot()
            case "tick":
                self.now = max(self.now, self.run.timer or 0.0)
                self.tell(commands.Tick())
            case "stray":
                self.tell(
                    (commands.Accepted(99), commands.Found(1.0, OK), commands.NotFound("stray"), commands.Tick())[code]
                    if not self._finding
                    else commands.Tick()
                )
            case "cancel":
                self.tell(commands.Cancelled())
            case "exit" if self.running:
                self.ended[self.running], self.running = commands.Exited(code), None
                self.tell(commands.Exited(code))
            case "answer":
                self._answer(next(one for one in self.asked if isinstance(one, commands.Report | commands.Find)))

    @property
    def _finding(self) -> bool:
        return any(isinstance(one, commands.Find) for one in self.asked)

    def _answer(self, command: commands.Command) -> None:
        self.asked.remove(command)
        match command:
            case commands.Report(sequence, event):
                status, answer = self.server.report(sequence, event_to_json(event))
                assert status in (200, 410), answer
                self.tell(commands.Accepted(sequence) if status == 200 else commands.Gone(answer["error"]))
            case commands.Find(attempt):
                ended = self.ended.get(attempt)
                known = attempt == self.running or ended is not None
                self.tell(commands.Found(1.0, ended) if known else commands.NotFound("no trace"))

    def lose(self) -> None:
        """The answer to the report on its way is lost; the report was not."""
        for command in self.asked:
            if isinstance(command, commands.Report):
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
            waiting = any(isinstance(one, commands.Report | commands.Find) for one in self.asked)
            self.do("answer" if waiting else "exit" if self.running else "tick", 0)
        raise AssertionError(f"the run does not end: {self.run.phase}")
