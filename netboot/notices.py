"""What somebody is to be told: issues that begin and end, and runs that have ended, once each.

Core. Law: of one issue of one machine nobody hears twice while it lasts, also over a restart; what begins and ends before a
message leaves is told to nobody. What waits for a target is bounded: the oldest goes first, and is counted; and what strangers
in the network can bring about goes before anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Reversible, Sequence
from itertools import takewhile
from typing import Literal, TypeAlias

import msgspec

from netboot.issue_kinds import Name
from netboot.issues import Issue
from netboot.notice_targets import Target
from netboot.records import RunStatus

MOST_WAITING = 20_000
"""Of one target: twice as many as there are machines."""
LATE = 60.0
"""Seconds by which the end of a run may come to be known after the time that it bears."""
MEMORY = 600.0
"""Seconds after a start for which a missing issue is not taken to be over: much of what is heard is kept in memory alone."""
MANY: frozenset[Name] = frozenset(("unknown-machine", "other-dhcp-server", "commit-rejected", "secret-unreadable", "plan-held"))
"""Issues of the site of which there may be several, told apart by what they say."""
BY_STRANGERS: frozenset[str] = frozenset(("unknown-machine", "other-dhcp-server"))
"""Issues of which anybody in the network can make as many as they like."""
MOST_OF_STRANGERS = 1_000
"""That are not there now and not over either."""

OPPOSITE = {"begun": "over", "over": "begun"}
Key: TypeAlias = tuple[str, str, str]
"""Name of the issue, machine, and what tells it from others of the site."""


class Happening(msgspec.Struct, frozen=True, omit_defaults=True):
    what: Literal["begun", "over", "ended"]
    name: str
    """Of the issue, or the state that a run ended in."""
    at: float
    """Seconds since the epoch; 0: not known."""
    machine: str = ""
    """"": the site."""
    subject: str = ""
    """Of a run: its workflow and number. Of an issue of the site: what tells it from others."""
    message: str = ""

    @property
    def key(self) -> Key:
        return self.name, self.machine, self.subject

    @property
    def part(self) -> tuple[str, str, str, str]:
        """Of two with the same, somebody hears the later one."""
        return self.what, *self.key


class Memory(msgspec.Struct):
    """What is kept over a restart."""

    looked: float = 0.0
    """When it was last looked what had happened; 0: never."""
    lasting: dict[str, list[Happening]] = {}
    """Name of an issue → those that begun and are not over."""
    told: dict[str, float] = {}
    """Runs whose end was taken note of lately → when they ended."""
    waiting: dict[str, list[Happening]] = {}
    """Name of a target → what it is still to be told."""
    lost: dict[str, int] = {}
    """Name of a target → how much it will never be told."""


class Notices:
    def __init__(self, targets: Sequence[Target], memory: Memory, now: float) -> None:
        """What waits for targets that there are no longer is forgotten. History from before the first look is not told."""
        self._targets = targets
        self._looked = memory.looked or now + LATE
        self._lasting: dict[Key, Happening] = {each.key: each for many in memory.lasting.values() for each in many}
        self._told = dict(memory.told)
        self._waiting = {each.name: {one.part: one for one in memory.waiting.get(each.name, ())} for each in targets}
        self._lost = {each.name: memory.lost.get(each.name, 0) for each in targets}
        self._tried = {name: set(some) for name, some in self._waiting.items()}
        """Of what waits, what the target may have heard already."""
        self._started = now
        self._newest = ""
        """The run that began last, of those looked at."""
        self._watched: dict[str, RunStatus] = {}
        """By id, those that may still have to be told of: they go on, or ended lately."""

    @property
    def memory(self) -> Memory:
        lasting: dict[str, list[Happening]] = {}
        for each in self._lasting.values():
            lasting.setdefault(each.name, []).append(each)
        waiting = {name: list(some.values()) for name, some in self._waiting.items() if some}
        return Memory(
            self._looked, lasting, dict(self._told), waiting, {name: many for name, many in self._lost.items() if many}
        )

    def look(self, issues: Iterable[Issue], runs: Reversible[RunStatus], now: float) -> bool:
        """Whether anything has happened. `issues`: all that there are now, `runs`: all that are known, by age."""
        happened = [*self._of_issues({_key(issue): issue for issue in issues}, now), *self._of_runs(runs, now)]
        for happening in happened:
            for target in self._targets:
                if _is_for(target, happening):
                    self._add(target.name, happening)
        for target in self._targets:
            self._bound(target.name)
        return bool(happened)

    def waits(self, target: str) -> bool:
        return bool(self._waiting[target])

    def take(self, target: str) -> Sequence[Happening]:
        """What waits, to be told now. Until it is `sent` it waits on, for the next try."""
        self._tried[target] = set(self._waiting[target])
        return tuple(self._waiting[target].values())

    def lost(self, target: str) -> int:
        """How much the target is not told."""
        return self._lost[target]

    def sent(self, target: str, told: Sequence[Happening]) -> None:
        """The target was told, or will never be."""
        waiting = self._waiting[target]
        for each in told:
            if waiting.get(each.part) is each:
                del waiting[each.part]
        self._lost[target] = 0

    def _of_issues(self, now_there: dict[Key, Issue], now: float) -> Iterable[Happening]:
        for key, issue in now_there.items():
            if key not in self._lasting:
                name, machine, subject = key
                begun = self._lasting[key] = Happening("begun", name, issue.since or now, machine, subject, issue.message)
                yield begun
        gone = [key for key in self._lasting if key not in now_there]
        if now - self._started < MEMORY:
            gone = [key for key in gone if key[0] in BY_STRANGERS][:-MOST_OF_STRANGERS]
        for key in gone:
            before = self._lasting.pop(key)
            yield Happening("over", before.name, now, before.machine, before.subject, before.message)

    def _of_runs(self, runs: Reversible[RunStatus], now: float) -> Iterable[Happening]:
        since, self._looked = self._looked - LATE, now
        self._told = {run: ended for run, ended in self._told.items() if ended > since}
        fresh = list(takewhile(lambda run: run.id != self._newest, reversed(runs)))
        self._newest = fresh[0].id if fresh else self._newest
        watched = {**self._watched, **{run.id: run for run in reversed(fresh)}}
        self._watched = {run.id: run for run in watched.values() if run.ended is None or run.ended > since}
        for run in self._watched.values():
            ended = run.ended
            if ended is None or run.id in self._told or run.tried_again or run.may_be_tried_again:
                continue
            self._told[run.id] = ended
            what = f"workflow {run.workflow} run {run.number}"
            yield Happening("ended", run.state, ended, run.machine, what, run.reason)

    def _add(self, target: str, happening: Happening) -> None:
        """What takes back what nobody can have heard is not told, and neither is that; else the last word is."""
        waiting = self._waiting[target]
        taken_back = (OPPOSITE.get(happening.what, ""), *happening.key)
        if waiting.pop(taken_back, None):
            if taken_back not in self._tried[target]:
                return
            self._tried[target].add(happening.part)
        waiting[happening.part] = happening

    def _bound(self, target: str) -> None:
        waiting = self._waiting[target]
        if (many := len(waiting) - MOST_WAITING) > 0:
            for part in sorted(waiting, key=lambda part: waiting[part].name not in BY_STRANGERS)[:many]:
                del waiting[part]
            self._lost[target] += many


def _key(issue: Issue) -> Key:
    return issue.kind, issue.machine, issue.message if issue.kind in MANY else ""


def _is_for(target: Target, happening: Happening) -> bool:
    if happening.what != "ended":
        return "issues" in target.tell and happening.name not in target.ignore
    return "runs" in target.tell or ("failures" in target.tell and happening.name != "SUCCESS")
