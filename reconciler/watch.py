"""When to look at the repository again: its refs moved, someone asked, or it is time.

Shell. Waking too often costs a few milliseconds, missing a change costs a poll interval; so the watch is an accelerator and
the timer is what is relied on (file system notifications do not cross NFS, and are lost with the folder they were on).
Only refs are watched, never objects or a work tree: HEAD, `packed-refs`, `refs/` and `reftable/`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import watchfiles

from reconciler.backoff import next_delay
from reconciler.errors import Unavailable

Wake = Literal["change", "poke", "poll"]

_DEBOUNCE_MS = 50
_STEP_MS = 25
POKE_SECONDS = 1.0
"""Between the looks that others ask for: however often they do, and nobody's request is lost."""
_TOP_NAMES = frozenset({"HEAD", "packed-refs", "refs", "reftable"})
_REF_FOLDERS = ("refs", "reftable")

_DELETED = watchfiles.Change.deleted

Identity = tuple[tuple[str, int, int], ...]


class Watcher:
    """Waits for the next moment to fetch. An async context manager; one task waits at a time, `poke` is for the loop's thread.

    `find` gives the git directories of a local repository (none for a remote one). It is asked in a thread before every
    return, because a repository may appear, vanish or be replaced while we wait. `poll` is in seconds.
    `marker` is a file that means a poke whenever it changes. Its folder is there as long as the watcher is.
    Fetch once after entering, then after every `wait`.
    """

    def __init__(
        self,
        find: Callable[[], Iterable[Path]],
        poll: float,
        fraction: Callable[[], float] = random.random,
        marker: Path | None = None,
        pause: float = POKE_SECONDS,
    ) -> None:
        self._find = find
        self._marker = marker
        self._pause = pause
        self._rested = 0.0
        """When a poke may be answered again, by the loop's clock."""
        self._hooked: asyncio.Task[None] | None = None
        self._poll = poll
        self._fraction = fraction
        self._woken = asyncio.Event()
        self._why: Wake = "poll"
        self._armed: Identity = ()
        self._watches: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        if self._marker:
            self._hooked = asyncio.create_task(self._watch_marker(self._marker))
        await self._arm()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._disarm()
        if self._hooked:
            self._hooked.cancel()
            await asyncio.gather(self._hooked, return_exceptions=True)

    def poke(self) -> None:
        """Wake now: a webhook, a signal or a person says so."""
        self._wake("poke")

    async def wait(self, failures: int = 0) -> Wake:
        """Return when it is time to fetch, and why. What happened since the last return counts: nothing is missed between.

        `failures` is how many fetches failed in a row; see `next_delay`.
        """
        delay = next_delay(failures, self._poll, self._fraction())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), delay)
        why: Wake = self._why if self._woken.is_set() else "poll"
        loop = asyncio.get_running_loop()
        if why == "poke":
            await asyncio.sleep(self._rested - loop.time())
        self._woken.clear()
        if self._armed != await asyncio.to_thread(self._identify):
            await self._arm()
        self._rested = loop.time() + self._pause
        return why

    def _wake(self, why: Wake) -> None:
        if not self._woken.is_set():
            self._why = why
            self._woken.set()

    async def _arm(self) -> None:
        await self._disarm()
        self._armed = await asyncio.to_thread(self._identify)
        tops = [path for path, _, _ in self._armed if Path(path).name not in _REF_FOLDERS]
        trees = [path for path, _, _ in self._armed if Path(path).name in _REF_FOLDERS]
        if tops:
            self._watches.append(asyncio.create_task(self._watch(tops, recursive=False)))
        if trees:
            self._watches.append(asyncio.create_task(self._watch(trees, recursive=True)))
        await asyncio.sleep(0)  # one turn of the loop sets the watches up: whoever fetches after this misses nothing

    async def _disarm(self) -> None:
        watches, self._watches = self._watches, []
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)

    async def _watch_marker(self, marker: Path) -> None:
        folder = str(marker.parent)
        changes = watchfiles.awatch(
            folder,
            watch_filter=lambda _, path: Path(path).name == marker.name,
            step=_STEP_MS,
            debounce=_DEBOUNCE_MS,
            recursive=False,
        )
        with contextlib.suppress(OSError, RuntimeError):  # as for the refs: without it there is the timer
            async for _ in changes:
                self._wake("poke")

    async def _watch(self, paths: list[str], recursive: bool) -> None:
        """Wake on every change below `paths` until cancelled. A watch that cannot be kept up leaves the work to the timer."""
        concerns = _is_ref if recursive else _is_top
        changes = watchfiles.awatch(
            *paths,
            watch_filter=lambda change, path: (change is _DELETED and path in paths) or concerns(path),
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            recursive=recursive,
            ignore_permission_denied=True,
        )
        with contextlib.suppress(OSError, RuntimeError):  # the limit of watches; what watchfiles makes of odd events
            async for found in changes:
                if any(change is _DELETED and path in paths for change, path in found):
                    self._armed = ()  # the watch went with its folder, and a new one may get the same inode
                self._wake("change")

    def _identify(self) -> Identity:
        """What there is to watch, by inode: a folder that changed places with another must be watched anew."""
        try:
            directories = sorted(set(self._find()))
        except (Unavailable, OSError):  # no descriptor or no memory for a git, for instance: the timer goes on
            return ()
        found = []
        for directory in directories:
            for path in (directory, *(directory / name for name in _REF_FOLDERS)):
                with contextlib.suppress(OSError):
                    status = path.stat()
                    found.append((str(path), status.st_dev, status.st_ino))
        return tuple(found)


def _is_ref(path: str) -> bool:
    return not path.endswith(".lock")


def _is_top(path: str) -> bool:
    return Path(path).name in _TOP_NAMES
