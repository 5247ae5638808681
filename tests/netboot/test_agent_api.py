"""The agent's side of HTTP: tokens, bodies, and answers that leave only when they are true."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

import schemas
from agent.session import Session, Signer
from netboot import agent_api, bodies
from netboot.boot import Plans
from netboot.events import BootAdvanced, RunStarted, SessionEnded
from netboot.markers import freeze
from netboot.plan import Dump
from netboot.sessions import Sessions
from netboot.tokens import FOREIGN, token
from netboot.world import World
from tests.netboot.site import Signed, browser, capability, exchanged, logged, mac, machine, plan, signed, world

PATHS = ("/agent/claim", "/agent/report", "/agent/log", "/agent/console", "/agent/heartbeat", "/agent/inventory")
STARTED = {"type": "action-started", "task": "look", "action": "first", "attempt": 1}
ENDED = {**STARTED, "type": "action-ended", "state": "SUCCESS", "exit_code": 0, "reason": ""}


@dataclass
class Agent:
    """What runs on node-01: its world, its boot, its way to the server."""

    here: World
    client: httpx.AsyncClient
    boot: str
    auth: Signed
    run: str = ""

    @classmethod
    async def of(cls, here: World, client: httpx.AsyncClient, number: int = 1, system: str = "os-1") -> Agent:
        """Of the open boot of this machine, with a session of its own."""
        boot = here.observed.open_boot(mac(number))
        assert boot is not None
        return cls(here, client, boot.id, await signed(here, client, boot.id, system))

    async def post(self, path: str, document: Any) -> httpx.Response:
        return await self.client.post(path, json=document, auth=self.auth)

    async def claim(self, system: str = "os-1") -> dict[str, Any]:
        answer: dict[str, Any] = (await self.post("/agent/claim", {"boot": self.boot, "system": system})).json()
        Draft202012Validator(schemas.load("agent-claim")).validate(answer)
        self.run = answer["run"]["id"] if answer["run"] else ""
        return answer

    async def report(self, sequence: int, event: dict[str, Any]) -> httpx.Response:
        body = {"boot": self.boot, "run": self.run, "sequence": sequence, "event": event}
        Draft202012Validator(schemas.load("agent-report")).validate(body)
        return await self.post("/agent/report", body)

    async def log(self, offset: Any, data: Any, **more: Any) -> httpx.Response:
        asked = {"boot": self.boot, "run": self.run, "task": "look", "action": "first", "attempt": 1, "offset": offset, **more}
        if not isinstance(data, bytes):  # a body that goes on for ever cannot be signed
            headers = {"Authorization": str(self.auth.signer.sign("POST", "/agent/log", b""))}
            return await self.client.post("/agent/log", params=asked, content=data, headers=headers)
        return await self.client.post("/agent/log", params=asked, content=data, auth=self.auth)

    @property
    def events(self) -> list[Any]:
        return [event for _, event in self.here.directory.read()]


Story = Callable[[Agent], Awaitable[None]]


def with_agent(tmp_path: Path, story: Story, served: Dump | None = None) -> None:
    async def run() -> None:
        async with world(tmp_path / "state", served or plan()) as here, browser(here, "10.1.0.1") as client:
            await client.get(f"/ipxe/{mac(1)}/boot.ipxe")
            await story(await Agent.of(here, client))

    asyncio.run(run())


def test_a_run_is_claimed_reported_logged_and_ended(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        claimed = (await agent.claim())["run"]
        assert (0, None, []) == (claimed["sequence"], claimed["resume"], claimed["done"])
        assert {"accepted": 1} == (await agent.report(1, STARTED)).json()
        assert {"size": 6} == (await agent.log(0, b"hello\n")).json()
        assert {"cancel": False} == (await agent.post("/agent/heartbeat", {"boot": agent.boot, "run": agent.run})).json()
        await agent.report(2, ENDED)
        await agent.report(3, {**STARTED, "action": "second"})
        await agent.report(4, {**ENDED, "action": "second"})
        assert {"accepted": 5} == (await agent.report(5, {"type": "run-ended", "state": "SUCCESS", "reason": ""})).json()
        assert "SUCCESS" == agent.here.observed.runs[agent.run].state
        assert b"hello\n" == (await agent.client.get(f"/logs/{agent.run}/look/first.1.log")).content
        done = await agent.claim()
        assert (None, "reboot", 10) == (done["run"], done["then"], done["retry"])

    with_agent(tmp_path, story)


def test_a_claim_says_what_machine_it_is_though_a_newer_plan_says_otherwise(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        first = (await agent.claim())["run"]
        assert ("home", "node-01", agent.run) == (
            first["machine"]["site"],
            first["machine"]["name"],
            first["machine"]["run"]["id"],
        )
        agent.here.plans = Plans(plan(machine(1, "look", storage={"disks": [{"device": "/dev/sda"}]})).plan, {})
        assert first["machine"] == (await agent.claim())["run"]["machine"]

    with_agent(tmp_path, story)


def test_the_boot_is_seen_to_reach_its_agent_once(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        await agent.claim()
        reached = [event for event in agent.events if isinstance(event, BootAdvanced) and event.phase == "agent"]
        assert 1 == len(reached)
        assert 1 == sum(isinstance(event, RunStarted) for event in agent.events)

    with_agent(tmp_path, story)


@pytest.mark.parametrize(("idle", "then"), [("profile:inspect", "wait"), ("profile:other", "reboot"), ("wait", "reboot")])
def test_a_system_stays_when_it_is_the_idle_profile_and_restarts_into_any_other(tmp_path: Path, idle: str, then: str) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        for sequence, action in ((1, "first"), (3, "second")):
            await agent.report(sequence, {**STARTED, "action": action})
            await agent.report(sequence + 1, {**ENDED, "action": action})
        await agent.report(5, {"type": "run-ended", "state": "SUCCESS", "reason": ""})
        assert then == (await agent.claim())["then"]

    with_agent(tmp_path, story, plan(machine(1, "look", idle=idle)))


def test_what_git_cancels_is_told_to_an_agent_that_claims(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        off = machine(1, "look")
        agent.here.plans = Plans(plan(replace(off, work=(replace(off.work[0], cancel=True),))).plan, {})
        run, answer = agent.run, await agent.claim()
        assert ("wait", True) == (answer["then"], "git cancels workflow look" in answer["reason"])
        assert {"cancel": True} == (await agent.post("/agent/heartbeat", {"boot": agent.boot, "run": run})).json()

    with_agent(tmp_path, story)


def test_a_machine_kept_for_a_look_hears_of_new_work(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        await agent.report(1, {"type": "run-ended", "state": "FAILED", "reason": "enough"})
        assert "wait" == (await agent.claim())["then"]
        again, before = machine(1, "look"), agent.here.plans
        assert before is not None
        fresh = plan(replace(again, work=(replace(again.work[0], run=2),))).plan
        agent.here.plans = Plans(fresh, {before.current.id: before.current})
        answer = await agent.claim()
        assert ("reboot", True) == (answer["then"], "runs workflow look run 2" in answer["reason"])

    with_agent(tmp_path, story)


def test_a_repeated_report_counts_once_and_one_out_of_order_is_told_what_is_due(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        for _ in range(3):
            assert (200, {"accepted": 1}) == await told(agent.report(1, STARTED))
        refused = await agent.report(3, ENDED)
        assert (409, 1) == (refused.status_code, refused.json()["sequence"])
        agent.run = "another"
        assert 404 == (await agent.report(2, ENDED)).status_code

    with_agent(tmp_path, story)


async def told(answer: Awaitable[httpx.Response]) -> tuple[int, Any]:
    response = await answer
    return response.status_code, response.json()


# Tokens


BODIES = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b'"boot"',
    b'{"boot": 3}',
    b'{"system": "x"}',
    b"[" * 10000,
    b'{"boot": "BOOT"}',
    b'{"boot": "BOOT", "system": "os-1"}',
    b'{"boot": "BOOT", "run": "RUN"}',
    b'{"boot": "BOOT", "system": "os-1", "hardware": {}}',
    b'{"boot": "BOOT", "run": "RUN", "sequence": 1, "event": {"type": "run-ended", "state": "FAILED", "reason": "x"}}',
]


@pytest.mark.parametrize("path", ["/agent/session", *PATHS])
@pytest.mark.parametrize(
    "shown", ["nothing", "basic", "empty", "wrong", "almost", "umlaut", "a token", "another body's", "no session's"]
)
def test_without_a_good_token_or_signature_every_post_is_401_and_changes_nothing(tmp_path: Path, path: str, shown: str) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        right = capability(agent.here, agent.boot)
        where = f"{path}?boot={agent.boot}&run={agent.run}&task=look&action=first&attempt=1&offset=0"
        header = {
            "nothing": None,
            "basic": f"Basic {right}",
            "empty": "Bearer ",
            "wrong": "Bearer " + "0" * 64,
            "almost": f"Bearer {right[:-1]}",
            "umlaut": "Bearer ä".encode("latin-1"),
            "a token": f"Bearer {right}",
            "another body's": str(agent.auth.signer.sign("POST", where, b"another")),
            "no session's": str(Signer(Session("0" * 16, "1" * 64, agent.here.sessions.nonce)).sign("POST", where, b"")),
        }[shown]
        if (path, shown) == ("/agent/session", "a token"):
            return
        before = agent.events
        for body in BODIES:
            body = body.replace(b"BOOT", agent.boot.encode()).replace(b"RUN", agent.run.encode())
            headers = {b"Authorization": header} if header else {}
            answer = await agent.client.post(where, content=body, headers=headers)  # type: ignore[arg-type] # bytes are fine
            malformed = path == "/agent/session" and shown in ("wrong", "almost", "umlaut") and b'"system": "os' not in body
            assert (400 if malformed else 401) == answer.status_code
            assert ["error"] == list(answer.json())
        assert before == agent.events
        assert not (agent.here.settings.state / "logs").exists()

    with_agent(tmp_path, story)


def test_a_session_speaks_for_no_other_boot(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        await agent.report(1, STARTED)
        await agent.client.get(f"/ipxe/{mac(2)}/boot.ipxe", headers={"X-Forwarded-For": "10.1.0.2"})
        intruder = await Agent.of(agent.here, agent.client, 2)
        intruder.run = agent.run
        assert 410 == (await intruder.report(2, ENDED)).status_code
        assert 410 == (await intruder.log(0, b"lies")).status_code
        beat = {"boot": intruder.boot, "run": agent.run}
        assert {"cancel": True} == (await intruder.post("/agent/heartbeat", beat)).json()
        intruder.boot = agent.boot
        assert 403 == (await intruder.report(2, ENDED)).status_code
        assert 403 == (await intruder.log(0, b"lies")).status_code
        assert 403 == (await intruder.post("/agent/heartbeat", {"boot": agent.boot, "run": agent.run})).status_code
        assert "RUNNING" == agent.here.observed.runs[agent.run].state

    with_agent(tmp_path, story, plan(machine(1, "look"), machine(2, "look"), trusted_proxies=("10.1.0.1/32",)))


def test_a_request_counts_once_and_for_one_start_of_the_server(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        body = json.dumps({"boot": agent.boot, "run": agent.run}).encode()

        async def beat(header: str) -> tuple[int, Any]:
            answer = await agent.client.post("/agent/heartbeat", content=body, headers={"Authorization": header})
            return answer.status_code, answer.json()

        recorded = str(agent.auth.signer.sign("POST", "/agent/heartbeat", body))
        assert (200, {"cancel": False}) == await beat(recorded)
        status, answer = await beat(recorded)
        assert (401, "was made before" in answer["error"], agent.here.sessions.nonce) == (status, True, answer["nonce"])
        agent.here.sessions = Sessions(agent.here.key, "ab" * 16)  # as after a restart
        status, answer = await beat(recorded)
        assert (401, "ab" * 16) == (status, answer["nonce"])
        agent.auth.signer.nonce = answer["nonce"]
        assert (200, {"cancel": False}) == await beat(str(agent.auth.signer.sign("POST", "/agent/heartbeat", body)))

    with_agent(tmp_path, story)


# Sessions


def test_of_two_with_good_tokens_the_second_waits_and_people_are_told(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        told: list[str] = []
        agent.here.on_contest = told.append
        for _ in range(2):
            answer = await exchanged(agent.here, agent.client, agent.boot, "os-2")
            assert (423, True) == (answer.status_code, "another start of this machine is at work on" in answer.json()["error"])
            assert 1 <= answer.json()["retry"] <= 10
        status = (await agent.client.get("/status/hardware/node-01.json")).json()
        Draft202012Validator(schemas.load("status-hardware")).validate(status)
        (contested,) = [each for each in status["conditions"] if each["type"] == "Contested"]
        assert ("True", "somebody at 10.1.0.1 wants to speak for it", True) == (
            contested["status"], contested["message"][:42], "asked 2 times" in contested["message"],
        )  # fmt: skip
        assert ["node-01"] == told
        parked = [line for line in logged(agent.here.log) if (line["event"], line["outcome"]) == ("session", "parked")]
        assert ["node-01", "node-01"] == [line["machine"] for line in parked]
        assert agent.run or (await agent.claim())["run"], "the first goes on"

    with_agent(tmp_path, story)


def test_when_a_session_is_dead_the_next_takes_its_place_and_the_old_one_says_nothing_more(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        agent.here.observed.patience = -1.0
        fresh = await Agent.of(agent.here, agent.client, system="os-2")
        assert 410 == (await agent.report(1, STARTED)).status_code
        fresh.run = agent.run
        assert 410 == (await agent.post("/agent/claim", {"boot": agent.boot, "system": "os-1"})).status_code
        assert 403 == (await fresh.post("/agent/claim", {"boot": agent.boot, "system": "os-1"})).status_code
        assert agent.run == (await fresh.claim("os-2"))["run"]["id"]
        ended = [event for event in agent.events if isinstance(event, SessionEnded)]
        assert ["nothing was heard of it for 0 seconds"] == [event.reason for event in ended]

    with_agent(tmp_path, story)


def test_a_boot_that_ended_leaves_nobody_waiting_and_its_agent_may_still_finish(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        await agent.report(1, {"type": "run-ended", "state": "FAILED", "reason": "enough"})
        assert "reboot" == (await agent.claim())["then"]
        assert "reboot" == (await agent.claim())["then"], "an answer that was lost is given again"
        over = await exchanged(agent.here, agent.client, agent.boot, "os-2")
        assert (410, True) == (over.status_code, "is closed: end of work" in over.json()["error"])
        await agent.client.get(f"/ipxe/{mac(1)}/boot.ipxe")
        fresh = agent.here.observed.last_boot_of("node-01")
        assert fresh is not None
        opened = (await agent.client.get(f"/ipxe/{mac(1)}/boot.ipxe")).text
        assert "disk" in opened

    failing = machine(1, "look")
    with_agent(tmp_path, story, plan(replace(failing, work=(replace(failing.work[0], on_failure="reboot"),))))


@pytest.mark.parametrize(
    ("mode", "peer", "opens"),
    [
        ("reservation", "10.1.0.1", True), ("reservation", "10.1.0.66", False), ("reservation", "192.0.2.7", True),
        ("proxy", "10.1.0.66", True), ("off", "10.2.0.66", False), ("proxy", "", False),
    ],
)  # fmt: skip
def test_a_token_that_got_out_opens_a_session_from_no_other_address(tmp_path: Path, mode: str, peer: str, opens: bool) -> None:
    """As with scripts; a proxy that the site trusts, at 192.0.2.7, passes TLS on and cannot say for whom."""

    async def story(agent: Agent) -> None:
        agent.here.observed.patience = -1.0
        before = agent.events
        async with browser(agent.here, peer) as leaked:
            answer = await exchanged(agent.here, leaked, agent.boot, "os-2")
        assert (200 if opens else 403) == answer.status_code
        if not opens:
            whom = "10.1.0.1" if mode == "reservation" else "addresses of the site's subnets"
            told = f"the boot of node-01 holds a token, so it is for {whom} only and not for {peer or 'nobody'}"
            assert told in answer.json()["error"]
            assert before == agent.events
            (refused,) = [line for line in logged(agent.here.log) if (line["event"], line["outcome"]) == ("session", "403")]
            assert ("node-01", peer) == (refused["machine"], refused["peer"])

    with_agent(tmp_path, story, plan(machine(1, "look"), mode=mode, trusted_proxies=("192.0.2.0/24",)))


def test_before_a_plan_is_served_nobody_can_say_where_a_token_belongs(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        agent.here.plans = None
        answer = await exchanged(agent.here, agent.client, agent.boot, "os-2")
        assert (503, "5") == (answer.status_code, answer.headers["retry-after"])

    with_agent(tmp_path, story)


def test_an_expired_token_is_told_what_to_do(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        stale = {"Authorization": f"Bearer {capability(agent.here, agent.boot, -2)}"}
        answer = await agent.client.post("/agent/session", json={"boot": agent.boot, "system": "os-2"}, headers=stale)
        assert (401, True) == (answer.status_code, "boot the machine again" in answer.json()["error"])

    with_agent(tmp_path, story)


# Bodies


@pytest.mark.parametrize("path", ["/agent/claim", "/agent/report", "/agent/heartbeat", "/agent/inventory"])
def test_a_body_that_is_not_what_the_protocol_says_is_400_with_the_reason(tmp_path: Path, path: str) -> None:
    async def story(agent: Agent) -> None:
        for body in ({"boot": agent.boot}, {"boot": agent.boot, "system": 1, "run": 2, "sequence": "x"}):
            answer = await agent.post(path, body)
            assert 400 == answer.status_code
            assert "docs/agent-protocol.md" in answer.json()["error"]

    with_agent(tmp_path, story)


def test_a_body_is_bounded_in_size(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        await agent.report(1, STARTED)
        long = await agent.post("/agent/claim", {"boot": agent.boot, "system": "x" * agent_api.LONGEST_REQUEST})
        assert 413 == long.status_code
        assert 413 == (await agent.log(0, bytes(agent_api.LONGEST_CHUNK + 1))).status_code
        assert {"size": agent_api.LONGEST_CHUNK} == (await agent.log(0, bytes(agent_api.LONGEST_CHUNK))).json()

    with_agent(tmp_path, story)


def test_a_body_is_bounded_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.02)

    async def trickle() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.005)

    async def story(agent: Agent) -> None:
        await agent.claim()
        await agent.report(1, STARTED)
        answer = await agent.log(0, trickle())
        assert (408, "close") == (answer.status_code, answer.headers["connection"])

    with_agent(tmp_path, story)


# Logs


def test_a_chunk_that_is_not_at_the_end_is_told_where_the_end_is(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        await agent.report(1, STARTED)
        assert (200, 5) == size_of(await agent.log(0, b"hello"))
        assert (409, 5) == size_of(await agent.log(0, b"hello"))
        assert (409, 5) == size_of(await agent.log(10**17, b"x"))
        assert (200, 6) == size_of(await agent.log(5, b"!"))

    with_agent(tmp_path, story)


def size_of(answer: httpx.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["size"]


def test_two_senders_of_one_chunk_write_it_once(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        await agent.report(1, STARTED)
        keep, at_once = agent.here.directory.append_log, [0, 0]

        def watched(*words: Any) -> int:
            at_once[:] = [at_once[0] + 1, max(at_once[1], at_once[0] + 1)]
            threading.Event().wait(0.002)
            try:
                return keep(*words)
            finally:
                at_once[0] -= 1

        agent.here.directory.append_log = watched  # type: ignore[method-assign, assignment] # a spy
        answers = await asyncio.gather(*(agent.log(0, b"once") for _ in range(20)))
        assert [(200, 4)] + [(409, 4)] * 19 == sorted(map(size_of, answers))
        assert 1 == at_once[1]
        assert b"once" == (await agent.client.get(f"/logs/{agent.run}/look/first.1.log")).content

    with_agent(tmp_path, story)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"run": "another"}, 404), ({"task": "other"}, 404), ({"action": "../../../key"}, 404), ({"attempt": 2}, 404),
        ({"attempt": -1}, 400), ({"attempt": "٣"}, 400), ({"offset": "x"}, 400), ({"offset": 10**18}, 400),
    ],
)  # fmt: skip
def test_a_log_is_taken_only_for_an_attempt_that_was_started(tmp_path: Path, asked: dict[str, Any], status: int) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        await agent.report(1, STARTED)
        assert status == (await agent.log(**{"offset": 0, "data": b"x", **asked})).status_code
        assert not (agent.here.settings.state / "logs").exists()

    with_agent(tmp_path, story)


def test_what_a_console_says_is_kept_up_to_a_bound_and_named_in_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(agent: Agent) -> None:
        async def console(offset: int, data: bytes, boot: str = agent.boot) -> httpx.Response:
            asked: dict[str, str | int] = {"boot": boot, "offset": offset}
            return await agent.client.post("/agent/console", params=asked, content=data, auth=agent.auth)

        monkeypatch.setattr(agent_api, "LONGEST_CONSOLE", 5)
        assert (200, 5) == size_of(await console(0, b"init\n"))
        assert (409, 5) == size_of(await console(0, b"init\n"))
        assert 413 == (await console(5, b"and so on for months")).status_code
        assert 403 == (await console(0, b"x", "another")).status_code
        await agent.claim()
        status = (await agent.client.get("/status/hardware/node-01.json")).json()
        assert b"init\n" == (await agent.client.get(status["boot"]["console"])).content

    with_agent(tmp_path, story)


# Holds, other plans, sick disks


def test_work_that_is_held_is_waited_for(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        why = freeze(agent.here.settings.state, "")
        assert {"run": None, "then": "wait", "reason": why, "retry": 10} == await agent.claim()

    with_agent(tmp_path, story)


@pytest.mark.parametrize("presented", ["x", "0" * 64, "made for nobody"])
def test_who_has_no_token_is_not_told_which_boots_there_are(tmp_path: Path, presented: str) -> None:
    async def story(agent: Agent) -> None:
        now = agent.here.now()
        for boot in ("forgotten", agent.boot):
            shown = presented if presented != "made for nobody" else token(agent.here.key, "", "", boot, now + 60)
            answer = await agent.client.post(
                "/agent/session", json={"boot": boot, "system": "os-1"}, headers={"Authorization": f"Bearer {shown}"}
            )
            assert (401, {"error": FOREIGN}) == (answer.status_code, answer.json())
            assert "Bearer" == answer.headers["www-authenticate"]

    with_agent(tmp_path, story)


def test_while_the_disk_is_sick_nothing_is_acknowledged_and_afterwards_all_goes_on(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        journal = agent.here.directory.journal
        healthy, journal._retry = journal._sync, 0.01

        def full(file: int, data: bytes) -> None:
            raise OSError(28, "No space left on device")

        await agent.claim()
        journal._sync = full
        before = agent.events
        for path, body in (
            ("/agent/report", {"boot": agent.boot, "run": agent.run, "sequence": 1, "event": STARTED}),
            ("/agent/claim", {"boot": agent.boot, "system": "os-1"}),
        ):
            answer = await agent.post(path, body)
            assert (503, "5") == (answer.status_code, answer.headers["retry-after"])
            assert "No space left" in answer.json()["error"]
        assert before == agent.events
        journal._sync = healthy
        await until(lambda: journal.failure is None)
        assert 200 == (await agent.report(1, STARTED)).status_code

    with_agent(tmp_path, story)


def test_a_refusal_too_rests_on_what_is_on_disk(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        asked: list[tuple[object, ...]] = []
        commit = agent.here.ledger.commit

        async def watched(events: tuple[Any, ...] = ()) -> None:
            asked.append(tuple(events))
            await commit(events)

        agent.here.ledger.commit = watched  # type: ignore[method-assign, assignment] # a spy
        assert 409 == (await agent.report(7, ENDED)).status_code
        await agent.post("/agent/heartbeat", {"boot": agent.boot, "run": "another"})
        assert [(), ()] == asked

    with_agent(tmp_path, story)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)
