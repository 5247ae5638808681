"""Every exchange that a test's servers recorded is answered again, and must come out as it did: with the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from netboot.journal import events_of
from netboot.plan import BootPlan
from netboot.plans import PlanStore
from netboot.recorder import read
from netboot.replay import Replayed, plan_ids, replay


def replayed(state: Path) -> list[Replayed]:
    """By the plans that the state directory still has."""
    exchanges = list(read(state / "recordings"))
    return list(replay(exchanges, events_of(state / "journal"), kept_plans(state, plan_ids(exchanges))))


def kept_plans(state: Path, names: set[str]) -> Mapping[str, BootPlan]:
    store = PlanStore(state / "plans")
    return {name: store.load(name) for name in names if not store.damage(name)}


def assert_all_the_same(folder: Path) -> int:
    """Of every state directory not far below a folder; how many exchanges were answered again."""
    count = 0
    found = [path for depth in range(4) for path in folder.glob("*/" * depth + "recordings")]
    for recordings in [path for path in found if (path.parent / "journal").is_dir()]:
        for each in replayed(recordings.parent):
            if each.again is not None:
                assert each.same, difference(each)
                count += 1
    return count


def difference(each: Replayed) -> str:
    return f"recorded: {each.recorded}\nagain: {each.again}\n{each.why}"
