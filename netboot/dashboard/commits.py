"""The pages about git: which commit is served, what differs between two, and why and since when a machine gets what it gets.

Shell. The law: what a page needs of the repository is asked of the `Reviewer` and never waited for long; a server that has none
says which command tells it.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from netboot.dashboard.pages import EVERY, Pages
from netboot.review import Document, NotAnswered, Question, is_commit_name
from netboot.status_documents import RECONCILE_PATH, hardware_path

AGAIN = 3
"""Seconds until a browser looks again for what is being worked out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """At most one of the first three is said; nothing is, where nothing was asked."""

    document: Document | None = None
    trouble: str = ""
    awaited: bool = False
    command: str = ""
    """What tells the same."""


class CommitPages:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._world = pages.world

    async def commits(self, request: Request) -> Response:
        site = self._pages.document(RECONCILE_PATH)
        said = request.query_params
        base, head = (said.get(each, "").strip() for each in ("base", "head"))
        last = await self._ask(Question("commits", (), self._at()), f"git log {site['branch'] or 'HEAD'}")
        plan = await self._difference(base, head) if base or head else Answer()
        return self._page("commits", (last, plan), site=site, last=last, plan=plan, base=base, head=head)

    async def why(self, request: Request) -> Response:
        name, machine = self._machine(request)
        found = await self._ask(Question("why", (name,), self._at()), f"gitboot why {name}")
        return self._page("why", (found,), machine=machine, found=found)

    async def history(self, request: Request) -> Response:
        name, machine = self._machine(request)
        found = await self._ask(Question("history", (name,), self._at()), f"gitboot history {name}")
        return self._page("history", (found,), machine=machine, found=found)

    async def _difference(self, base: str, head: str) -> Answer:
        """What is left out on one side is the commit that is served."""
        base, head = (each or self._at()[1] for each in (base, head))
        if not (is_commit_name(base) and is_commit_name(head)):
            return Answer(trouble="Name both commits by id, branch or tag, or as main~1; a page takes nothing else for a name.")
        return await self._ask(Question("plan", (base, head), self._at()), f"gitboot plan {base}..{head}")

    async def _ask(self, question: Question, command: str) -> Answer:
        reviewer = self._world.reviewer
        if reviewer is None:
            return Answer(trouble="This server does not read git; in a clone of the repository", command=command)
        try:
            document = await reviewer.ask(question)
        except NotAnswered as why:
            return Answer(trouble=str(why), command=command)
        return Answer(document, awaited=document is None, command=command)

    def _at(self) -> tuple[str, str, str]:
        word = self._world.word
        return word.head, word.revision, word.plan

    def _machine(self, request: Request) -> tuple[str, Document]:
        name = request.path_params["name"]
        return name, self._pages.document(hardware_path(name))

    def _page(self, name: str, answers: tuple[Answer, ...], **values: object) -> Response:
        """It comes back for what is being worked out, by the script or without it."""
        awaited = any(each.awaited for each in answers)
        page = self._pages.render(name, every=AGAIN if awaited else EVERY, watch=[RECONCILE_PATH], **values)
        if awaited:
            page.headers["Refresh"] = str(AGAIN)
        return page
