"""Who may have which secret, and what it gets: by TLS, for the action it began last, and in no other case."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from agent.given import Given, given_from_json
from agent.workflow import Action, Secret, Task, Workflow, to_json
from netboot.boot import Plans, next_step
from netboot.delivery import Entitled, SecretsRequest, decode_secrets, entitled
from netboot.errors import Malformed
from netboot.events import RunEnded
from netboot.plan import Dump
from netboot.runs import Refused
from netboot.sealed import PullSecret
from netboot.sealed import Secret as Sealed
from netboot.secrets import locked, parse_keys
from netboot.work import Work
from tests import secret_documents as documents
from tests.netboot.site import capability, exchanged, logged, mac, machine, plan
from tests.netboot.test_agent_api import ENDED, STARTED, Agent, with_agent

KEYS = parse_keys(documents.IDENTITY)
OTHER = "AGE-SECRET-KEY-10PYPJS9Y2EN6L73X4T9076LRR8ZRG9E5NLXHTU25LWZ4TW725ZNQN0GE5Y"
"""Of tests alone, and not the server's."""
FIRST = Action(
    "first",
    "r:5000/look:v1",
    secrets=(Secret("db", "password", env="PW"), Secret("db", "key", file="/run/key")),
    login="r:5000",
    on_failure=("sh",),
)
SECOND = Action("second", "look:v1", secrets=(Secret("other", "token", env="TOKEN"),))
LOOK = Workflow("look", (Task("look", "node-01", (FIRST, SECOND)),))
SECRETS = (
    Sealed("db", {"password": documents.age("correct horse\n"), "key": documents.age("battery\nstaple\n")}),
    Sealed("other", {"token": documents.age("a token of another")}),
    Sealed("registry", {"login": documents.age("me:pass word\n")}),
)
PULL = (PullSecret("r:5000", "registry", "login"),)
VALUES = ("correct horse", "battery\nstaple", "battery\\nstaple", "a token of another", "pass word")
BEGUN = {**STARTED, "task": "look", "action": "first"}


def served(*secrets: Sealed) -> Dump:
    work = Work(workflow="look", run=1, document=to_json(LOOK), profile="inspect")
    return plan(msgspec.structs.replace(machine(1), work=(work,)), secrets=secrets or SECRETS, pull_secrets=PULL)


async def ask(agent: Agent, action: str = "first", **more: Any) -> httpx.Response:
    body = {"boot": agent.boot, "run": agent.run, "task": "look", "action": action, **more}
    return await agent.post("https://10.1.0.1/agent/secrets", body)


def test_the_action_that_began_gets_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        agent.here.keys = KEYS
        await agent.claim()
        await agent.report(1, BEGUN)
        answer = await ask(agent)
        expected = Given(
            {"PW": "correct horse"}, {"/run/key": "battery\nstaple\n"}, {"username": "me", "password": "pass word"}
        )
        assert expected == given_from_json(answer.json())
        assert "no-store" == answer.headers["Cache-Control"]
        assert answer.json() == (await ask(agent)).json()  # an answer that was lost is given again
        await agent.report(2, {**ENDED, "action": "first"})
        await agent.report(3, {**BEGUN, "action": "second"})
        assert Given({"TOKEN": "a token of another"}) == given_from_json((await ask(agent, "second")).json())

    with_agent(tmp_path, story, served())


