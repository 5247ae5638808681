"""The page of one log: its end as it grows, any other part of it, and a search.

Shell. The law: what a page costs is bounded, however much was printed: one part is read, or one search at a time goes through
the file, in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from netboot.dashboard.log_text import PART, Found, Part, part, search
from netboot.dashboard.pages import Pages
from netboot.log_names import path as log_path
from netboot.observed import Observed
from netboot.store import LogName
from netboot.world import World

BLOCK = 1 << 20
TAIL = 4096
"""Bytes of a log that are shown on other pages."""
GROWS = 2
"""Seconds after which the end of a log that grows is looked at again."""


class Whose(NamedTuple):
    """What a log is of, as far as it is known."""

    machine: str = ""
    workflow: str = ""
    title: str = ""
    grows: bool = False


class LogPages:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._searching = asyncio.Lock()

    async def view(self, request: Request) -> Response:
        world, path = self._pages.world, request.path_params["path"]
        file = await asyncio.to_thread(world.log_file, path)
        if file is None:
            raise HTTPException(404, "There is no such log; the page of its machine names those that there are.")
        start, q = offset_of(request.query_params.get("from", "")), request.query_params.get("q", "")[:200]
        whose = whose_log(world.observed, path)
        values: dict[str, Any] = {"path": path, "whose": whose, "q": q, "found": None, "part": None, "size": 0}
        if words := q.split():
            async with self._searching:
                values["found"] = await asyncio.to_thread(_search, file, words, start or 0)
        else:
            values["part"], values["size"] = await asyncio.to_thread(read_part, file, start)
        every = GROWS if whose.grows and not words and start is None else 60
        return self._pages.render("log", **values, every=every, page_bytes=PART)


class Tail(NamedTuple):
    """The last lines of a log, for a page of something else."""

    path: str
    title: str
    lines: Sequence[str]
    grows: bool


async def tail_of(world: World, path: str) -> Tail | None:
    """None: there is no such log, or nothing in it."""
    whose = whose_log(world.observed, path)
    lines = await asyncio.to_thread(_last_lines, world, path)
    return Tail(path, whose.title, lines, whose.grows) if lines else None


def _last_lines(world: World, path: str) -> Sequence[str]:
    file = world.log_file(path)
    return read_part(file, None, TAIL)[0].lines if file else ()


def offset_of(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


def read_part(file: Path, start: int | None, size: int = PART) -> tuple[Part, int]:
    """Some `size` bytes from `start` on, or the last ones; and how many there are."""
    with file.open("rb") as content:
        whole = content.seek(0, 2)
        begin = max(0, whole - size) if start is None else min(start, whole)
        content.seek(begin)
        data = content.read(size)
    return part(data, begin, exact=begin == 0 or start is not None, last=begin + len(data) >= whole), whole


def _search(file: Path, words: list[str], start: int) -> Found:
    def blocks() -> Iterator[bytes]:
        with file.open("rb") as content:
            content.seek(start)
            while block := content.read(BLOCK):
                yield block

    return search(blocks(), words, start)


def whose_log(observed: Observed, path: str) -> Whose:
    """By the first part of the path, which is a run's id or a boot's."""
    folder, _, rest = path.partition("/")
    if run := observed.runs.get(folder):
        for each in reversed(run.attempts):
            if path == log_path(LogName(run.id, each.task, each.action, each.attempt, each.reset)):
                title = f"{each.task} / {each.action}" + (f", try {each.attempt}" if each.attempt > 1 else "")
                return Whose(run.machine, run.workflow, title, run.active and each.state == "RUNNING")
        return Whose(run.machine, run.workflow, rest)
    boot = observed.boots.get(folder.removeprefix("boot-"))
    title = rest.rpartition("/")[2].partition(".")[0]
    return Whose(boot.machine, "", title, boot.closed is None) if boot else Whose(title=path)
