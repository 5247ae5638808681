"""Status documents over HTTP: whole, in part, by pages, and not again while they are the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from netboot.fleet import surveying
from netboot.world import FEW, World
from tests.netboot.site import browser, mac, machine, plan, world

HARDWARE = "/status/hardware/node-01.json"


def visit(tmp_path: Path, story: Callable[[World, httpx.AsyncClient], Awaitable[None]], machines: int = 2) -> None:
    async def run() -> None:
        served = plan(*(machine(number, "look") for number in range(1, machines + 1)))
        async with world(tmp_path, served) as here, browser(here, "10.1.0.1") as client:
            await story(here, client)

    asyncio.run(run())


@pytest.mark.parametrize("wrap", ["{}", "W/{}", '"other", {} , "more"', "*"])
def test_a_document_is_not_sent_again_while_it_is_the_same(tmp_path: Path, wrap: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        tag = (await client.get(HARDWARE)).headers["etag"]
        known = {"If-None-Match": wrap.format(tag)}
        again = await client.get(HARDWARE, headers=known)
        assert (304, b"", tag) == (again.status_code, again.content, again.headers["etag"])
        await client.get(f"/ipxe/{mac(1)}/boot.ipxe")
        fresh = await client.get(HARDWARE, headers=known)
        assert (304 if wrap == "*" else 200) == fresh.status_code
        assert tag != fresh.headers["etag"]

    visit(tmp_path, story)


def test_each_part_has_a_tag_of_its_own(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        addresses = ("", "?fields=name", "?fields=boot", "?limit=1")
        tags = {
            (await client.get("/status/index.json" if "limit" in each else HARDWARE + each)).headers["etag"]
            for each in addresses
        }
        assert len(addresses) == len(tags)
        assert 304 == (await client.get(f"{HARDWARE}?fields=boot", headers={"If-None-Match": ", ".join(tags)})).status_code

    visit(tmp_path, story)


def test_a_part_is_what_was_asked_for(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        said = (await client.get(f"{HARDWARE}?fields=name,step.action")).json()
        fields = ["name", "step.action"]
        head = {"apiVersion": "gitboot/v1", "kind": "HardwareStatus", "fields": fields}
        assert {**head, "name": "node-01", "step": {"action": "run"}} == said
        refused = await client.get(f"{HARDWARE}?fields=nmae")
        assert (404, True) == (refused.status_code, "'nmae'" in refused.text)
        assert 400 == (await client.get(f"{HARDWARE}?limit=many")).status_code

    visit(tmp_path, story)


def test_whoever_follows_the_links_is_told_of_every_machine_once(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        found, where = [], "/status/fleet.json?limit=3&fields=machines.name,counts"
        while where:
            answer = await client.get(where)
            said = answer.json()
            found += [each["name"] for each in said["machines"]]
            assert {"away": 8} == said["counts"]["phases"], "of all, on every page"
            where = answer.links.get("next", {}).get("url", "")
        assert [f"node-{number:02}" for number in range(1, 9)] == found

    visit(tmp_path, story, machines=8)


@pytest.mark.parametrize(("machines", "phase"), [(2, "script"), (FEW + 1, "away")])
def test_the_rows_of_a_large_fleet_are_not_made_for_each_who_asks(tmp_path: Path, machines: int, phase: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        await client.get("/status/fleet.json")
        await client.get(f"/ipxe/{mac(1)}/boot.ipxe")
        here._survey = (here._survey[0] + 3600, here._survey[1])  # the second does not pass, however slow this host is
        first, *_ = (await client.get("/status/fleet.json")).json()["machines"]
        assert phase == first["phase"]

    visit(tmp_path, story, machines=machines)


def test_whoever_asks_while_a_large_fleet_is_looked_at_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And who asks for all machines meanwhile waits for the same look."""
    monkeypatch.setattr("netboot.fleet.SLICE", 50)
    looks = turns = 0

    def look(*asked: Any) -> Any:
        nonlocal looks
        looks += 1
        return surveying(*asked)

    monkeypatch.setattr("netboot.world.surveying", look)

    async def story(here: World, client: httpx.AsyncClient) -> None:
        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        busy = asyncio.create_task(other())
        first, second = await asyncio.gather(here.survey(), here.survey())
        busy.cancel()
        assert (FEW + 1, 1) == (len(first.rows), looks)
        assert first is second
        assert turns >= FEW // 50

    visit(tmp_path, story, machines=FEW + 1)
