"""The page of one machine: its story, what it would be told now, its runs.

Shell. The law: it asks the very functions that answer the machine, and changes nothing by asking.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from netboot.dashboard.pages import Pages
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
        return self._pages.render("machine", machine=machine, issues=issues, timeline=timeline, catalogue=CATALOGUE)
