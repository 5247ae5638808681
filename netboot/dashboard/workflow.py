"""The pages of workflows: what each of them does over all its machines.

Shell. The law: what a page costs is what it shows, however many machines there are.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from netboot.dashboard.pages import Pages
from netboot.status_documents import workflow_path


class WorkflowPages:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def workflows(self, request: Request) -> Response:
        paths = self._pages.document("index.json")["documents"]
        names = [path.removeprefix("/status/") for path in paths if path.startswith("/status/workflows/")]
        return self._pages.render("workflows", workflows=[self._pages.document(path) for path in names])

    async def workflow(self, request: Request) -> Response:
        return self._pages.render("workflow", workflow=self._pages.document(workflow_path(request.path_params["name"])))
