"""Sessions: who speaks for a machine, and that nobody says the same twice.

Core. Law: a machine has one session at a time, decided on observed state; while it lives, whoever else comes with a good token
is parked and shown to people; when nothing was heard of it for `Observed.patience` seconds, or its boot is over, the next one
takes its place. A request counts once: signed with the session's key, for this start of the server (`nonce`), with a number
that is new (the window of RFC 4303 section 3.4.3).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Literal

from agent.session import Signature, from_header, mac
from netboot.events import Event, SessionEnded, SessionOpened
from netboot.observed import Observed
from netboot.records import BootStatus, Contest, SessionStatus
from netboot.tokens import session_key

WINDOW = 64
"""So many numbers below the highest one are still told apart: an agent's requests overtake each other."""
LONGEST_RETRY = 10.0


@dataclass(frozen=True, slots=True)
class Opened:
    """`events` are journalled before the session is given away."""

    session: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Parked:
    """Somebody else is at work on this machine. `retry`: seconds after which asking again makes sense."""

    session: str
    reason: str
    retry: float


@dataclass(frozen=True, slots=True)
class Denied:
    """`nonce`: with it, and a new number, the same request may be signed again; "": it may not."""

    status: Literal[401, 410]
    error: str
    nonce: str = ""


def exchange(observed: Observed, boot: BootStatus, system: str, now: float, fresh: str) -> Opened | Parked:
    """A token of `boot`, which is open, is exchanged for a session with the id `fresh`, by the start `system` of its OS."""
    opened = SessionOpened(at=now, session=fresh, boot=boot.id, system=system)
    before = observed.session_of(boot.machine, boot.macs)
    if before is None:
        return Opened(fresh, (opened,))
    if observed.lives(before, now):
        silent = observed.quiet(before, now)
        who = "another start of this machine" if before.system != system else "an agent"
        reason = f"{who} is at work on {boot.machine} and was heard {silent:.0f} s ago"
        return Parked(before.id, reason, min(LONGEST_RETRY, max(1.0, observed.patience - silent)))
    why = "its boot is over" if before.over else f"nothing was heard of it for {observed.quiet(before, now):.0f} seconds"
    return Opened(fresh, (SessionEnded(at=now, session=before.id, boot=before.boot, reason=why), opened))


@dataclass(slots=True)
class Window:
    """Which numbers were used: the highest, and a bit for each of the 64 up to it."""

    highest: int = -1
    used: int = 0

    def take(self, n: int) -> bool:
        """Whether `n` is new; from now on it is not."""
        if n > self.highest:
            self.used = (self.used << min(n - self.highest, WINDOW) | 1) & ((1 << WINDOW) - 1)
            self.highest = n
            return True
        behind = self.highest - n
        if behind >= WINDOW or self.used >> behind & 1:
            return False
        self.used |= 1 << behind
        return True


@dataclass(slots=True)
class Sessions:
    """What of sessions is no part of the journal: this start's nonce, the numbers used since, and who was parked."""

    key: bytes
    nonce: str
    """32 hex digits."""
    _windows: dict[str, Window] = field(default_factory=dict)
    _contests: dict[str, Contest] = field(default_factory=dict)
    """By machine: the last one."""

    def authenticate(
        self, observed: Observed, header: str, method: str, target: str, body: bytes, now: float
    ) -> SessionStatus | Denied:
        """Whose request this is: from now on its session was heard, and the request cannot be made again."""
        said = from_header(header)
        if said is None:
            return Denied(401, "This request is signed by no session; POST /agent/session opens one.")
        if not hmac.compare_digest(self._mac(said, method, target, body), said.mac):
            return Denied(401, "The signature is not one of this session.")
        session = observed.sessions.get(said.session)
        if session is None:
            return Denied(410, "This session has ended.")
        if not hmac.compare_digest(said.nonce, self.nonce):
            return Denied(401, "The server was started again since: sign with its new nonce.", self.nonce)
        if not self._window(session.id, observed).take(said.n):
            return Denied(401, f"Request {said.n} of this session was made before.", self.nonce)
        session.last_seen = max(session.last_seen, now)
        return session

    def _mac(self, said: Signature, method: str, target: str, body: bytes) -> str:
        return mac(session_key(self.key, said.session), method, target, said.nonce, said.n, body)

    def contend(self, machine: str, parked: Parked, peer: str, now: float) -> bool:
        """Somebody was parked. True when nobody was before, since that session began."""
        before = self._contests.get(machine)
        again = before is not None and before.session == parked.session
        since, times = (before.since, before.times) if before is not None and again else (now, 0)
        self._contests[machine] = Contest(parked.session, peer, since, now, times + 1)
        return not again

    def contest_of(self, machine: str) -> Contest | None:
        return self._contests.get(machine)

    def _window(self, session: str, observed: Observed) -> Window:
        if len(self._windows) > 2 * len(observed.sessions) + WINDOW:  # now and then those that ended are forgotten
            self._windows = {each: window for each, window in self._windows.items() if each in observed.sessions}
        return self._windows.setdefault(session, Window())
