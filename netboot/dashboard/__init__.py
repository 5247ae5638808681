"""The dashboard: what the status says, as pages for people.

Shell. The law: it only reads; what it says beside what `/status/` says it asks of the very functions that answer machines, and
of git, masked. Pages are made here, whole, and need no script; what comes from machines, people or git is text in them and
nothing else. Where something is to be done, a page names the command or the change in git that does it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from netboot.dashboard.commits import CommitPages
from netboot.dashboard.discovered import as_hardware
from netboot.dashboard.events import event_stream
from netboot.dashboard.logs import LogPages
from netboot.dashboard.machine import MachinePages
from netboot.dashboard.pages import Pages
from netboot.dashboard.system import SystemPage
from netboot.dashboard.workflow import WorkflowPages
from netboot.fleet import AWAY, Query, counts_of, map_of, matching, select
from netboot.issue_document import entry, issues_of_site
from netboot.issue_kinds import CATALOGUE
from netboot.status_documents import RECONCILE_PATH
from netboot.world import World

STATIC = {"style.css": "text/css", "live.js": "text/javascript", "mark.svg": "image/svg+xml"}

Page = Callable[[Request], Awaitable[Response]]


def dashboard_routes(world: World, root: Page, reading: list[Middleware]) -> list[Route]:
    """`root`: what `/` says to those who do not ask for a page."""
    pages = Pages(world)
    dashboard, machine, workflow, logs = _Dashboard(pages, root), MachinePages(pages), WorkflowPages(pages), LogPages(pages)
    git, system = CommitPages(pages), SystemPage(pages)
    return [
        Route("/", dashboard.fleet, middleware=reading),
        Route("/machines/{name}", machine.machine, middleware=reading),
        Route("/workflows", workflow.workflows, middleware=reading),
        Route("/workflows/{name}", workflow.workflow, middleware=reading),
        Route("/view/{path:path}", logs.view, middleware=reading),
        Route("/machines/{name}/why", git.why, middleware=reading),
        Route("/machines/{name}/history", git.history, middleware=reading),
        Route("/commits", git.commits, middleware=reading),
        Route("/discovered", dashboard.discovered, middleware=reading),
        Route("/system", system.system, middleware=reading),
        Route("/events", dashboard.events, middleware=reading),
        Route("/static/{name}", dashboard.static),
    ]


class _Dashboard:
    def __init__(self, pages: Pages, root: Page) -> None:
        self._pages = pages
        self._world = pages.world
        self._root = root

    async def fleet(self, request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return await self._root(request)
        query, rows = Query.of(request.query_params), (await self._world.survey()).rows
        found = matching(rows, query)
        shown, where = select(found, query), map_of(found, query.by) if query.by else {}
        world = self._world
        site = [entry(each) for each in issues_of_site(world.plans, world.word, world.heard, world.now())]
        return self._pages.render(
            "fleet", query=query, shown=shown, counts=counts_of(rows), where=where, site=site, away=AWAY, catalogue=CATALOGUE
        )

    async def discovered(self, request: Request) -> Response:
        unknown = self._pages.document(RECONCILE_PATH)["unknown"]
        return self._pages.render("discovered", unknown=[(each, as_hardware(each)) for each in unknown])

    async def events(self, request: Request) -> Response:
        return event_stream(request, self._world.feed)

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise HTTPException(404, "There is no such file.")
        content = resources.files("netboot.dashboard").joinpath("static", name).read_bytes()
        return Response(content, media_type=STATIC[name], headers={"Cache-Control": "max-age=300"})
