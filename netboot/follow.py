"""Follow the published plan: load what `plans/current` names, keep what open boots are pinned to.

Shell. A plan that cannot be loaded changes nothing: the last good one keeps serving and the log says why.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import watchfiles

from netboot.boot import Plans
from netboot.plan import BootPlan
from netboot.plans import PlanStore
from netboot.world import World

POLL_SECONDS = 1.0
"""What is relied on; the watch only makes it quicker."""


class Follower:
    """Keeps `world.plans` at what is published."""

    def __init__(self, world: World, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called after each swap."""
        self._world = world
        self._store = PlanStore(world.plan_folder)
        self._changed = changed
        self._failed = ""
        self._pinned: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        self._world.plan_folder.mkdir(parents=True, exist_ok=True)
        watch = watchfiles.awatch(
            self._world.plan_folder,
            recursive=False,
            debounce=20,
            step=10,
            watch_filter=lambda _, path: Path(path).name == "current",
            rust_timeout=int(POLL_SECONDS * 1000),
            yield_on_timeout=True,
        )
        await self.look()
        async with contextlib.aclosing(watch):
            async for _ in watch:
                await self.look()

    async def look(self) -> None:
        """Swap when there is a new plan; drop pinned plans that no boot needs any more."""
        world, plans = self._world, self._world.plans
        before = plans.current if plans else None
        plan_id = await asyncio.to_thread(self._store.current_id)
        current = before
        if plan_id is not None and plan_id != self._failed and (before is None or before.id != plan_id):
            current = await asyncio.to_thread(self._load, plan_id, before)
        if current is None:
            return
        wanted = world.observed.pinned_plans()
        known = {**plans.pinned, plans.current.id: plans.current} if plans else {}
        for missing in wanted - known.keys() - {current.id}:
            loaded = await asyncio.to_thread(self._load, missing, current)
            if loaded is not None:
                known[missing] = loaded
        # No await from here: a boot that opened meanwhile is pinned to what was current, which is still in `known`.
        wanted = world.observed.pinned_plans()
        world.plans = Plans(current, {plan: known[plan] for plan in wanted if plan in known and plan != current.id})
        if wanted != self._pinned:
            self._pinned = wanted
            await asyncio.to_thread(self._write_pins, wanted)
        if before is not current:
            world.log.info("plan-served", plan=current.id, machines=len(current.machines))
            self._changed()

    def _load(self, plan_id: str, previous: BootPlan | None) -> BootPlan | None:
        try:
            return self._store.load(plan_id, previous)
        except (OSError, ValueError) as error:
            self._failed = plan_id
            self._world.log.error("plan-not-loaded", plan=plan_id, reason=str(error))
            return None

    def _write_pins(self, pinned: set[str]) -> None:
        """For the reconciler, which prunes plans and may be another process."""
        target = self._world.settings.state / "pinned.json"
        partial = target.with_name("pinned.json.new")
        try:
            partial.write_bytes(msgspec.json.encode(sorted(pinned)))
            partial.replace(target)
        except OSError as error:
            self._world.log.warning("pins-not-written", reason=str(error))
