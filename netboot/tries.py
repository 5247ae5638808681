"""Tries: what became of the commits that single machines were to boot once, folded from the journal.

Core. Law: a try is spent with the boot that was handed its first script; a boot that came to nothing before that leaves it for
the next one. Only the last try of a machine is kept. What is asked for, and what git says to it, is `Asked` and `Judged`, the
two files between the operator, the reconciler and the servers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from netboot.events import PHASES, BootAdvanced, BootClosed, BootEvent, BootOpened, Finding, Phase, Rehearsed, Trying

_BEGUN = PHASES.index("script")


class Asked(msgspec.Struct, frozen=True):
    """`STATE/tries/<machine>.json`: somebody who may write there wants this machine to boot another commit, once."""

    id: str
    machine: str
    ref: str
    """A branch, tag, commit or pull request (`pull/17/head`) of the repository that is followed."""
    rehearse: bool
    by: str
    at: float
    """Seconds since the epoch."""
    commit: str = ""
    """Its id, where a signed tag asked: what it names and nothing else is tried."""
    tag: str = ""
    """The id of that tag."""


class Judged(msgspec.Struct, frozen=True):
    """What came of looking at the commit: a plan that the machine is to boot, or why it is not."""

    asked: Asked
    revision: str = ""
    """Id of the commit; "": it is not known yet."""
    plan: str = ""
    """Id of its plan, which is stored; "": the machine goes on as before."""
    problems: Sequence[dict[str, Any]] = ()
    """As `gitboot check --format json` prints them."""
    refused: str = ""
    """Why it is not to be tried, though the commit could be served."""
    unavailable: str = ""
    """Why nothing can be said yet; it is looked at again."""

    @property
    def trying(self) -> Trying:
        return Trying(self.asked.id, self.revision, self.asked.ref, self.asked.by, self.asked.rehearse)


@dataclass(slots=True)
class TryStatus:
    """One try of one machine that came as far as a boot. Times are seconds since the epoch."""

    trying: Trying
    machine: str
    boot: str
    plan: str
    opened: float
    begun: bool = False
    """The machine was told what to boot: whatever comes then, the next boot is an ordinary one."""
    phase: Phase = "firmware"
    profile: str = ""
    """What it was told to boot; "": its disk, or to wait."""
    ended: float | None = None
    reason: str = ""
    """Why it is where it is, or why it ended."""
    findings: tuple[Finding, ...] | None = None
    """Of a rehearsal, once it was reported."""


@dataclass(slots=True)
class Tries:
    last: dict[str, TryStatus] = field(default_factory=dict)
    """Machine → its last try."""
    _open: dict[str, TryStatus] = field(default_factory=dict)
    """Boot id → the try that it is."""

    def pending(self, machine: str, trying: Trying) -> bool:
        """Whether the next boot of the machine is to be this try."""
        last = self.last.get(machine)
        return last is None or last.trying.id != trying.id or not last.begun

    def over(self, machine: str, trying: Trying) -> bool:
        last = self.last.get(machine)
        return last is not None and last.trying.id == trying.id and last.begun and last.ended is not None

    def apply(self, event: BootEvent) -> None:
        match event:
            case BootOpened():
                self._begin(event)
            case BootAdvanced() if status := self._open.get(event.boot):
                status.begun = status.begun or PHASES.index(event.phase) >= _BEGUN
                status.phase, status.profile = event.phase, event.profile or status.profile
                status.reason = event.reason or status.reason
            case BootClosed() if status := self._open.get(event.boot):
                self._end(status, event.at, event.reason)
            case Rehearsed() if status := self._open.get(event.boot):
                status.findings = event.findings

    def _begin(self, event: BootOpened) -> None:
        last = self.last.get(event.machine)
        if last and last.ended is None:
            self._end(last, event.at, "a newer boot of this machine began")
        if event.trying:
            status = TryStatus(event.trying, event.machine, event.boot, event.plan, event.at)
            self.last[event.machine] = self._open[event.boot] = status

    def _end(self, status: TryStatus, at: float, reason: str) -> None:
        status.ended, status.reason = at, reason
        del self._open[status.boot]
