"""The pages of workflows: what each of them does over all its machines.

Shell. The law: what a page costs is what it shows, however many machines there are; where all of them have to be looked at,
that is kept for a while.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from netboot.dashboard.pages import Kept, Pages
from netboot.dashboard.timeline import gantt
from netboot.run_documents import run_document
from netboot.status_documents import workflow_path
from netboot.status_view import workflow_names
from netboot.workflow_board import Board, Query, boarding, machines_of, run_of, shown


class WorkflowPages:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._boards = Kept[Board | None]()

    async def workflows(self, request: Request) -> Response:
        self._pages.must_serve()
        world, query = self._pages.world, Query.of(request.query_params)
        names = workflow_names(world.plans.current, world.observed) if world.plans else []
        page = shown([name for name in names if query.q.lower() in name.lower()], query.page)
        boards = [board for name in page.rows if (board := await self._board(name))]
        return self._pages.render("workflows", query=query, page=page, boards=boards)

    async def workflow(self, request: Request) -> Response:
        self._pages.must_serve()
        world, query = self._pages.world, Query.of(request.query_params)
        board = await self._board(request.path_params["name"])
        if board is None:
            raise HTTPException(404, "Git names no workflow of that name; /workflows lists what there is.")
        page = shown(machines_of(board, query), query.page)
        runs = [run_of(machine, world.observed) for machine in page.rows]
        picture = gantt(runs, query.axis, world.now())
        return self._pages.render(
            "workflow",
            board=board,
            query=query,
            page=page,
            rows=list(zip(page.rows, runs, picture.rows, strict=True)),
            picture=picture,
            earlier=[run_document(world.observed.runs[run]) for run in board.earlier],
            watch=[workflow_path(board.name)],
        )

    async def _board(self, name: str) -> Board | None:
        world = self._pages.world
        if world.plans is None:
            return None
        plan = world.plans.current
        return await self._boards.get((plan.id, name), lambda: boarding(plan, name, world.observed, world.now()))
