"""The page of the server itself: what listens, what is asked how often, what lies on its disk, and what it is made of.

Shell. The law: looking costs so many system calls at most, made in a thread and for all who look meanwhile, however long the
history and however many the logs.
"""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections import Counter
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from netboot.dashboard.pages import SHARE, Pages
from netboot.durations import ANSWERS, Histogram
from netboot.status_documents import RECONCILE_PATH

PACKAGES = ("gitboot", "starlette", "uvicorn", "msgspec", "jinja2")
FOLDERS = ("journal", "logs", "recordings", "plans/shards", "status/hardware", "inventory")
"""Of the state directory; of the journal every byte is kept."""
MOST_FILES = 20_000
"""Files and folders in one of them that are looked at."""


class Folder(NamedTuple):
    name: str
    files: int
    bytes: int
    whole: bool
    """Whether there are no more than were looked at."""


class SystemPage:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._world = pages.world
        self._looking = asyncio.Lock()
        self._found: tuple[list[Folder], int] = ([], 0)
        self._good_until = 0.0

    async def system(self, request: Request) -> Response:
        world = self._world
        site, served = self._pages.document(RECONCILE_PATH), self._pages.maybe("served.json")
        folders, free = await self._store()
        return self._pages.render(
            "system",
            site=site,
            served=served,
            exchanges=self._exchanges(),
            ports=world.ports,
            started=world.started,
            folders=folders,
            free=free,
            position=world.ledger.position,
            failure=world.ledger.failure,
            plans=self._plans(),
            listeners=world.feed.listeners,
            answers=[(kind, _spread(each)) for kind, each in sorted(world.durations.answers.items())],
            longest=ANSWERS[-1],
            reviewer=world.reviewer is not None,
            versions=_versions(),
        )

    async def _store(self) -> tuple[list[Folder], int]:
        """Good for `SHARE` times as long as it took to look."""
        settings = self._world.settings
        async with self._looking:
            began = time.monotonic()
            if began >= self._good_until:
                self._found = await asyncio.to_thread(_look, settings.state, settings.artifacts)
                ended = time.monotonic()
                self._good_until = ended + SHARE * (ended - began)
            return self._found

    def _exchanges(self) -> list[tuple[str, str, int, float]]:
        """Kind, outcome, how often since start, and in a second of the last minute."""
        counts, rates = self._world.counts, self._world.pace.rates(self._world.counts, time.monotonic())
        return [(*key, count, rates.get(key, 0.0)) for key, count in sorted(counts.items()) if count]

    def _plans(self) -> list[tuple[str, str, int]]:
        """Id, what for, and how many open boots keep to it."""
        plans, observed = self._world.plans, self._world.observed
        if plans is None:
            return []
        boots = Counter(boot.plan for boot in observed.open_boots())
        pinned = [(each, "open boots keep to it", boots[each]) for each in plans.pinned]
        return [(plans.current.id, "served", boots[plans.current.id]), *pinned]


class Spread(NamedTuple):
    """Of how long answers took: how many there were, and seconds; `half` and `most` are upper bounds, None: beyond the last."""

    answers: int
    mean: float
    half: float | None
    most: float | None


def _spread(histogram: Histogram) -> Spread:
    count = sum(histogram.counts)
    return Spread(count, histogram.sum / max(count, 1), _below(histogram, 0.5), _below(histogram, 0.99))


def _below(histogram: Histogram, share: float) -> float | None:
    """The least bound that this share of all is within."""
    wanted, seen = share * sum(histogram.counts), 0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=False):
        seen += count
        if seen >= wanted:
            return bound
    return None


def _look(state: Path, artifacts: Path | None) -> tuple[list[Folder], int]:
    """What lies in them, and how many bytes may still be written to the state directory."""
    disk = os.statvfs(state)
    folders = [_folder(name, state / name) for name in FOLDERS]
    return [*folders, *([_folder(str(artifacts), artifacts)] if artifacts else [])], disk.f_bavail * disk.f_frsize


def _folder(name: str, path: Path) -> Folder:
    """With all below it."""
    looked = files = total = 0
    inside = [str(path)]
    for folder in inside:  # grows while it is walked
        with suppress(OSError), os.scandir(folder) as found:  # not there yet, or gone while it was looked at
            for each in found:
                if looked == MOST_FILES:
                    return Folder(name, files, total, whole=False)
                looked += 1
                if each.is_dir(follow_symlinks=False):
                    inside.append(each.path)
                else:
                    files, total = files + 1, total + each.stat(follow_symlinks=False).st_size
    return Folder(name, files, total, whole=True)


def _versions() -> dict[str, Any]:
    return {"Python": platform.python_version(), "Linux": platform.release(), **{each: _version(each) for each in PACKAGES}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"
