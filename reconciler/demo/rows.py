"""What a status file says of a machine: its line of the table, and whether it is worth switching it on.

Core. A run that has not begun an action yet shows none; one that ended shows its last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """Texts are empty where there is nothing to say."""

    machine: str
    phase: str
    workflow: str = ""
    """With its number, as `burn-in-storage run 1`."""
    action: str = ""
    state: str = ""
    """Of the run: RUNNING, SUCCESS, FAILED …"""
    reason: str = ""
    """Why the run ended so."""
    trouble: str = ""
    """Why the machine is stuck."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a machine did or was told."""

    machine: str
    phase: str
    text: str


def has_new_work(status: Mapping[str, Any]) -> bool:
    """There is work, and not what its last boot was for: a machine with an everyBoot workflow would be switched on for ever."""
    boot = status["boot"]
    return status["step"]["action"] == "run" and (boot is None or boot["plan"] != status["plan"])


def row_of(phase: str, trouble: str, status: Mapping[str, Any]) -> Row:
    """`status`: a HardwareStatus. Work that the machine has yet to claim is shown before what it did last."""
    machine, run, step = status["name"], status["run"], status["step"]
    if step["action"] == "run" and (run is None or run["ended"]):
        return Row(machine, phase, f"{step['workflow']} run {step['run']}", state="PENDING", trouble=trouble)
    if run is None:
        return Row(machine, phase, trouble=trouble)
    begun = [action for task in run["tasks"] for action in task["actions"] if action["attempts"]]
    action = begun[-1]["name"] if begun else ""
    work = f"{run['workflow']} run {run['number']}"
    return Row(machine, phase, work, action, run["state"], run["reason"], trouble)
