"""A small site at work, as its journal: some machines are installed, some are at it, one failed, and two were never seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from agent.workflow import Action, Task, Workflow, to_json
from netboot.events import (
    ActionEnded,
    ActionStarted,
    BootAdvanced,
    BootClosed,
    BootOpened,
    Event,
    Phase,
    RunEnded,
    RunStarted,
)
from netboot.plan import BootPlan, Dump, Machine
from netboot.work import Work
from tests.netboot.site import mac, machine, plan

ACTIONS = {"wipe-disk": 8.0, "partition": 4.0, "write-image": 150.0, "configure": 15.0, "kexec": 3.0}
"""Of the workflow, with about the seconds that each takes."""
INSTALL = Workflow("install", (Task("os", "node-01", tuple(Action(name, "image", timeout=600) for name in ACTIONS)),))
INSTALLED, AT_WORK, FAILED, UNSEEN = (4, 5, 6, 7, 8, 10, 12), (1, 2, 9), (3,), (11, 13)
EVERYBODY = sorted((*INSTALLED, *AT_WORK, *FAILED, *UNSEEN))
LOG = b"".join(
    b"\x1b[32m%3d %%\x1b[0m  %5d MiB of 4096 MiB written to /dev/disk/by-id/nvme-SERIAL\n" % (part, part * 41)
    for part in range(70)
)
"""What the first machine's third action has printed."""


def served() -> Dump:
    """node-01 is at 127.0.0.1."""
    return plan(*map(_machine, EVERYBODY), artifacts={"vmlinuz": "0" * 64})


def _machine(number: int) -> Machine:
    made = machine(number, labels={"rack": f"r{1 + number % 3}", "role": "storage" if number % 4 == 0 else "compute"})
    work = (Work(workflow="install", run=2, document=to_json(INSTALL), profile="inspect"),)
    address = "127.0.0.1" if number == 1 else f"10.1.0.{10 + number}"
    return replace(made, work=work, interfaces=(replace(made.interfaces[0], address=address),))


def journal(plan: BootPlan, now: float) -> list[Event]:
    """In order of time; the last was a moment ago."""
    told: list[Event] = []
    for number in (*INSTALLED, *FAILED, *AT_WORK):
        began = now - 1400 + 75 * (number % 5) if number in INSTALLED else now - 110 - 37 * (number % 4)
        told += (event for event in _boot(plan, number, began) if event.at < now - 1)
    return sorted(told, key=lambda event: event.at)


def _boot(plan: BootPlan, number: int, at: float) -> Iterator[Event]:
    """A machine's whole way; some go it slower than others."""
    name, boot, slower = f"node-{number:02}", f"{number:02}c0ffee", 1 + number % 4 / 5
    client = {"kind": "pxe", "arch": "7", "vendorClass": "PXEClient:Arch:00007:UNDI:003000"}
    who: dict[str, Any] = {"machine": name, "macs": (mac(number),), "boot": boot, "plan": plan.id}
    yield BootOpened(at=at, mac=mac(number), via="dhcp", client=client, **who)
    phases: dict[Phase, float] = {"ipxe": 14.0, "script": 4.0, "kernel": 1.0, "agent": 22.0}
    for phase, seconds in phases.items():
        at += seconds * slower
        yield BootAdvanced(
            at=at, boot=boot, phase=phase, reason=f"came to {phase}", profile="inspect" if phase == "script" else ""
        )
    run = f"{number:02}bead"
    yield RunStarted(at=at, run=run, workflow="install", number=2, system="s", document=to_json(INSTALL), **who)
    sequence = 0
    for action, seconds in ACTIONS.items():
        failed = number in FAILED and action == "write-image"
        step: dict[str, Any] = {"run": run, "task": "os", "action": action, "attempt": 1}
        yield ActionStarted(at=at + 0.2, sequence=sequence + 1, **step)
        at, sequence = at + 0.2 + seconds * slower / (8 if failed else 1), sequence + 2
        reason = "No space left on device <sda>" if failed else ""
        yield ActionEnded(
            at=at, sequence=sequence, state="FAILED" if failed else "SUCCESS", exit_code=int(failed), reason=reason, **step
        )
        if failed:
            yield RunEnded(at=at + 0.1, run=run, state="FAILED", reason=f"os/{action} failed", sequence=sequence)
            return
    yield RunEnded(at=at + 0.1, run=run, state="SUCCESS", reason="all actions succeeded", sequence=sequence)
    yield BootAdvanced(at=at + 40, boot=boot, phase="disk", reason="boots its disk")
    yield BootClosed(at=at + 40, boot=boot, reason="boots its disk: all its work is done")
