"""What nobody asks for, looked at four times a second: what timed out, what changed around the server, what is to be flushed.

Shell. Law: whatever cannot be written now is tried again with the next tick, and said once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection

from netboot.dhcp_ports import DhcpPorts
from netboot.endings import lost_since, overdue
from netboot.events import JournalOpened
from netboot.http_server import Bounds
from netboot.listening import CannotListen, listening
from netboot.markers import clear_new_site, new_site_declared
from netboot.status_documents import RECONCILE_PATH, run_paths
from netboot.store import Unavailable
from netboot.unasked import called_off, not_begun, timed_out
from netboot.world import World

TICK_SECONDS = 0.25
SLOW_TICKS = 8
BOOT_TIMEOUT = 1800
"""Seconds, before there is a plan to say it."""


class Clock:
    def __init__(
        self,
        world: World,
        ports: DhcpPorts,
        bounds: Bounds,
        mark: Callable[[Collection[str]], None],
        stale: Callable[[], None],
    ) -> None:
        """`mark` is told which documents are others now; `stale` says that all are."""
        self._world, self._ports, self._bounds, self._mark, self._stale = world, ports, bounds, mark, stale
        self._told: Counter[str] = Counter()
        """Of the bounds' counts, what is in the metrics."""
        self._ticks = 0
        self._others = 0
        """DHCP servers beside this one that the written status names."""
        self._lost: set[str] = set()
        """Runs whose agent was silent for too long when it was last looked."""
        self._around: tuple[str, bool] | None = None
        """What `_look_around` saw last."""
        self._trouble = self._closed = ""

    async def open_site(self) -> None:
        """Once per site: `--new-site` or `gitboot init` says that there is no history to be lost. Raises Unavailable."""
        declared = new_site_declared(self._world.settings.state)
        if (declared or self._world.settings.new_site) and not self._world.observed.journal:
            await self._world.ledger.commit((JournalOpened(at=self._world.now(), journal=self._world.new_id()),))
            self._world.log.info("new-site", journal=self._world.observed.journal)
            self._stale()
        if declared:
            clear_new_site(self._world.settings.state)

    async def run(self) -> None:
        """What nobody asks for: boots and runs that time out, the site's opening, news of git, the log."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._ticks += 1
            try:
                await self.open_site()
                await self._time_out()
            except (Unavailable, OSError) as error:
                self._world.counts["tick", "failed"] += 1
                self._say_once(str(error))
            self._look_around()
            self._follow_mode()
            self._world.counts["recording", "dropped"] = self._world.recorder.dropped
            self._world.pace.look(self._world.counts, time.monotonic())
            self._world.recorder.flush_soon()
            self._world.log.flush_soon()

    async def _time_out(self) -> None:
        world, now = self._world, self._world.now()
        timeout = world.plans.current.site.boot_timeout if world.plans else BOOT_TIMEOUT
        events = (*timed_out(world.observed, timeout, now), *overdue(world.observed, now))
        if world.plans and self._ticks % SLOW_TICKS == 0:  # what is looked for here costs more
            events += called_off(world.plans.current, world.observed, now)
            events += not_begun(world.plans, world.observed, now, world.new_id)
            self._mark_lost(now)
        if events:
            await world.ledger.commit(events)

    def _mark_lost(self, now: float) -> None:
        """Nothing happens when nothing is heard, so nobody else would write it down."""
        observed = self._world.observed
        lost = {run.id for run in observed.active_runs() if lost_since(observed, run, now) is not None}
        for run in lost ^ self._lost:
            self._mark(run_paths(observed.runs[run], observed))
        self._lost = lost

    def _look_around(self) -> None:
        world = self._world
        seen = (world.hold(), world.ledger.failure is None)
        if seen != self._around:
            self._say_held(seen[0], self._around[0] if self._around else "")
            self._around = seen
            self._stale()
        others = len(world.rivals)
        if world.git.look() or others != self._others:
            self._others = others
            self._mark([RECONCILE_PATH])
        for outcome, count in self._bounds.counts.items():
            world.counts["http", outcome] += count - self._told[outcome]
        self._told = self._bounds.counts.copy()

    def _say_held(self, hold: str, before: str) -> None:
        if hold and hold != before:
            self._world.log.warning("runs-held", reason=hold)
        elif before and not hold:
            self._world.log.info("runs-free")

    def _follow_mode(self) -> None:
        """A push can make the site a proxy while the servers run, or end that."""
        try:
            with listening(self._world.settings, "UDP", self._world.settings.proxy_port, "--proxy-port"):
                self._ports.follow()
            self._closed = ""
        except CannotListen as error:
            if str(error) != self._closed:
                self._closed = str(error)
                self._world.log.error("proxy-port-closed", reason=self._closed)

    def _say_once(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._world.log.warning("not-journalled", reason=trouble)
