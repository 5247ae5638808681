"""Metrics: they move with what happens, parse, and bear no label that grows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

from prometheus_client.parser import text_string_to_metric_families

from netboot.boot import Plans
from netboot.events import AddressDeclined, BootOpened, RunEnd
from netboot.holds import Gate
from netboot.issue_kinds import CATALOGUE
from netboot.markers import freeze
from netboot.metrics import page
from netboot.policy import DAYS, Policy, Window
from netboot.reconcile_document import Reconciliation
from netboot.reconciliation import write_reconciliation
from netboot.world import World
from tests.netboot.site import browser, mac, plan, world


async def samples(here: World) -> dict[tuple[str, ...], float]:
    """(name, label values…) → value."""
    families = text_string_to_metric_families(await page(here))
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def metrics(tmp_path: Path, story: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        async with world(tmp_path, plan()) as here:
            await story(here)

    asyncio.run(run())


def test_the_figures_of_an_idle_server(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        room = here.directory.room()
        found = await samples(here)
        left = found.pop(("gitboot_state_free_bytes",))
        assert room is not None
        assert abs(left - room) < 1e9
        assert dict.fromkeys(CATALOGUE, 0.0) == {
            name[1]: found.pop(name) for name in list(found) if name[0] == "gitboot_issues"
        }
        for by in ("freeze", "new-state", "policy", "window"):
            assert 0 == found.pop(("gitboot_held", by))
        runs = {name: found.pop(name) for name in list(found) if name[0].startswith("gitboot_run_seconds")}
        assert {("gitboot_run_seconds_count", state) for state in get_args(RunEnd)} < runs.keys()
        assert {0.0} == set(runs.values())
        for kind in ("dhcp", "dns", "http", "tftp"):
            assert 0 == found.pop(("gitboot_exchanges_total", kind, "defect"))
        assert {
            ("gitboot_machines",): 2,
            ("gitboot_machines_by_phase", "away"): 2,
            ("gitboot_strangers",): 0,
            ("gitboot_journal_writable",): 1,
            ("gitboot_listeners",): 0,
            ("gitboot_start_time_seconds",): here.started,
        } == found

    metrics(tmp_path, story)


def test_what_holds_every_run_is_told_apart_for_a_window_does_so_every_day(tmp_path: Path) -> None:
    never = tuple(Policy(windows=(Window((day,), 0, 60),)) for day in DAYS[:2])

    async def held(here: World) -> set[str]:
        return {name[1] for name, value in (await samples(here)).items() if name[0] == "gitboot_held" and value}

    async def story(here: World) -> None:
        here.plans = Plans(replace(plan().plan, gate=Gate(policies=never)), {})
        assert {"window"} == await held(here)
        freeze(tmp_path, "moving")
        assert {"window", "freeze"} == await held(here)

    metrics(tmp_path, story)


def test_issues_of_machines_and_of_the_site_are_counted_by_name(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        freeze(tmp_path, "moving")
        for number in (7, 8):
            here.strangers.note(mac(number), here.now(), "DISCOVER")
        for number, machine in enumerate(("node-01", "node-02"), 1):
            opened = BootOpened(at=1.0, boot=machine, machine=machine, macs=(machine,), mac=machine, plan="p", via="dhcp")
            await here.ledger.commit((opened, AddressDeclined(at=1.0, mac=machine, address=f"10.1.0.{number}")))
        found = await samples(here)
        counted = {name[1]: value for name, value in found.items() if name[0] == "gitboot_issues" and value}
        assert {"runs-held": 1, "unknown-machine": 2, "address-conflict": 2} == counted
        assert 2 == found["gitboot_machines_by_phase", "firmware"]

    metrics(tmp_path, story)


def test_how_long_an_answer_took_is_told_by_what_was_asked(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        async with browser(here, "10.1.0.1") as client:
            await client.get(f"/ipxe/{mac(1)}/boot.ipxe")
            await client.get("/status/index.json")
            await client.get("/nothing/of/the/kind")
        found = await samples(here)
        assert (1, 2) == (found["gitboot_answer_seconds_count", "script"], found["gitboot_answer_seconds_count", "reading"])
        assert 2 == found["gitboot_answer_seconds_bucket", "reading", "+Inf"]
        assert 0 < found["gitboot_answer_seconds_sum", "reading"]

    metrics(tmp_path, story)


def test_counters_move_with_what_machines_ask(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        async with browser(here, "10.1.0.1") as client:
            for _ in range(3):
                await client.get(f"/ipxe/{mac(1)}/boot.ipxe")
            await client.get(f"/ipxe/{mac(9)}/boot.ipxe")
        write_reconciliation(tmp_path, Reconciliation("/srv/site", last_success=1234.5))
        here.git.look()
        found = await samples(here)
        assert (3, 1) == (found["gitboot_exchanges_total", "script", "ok"], found["gitboot_exchanges_total", "script", "404"])
        assert (1, 1) == (found["gitboot_open_boots", "script"], found["gitboot_strangers",])
        assert 1234.5 == found["gitboot_reconcile_last_success_seconds",]

    metrics(tmp_path, story)


def test_no_label_names_a_machine(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        async with browser(here, "10.1.0.1") as client:
            for number in range(40):
                await client.get(f"/ipxe/{mac(number)}/boot.ipxe")
        told = [labels for name, *labels in await samples(here) if name.startswith(("gitboot_exchanges", "gitboot_open"))]
        assert [["script"], ["script", "404"], ["script", "ok"]] == sorted(each for each in told if "defect" not in each)
        assert "52:54" not in await page(here)

    metrics(tmp_path, story)
