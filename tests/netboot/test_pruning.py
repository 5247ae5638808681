"""What is not kept any longer is gone from the disk, and nothing else is."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from netboot.inventory_document import Kept, decode_inventory, encode_kept
from netboot.plan import Dump
from netboot.pruning import Pruner
from netboot.retention import REMOVED
from netboot.store import LogName
from tests.netboot.site import logged, machine, plan, world
from tests.netboot.test_inventory_document import request

pytestmark = pytest.mark.shell


def look(state: Path, served: Dump | None, **site: Any) -> list[dict[str, Any]]:
    """One look of the pruner; what it logs."""

    async def run() -> list[dict[str, Any]]:
        async with world(state, served, **site) as here:
            await Pruner(here).look()
            return logged(here.log)

    return asyncio.run(run())


def written(state: Path, folder: str, age: float) -> Path:
    """A log, begun so many seconds ago."""
    log = state / "logs" / folder / "os" / "console.1.log"
    log.parent.mkdir(parents=True)
    log.write_text("it says")
    then = os.stat(log).st_mtime - age
    os.utime(log.parent.parent, (then, then))
    return log


def test_old_logs_and_inventories_of_nobody_go_and_the_rest_stays(tmp_path: Path) -> None:
    old, new = written(tmp_path, "r1", REMOVED + 60), written(tmp_path, "r2", 0)
    inventories = {name: tmp_path / "inventory" / f"{name}.json" for name in ("node-01", "gone")}
    for file in inventories.values():
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(encode_kept(Kept(1.0, decode_inventory(request()))))
    said = look(tmp_path, plan(machine(1)))
    assert [False, True] == [log.exists() for log in (old, new)]
    assert [True, False] == [file.exists() for file in inventories.values()]
    assert [("pruned", 1, 1)] == [(line["event"], line["logs"], line["inventories"]) for line in said]
    assert [] == look(tmp_path, plan(machine(1)))


@pytest.mark.parametrize(
    ("served", "site"), [(None, {}), (plan(machine(1)), {"new_site": False})], ids=["no plan", "no history"]
)
def test_nothing_goes_while_nobody_knows_whose_it_is(tmp_path: Path, served: Dump | None, site: dict[str, bool]) -> None:
    log = written(tmp_path, "boot-b1", REMOVED + 60)
    look(tmp_path, served, **site)
    assert log.exists()


def test_a_run_whose_log_was_pruned_may_go_on_writing(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path, plan(machine(1))) as here:
            name = LogName("r1", "t", "a", 1)
            here.directory.append_log(name, 0, b"first")
            here.directory.logs.remove("r1")
            assert 4 == here.directory.append_log(name, 0, b"anew")
            assert b"anew" == here.directory.read_log(name)

    asyncio.run(run())
