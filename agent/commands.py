"""What the run machine is told (events) and what it asks for (commands), as frozen values.

Core, standard library only. Law: a command asks for one thing, and one event tells how it went: `Report` → `Accepted` or
`Gone`; `Start` → `Begun`, then `Exited`; `Find` → `Found` or `NotFound` (and after a `Found` that goes on, `Exited`);
`Kill` → `Exited`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent import messages
from agent.messages import Attempt, RunState
from agent.workflow import Action

# Events


@dataclass(frozen=True, slots=True)
class Accepted:
    sequence: int


@dataclass(frozen=True, slots=True)
class Begun:
    """What was started has its image and runs (or could not be started): from now on its timeout counts."""


@dataclass(frozen=True, slots=True)
class Exited:
    """What was started has ended, or could not be started (`reason` says why)."""

    exit_code: int | None
    signal: int | None = None
    reason: str = ""
    last_words: str = ""
    """What it wrote last: most often why it failed."""

    @property
    def why(self) -> str:
        """Why it did not succeed, in words."""
        if self.reason or self.signal:
            return self.reason or f"killed by signal {self.signal}"
        return f"exit code {self.exit_code}" + (f": {self.last_words}" if self.last_words else "")


@dataclass(frozen=True, slots=True)
class Found:
    """Answer to `Find`: it started `ran` seconds ago and goes on, or it took `ran` seconds and `ended` like this."""

    ran: float
    ended: Exited | None = None


@dataclass(frozen=True, slots=True)
class NotFound:
    """Answer to `Find`: whether it ever started cannot be known; it does not run now and never will."""

    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    pass


@dataclass(frozen=True, slots=True)
class Cancelled:
    pass


@dataclass(frozen=True, slots=True)
class Gone:
    """The run has ended without us, or is another's (410), or the server's picture of it differs (409)."""

    reason: str


Event: TypeAlias = Accepted | Begun | Exited | Found | NotFound | Tick | Cancelled | Gone


# Commands


@dataclass(frozen=True, slots=True)
class Report:
    sequence: int
    event: messages.Event


@dataclass(frozen=True, slots=True)
class Start:
    """`command` is the action's, or its handler's."""

    attempt: Attempt
    action: Action
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Find:
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Kill:
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Finish:
    state: RunState | Literal["GONE"]
    reason: str


Command: TypeAlias = Report | Start | Find | Kill | Finish
Commands: TypeAlias = tuple[Command, ...]
