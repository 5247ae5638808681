"""Policy: how much one commit may do, and when runs may start; a part of the plan.

Core. The law: the commit that is judged never says by what. Limits and approvers are read by the reconciler, of the plan that
was served before; windows and rolling by the servers, each as the strictest of the policies in force (`netboot.holds`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, get_args

import msgspec

Deed = Literal["destructive", "remove", "move"]
"""What a commit may do to a machine: have its disks written, remove it, move an address of it."""
Kind = Literal["destructive", "remove", "move", "protect", "loosen"]
"""What a signer may approve: a deed over its limit, one to a protected machine, or a looser policy."""
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)
KINDS: tuple[Kind, ...] = get_args(Kind)
_DAY = 24 * 60
_WEEK = 7 * _DAY
_EPOCH_DAY = 3
"""1 January 1970 was a Thursday."""


class _Part(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a plan: defaults are not written, so that a new field with a default changes no id."""


class Limit(_Part, frozen=True):
    """To how many machines one commit may do `change`, of the whole site or of each subnet, or of each value of a label."""

    change: Deed
    machines: int | None = None
    share: int | None = None
    """Percent of the machines that there were before."""
    per: str = "site"
    """`site`, `subnet` or `label:<key>`."""


class Window(_Part, frozen=True):
    """When runs may start, in UTC. It begins on each of its days."""

    days: tuple[Day, ...]
    begins: int
    """Minutes after midnight."""
    ends: int
    """The same; of the next day, when that is not after `begins`."""


class Rolling(_Part, frozen=True):
    """Of each run of a workflow; 0: no such limit."""

    at_once: int = 0
    """Machines that carry it out at a time."""
    stop_after: int = 0
    """Machines on which it failed, after which it starts on no other."""


class Approver(_Part, frozen=True):
    signer: str
    """The name of one of the trust's signers."""
    may: tuple[Kind, ...] = KINDS


class Policy(_Part, frozen=True):
    limits: tuple[Limit, ...] = ()
    windows: tuple[Window, ...] = ()
    """None: runs may start at any time."""
    rolling: Rolling = Rolling()
    approvers: tuple[Approver, ...] = ()
    """None: every signer may approve everything."""


NO_POLICY = Policy()
"""The default is this very object: a field is left out of a plan's bytes when it is."""


def open_minutes(windows: Iterable[Window]) -> frozenset[int]:
    """Minutes of the week, from Monday's midnight on, that lie in any of the windows; without windows, all."""
    minutes: set[int] = set()
    found = False
    for window in windows:
        found = True
        length = (window.ends - window.begins) % _DAY or _DAY
        for day in window.days:
            begins = DAYS.index(day) * _DAY + window.begins
            minutes.update(minute % _WEEK for minute in range(begins, begins + length))
    return frozenset(minutes if found else range(_WEEK))


def outside_windows(policies: tuple[Policy, ...], now: float) -> str:
    """Why no run may start at `now` (seconds since the epoch), or "". Where several have windows it must be in one of each."""
    windows = tuple(policy.windows for policy in policies if policy.windows)
    if not windows:
        return ""
    allowed, minute = _common(windows), int(now // 60 + _EPOCH_DAY * _DAY) % _WEEK
    if minute in allowed:
        return ""
    if not allowed:
        return "the maintenance windows in force never overlap, so no run can start: correct spec.policy.windows or the floor's"
    wait = next(ahead for ahead in range(1, _WEEK + 1) if (minute + ahead) % _WEEK in allowed)
    opens = datetime.fromtimestamp(now // 60 * 60 + wait * 60, UTC)
    return f"it is outside the maintenance windows; the next one opens {opens:%Y-%m-%d %H:%M} UTC"


@lru_cache(maxsize=8)
def _common(windows: tuple[tuple[Window, ...], ...]) -> frozenset[int]:
    return frozenset.intersection(*map(open_minutes, windows))


def strictest(policies: Iterable[Policy]) -> Rolling:
    """What rolling comes to where several say it."""
    each = [policy.rolling for policy in policies]
    at_once = [rolling.at_once for rolling in each if rolling.at_once]
    stop_after = [rolling.stop_after for rolling in each if rolling.stop_after]
    return Rolling(min(at_once, default=0), min(stop_after, default=0))
