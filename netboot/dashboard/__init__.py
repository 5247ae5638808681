"""The dashboard: what the status says, as pages for people.

Shell. The law: it only reads, and it says nothing that `/status/` does not say. Pages are made here, whole, and need no script;
what comes from machines, people or git is text in them and nothing else. Where something is to be done, a page names the
command or the change in git that does it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from netboot.dashboard.discovered import as_hardware
from netboot.dashboard.events import event_stream
from netboot.dashboard.timeline import spans
from netboot.fleet import AWAY, Query, Row, counts_of, map_of, matching, rows_of, select
from netboot.issue_document import entry, issues_of_machine, issues_of_site
from netboot.issue_kinds import CATALOGUE
from netboot.status_documents import RECONCILE_PATH, hardware_path, workflow_path
from netboot.world import World

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
STATIC = {"style.css": "text/css", "live.js": "text/javascript", "mark.svg": "image/svg+xml"}
ROWS_SECONDS = 1.0
"""For which the rows of the fleet are kept: to make them costs as much as all machines."""

Page = Callable[[Request], Awaitable[Response]]


def dashboard_routes(world: World, root: Page, reading: list[Middleware]) -> list[Route]:
    """`root`: what `/` says to those who do not ask for a page."""
    dashboard = _Dashboard(world, root)
    return [
        Route("/", dashboard.fleet, middleware=reading),
        Route("/machines/{name}", dashboard.machine, middleware=reading),
        Route("/workflows", dashboard.workflows, middleware=reading),
        Route("/workflows/{name}", dashboard.workflow, middleware=reading),
        Route("/commits", dashboard.commits, middleware=reading),
        Route("/discovered", dashboard.discovered, middleware=reading),
        Route("/system", dashboard.system, middleware=reading),
        Route("/events", dashboard.events, middleware=reading),
        Route("/static/{name}", dashboard.static),
    ]


class _Dashboard:
    def __init__(self, world: World, root: Page) -> None:
        self._world = world
        self._root = root
        self._rows: tuple[float, list[Row]] = (0.0, [])
        self._templates = Environment(
            loader=PackageLoader("netboot.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"age": _age, "clock": _clock, "seconds": _seconds}

    async def fleet(self, request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return await self._root(request)
        query, rows = Query.of(request.query_params), self._fleet()
        found = matching(rows, query)
        shown, where = select(found, query), map_of(found, query.by) if query.by else {}
        world = self._world
        site = [entry(each) for each in issues_of_site(world.plans, world.word, world.heard, world.now())]
        return self._page(
            "fleet", query=query, shown=shown, counts=counts_of(rows), where=where, site=site, away=AWAY, catalogue=CATALOGUE
        )

    async def machine(self, request: Request) -> Response:
        name = request.path_params["name"]
        machine = self._document(hardware_path(name))
        world, now = self._world, self._world.now()
        found = issues_of_machine(world.plans, name, world.observed, world.hold(), world.heard, now)
        issues = [entry(each) for each in found]
        timeline = spans(machine["boot"], now) if machine["boot"] else ()
        return self._page("machine", machine=machine, issues=issues, timeline=timeline, catalogue=CATALOGUE)

    async def workflows(self, request: Request) -> Response:
        paths = self._document("index.json")["documents"]
        names = [path.removeprefix("/status/") for path in paths if path.startswith("/status/workflows/")]
        return self._page("workflows", workflows=[self._document(path) for path in names])

    async def workflow(self, request: Request) -> Response:
        return self._page("workflow", workflow=self._document(workflow_path(request.path_params["name"])))

    async def commits(self, request: Request) -> Response:
        return self._page("commits", site=self._document(RECONCILE_PATH))

    async def discovered(self, request: Request) -> Response:
        unknown = self._document(RECONCILE_PATH)["unknown"]
        return self._page("discovered", unknown=[(each, as_hardware(each)) for each in unknown])

    async def system(self, request: Request) -> Response:
        world = self._world
        counts = sorted((kind, outcome, count) for (kind, outcome), count in world.counts.items())
        site, served = self._document(RECONCILE_PATH), self._maybe("served.json")
        ports = {"HTTP": world.http_port, "HTTPS": world.https_port}
        return self._page("system", site=site, served=served, counts=counts, ports=ports, started=world.started)

    async def events(self, request: Request) -> Response:
        return event_stream(request, self._world.feed)

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise HTTPException(404, "There is no such file.")
        content = resources.files("netboot.dashboard").joinpath("static", name).read_bytes()
        return Response(content, media_type=STATIC[name], headers={"Cache-Control": "max-age=300"})

    def _fleet(self) -> list[Row]:
        world, at = self._world, time.monotonic()
        if world.plans is None:
            return []
        if not self._rows[1] or at - self._rows[0] > ROWS_SECONDS:
            rows = rows_of(world.plans, world.observed, world.hold(), world.heard, world.now())
            self._rows = (at, rows)
        return self._rows[1]

    def _maybe(self, path: str) -> Any:
        data = self._world.status_document(path)
        return None if data is None else json.loads(data)

    def _document(self, path: str) -> Any:
        """Raises 404, or 503 before the first plan."""
        document = self._maybe(path)
        if document is None and self._world.plans is None:
            raise HTTPException(503, f"No plan is served yet: {self._world.no_plan}.", {"Retry-After": "5"})
        if document is None:
            raise HTTPException(404, "Git names nothing of that name; / lists what there is.")
        return document

    def _page(self, name: str, **values: object) -> Response:
        word = self._world.git.latest
        shell = {"here": name, "now": self._world.now(), "commit": word.revision if word else "", "hold": self._world.hold()}
        text = self._templates.get_template(f"{name}.html").render(shell | values)
        return Response(text, media_type="text/html; charset=utf-8", headers=HEADERS)


def _instant(at: float | str | None) -> float | None:
    return datetime.fromisoformat(at).timestamp() if isinstance(at, str) else at or None


def _age(at: float | str | None, now: float) -> str:
    instant = _instant(at)
    return "never" if instant is None else f"{_seconds(max(0.0, now - instant))} ago"


def _clock(at: float | str | None) -> str:
    instant = _instant(at)
    return "" if instant is None else datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _seconds(value: float) -> str:
    """`12s`, `3m 20s`, `5h 10m`, `2d`."""
    whole = int(value)
    if whole < 60:
        return f"{value:.1f}s" if value < 10 else f"{whole}s"
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}h" if hours else f"{days}d"
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {seconds}s"
