"""What was noticed of machines and of who is told of them, and is in no journal: whom they chose, what they were refused.

Core. The law: it is for the issues alone, no decision rests on it, and it is bounded: whoever was noticed longest ago is
forgotten first. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

MOST = 16_384
"""Machines, of each kind of thing; more than one server is made for."""

V = TypeVar("V")


class Recent(Generic[V]):
    """The last word of each of at most so many."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[str, V] = OrderedDict()

    def keep(self, key: str, value: V) -> None:
        self._kept[key] = value
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def of(self, key: str) -> V | None:
        return self._kept.get(key)

    def drop(self, key: str) -> None:
        self._kept.pop(key, None)


@dataclass(frozen=True, slots=True)
class Choice:
    """A client said in a REQUEST which server's offer it takes, and it was not ours."""

    server: str
    at: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A machine of git asked for an address and was given none."""

    reason: str
    since: float
    last: float


@dataclass(frozen=True, slots=True)
class Noticed:
    choices: Recent[Choice] = field(default_factory=Recent)
    """By MAC."""
    offered: Recent[float] = field(default_factory=Recent)
    """MAC → when it was last made an offer that it has not come back for."""
    bound: Recent[float] = field(default_factory=Recent)
    """MAC → when it was last acknowledged an address."""
    refusals: Recent[Refusal] = field(default_factory=Recent)
    """By machine, as the next."""
    clocks: Recent[tuple[str, float]] = field(default_factory=Recent)
    """The boot whose agent said so, and by how many seconds its clock is ahead of ours; less than 0: behind."""

    undelivered: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Target of `--notify` that takes nothing → why, and since when."""

    def refused(self, machine: str, reason: str, now: float) -> None:
        before = self.refusals.of(machine)
        since = before.since if before and before.reason == reason else now
        self.refusals.keep(machine, Refusal(reason, since, now))

    def answered(self, machine: str, mac: str, message: str, now: float) -> None:
        """`message`: `OFFER`, `ACK` or `NAK`."""
        self.refusals.drop(machine)
        if message == "OFFER":
            self.offered.keep(mac, now)
        elif message == "ACK":
            self.offered.drop(mac)
            self.choices.drop(mac)
            self.bound.keep(mac, now)
