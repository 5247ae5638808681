"""What a change of plans is told as: machines, settings, and one class of consequence for each machine.

Core. The law: values alone, fit to be shown (whatever is secret in a setting is masked), and the same in every format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from netboot.policy import Kind as Approval

Consequence = Literal["none", "next boot", "needs a reboot", "runs a workflow", "destructive", "blocked"]
"""What follows for a machine, the gravest last; `MEANING` says what each means."""
GRAVITY: tuple[Consequence, ...] = get_args(Consequence)
MEANING: Mapping[Consequence, str] = {
    "none": "nothing that it boots from, or runs, changes",
    "next boot": "takes effect when it boots again, or renews its lease",
    "needs a reboot": "what it runs now is what changes: it stays as it is until it is rebooted",
    "runs a workflow": "a run begins that writes to no disk, or one in progress is stopped",
    "destructive": "a run begins that may write to its disks, or wipe them",
    "blocked": "policy holds a run back",
}
Kind = Literal["added", "removed", "renamed", "changed"]


class Setting(msgspec.Struct, frozen=True):
    """A named setting (`reconciler.facts`) that is another; None: nobody gives it."""

    name: str
    before: str | None
    after: str | None


class Moved(msgspec.Struct, frozen=True):
    """A port that had one address and is to have another, or none."""

    mac: str
    before: str
    after: str
    """"": none, or the port is gone with it."""


class Started(msgspec.Struct, frozen=True):
    """A run that begins because of the change, the next time that it is the machine's turn."""

    workflow: str
    run: int
    why: str
    writes: str
    """Which of its actions may write to disks, and why; "": none does."""
    certain: bool = True
    """False: it is not known whether it has begun before, and then nothing begins."""

    @property
    def destructive(self) -> bool:
        return bool(self.writes)


class Change(msgspec.Struct, frozen=True):
    """What becomes of one machine."""

    machine: str
    """Its name in the second plan; of one that is removed, in the first."""
    was: str
    """Its name in the first plan; "": it is new."""
    kind: Kind
    consequence: Consequence
    reasons: tuple[str, ...]
    settings: tuple[Setting, ...]
    starts: tuple[Started, ...] = ()
    moved: tuple[Moved, ...] = ()
    profile: str = ""
    """What it boots before all others; "": nothing."""


class HeldBack(msgspec.Struct, frozen=True):
    """What policy holds, and how it is released."""

    kind: Approval
    rule: str
    """What the policy allows."""
    why: str
    """What goes against it."""
    release: str
    machines: tuple[str, ...]
    whole: bool = False
    """The whole commit waits; else runs are held, or a looser rule."""


class Difference(msgspec.Struct, frozen=True):
    before: str
    """The plan's id; "": there was none."""
    after: str
    site: tuple[Setting, ...]
    """What is no machine's alone. Settings of profiles are here as well as with every machine that boots them."""
    machines: tuple[Change, ...]
    """In order of name."""
    observed: bool
    """Whether it is known what has run."""
    held: tuple[HeldBack, ...] = ()
    """By policy, until it is approved; the gravest first."""

    def __bool__(self) -> bool:
        return self.before != self.after
