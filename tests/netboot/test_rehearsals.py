"""A rehearsal as its agent meets it over HTTP: told what there is to look at, given nothing to start, believed once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator

import schemas
from netboot.boot import Plans, Tried
from netboot.events import Rehearsed, RunStarted, Trying
from netboot.plan import Dump
from netboot.try_status import try_document
from tests.netboot.site import browser, mac, machine, plan, world
from tests.netboot.test_agent_api import ENDED, Agent
from tests.netboot.test_delivery import KEYS, served

Story = Callable[[Agent], Awaitable[None]]
INSTALLED = {"site": "home", "workflow": "look", "machine": "node-01", "run": 1, "part": 0}
DISK = {"kind": "disk", "subject": "root", "state": "note", "said": "would overwrite /dev/vda", "workflow": "look"}
LOST = {"kind": "url", "subject": "http://10.1.0.1/x", "state": "failed", "said": "answers HTTP 404", "workflow": "look"}


def rehearsing(tmp_path: Path, story: Story, tried: Dump | None = None, **settings: Any) -> None:
    """node-01 has booted for a rehearsal of what is served, or of something else."""

    async def run() -> None:
        now = plan()
        async with world(tmp_path / "state", now, **settings) as here, browser(here, "10.1.0.1") as client:
            other = (tried or now).plan
            trying = Tried("node-01", Trying("t1", "c" * 40, "pr-17", "ann", True), other)
            here.plans = changed(Plans(now.plan, {other.id: other}), tried={mac(1): trying})
            await client.get(f"/ipxe/{mac(1)}/boot.ipxe")
            await story(await Agent.of(here, client))

    asyncio.run(run())


async def found(agent: Agent, *findings: dict[str, Any]) -> httpx.Response:
    body = {"boot": agent.boot, "findings": list(findings)}
    Draft202012Validator(schemas.load("agent-rehearsal")).validate(body)
    return await agent.post("/agent/rehearsal", body)


def told(agent: Agent) -> Any:
    return try_document("node-01", None, agent.here.observed)


def test_its_agent_is_told_what_there_is_to_look_at_and_no_run_ever_begins(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        for _ in range(2):
            answer = await agent.claim()
            (work,) = answer["rehearsal"]["works"]
            assert (None, "wait") == (answer["run"], answer["then"]), "what an older agent does"
            assert ("look", 1) == (work["workflow"]["name"], work["number"])
            assert ("node-01", "look") == (work["machine"]["name"], work["machine"]["run"]["workflow"])
        assert {"cancel": False} == (await agent.post("/agent/heartbeat", {"boot": agent.boot, "run": ""})).json()
        assert 200 == (await found(agent, DISK)).status_code
        assert ("reboot", None) == ((done := await agent.claim())["then"], done.get("rehearsal"))
        assert ("over", "success", "would overwrite /dev/vda") == tuple(told(agent)[key] for key in ("state", "result", "said"))
        assert [] == [event for event in agent.events if isinstance(event, RunStarted)]
        assert {"cancel": True} == (await agent.post("/agent/heartbeat", {"boot": agent.boot, "run": ""})).json()
        await agent.client.get(f"/ipxe/{mac(1)}/boot.ipxe")
        last = agent.here.observed.last_boot_of("node-01")
        assert last
        assert (True, None) == (last.id != agent.boot, last.trying)

    rehearsing(tmp_path, story)


def test_what_failed_is_what_is_told_first(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        await found(agent, DISK, LOST, {**LOST, "subject": "x"})
        await agent.claim()
        assert ("failure", "http://10.1.0.1/x: answers HTTP 404 (and 1 more)") == (told(agent)["result"], told(agent)["said"])

    rehearsing(tmp_path, story)


def test_when_a_disk_was_installed_is_known_from_the_run_that_its_marker_names(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        run = await installed(agent)
        again = machine(1, "look")
        newer = plan(msgspec.structs.replace(again, work=(msgspec.structs.replace(again.work[0], run=2),)))
        assert agent.here.plans
        trying = Tried("node-01", Trying("t1", "c" * 40, "pr-17", "ann", True), newer.plan)
        agent.here.plans = changed(agent.here.plans, pinned={newer.plan.id: newer.plan}, tried={mac(1): trying})
        await agent.client.get(f"/ipxe/{mac(1)}/boot.ipxe")
        next_ = await Agent.of(agent.here, agent.client, system="os-2")
        await next_.claim("os-2")
        await found(next_, {**DISK, "installed": INSTALLED}, {**DISK, "installed": {**INSTALLED, "site": "other"}})
        mine, foreign = (each["said"] for each in told(agent)["findings"])
        day = next(each for each in agent.here.observed.runs.values() if each.id == run).ended
        assert day
        by = "run 1 of workflow look on machine node-01 of site"
        assert f"would overwrite /dev/vda, last installed {day_of(day)} by {by} home" == mine
        assert f"would overwrite /dev/vda, last installed by {by} other" == foreign

    async def begin() -> None:
        async with world(tmp_path / "state", plan()) as here, browser(here, "10.1.0.1") as client:
            await client.get(f"/ipxe/{mac(1)}/boot.ipxe")
            await story(await Agent.of(here, client))

    asyncio.run(begin())


async def installed(agent: Agent) -> str:
    """node-01 has done what is served; the run's id."""
    await agent.claim()
    sequence = 0
    for name in ("first", "second"):
        for event in ({**ENDED, "type": "action-started", "action": name}, {**ENDED, "action": name}):
            sequence += 1
            wanted = ("type", "task", "action", "attempt") if event["type"] == "action-started" else tuple(event)
            assert 200 == (await agent.report(sequence, {key: event[key] for key in wanted})).status_code
    await agent.report(sequence + 1, {"type": "run-ended", "state": "SUCCESS", "reason": ""})
    run = agent.run
    await agent.claim()
    return run


