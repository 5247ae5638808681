"""The notifier: looks what has happened now and then, and tells whoever is to be told.

Shell. Law: nobody waits for it. It looks at the machines a few at a time, keeps what is not delivered yet on disk, and has at
most one thread for each target, that is abandoned when it takes too long; who cannot be reached is tried again, ever later.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from netboot.issue_document import issues_of_site
from netboot.issues import Issue, Moment, of_machine
from netboot.log import Log
from netboot.notice_sending import Undelivered, deliver
from netboot.notice_targets import BadNotify, Notify, Target, parse_notify
from netboot.notice_text import Notice, notice_of
from netboot.notices import Happening, Memory, Notices
from netboot.world import World

FILE = "notices.json"
"""In the state directory."""
LOOK_SECONDS = 10.0
SLICE = 200
"""Machines looked at between two turns of everybody else."""
LONGEST = 60.0
"""Seconds for one delivery."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0
"""Seconds before the first and before a late further try."""

Send = Callable[[Target, Notice], None]


def read_notify(path: Path | None) -> Notify | None:
    """Raises BadNotify with a sentence."""
    if path is None:
        return None
    try:
        return parse_notify(path.read_bytes())
    except OSError as error:
        raise BadNotify(
            f"The targets of --notify {path} cannot be read ({error.strerror}); correct the path or its owner."
        ) from None
    except BadNotify as error:
        raise BadNotify(f"--notify {path} cannot be used: {error}. docs/notifications.md has examples.") from None


def remembered(state: Path, log: Log) -> Memory:
    """What was kept before the restart; nothing, where that cannot be read."""
    try:
        return msgspec.json.decode((state / FILE).read_bytes(), type=Memory)
    except FileNotFoundError:
        return Memory()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        log.warning("notices-forgotten", reason=str(error))
        return Memory()


class Notifier:
    """`run` it until it is cancelled."""

    def __init__(self, world: World, notify: Notify, send: Send = deliver) -> None:
        self._world, self._notify, self._send = world, notify, send
        self._notices = Notices(notify.target, remembered(world.settings.state, world.log), world.now())
        self._news = {target.name: asyncio.Event() for target in notify.target}
        self._threads: dict[str, threading.Thread] = {}
        self._trouble: dict[str, str] = {}
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            for target in self._notify.target:
                group.create_task(self._serve(target))

    async def _watch(self) -> None:
        is_first = True
        while True:
            if self._world.plans is not None and (await self._look() or is_first):
                is_first = False
                await self._save()
                for news in self._news.values():
                    news.set()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> bool:
        """Whether anything has happened."""
        world, now, plans = self._world, self._world.now(), self._world.plans
        if plans is None:
            return False
        word, heard = world.word, world.heard
        found: list[Issue] = list(issues_of_site(plans, word, heard, now))
        at = Moment.of(word.hold, heard, now)
        machines = iter(plans.current.machines.values())
        while some := list(islice(machines, SLICE)):
            found += (issue for machine in some for issue in of_machine(plans, machine, world.observed, at))
            await asyncio.sleep(0)
        return self._notices.look(found, world.observed.runs.values(), now)

    async def _serve(self, target: Target) -> None:
        """Whatever happens while a message gathers is in it, and whatever happens while it cannot be delivered in the next."""
        news, failures = self._news[target.name], 0
        while True:
            while not self._notices.waits(target.name):
                news.clear()
                await news.wait()
            await asyncio.sleep(pause(failures) if failures else target.gather)
            if waiting := self._notices.take(target.name):
                failures = 0 if await self._tell(target, waiting) else failures + 1

    async def _tell(self, target: Target, waiting: Sequence[Happening]) -> bool:
        """Whether these need not be told again."""
        world, lost = self._world, self._notices.lost(target.name)
        site = world.plans.current.site.name if world.plans else ""
        trouble = await self._deliver(target, notice_of(waiting, site, world.now(), lost, self._notify.dashboard))
        over = trouble is None or trouble.final
        world.counts["notice", "sent" if trouble is None else "refused" if over else "failed"] += 1
        self._say(target, str(trouble) if trouble else "")
        if over:
            self._notices.sent(target.name, waiting)
            await self._save()
        return over

    async def _deliver(self, target: Target, notice: Notice) -> Undelivered | None:
        """In a thread of its own, which a name server or a half-dead connection can hold up for ever."""
        if target.name in self._threads and self._threads[target.name].is_alive():
            return Undelivered("the last try has not ended yet")
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Undelivered | None] = loop.create_future()

        def ended(trouble: Undelivered | None) -> None:
            if not told.done():
                told.set_result(trouble)

        def work() -> None:
            trouble = None
            try:
                self._send(target, notice)
            except Undelivered as error:
                trouble = error
            except Exception as error:
                trouble = Undelivered(f"gitboot has a defect: {type(error).__name__}")
            with contextlib.suppress(RuntimeError):  # the loop is over
                loop.call_soon_threadsafe(ended, trouble)

        thread = self._threads[target.name] = threading.Thread(target=work, name=f"notice {target.name}", daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(LONGEST):  # and not `wait_for`, in which Python 3.11 may lose a cancellation
                return await told
        except TimeoutError:
            return Undelivered(f"nothing came of it within {LONGEST:.0f} seconds")

    def _say(self, target: Target, trouble: str) -> None:
        """A line when it begins to fail, fails otherwise, and works again."""
        if trouble and trouble != self._trouble.get(target.name):
            self._world.log.warning("notice-failed", target=target.name, reason=trouble)
        elif not trouble and self._trouble.get(target.name):
            self._world.log.info("notice-works-again", target=target.name)
        self._trouble[target.name] = trouble
        undelivered = self._world.noticed.undelivered
        since = undelivered.pop(target.name, ("", self._world.now()))[1]
        if trouble:
            undelivered[target.name] = trouble, since

    async def _save(self) -> None:
        """A full disk costs only what a restart would have told of."""
        async with self._writing:
            data = msgspec.json.encode(self._notices.memory)
            try:
                await asyncio.to_thread(_replace, self._world.settings.state / FILE, data)
            except OSError as error:
                self._world.log.warning("notices-not-kept", reason=str(error.strerror))


def pause(failures: int) -> float:
    """Seconds before another try."""
    return min(FIRST_PAUSE * 2.0 ** min(failures - 1, 16), LONGEST_PAUSE)


def _replace(file: Path, data: bytes) -> None:
    """Raises OSError. On disk before it has the name: else a power cut could leave an empty file in place of the old one."""
    partial = file.with_suffix(".new")
    with partial.open("wb") as written:
        written.write(data)
        written.flush()
        os.fsync(written.fileno())
    partial.replace(file)
