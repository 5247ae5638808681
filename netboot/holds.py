"""Holds: which runs of a plan may not start yet, by which rule, and how they are released.

Core. The law: a plan's holds lie beside it in its folder, and are written before the plan is served. Holds that are missing,
damaged or of another plan hold every new run: nobody can say then which of them were to be held. They gate the start of runs
and nothing else, and are no part of the plan: releasing one changes no id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from netboot.observed import Observed
from netboot.policy import Kind, Policy, Rolling, strictest
from netboot.trust import Trust
from netboot.work import Work

NAME = "holds.json"
"""In the plan's folder."""
UNREADABLE = "the reconciler has not said which runs of this plan are held ({}): it says so again when it next looks at git"


class Hold(msgspec.Struct, frozen=True, omit_defaults=True):
    """Runs that one rule holds."""

    kind: Kind
    rule: str
    """As it is written: `at most 10 machines destructive per site`."""
    why: str
    """What goes against it, as half a sentence."""
    release: str
    """How it is released, as a sentence without a full stop."""
    runs: dict[str, tuple[tuple[str, int], ...]]
    """Machine → workflow and run number of each of its runs that are held."""


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the next commit is judged by beside what the plan says, because nobody approved that the plan loosens it."""

    policy: Policy
    trust: Trust
    protected: dict[str, tuple[str, ...]] = {}
    """Machine → its MACs: those that are still protected."""
    loosened: tuple[str, ...] = ()
    """In what the plan loosens it, as ends of a sentence that begins with "it"."""


class Holds(msgspec.Struct, frozen=True, omit_defaults=True):
    plan: str
    """The plan's id."""
    revision: str = ""
    """The commit whose holds these are: what is approved is looked for in the commits after it."""
    held: tuple[Hold, ...] = ()
    policies: tuple[Policy, ...] = ()
    """Those in force, for windows and rolling."""
    kept: Kept | None = None
    everything: str = ""
    """Why every new run is held, or ""."""


_decoder = msgspec.json.Decoder(Holds)
_encoder = msgspec.json.Encoder(order="deterministic")


def encode_holds(holds: Holds) -> bytes:
    return _encoder.encode(holds)


def decode_holds(data: bytes | None, plan: str) -> Holds:
    """Those of `plan`; None: there is no such file. Never raises."""
    if data is None:
        return unknown(plan, "they are missing")
    try:
        holds = _decoder.decode(data)
    except (ValueError, RecursionError) as error:  # msgspec's own are ValueErrors
        return unknown(plan, f"they are damaged: {error}")
    return holds if holds.plan == plan else unknown(plan, "they are of another plan")


def unknown(plan: str, why: str) -> Holds:
    return Holds(plan, everything=UNREADABLE.format(why))


@dataclass(frozen=True, slots=True)
class Gate:
    """A plan's holds as the servers ask them."""

    everything: str = ""
    of_run: Mapping[tuple[str, str, int], Hold] = field(default_factory=dict)
    """(machine, workflow, number) → what holds that run."""
    policies: tuple[Policy, ...] = ()
    rolling: Rolling = field(default_factory=Rolling)

    def holds(self, machine: str, work: Work, observed: Observed) -> str:
        """Why no run of this work may start on this machine now, or ""."""
        if self.everything:
            return self.everything
        if hold := self.of_run.get((machine, work.workflow, work.run)):
            return f"policy allows {hold.rule}, and {hold.why}; to release it: {hold.release}"
        return _rolls(self.rolling, work, observed)


OPEN = Gate()


def gate(holds: Holds) -> Gate:
    """`OPEN` itself where nothing is held and nothing ever will be."""
    if not (holds.everything or holds.held or holds.policies):
        return OPEN
    of_run = {
        (machine, workflow, number): hold
        for hold in holds.held
        for machine, runs in hold.runs.items()
        for workflow, number in runs
    }
    return Gate(holds.everything, of_run, holds.policies, strictest(holds.policies))


def _rolls(rolling: Rolling, work: Work, observed: Observed) -> str:
    """Whether as many as may are at this run already, or it failed on too many. O(runs in progress)."""
    title = f"workflow {work.workflow} run {work.run}"
    failed = sorted(observed.failed_on(work.workflow, work.run)) if rolling.stop_after else []
    if failed and len(failed) >= rolling.stop_after:
        named = ", ".join(failed[:3]) + (" …" if len(failed) > 3 else "")
        return f"{title} failed on {len(failed)} machines ({named}), and starts on no other after {rolling.stop_after}"
    if rolling.at_once:
        at_it = {run.machine for run in observed.active_runs() if (run.workflow, run.number) == (work.workflow, work.run)}
        if len(at_it) >= rolling.at_once:
            return f"{title} is at work on {len(at_it)} machines, and may be on {rolling.at_once} at a time"
    return ""
