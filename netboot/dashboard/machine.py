"""The page of one machine: its story, what it would be told now, its runs.

Shell. The law: it asks the very functions that answer the machine, and changes nothing by asking.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from netboot.dashboard.logs import GROWS, tail_of
from netboot.dashboard.pages import EVERY, Pages
from netboot.dashboard.timeline import spans
from netboot.issue_document import entry, issues_of_machine
from netboot.issue_kinds import CATALOGUE
from netboot.status_documents import hardware_path


class MachinePages:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def machine(self, request: Request) -> Response:
        name = request.path_params["name"]
        machine = self._pages.document(hardware_path(name))
        world = self._pages.world
        now = world.now()
        found = issues_of_machine(world.plans, name, world.observed, world.hold(), world.heard, now)
        issues = [entry(each) for each in found]
        timeline = spans(machine["boot"], now) if machine["boot"] else ()
        tail = await tail_of(world, path) if (path := _telling(machine["run"])) else None
        return self._pages.render(
            "machine", machine=machine, issues=issues, timeline=timeline, catalogue=CATALOGUE, tail=tail,
            every=GROWS if tail and tail.grows else EVERY, watch=[hardware_path(name)],
        )  # fmt: skip


def _telling(run: dict[str, Any] | None) -> str:
    """Which log of a run tells of how it stands, below /logs/: that of the action at work, or of the one that failed; or ""."""
    attempts = [each for task in (run or {}).get("tasks", ()) for action in task["actions"] for each in action["attempts"]]
    states = ("RUNNING",) if run and run["state"] in ("RUNNING", "SUCCESS") else ("FAILED", "TIMEOUT", "INTERRUPTED", "RUNNING")
    found = [each["log"] for each in attempts if each["state"] in states]
    return found[-1].removeprefix("/logs/") if found else ""