def test_a_handler_gets_what_its_action_gets(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        agent.here.keys = KEYS
        await agent.claim()
        await agent.report(1, BEGUN)
        await agent.report(2, {**ENDED, "action": "first", "state": "FAILED", "exit_code": 1, "reason": "why"})
        await agent.report(3, {**BEGUN, "action": "first:on-failure"})
        assert {"PW": "correct horse"} == given_from_json((await ask(agent, "first:on-failure")).json()).environment

    with_agent(tmp_path, story, served())


def test_nobody_else_and_at_no_other_time(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        agent.here.keys = KEYS
        await agent.claim()
        early = await ask(agent)
        assert (409, f"look/first is not what run {agent.run} began last") == (early.status_code, early.json()["error"])
        await agent.report(1, BEGUN)
        answers = {
            "another action": (409, await ask(agent, "second")),
            "another task": (409, await ask(agent, task="other")),
            "another run": (404, await ask(agent, run="0123456789abcdef")),
            "in clear": (403, await agent.post("http://10.1.0.1/agent/secrets", json.loads(early.request.content))),
            "unsigned": (401, await agent.client.post("https://10.1.0.1/agent/secrets", json={"boot": agent.boot})),
            "a token": (401, await agent.client.post(
                "https://10.1.0.1/agent/secrets",
                json=json.loads(early.request.content),
                headers={"Authorization": f"Bearer {capability(agent.here, agent.boot)}"},
            )),
            "another boot": (403, await ask(agent, boot="0123456789abcdef")),
            "damaged": (400, await agent.post("https://10.1.0.1/agent/secrets", {"boot": agent.boot, "run": 7})),
        }  # fmt: skip
        assert {name: status for name, (status, _) in answers.items()} == {
            name: answer.status_code for name, (_, answer) in answers.items()
        }
        await agent.here.ledger.commit((RunEnded(at=agent.here.now(), run=agent.run, state="FAILED", reason="told to"),))
        assert 410 == (await ask(agent)).status_code
        everything = b"".join(answer.content for _, answer in answers.values())
        assert not any(value.encode() in everything for value in VALUES)

    with_agent(tmp_path, story, served())


def test_whoever_opens_the_machines_session_before_its_agent_has_the_secrets_of_the_work_that_is_due(tmp_path: Path) -> None:
    async def story(thief: Agent) -> None:
        thief.here.keys = KEYS
        late = await exchanged(thief.here, thief.client, thief.boot, "os-of-the-machine")
        assert (423, True) == (late.status_code, "at work on node-01" in late.json()["error"])
        await thief.claim()
        await thief.report(1, BEGUN)
        assert "correct horse" == given_from_json((await ask(thief)).json()).environment["PW"]

    with_agent(tmp_path, story, served())


def test_another_start_of_the_machine_has_to_claim_the_run_first(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        await agent.claim()
        await agent.report(1, BEGUN)
        asked, observed = SecretsRequest(agent.boot, agent.run, "look", "first"), agent.here.observed
        assert Entitled(FIRST) == entitled(observed, asked, "os-1")
        reason = f"run {agent.run} belongs to another start of the machine's system"
        assert Refused(410, reason, 1) == entitled(observed, asked, "os-2")

    with_agent(tmp_path, story, served())


def test_a_boot_of_another_machine_gets_nothing_of_this_ones_run(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        agent.here.keys = KEYS
        await agent.claim()
        await agent.report(1, BEGUN)
        await agent.client.get(f"/ipxe/{mac(2)}/boot.ipxe", headers={"X-Forwarded-For": "10.1.0.2"})
        thief = await Agent.of(agent.here, agent.client, 2)
        thief.run = agent.run
        answer = await ask(thief)
        assert (410, f"run {agent.run} was taken over by boot {agent.boot}") == (answer.status_code, answer.json()["error"])

    dump = served()
    both = plan(
        *dump.plan.machines.values(), machine(2, "look"), secrets=SECRETS, pull_secrets=PULL, trusted_proxies=("10.1.0.1/32",)
    )
    with_agent(tmp_path, story, both)


@pytest.mark.parametrize(
    ("secrets", "reason"),
    [
        (
            (SECRETS[0], SECRETS[1]),
            "the plan of this boot has no secret registry",
        ),
        (
            (Sealed("db", {"password": documents.age("correct horse")}), *SECRETS[1:]),
            "secret db has no key key in the plan of this boot",
        ),
        (
            (*SECRETS[:2], Sealed("registry", {"login": documents.age("pass word")})),
            "its value is no login of a registry: it takes user:password, or docker's config.json",
        ),
    ],
)
def test_what_is_not_as_the_action_needs_it_is_said(tmp_path: Path, secrets: tuple[Sealed, ...], reason: str) -> None:
    """A run keeps to its document, and its machine may have booted by a later plan."""

    async def story(agent: Agent) -> None:
        agent.here.keys = KEYS
        await agent.claim()
        await agent.report(1, BEGUN)
        answer = await ask(agent)
        assert (409, reason) == (answer.status_code, answer.json()["error"])

    with_agent(tmp_path, story, served(*secrets))


def test_a_secret_that_cannot_be_read_holds_the_work_that_needs_it_and_no_other(tmp_path: Path) -> None:
    foreign = Sealed("other", {"token": documents.age("a token of another", documents.recipient(OTHER))})
    dump = served(SECRETS[0], foreign, SECRETS[2])
    dump = plan(*dump.plan.machines.values(), machine(2, "look"), secrets=(SECRETS[0], foreign, SECRETS[2]), pull_secrets=PULL)
    here = replace(dump.plan, locked=locked(dump.plan.secrets.values(), PULL, KEYS))

    async def story(agent: Agent) -> None:
        agent.here.plans = Plans(here, {})
        steps = [next_step(here, here.machines[name], agent.here.observed, "", "") for name in ("node-01", "node-02")]
        assert steps[0].why.startswith("workflow look run 1 is due but held: secret other cannot be read: none of the server's")
        assert steps[1].why.startswith("runs workflow look run 1")
        answer = await agent.claim()
        assert (None, "wait") == (answer["run"], answer["then"])
        assert answer["reason"].startswith("secret other cannot be read: none of the server's keys opens it")
        status = (await agent.client.get("/status/hardware/node-01.json")).json()
        assert "secret other cannot be read" in status["next"]
        workflow = (await agent.client.get("/status/workflows/look.json")).json()
        assert workflow["machines"][0]["reason"].startswith("is held: secret other cannot be read")

    with_agent(tmp_path, story, dump)


def test_nothing_of_a_secret_is_said_or_kept_by_the_server(tmp_path: Path) -> None:
    async def story(agent: Agent) -> None:
        agent.here.keys = KEYS
        await agent.claim()
        await agent.report(1, BEGUN)
        assert 200 == (await ask(agent)).status_code
        paths = ["/status/index.json", "/status/hardware/node-01.json", "/status/workflows/look.json", "/metrics", "/"]
        said = "".join([(await agent.client.get(path)).text for path in paths] + [str(logged(agent.here.log))])
        said += "".join(map(str, agent.events)) + repr(agent.here.keys) + repr(agent.here.plans)
        assert not any(value in said for value in VALUES)
        assert "'action': 'look/first'" in said
        kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        assert not any(value.encode() in data for value in VALUES for data in kept)
        assert not any(documents.IDENTITY.encode() in data for data in kept)

    with_agent(tmp_path, story, served())


def burst(*_: object) -> None:
    raise ValueError(f"of no use: {VALUES}")


@pytest.mark.parametrize("where", ["netboot.secrets.pyrage.decrypt", "netboot.delivery.login", "netboot.delivery._line"])
def test_what_breaks_while_a_secret_is_open_is_told_by_its_type_and_its_place(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(agent: Agent) -> None:
        agent.here.keys = KEYS
        await agent.claim()
        await agent.report(1, BEGUN)
        monkeypatch.setattr(where, burst)
        answer = await ask(agent)
        log = logged(agent.here.log)
        said = answer.text + str(log) + str((await agent.client.get("/status/hardware/node-01.json")).json())
        assert not any(value in said for value in (*VALUES, repr(VALUES)))
        line = burst.__code__.co_firstlineno + 1
        assert f"a defect of gitboot stops it (ValueError in burst, line {line}); please report it" in answer.json()["error"]
        assert answer.json()["error"] == next(each["reason"] for each in log if each["event"] == "secrets")

    with_agent(tmp_path, story, served())


def test_what_breaks_while_a_plan_is_loaded_locks_the_secret_and_says_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netboot.secrets.pyrage.decrypt", burst)
    found = locked(SECRETS, PULL, KEYS)
    assert ["db", "other", "registry"] == sorted(found)
    assert not any(value in str(found) for value in VALUES)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"boot": "b"}', b'{"boot":1,"run":2,"task":3,"action":4}', b"\xff", b"[" * 9999]
)
def test_what_is_no_request_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_secrets(body)
