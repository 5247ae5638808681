"""Inventories as they come in over HTTP, are kept, shown, and found again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import schemas
from netboot import agent_api
from netboot.inventories import Inventories
from netboot.inventory_document import decode_inventory
from tests.netboot.site import browser, logged, mac, plan, world
from tests.netboot.test_agent_api import Agent, with_agent
from tests.netboot.test_inventory_document import SAID, request


async def shown(agent: Agent) -> tuple[Any, Any]:
    """The inventory's document (None: there is none), and what the machine's own status says of it."""
    answer = await agent.client.get("/status/inventory/node-01.json")
    link = (await agent.client.get("/status/hardware/node-01.json")).json()["inventory"]
    return (answer.json() if answer.status_code == 200 else None), link


async def tell(agent: Agent, hardware: Any = SAID, system: str = "os-1") -> tuple[int, Any]:
    answer = await agent.post("/agent/inventory", {"boot": agent.boot, "system": system, "hardware": hardware})
    return answer.status_code, answer.json()


def test_what_an_agent_tells_is_in_the_status_and_in_a_file(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        before = agent.events
        assert (None, None) == await shown(agent)
        assert (200, {"kept": True}) == await tell(agent)
        document, link = await shown(agent)
        assert (agent.boot, "naa.5002538e40b1a2c3") == (document["boot"], document["hardware"]["disks"][0]["wwn"])
        assert "/status/inventory/node-01.json" == link["document"]
        assert link["document"] in (await agent.client.get("/status/index.json")).json()["documents"]
        file = json.loads((tmp_path / "state/inventory/node-01.json").read_bytes())
        assert SAID["memory"] == file["said"]["hardware"]["memory"]
        hardware = (await agent.client.get("/status/hardware/node-01.json")).json()
        Draft202012Validator(schemas.load("status-hardware")).validate(hardware)
        assert before == agent.events, "it is telemetry"
        agent.here.log.flush()
        assert ["kept"] == [line["outcome"] for line in logged(agent.here.log) if line["event"] == "inventory"]

    with_agent(tmp_path, story)


def test_the_same_again_changes_nothing_and_more_of_the_same_boot_replaces_it(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        changed: list[str] = []
        agent.here.inventories.on_change = changed.append
        await tell(agent)
        first, _ = await shown(agent)
        assert (200, {"kept": False}) == await tell(agent)
        assert first == (await shown(agent))[0]
        assert (200, {"kept": True}) == await tell(agent, SAID | {"tpm": ""})
        assert "" == (await shown(agent))[0]["hardware"]["tpm"]
        assert ["node-01", "node-01"] == changed

    with_agent(tmp_path, story)


def test_it_is_there_again_after_a_restart_and_what_is_damaged_is_not(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await tell(agent)

    with_agent(tmp_path, story)
    (tmp_path / "state/inventory/node-02.json").write_bytes(b'{"reported": 1')

    async def again() -> None:
        async with world(tmp_path / "state", plan()) as here, browser(here) as client:
            assert ["node-01"] == list(here.inventories.names())
            assert "S3Z9NB0K" in (await client.get("/status/inventory/node-01.json")).text
            assert 404 == (await client.get("/status/inventory/node-02.json")).status_code

    asyncio.run(again())


def test_a_boot_that_is_over_says_nothing_of_the_next(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        old, now = agent.boot, agent.here.now
        agent.here.now = lambda: now() + 3600  # type: ignore[method-assign] # reset while its run went on, so both boots are known
        await agent.client.get(f"/ipxe/{mac(1)}/boot.ipxe")
        fresh = agent.here.observed.last_boot_of("node-01")
        assert fresh is not None
        assert fresh.id != old
        assert 410 == (await tell(agent))[0]
        assert 200 == (await tell(await Agent.of(agent.here, agent.client)))[0]
        agent.boot = "never"
        assert 410 == (await tell(agent))[0], "its session has ended"

    with_agent(tmp_path, story)


def test_it_is_bounded_and_a_refusal_says_why(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        assert 413 == (await tell(agent, {"pad": "x" * agent_api.LONGEST_REQUEST}))[0]
        status, answer = await tell(agent, {"disks": [{"serial": "x" * 999}]})
        assert (400, True) == (status, "hardware.disks[0].serial" in answer["error"])
        assert (None, None) == await shown(agent)

    with_agent(tmp_path, story)


@pytest.mark.parametrize("evil", ["\x1b]0;owned\x07", "../../key", "<script>"])
def test_what_a_machine_says_stays_text(tmp_path: Path, evil: str) -> None:
    async def story(agent: Agent) -> None:
        await tell(agent, {"system": {"product": evil}})
        assert evil == (await shown(agent))[0]["hardware"]["system"]["product"]
        assert {"node-01.json"} >= {path.name for path in (tmp_path / "state").glob("inventory/*")}

    with_agent(tmp_path, story)


def test_of_many_at_once_one_stays_whole(tmp_path: Path) -> None:
    async def run() -> None:
        kept = Inventories(tmp_path)
        said = [decode_inventory(request({"memory": number})) for number in range(20)]
        await asyncio.gather(*(kept.keep("node-01", each, 1.0) for each in said))
        assert kept.of("node-01") == Inventories(tmp_path).of("node-01")
        assert ["node-01.json"] == [path.name for path in tmp_path.iterdir()]

    asyncio.run(run())
