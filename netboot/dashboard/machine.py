"""The page of one machine: its story, what it would be told now, its runs.

Shell. The law: it asks the very functions that answer the machine, and changes nothing by asking.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from netboot.dashboard.logs import GROWS, tail_of
from netboot.dashboard.pages import EVERY, Pages
from netboot.dashboard.timeline import run_bars, scale_of_run, timeline, usual_of
from netboot.desk import Counter
from netboot.issue_document import entry, issues_of_machine
from netboot.issue_kinds import CATALOGUE
from netboot.log_names import console_log
from netboot.plan import Binding
from netboot.preview import FRESH, Told, told_now
from netboot.records import BootStatus
from netboot.run_documents import run_document
from netboot.status_documents import hardware_path
from netboot.story import stories_path
from netboot.world import World

MOST_RUNS = 20
"""The last ones, in the history."""
MOST_LOGS = 10
"""Of one boot."""


class MachinePages:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def machine(self, request: Request) -> Response:
        name = request.path_params["name"]
        machine = self._pages.document(hardware_path(name))
        world = self._pages.world
        now, run, boot = world.now(), machine["run"], world.observed.last_boot_of(name)
        found = issues_of_machine(world.plans, name, world.observed, world.hold(), world.heard, now)
        boots = self._pages.document(stories_path(name))["boots"]
        story = next((each for each in boots if each["id"] == request.query_params.get("boot")), boots[0] if boots else None)
        tail = await tail_of(world, path) if (path := _telling(run)) else None
        usual = usual_of(machine["story"])
        bars = run_bars(run, scale_of_run(run, now, usual), now, usual) if run else ()
        return self._pages.render(
            "machine",
            machine=machine,
            issues=[entry(each) for each in found],
            catalogue=CATALOGUE,
            story=story,
            timeline=timeline(story, now) if story else None,
            boots=[(each, timeline(each, now)) for each in boots],
            bars=bars,
            tail=tail,
            interfaces=_interfaces(world, name),
            told=_told(world, name, boot, _local(request)),
            local="" if world.plans and world.plans.current.site.server else _local(request),
            runs=_runs(world, name),
            logs=await asyncio.to_thread(_logs, world, [each["id"] for each in boots]),
            every=GROWS if tail and tail.grows else EVERY,
            watch=[hardware_path(name)],
        )


def _local(request: Request) -> str:
    """The address of ours by which we are asked; loopback where that is none of IPv4."""
    try:
        return str(IPv4Address((request.scope.get("server") or ("",))[0]))
    except ValueError:
        return "127.0.0.1"


def _interfaces(world: World, name: str) -> Sequence[dict[str, Any]]:
    """What git gives each, and what it has from us."""
    plans, observed = world.plans, world.observed
    machine = plans.current.machines.get(name) if plans else None
    return [
        {
            "mac": each.mac, "address": each.address, "hostname": each.hostname, "subnet": each.subnet, "dhcp": each.dhcp,
            "netboot": each.netboot, "lease": observed.address_of.get(each.mac, ""), "seen": world.heard.address_of(each.mac),
        }
        for each in (machine.interfaces if machine else ())
    ]  # fmt: skip


def _told(world: World, name: str, boot: BootStatus | None, local: str) -> tuple[Told, ...]:
    """By the interface that booted last, or else by the first that may. `local`: the address of ours that was asked."""
    plans = world.plans
    machine = plans.current.machines.get(name) if plans else None
    if plans is None or machine is None or not machine.interfaces:
        return ()
    may = [each for each in machine.interfaces if each.netboot] or list(machine.interfaces)
    port = next((each for each in may if boot and each.mac == boot.mac), may[0])
    at = Counter(world.identity(local), world.base(local), world.hold(), FRESH)
    client = boot.client if boot else {}
    return told_now(world.house(local), plans, world.observed, Binding(machine, port), at, world.now(), client)


def _runs(world: World, name: str) -> Sequence[dict[str, Any]]:
    """The newest first."""
    plans = world.plans
    machine = plans.current.machines.get(name) if plans else None
    runs = world.observed.runs_of(name, machine.macs) if machine else []
    return [run_document(run) for run in reversed(runs[-MOST_RUNS:])]


def _logs(world: World, boots: Iterable[str]) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Boot → what its system said: of each log its name, and its path below /logs/."""
    root = world.settings.state / "logs"
    found = {boot: sorted(root.glob(f"{console_log(boot).run}/*/*.log")) for boot in boots}
    return {
        boot: [(file.name.partition(".")[0], str(file.relative_to(root))) for file in files[:MOST_LOGS]]
        for boot, files in found.items()
    }


def _telling(run: dict[str, Any] | None) -> str:
    """Which log of a run tells of how it stands, below /logs/: that of the action at work, or of the one that failed; or ""."""
    attempts = [each for task in (run or {}).get("tasks", ()) for action in task["actions"] for each in action["attempts"]]
    states = ("RUNNING",) if run and run["state"] in ("RUNNING", "SUCCESS") else ("FAILED", "TIMEOUT", "INTERRUPTED", "RUNNING")
    found = [each["log"] for each in attempts if each["state"] in states]
    return found[-1].removeprefix("/logs/") if found else ""