def day_of(at: float) -> str:
    from netboot.run_documents import rfc3339

    return rfc3339(at)[:10]


def test_a_report_counts_once(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        assert [200, 200, 409] == [(await found(agent, *each)).status_code for each in ((DISK,), (DISK,), (LOST,))]
        assert 1 == sum(isinstance(event, Rehearsed) for event in agent.events)

    rehearsing(tmp_path, story)


def test_who_rehearses_nothing_reports_nothing_and_is_given_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path / "state", plan()) as here, browser(here, "10.1.0.1") as client:
            await client.get(f"/ipxe/{mac(1)}/boot.ipxe")
            agent = await Agent.of(here, client)
            await agent.claim()
            assert 409 == (await found(agent, DISK)).status_code
            asked = {"boot": agent.boot, "run": "", "task": "look", "action": "first"}
            assert 410 == (await agent.post("https://10.1.0.1/agent/secrets", asked)).status_code

    asyncio.run(run())


def test_of_all_secrets_its_agent_is_given_the_login_of_an_image_s_registry_alone(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        agent.here.keys = KEYS
        await agent.claim()
        asked = {"boot": agent.boot, "run": "", "task": "look", "action": "first"}
        answer = await agent.post("https://10.1.0.1/agent/secrets", asked)
        assert {"secrets": [], "login": {"username": "me", "password": "pass word"}} == answer.json()
        assert 409 == (await agent.post("https://10.1.0.1/agent/secrets", {**asked, "action": "third"})).status_code
        await found(agent, DISK)
        await agent.claim()
        assert 410 == (await agent.post("https://10.1.0.1/agent/secrets", asked)).status_code

    rehearsing(tmp_path, story, served())


@pytest.mark.parametrize("body", [{"boot": 1}, {"boot": "b", "findings": [{}]}, {"boot": "b", "findings": [DISK] * 301}])
def test_what_is_no_report_is_refused(tmp_path: Path, body: dict[str, Any]) -> None:
    async def story(agent: Agent) -> None:
        assert 400 == (await agent.post("/agent/rehearsal", body)).status_code

    rehearsing(tmp_path, story)
