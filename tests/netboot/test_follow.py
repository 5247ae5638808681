"""Following the published plan: swapped whole, pinned while a boot needs it, and never lost to a damaged one."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from netboot.boot import Plans
from netboot.events import BootClosed, BootOpened
from netboot.follow import Follower
from netboot.holds import OPEN, Hold, Holds
from netboot.plan import Dump, Machine
from netboot.plans import PlanStore
from netboot.sealed import Secret
from netboot.secrets import parse_keys
from netboot.tries import Asked, Judged
from netboot.try_files import write_judged
from netboot.world import World
from tests.netboot.site import logged, mac, machine, plan, world
from tests.netboot.test_delivery import OTHER
from tests.secret_documents import IDENTITY, age, recipient

FIRST = plan(machine(1, "look"), machine(2))
SECOND = plan(machine(1, "look"), machine(2), machine(3))
THIRD = plan(machine(1, "look"), machine(4))


class Site:
    def __init__(self, here: World) -> None:
        self.here = here
        self.store = PlanStore(here.plan_folder)
        self.swaps: list[str] = []
        self.follower = Follower(here, lambda: self.swaps.append(self.current))

    @property
    def plans(self) -> Plans:
        assert self.here.plans is not None
        return self.here.plans

    @property
    def current(self) -> str:
        return self.plans.current.id

    async def publish(self, dump: Dump, anew: bool = False) -> None:
        self.store.publish(dump, anew)
        await self.follower.look()

    async def boot(self, number: int, dump: Dump) -> None:
        opened = BootOpened(
            at=1.0,
            boot=f"b{number}",
            machine=f"node-{number:02}",
            macs=(mac(number),),
            mac=mac(number),
            plan=dump.plan.id,
            via="dhcp",
        )
        await self.here.ledger.commit((opened,))

    async def close(self, number: int) -> None:
        await self.here.ledger.commit((BootClosed(at=2.0, boot=f"b{number}", reason="done"),))

    @property
    def pins(self) -> list[str]:
        found: list[str] = json.loads((self.here.settings.state / "pinned.json").read_bytes())
        return found


def site(state: Path, story: Callable[[Site], Awaitable[None]]) -> None:
    async def run() -> None:
        async with world(state) as here:
            await story(Site(here))

    asyncio.run(run())


def test_before_the_first_plan_there_is_none(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.follower.look()
        assert site.here.plans is None
        await site.publish(FIRST)
        assert FIRST.plan == site.plans.current

    site(tmp_path, story)


def test_each_swap_is_told_once(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        for dump in (FIRST, FIRST, SECOND, FIRST):
            await site.publish(dump)
            await site.follower.look()
        assert [FIRST.plan.id, SECOND.plan.id, FIRST.plan.id] == site.swaps

    site(tmp_path, story)


def test_a_boot_keeps_its_plan_until_it_closes_and_the_reconciler_knows(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.publish(FIRST)
        await site.boot(1, FIRST)
        await site.publish(SECOND)
        assert (SECOND.plan.id, [FIRST.plan.id]) == (site.current, list(site.plans.pinned))
        assert [FIRST.plan.id] == site.pins
        await site.publish(THIRD)
        assert [FIRST.plan.id] == list(site.plans.pinned)
        await site.close(1)
        await site.follower.look()
        assert ({}, []) == (site.plans.pinned, site.pins)

    site(tmp_path, story)


def test_pins_survive_a_restart_and_so_do_the_plans(tmp_path: Path) -> None:
    async def before(site: Site) -> None:
        await site.publish(FIRST)
        await site.boot(1, FIRST)
        await site.publish(SECOND)
        for number in range(10, 20):
            await site.publish(plan(machine(number)))
        site.store.prune(site.pins)

    async def after(site: Site) -> None:
        await site.follower.look()
        boot = site.here.observed.open_boot(mac(1))
        assert FIRST.plan == site.plans.of(boot)
        assert FIRST.plan != site.plans.current

    site(tmp_path, before)
    site(tmp_path, after)


def test_a_plan_that_opened_a_boot_during_the_swap_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(site: Site) -> None:
        await site.publish(FIRST)
        load = site.follower._load

        def slow(plan_id: str, previous: object) -> object:
            asyncio.run_coroutine_threadsafe(site.boot(1, FIRST), loop).result()
            return load(plan_id, None)

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(site.follower, "_load", slow)
        await site.publish(SECOND)
        assert [FIRST.plan.id] == list(site.plans.pinned)

    site(tmp_path, story)


def test_a_damaged_plan_leaves_the_last_good_one_says_so_once_and_is_taken_when_mended(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.publish(FIRST)
        site.store.publish(SECOND)
        for shard in (site.store.directory / "shards").iterdir():
            shard.write_bytes(b"[]")
        for _ in range(5):
            await site.follower.look()
        assert FIRST.plan.id == site.current
        assert f"plan {SECOND.plan.id[:12]} cannot be loaded" in site.here.plan_failure
        assert 1 == sum(line["event"] == "plan-not-loaded" for line in logged(site.here.log))
        await site.publish(SECOND, anew=True)
        assert (SECOND.plan.id, "") == (site.current, site.here.plan_failure)

    site(tmp_path, story)


def test_a_damaged_plan_at_start_is_an_error_that_publishing_again_mends(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        site.store.publish(FIRST)
        (site.store.directory / FIRST.plan.id / "manifest.json").write_bytes(b"")
        await site.follower.look()
        assert site.here.plans is None
        assert "cannot be loaded" in site.here.no_plan
        await site.publish(FIRST)
        assert FIRST.plan.id == site.current

    site(tmp_path, story)


def test_taking_the_damaged_plan_back_ends_the_complaint(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.publish(FIRST)
        site.store.publish(SECOND)
        (site.store.directory / SECOND.plan.id / "manifest.json").unlink()
        await site.follower.look()
        assert "" != site.here.plan_failure
        await site.publish(FIRST)
        assert "" == site.here.plan_failure

    site(tmp_path, story)


def test_a_pinned_plan_that_is_gone_is_said_once_and_its_boot_gets_the_current_one(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.boot(1, THIRD)
        await site.publish(FIRST)
        for _ in range(5):
            await site.follower.look()
        assert FIRST.plan == site.plans.of(site.here.observed.open_boot(mac(1)))
        assert 1 == sum(line["event"] == "plan-not-loaded" for line in logged(site.here.log))

    site(tmp_path, story)


def test_a_folder_that_vanishes_changes_nothing(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.publish(FIRST)
        shutil.rmtree(site.store.directory)
        await site.follower.look()
        assert FIRST.plan.id == site.current
        site.store.directory.write_text("a file")
        await site.follower.look()
        assert FIRST.plan.id == site.current

    site(tmp_path, story)


def test_it_runs_by_itself_and_takes_a_plan_within_moments(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        task = asyncio.create_task(site.follower.run())
        async with asyncio.timeout(5):
            for dump in (FIRST, SECOND):
                site.store.publish(dump)
                while site.here.plans is None or site.current != dump.plan.id:
                    await asyncio.sleep(0.005)
        task.cancel()

    site(tmp_path, story)


def test_what_this_server_cannot_read_is_found_out_when_a_plan_is_loaded(tmp_path: Path) -> None:
    fine, foreign = (
        Secret("fine", {"a": age("correct horse")}),
        Secret("foreign", {"a": age("correct horse", recipient(OTHER))}),
    )
    sealed = plan(machine(1, "look"), secrets=(fine, foreign))

    async def run() -> None:
        async with world(tmp_path / "state") as here:
            here.keys = parse_keys(IDENTITY)
            site = Site(here)
            await site.publish(sealed)
            assert ["foreign"] == list(site.plans.current.locked)
            [line] = [line for line in logged(here.log) if line["event"] == "secret-locked"]
            assert "foreign" == line["secret"]
        async with world(tmp_path / "state", https_port=-1) as here:
            here.keys = parse_keys(IDENTITY)
            site = Site(here)
            await site.follower.look()
            reason = "secrets travel by HTTPS only, and --https-port turns it off"
            assert {"fine": reason, "foreign": reason} == site.plans.current.locked

    asyncio.run(run())


# What one machine is to try


def wanted(dump: Dump, machine: str = "node-01", name: str = "t1") -> Judged:
    return Judged(Asked(name, machine, "pr-17", False, "ann", 1.0), "c" * 40, dump.plan.id)


def test_what_is_to_be_tried_is_loaded_and_kept_and_let_go(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.publish(FIRST)
        site.store.keep(SECOND, False, Holds(SECOND.plan.id))
        write_judged(tmp_path, [wanted(SECOND)])
        await site.follower.look()
        assert FIRST.plan.id == site.current
        assert {mac(1): ("node-01", SECOND.plan)} == {key: (each.machine, each.plan) for key, each in site.plans.tried.items()}
        assert [SECOND.plan.id] == site.pins
        await site.boot(1, SECOND)
        write_judged(tmp_path, [])
        await site.follower.look()
        assert ({}, {SECOND.plan.id}) == (site.plans.tried, set(site.plans.pinned))
        await site.close(1)
        await site.follower.look()
        assert {} == site.plans.pinned

    site(tmp_path, story)


def test_what_cannot_be_tried_is_not(tmp_path: Path) -> None:
    """A plan that is not there, a commit that was refused, a machine that it lacks, a MAC that another machine has by now."""

    async def story(site: Site) -> None:
        await site.publish(FIRST)
        for judged in (
            wanted(THIRD),
            replace(wanted(FIRST), refused="because"),
            wanted(FIRST, "node-09"),
        ):
            write_judged(tmp_path, [judged])
            await site.follower.look()
            assert {} == site.plans.tried
        moved = plan(machine(1, "look"), Machine("node-07", "x86_64", machine(2).interfaces))
        site.store.keep(moved, False, Holds(moved.plan.id))
        write_judged(tmp_path, [wanted(moved, "node-07")])
        await site.follower.look()
        assert {} == site.plans.tried
        (tmp_path / "tries.json").write_text("{")
        await site.follower.look()
        assert {} == site.plans.tried

    site(tmp_path, story)


def test_a_release_is_noticed_without_another_plan_and_holds_that_are_lost_hold_everything(tmp_path: Path) -> None:
    hold = Hold("destructive", "none", "one", "sign", {"node-01": (("look", 1),)})

    async def story(site: Site) -> None:
        site.store.publish(FIRST, holds=Holds(FIRST.plan.id, held=(hold,)))
        await site.follower.look()
        assert [hold] == list(site.plans.current.gate.of_run.values())
        site.store.write_holds(Holds(FIRST.plan.id))
        await site.follower.look()
        assert site.plans.current.gate is OPEN
        assert [FIRST.plan.id] * 2 == site.swaps, "the status is written again"
        (site.store.directory / FIRST.plan.id / "holds.json").unlink()
        await site.follower.look()
        assert "missing" in site.plans.current.gate.everything
        assert "missing" in site.here.hold()

    site(tmp_path, story)
