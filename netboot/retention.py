"""How long what explains the past is kept: consoles, logs of runs, and what machines said they are made of.

Core. Law: of a machine in git, all logs of its runs and the consoles of its last boots stay. What belongs to no machine in git
goes a month after it was last written, so that a commit that removes too much can be taken back. Nothing here decides about
work: that is the journal's, and of it nothing goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netboot.log_names import console_log, safe
from netboot.plan import BootPlan
from netboot.records import BootStatus, RunStatus

REMOVED = 30 * 86400.0
"""Seconds for which that of machines which are not in git any more is kept."""
_CONSOLES = console_log("").run


@dataclass(frozen=True, slots=True)
class Owned:
    """What the logs are kept under (`LogName.run`) that somebody knows of."""

    here: frozenset[str]
    """Of machines in git."""
    gone: frozenset[str]
    """Of machines that were."""


def owned(plan: BootPlan, boots: Iterable[BootStatus], runs: Iterable[RunStatus]) -> Owned:
    """`boots` and `runs`: all that are observed. Of them nothing is read that changes, so a thread may do this."""
    here, gone = set[str](), set[str]()
    for boot in boots:
        whose = here if _in_git(plan, boot.machine, boot.macs) else gone
        whose.update(console_log(each).run for each in (boot.id, *(past.id for past in boot.earlier)))
    for run in runs:
        (here if _in_git(plan, run.machine, run.macs) else gone).add(run.id)
    return Owned(frozenset(here), frozenset(gone - here))


def superfluous_logs(folders: Mapping[str, float], known: Owned, now: float) -> list[str]:
    """`folders`: name → when it was last written. A console that nobody knows of is of a boot before the last ones."""
    here, gone = ({safe(name) for name in names} for names in (known.here, known.gone))
    return [
        folder
        for folder, at in folders.items()
        if folder not in here and (now - at > REMOVED or (folder.startswith(_CONSOLES) and folder not in gone))
    ]


def superfluous_inventories(written: Mapping[str, float], now: float) -> list[str]:
    """`written`: machine that is not in git → when it last said something new."""
    return [name for name, at in written.items() if now - at > REMOVED]


def _in_git(plan: BootPlan, machine: str, macs: Iterable[str]) -> bool:
    return machine in plan.machines or any(mac in plan.by_mac for mac in macs)
