"""Follow the published plan: load what `plans/current` names with its holds, keep what open boots are pinned to.

Shell. A plan that cannot be loaded changes nothing: the last good one keeps serving, the log and the health page say why, and
the same plan is tried again when it is published anew. The link is looked at often rather than watched: one system call
costs microseconds, and can neither be missed nor die.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from netboot.boot import Plans, Tried
from netboot.holds import Gate, gate
from netboot.markers import look_now
from netboot.plan import BootPlan
from netboot.plans import PlanStore
from netboot.secrets import locked
from netboot.tries import Judged
from netboot.world import World

POLL_SECONDS = 0.05
PINS_SECONDS = 1.0
Stamp = tuple[int, int] | None


class Follower:
    """Keeps `world.plans` at what is published."""

    def __init__(self, world: World, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called after each swap."""
        self._world = world
        self._store = PlanStore(world.plan_folder)
        self._changed = changed
        self._seen: tuple[int, int] | None = None
        """Stamp of the link when it was last acted on."""
        self._gates: dict[str, tuple[Stamp, Gate]] = {}
        """Plan → what holds its runs, and the stamp of the file that says so."""
        self._lost: set[str] = set()
        """Pinned plans that could not be loaded: said once, and not tried again."""
        self._over: set[str] = set()
        """Tries that had ended at the last look, and that the reconciler still had."""
        self._told: set[str] = set()
        """Those of which it was told."""
        self._written: set[str] | None = None
        """The pins as the reconciler was told them."""

    async def run(self) -> None:
        """Until cancelled."""
        ticks = 0
        while True:
            await asyncio.sleep(POLL_SECONDS)
            ticks += 1
            if self._stamp() != self._seen or self._released() or ticks >= PINS_SECONDS / POLL_SECONDS:
                ticks = 0
                await self.look()

    async def look(self) -> None:
        """Swap when there is a new plan; drop pinned plans that no boot needs any more."""
        world, before = self._world, self._world.plans
        current = await self._newest(before.current if before else None)
        if current is None:
            return
        known = {**before.pinned, before.current.id: before.current} if before else {}
        asked = world.tries.look()
        tried = [each for each in world.tries.latest if each.plan and not each.refused]
        wanted = world.observed.pinned_plans() | {each.plan for each in tried}
        for missing in wanted - known.keys() - self._lost - {current.id}:
            loaded = await asyncio.to_thread(self._load, missing, current)
            if loaded is None:
                self._lost.add(missing)
            else:
                known[missing] = loaded
        gates = {plan: await self._gate(plan) for plan in {current.id, *known}}
        # No await from here: a boot that opened meanwhile is pinned to what was current, which is still in `known`.
        wanted = world.observed.pinned_plans() | {each.plan for each in tried}
        pinned = {plan: _gated(known[plan], gates[plan]) for plan in wanted if plan in known and plan != current.id}
        now = _gated(current, gates[current.id])
        world.plans = Plans(now, pinned, _tried(tried, {**pinned, now.id: now}, now))
        self._gates = {plan: self._gates[plan] for plan in gates}
        if before is None or before.current.id != current.id:
            world.asked_since.take(current.machines, world.served_since())
            world.log.info("plan-served", plan=current.id, machines=len(current.machines))
        if before is None or before.current is not now or asked:
            self._changed()
        self._tell_over()
        if wanted != self._written:
            await asyncio.to_thread(self._write_pins, wanted)

    def _tell_over(self) -> None:
        """The reconciler is to look, once the status has been written: a forge waits for how it ended."""
        tries = self._world.observed.tries
        over = {each.asked.id for each in self._world.tries.latest if tries.over(each.asked.machine, each.trying)}
        if over & self._over - self._told:
            with contextlib.suppress(OSError):  # then it looks when it is time
                look_now(self._world.settings.state)
            self._told = over
        self._over = over

    async def _newest(self, current: BootPlan | None) -> BootPlan | None:
        """What is published now; `current` while that is the same or cannot be loaded."""
        stamp = self._stamp()
        if stamp is None or stamp == self._seen:
            return current
        self._seen = stamp  # before loading: a plan published meanwhile differs from it, and is seen next time
        try:
            plan_id = self._store.current_id()
        except OSError as error:
            self._world.plan_failure = f"plans/current cannot be read: {error}"
            self._world.log.error("plan-not-loaded", reason=self._world.plan_failure)
            return current
        if plan_id is None or (current is not None and current.id == plan_id):
            self._world.plan_failure = ""
            return current
        loaded = await asyncio.to_thread(self._load, plan_id, current)
        self._world.plan_failure = "" if loaded else f"plan {plan_id[:12]} cannot be loaded; the reconciler writes it again"
        return loaded or current

    def _released(self) -> bool:
        """Whether something else is held of the current plan than was."""
        current = self._world.plans.current.id if self._world.plans else ""
        return current in self._gates and self._store.holds_stamp(current) != self._gates[current][0]

    async def _gate(self, plan_id: str) -> Gate:
        """What holds the runs of a plan now."""
        stamp, known = self._store.holds_stamp(plan_id), self._gates.get(plan_id)
        if known is not None and known[0] == stamp:
            return known[1]
        holds = await asyncio.to_thread(self._store.holds, plan_id)
        self._gates[plan_id] = (stamp, gate(holds))
        if holds.everything:
            self._world.log.error("holds-unknown", plan=plan_id, reason=holds.everything)
        else:
            self._world.log.info("holds", plan=plan_id, runs=len(self._gates[plan_id][1].of_run))
        return self._gates[plan_id][1]

    def _stamp(self) -> tuple[int, int] | None:
        try:
            return self._store.stamp()
        except OSError:
            return self._seen  # the folder cannot be looked at just now: nothing is known to have changed

    def _load(self, plan_id: str, previous: BootPlan | None) -> BootPlan | None:
        try:
            return self._unlocked(self._store.load(plan_id, previous))
        except (OSError, ValueError, RecursionError) as error:
            self._world.log.error("plan-not-loaded", plan=plan_id, reason=str(error))
            return None

    def _unlocked(self, plan: BootPlan) -> BootPlan:
        """With what this server can read of its secrets found out."""
        settings = self._world.settings
        why = locked(plan.secrets.values(), plan.site.pull_secrets, self._world.keys)
        if settings.https_port < 0:
            why = dict.fromkeys(plan.secrets, "secrets travel by HTTPS only, and --https-port turns it off")
        for name, reason in why.items():
            self._world.log.warning("secret-locked", secret=name, plan=plan.id, reason=reason)
        return replace(plan, locked=why)

    def _write_pins(self, pinned: set[str]) -> None:
        """For the reconciler, which prunes plans and may be another process."""
        target = self._world.settings.state / "pinned.json"
        partial = target.with_name("pinned.json.new")
        try:
            partial.write_bytes(msgspec.json.encode(sorted(pinned)))
            partial.replace(target)
        except OSError as error:
            self._world.log.warning("pins-not-written", reason=str(error))
        else:
            self._written = pinned


def _gated(plan: BootPlan, now: Gate) -> BootPlan:
    return plan if plan.gate is now else replace(plan, gate=now)


def _tried(wanted: list[Judged], plans: Mapping[str, BootPlan], current: BootPlan) -> dict[str, Tried]:
    """By MAC; none that is another machine's by what is served now."""
    found: dict[str, Tried] = {}
    for judged in wanted:
        plan, name = plans.get(judged.plan), judged.asked.machine
        if plan is None or name not in plan.machines:
            continue
        for mac in plan.machines[name].macs:
            if mac not in current.by_mac or current.by_mac[mac].machine.name == name:
                found[mac] = Tried(name, judged.trying, plan)
    return found
