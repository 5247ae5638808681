"""Plans on disk: whole or not there, mended when damaged, and pruned only of what nobody can ask for."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from netboot.plan import Dump, digest_of
from netboot.plans import KEEP, KEEP_REVISIONS, PlanStore, Revision
from tests.netboot.killed import survivals
from tests.netboot.site import machine, plan

OLD = plan(machine(1), machine(2))
NEW = plan(machine(1, "look"), machine(2), machine(3))


@pytest.fixture
def store(tmp_path: Path) -> PlanStore:
    return PlanStore(tmp_path / "plans")


def series(count: int) -> list[Dump]:
    return [plan(machine(1), machine(2), machine(3, handover="exit"), machine(10 + number)) for number in range(count)]


def test_a_published_plan_is_current_and_reads_back_equal(store: PlanStore) -> None:
    assert store.current_id() is None
    store.publish(OLD)
    store.publish(NEW)
    assert NEW.plan.id == store.current_id()
    loaded = store.load(NEW.plan.id)
    assert NEW.plan == loaded
    assert ["10.1.0.1", "10.1.0.2", "10.1.0.3"] == sorted(loaded.by_address)


def test_a_plan_loaded_after_another_shares_what_did_not_change(store: PlanStore) -> None:
    store.publish(OLD)
    store.publish(NEW)
    before = store.load(OLD.plan.id)
    after = store.load(NEW.plan.id, before)
    assert before.machines["node-02"] is after.machines["node-02"]
    assert before.machines["node-01"] != after.machines["node-01"]


def test_a_shard_that_is_stored_is_not_written_again(store: PlanStore) -> None:
    store.publish(OLD)
    inodes = {path.name: path.stat().st_ino for path in (store.directory / "shards").iterdir()}
    store.publish(NEW)
    again = {path.name: path.stat().st_ino for path in (store.directory / "shards").iterdir()}
    assert 2 == len(again.keys() - inodes.keys())
    assert inodes == {name: again[name] for name in inodes}


def test_publishing_is_noticed_also_when_it_is_the_same_plan(store: PlanStore) -> None:
    assert store.stamp() is None
    store.publish(OLD)
    first = store.stamp()
    assert first == store.stamp()
    store.publish(OLD)
    assert first != store.stamp()


@pytest.mark.parametrize("first", [True, False], ids=["the first plan", "a later plan"])
def test_killed_at_any_step_of_publishing_the_old_plan_or_the_new_one_is_served(tmp_path: Path, first: bool) -> None:
    store = PlanStore(tmp_path / "plans")

    def prepare() -> None:
        shutil.rmtree(store.directory, ignore_errors=True)
        if not first:
            store.publish(OLD)

    ids = []
    for _ in survivals(tmp_path, prepare, lambda: store.publish(NEW)):
        ids.append(store.current_id())
        if ids[-1]:
            assert "" == store.damage(ids[-1])
            store.load(ids[-1])
        store.publish(NEW)  # whoever comes after the crash can go on from there
        store.prune(())
        assert ("", NEW.plan.id) == (store.damage(NEW.plan.id), store.current_id())
        assert [] == list(store.directory.rglob("*.new"))
    assert len(ids) > 10
    assert {None if first else OLD.plan.id, NEW.plan.id} == set(ids)


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "no manifest": lambda manifest, shard: manifest.unlink(),
    "an empty manifest": lambda manifest, shard: manifest.write_bytes(b""),
    "another manifest": lambda manifest, shard: manifest.write_bytes(OLD.manifest),
    "a manifest that is no plan": lambda manifest, shard: manifest.write_bytes(b'{"format": 1}'),
    "no shard": lambda manifest, shard: shard.unlink(),
    "half a shard": lambda manifest, shard: shard.write_bytes(shard.read_bytes()[:20]),
    "a changed shard": lambda manifest, shard: shard.write_bytes(shard.read_bytes().replace(b"node-", b"edon-")),
    "an unreadable shard": lambda manifest, shard: shard.rename(shard.with_name("moved")).with_name(shard.name).mkdir(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_plan_is_noticed_refused_and_mended(store: PlanStore, damage: str) -> None:
    store.publish(OLD)
    store.publish(NEW)
    assert "" == store.damage(NEW.plan.id)
    shard = store.directory / "shards" / next(digest for digest in NEW.shards if digest not in OLD.shards)
    DAMAGES[damage](store.directory / NEW.plan.id / "manifest.json", shard)
    assert "" != store.damage(NEW.plan.id)
    with pytest.raises((OSError, ValueError)):
        store.load(NEW.plan.id)
    if shard.is_dir():
        shard.rmdir()
    store.publish(NEW, anew=True)
    assert "" == store.damage(NEW.plan.id)
    assert NEW.plan == store.load(NEW.plan.id)


def test_a_current_that_is_no_link_is_as_good_as_none_and_is_replaced(store: PlanStore) -> None:
    store.directory.mkdir()
    (store.directory / "current").write_text("plan")
    assert store.current_id() is None
    store.publish(OLD)
    assert OLD.plan.id == store.current_id()


def test_what_is_kept_is_the_current_plan_the_pinned_ones_and_the_newest_each_with_every_shard(store: PlanStore) -> None:
    dumps = series(KEEP + 9)
    for each in dumps:
        store.publish(each)
    pinned = {dumps[1].plan.id, dumps[4].plan.id}
    store.publish(dumps[2])  # a commit taken back: an old plan is current
    store.prune(pinned)
    kept = {path.parent.name for path in store.directory.glob("*/manifest.json")} - {"current"}
    newest = {each.plan.id for each in dumps[-KEEP + 1 :]}
    assert pinned | newest | {dumps[2].plan.id} == kept
    for plan_id in kept:
        assert "" == store.damage(plan_id)
    named = {digest for each in dumps if each.plan.id in kept for digest in each.shards}
    assert named == {path.name for path in (store.directory / "shards").iterdir()}


def test_the_current_plan_is_kept_also_when_the_clock_went_back(store: PlanStore) -> None:
    dumps = series(KEEP + 3)
    for each in dumps:
        store.publish(each)
    os.utime(store.directory / dumps[-1].plan.id, (0, 0))
    store.prune(())
    assert "" == store.damage(dumps[-1].plan.id)


def test_killed_at_any_step_of_pruning_nothing_that_is_needed_is_gone(tmp_path: Path) -> None:
    store = PlanStore(tmp_path / "plans")
    dumps = series(KEEP + 3)
    pinned = {dumps[0].plan.id}

    def prepare() -> None:
        shutil.rmtree(store.directory, ignore_errors=True)
        for each in dumps:
            store.publish(each)

    for _ in survivals(tmp_path, prepare, lambda: store.prune(pinned)):
        for needed in (*pinned, dumps[-1].plan.id):
            assert "" == store.damage(needed)
        store.prune(pinned)
        left = {path.name for path in store.directory.iterdir()}
        kept = {each.plan.id for each in dumps[-KEEP:]}
        assert pinned | kept | {"shards", "current", "judged"} == left


def test_random_orders_of_publishing_pinning_and_pruning_lose_nothing(store: PlanStore) -> None:
    chance = random.Random(3)
    dumps = series(12)
    pinned: set[str] = set()
    for _ in range(60):
        each = chance.choice(dumps)
        store.publish(each)
        if chance.random() < 0.3:
            pinned.add(each.plan.id)
        if pinned and chance.random() < 0.3:
            pinned.remove(chance.choice(sorted(pinned)))
        store.prune(pinned)
        for needed in pinned | {each.plan.id}:
            assert "" == store.damage(needed)


def test_pruning_stops_where_it_cannot_tell_which_shards_are_in_use(store: PlanStore) -> None:
    store.publish(OLD)
    store.publish(NEW)
    (store.directory / OLD.plan.id / "manifest.json").write_bytes(b"{")
    shards = set((store.directory / "shards").iterdir())
    with pytest.raises(ValueError, match="manifest"):
        store.prune(())
    assert shards == set((store.directory / "shards").iterdir())


def test_where_values_came_from_is_kept_for_as_long_as_the_revision(store: PlanStore) -> None:
    store.publish(OLD)
    shards = {digest_of(data): data for data in (b'{"node-01":1}', b'{"node-02":2}')}
    first, second = shards
    store.write_revision(Revision("c0ffee", OLD.plan.id, {"aa": first}), {first: shards[first]})
    for number in range(KEEP_REVISIONS):
        store.write_revision(Revision(f"{number:040x}", OLD.plan.id, {"aa": second}), {second: shards[second]})
    store.prune(())
    assert store.revision("c0ffee") is None
    assert [first] == store.lacking([first, second])
    found = store.revision(f"{KEEP_REVISIONS - 1:040x}")
    assert found == Revision(f"{KEEP_REVISIONS - 1:040x}", OLD.plan.id, {"aa": second})


def test_the_artefacts_of_stored_plans_are_those_of_all_of_them(store: PlanStore) -> None:
    store.publish(plan(artifacts={"a": "1" * 64, "b": ""}))
    store.publish(plan(artifacts={"c": "2" * 64}))
    assert {"1" * 64, "2" * 64} == store.artifacts()
