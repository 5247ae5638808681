"""Takes away what is not kept any longer, now and then.

Shell. Law: what goes is decided in `retention`; what cannot be removed stays, is told of once a look, and nobody waits for it.
"""

from __future__ import annotations

import asyncio

from netboot.retention import Owned, owned, superfluous_inventories, superfluous_logs
from netboot.store import Unavailable
from netboot.world import World

FIRST, EVERY = 60.0, 3600.0
"""Seconds after the start, and between two looks."""


class Pruner:
    def __init__(self, world: World) -> None:
        self._world = world

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(FIRST)
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Nothing goes while there is no plan, or no history: then nobody knows whose anything is."""
        world = self._world
        if world.plans is None or not world.observed.journal:
            return
        plan, now = world.plans.current, world.now()
        try:
            boots, runs = list(world.observed.boots.values()), list(world.observed.runs.values())
            logs = await asyncio.to_thread(lambda: self._prune_logs(owned(plan, boots, runs), now))
            inventories = superfluous_inventories(world.inventories.written(besides=plan.machines), now)
            for name in inventories:
                await world.inventories.forget(name)
        except (OSError, Unavailable) as error:
            world.log.warning("not-pruned", reason=str(error))
        else:
            if logs or inventories:
                world.log.info("pruned", logs=logs, inventories=len(inventories))

    def _prune_logs(self, known: Owned, now: float) -> int:
        logs = self._world.directory.logs
        folders = superfluous_logs(logs.folders(), known, now)
        for folder in folders:
            logs.remove(folder)
        return len(folders)
