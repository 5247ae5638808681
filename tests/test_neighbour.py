"""The lying neighbour: a host beside the machines, at a real server's real sockets, that tries to be one of them.

Both are on loopback, each with a source address of its own: node-01 at 127.0.0.11, the neighbour at 127.0.0.66.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agent.session import Signer, from_json
from netboot import http
from netboot.log import Log
from netboot.plan import Artifact, Dump, Interface, Machine, Mode, Profile, Site, Subnet, dump
from netboot.plans import PlanStore
from netboot.request_limits import RequestLimits
from netboot.server import Netboot
from netboot.settings import Settings
from netboot.tftp_packets import Error, ReadRequest, decode, encode
from reconciler.firmware import BIOS, Firmware, Stage, discover
from tests.netboot.site import mac, machine
from tests.netboot.test_server import until

pytestmark = pytest.mark.shell
NODE, NEIGHBOUR = "127.0.0.11", "127.0.0.66"
STAGES: tuple[Stage, ...] = ("pxe", "ipxe")
SCRIPT = f"/ipxe/{mac(1).replace(':', '-')}/boot.ipxe"
STARTED = {"type": "action-started", "task": "look", "action": "first", "attempt": 1}
ENDED = {**STARTED, "type": "action-ended", "state": "SUCCESS", "exit_code": 0, "reason": ""}
FAILED = {"type": "run-ended", "state": "FAILED", "reason": "a lie"}


def site(*workflows: str, mode: Mode = "reservation") -> Dump:
    """node-01 with this work."""
    interface = Interface(mac(1), NODE, "node-01", "rack1", b"\x33\x04\x00\x00\x0e\x10")
    node: Machine = replace(machine(1, *workflows), interfaces=(interface,))
    subnet = Subnet("rack1", "127.0.0.0/24", b"\x33\x04\x00\x00\x0e\x10")
    return dump(
        Site("home", server="127.0.0.1", mode=mode),
        [subnet],
        [Profile("inspect", kernel="vmlinuz")],
        [Artifact("vmlinuz", "0" * 64, 8)],
        [node],
    )


@dataclass
class Host:
    """Whoever has this source address."""

    server: Netboot
    address: str
    words: dict[str, str] = field(default_factory=dict)
    """Of the last script it got."""
    signer: Signer | None = None
    run: str = ""
    sent: list[bytes] = field(default_factory=list)
    """Every request, as the wire saw it."""
    head: bytes = b""
    """Of the last answer."""

    async def raw(self, request: bytes) -> tuple[int, bytes]:
        self.sent.append(request)
        way = await asyncio.open_connection("127.0.0.1", self.server.http_port, local_addr=(self.address, 0))
        reader, writer = way
        try:
            writer.write(request)
            self.head = head = await reader.readuntil(b"\r\n\r\n")
            return int(head.split()[1]), await reader.read()
        finally:
            writer.close()

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return await self.raw("\r\n".join([*lines, "", ""]).encode() + body)

    async def script(self, **headers: str) -> int:
        status, text = await self.ask("GET", SCRIPT, b"", **headers)
        if status == 200:
            self.words = dict(re.findall(r"gitboot\.(\w+)=(\S+)", text.decode())) or self.words
        return status

    async def exchange(self, words: dict[str, str], system: str) -> tuple[int, Any]:
        body = json.dumps({"boot": words["boot"], "system": system}).encode()
        status, said = await self.ask("POST", "/agent/session", body, Authorization=f"Bearer {words['token']}")
        session = from_json(json.loads(said))
        self.signer = Signer(session) if session else None
        return status, json.loads(said)

    async def say(self, path: str, **document: Any) -> tuple[int, Any]:
        body = json.dumps({"boot": self.words["boot"], **document}).encode()
        assert self.signer is not None
        status, said = await self.ask("POST", path, body, Authorization=str(self.signer.sign("POST", path, body)))
        return status, json.loads(said)

    async def begin(self) -> None:
        """Boots and claims its run."""
        assert 200 == await self.script()
        assert 200 == (await self.exchange(self.words, "os-1"))[0]
        self.run = (await self.say("/agent/claim", system="os-1"))[1]["run"]["id"]

    async def report(self, sequence: int, event: dict[str, Any]) -> tuple[int, Any]:
        return await self.say("/agent/report", run=self.run, sequence=sequence, event=event)

    def state(self) -> str:
        return self.server.world.observed.runs[self.run].state


Story = Callable[[Host, Host], Awaitable[None]]


def beside(tmp_path: Path, story: Story, mode: Mode = "reservation") -> None:
    """`mode`: whether addresses are ours to give, so that the machine's own is known. Else the neighbour's is as good."""
    PlanStore(tmp_path / "plans").publish(site("look", mode=mode))
    settings = Settings(
        state=tmp_path, listen="127.0.0.1", dhcp_port=0, proxy_port=0, tftp_port=0, http_port=0, https_port=-1,
        new_site=True, reply_to_source=True, open_status=True,
    )  # fmt: skip

    async def run() -> None:
        async with Netboot(settings, Log(StringIO())).running() as server:
            await story(Host(server, NODE), Host(server, NEIGHBOUR))

    asyncio.run(run())


def test_it_fetches_a_script_and_gets_none_whatever_it_says_it_is(tmp_path: Path) -> None:
    async def story(node: Host, neighbour: Host) -> None:
        lies: list[dict[str, str]] = [{}, {"X-Forwarded-For": NODE}, {"Forwarded": f"for={NODE}"}, {"X-Real-IP": NODE}]
        assert [403] * 4 == [await neighbour.script(**lie) for lie in lies]
        loop = asyncio.get_running_loop()
        for path in (f"pxelinux.cfg/01-{mac(1).replace(':', '-')}", f"grub/boot.cfg-01-{mac(1)}"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.bind((NEIGHBOUR, 0))
                await loop.sock_sendto(sock, encode(ReadRequest(path)), ("127.0.0.1", node.server.tftp_port))
                answer = decode(await asyncio.wait_for(loop.sock_recv(sock, 2048), 20))
            assert isinstance(answer, Error)
            assert f"for {NODE} only" in answer.message
        assert {} == node.server.world.observed.boots, "and nothing has happened"
        assert 200 == await node.script()

    beside(tmp_path, story)


def test_a_token_that_got_out_is_good_at_the_machines_own_address_only(tmp_path: Path) -> None:
    async def story(node: Host, neighbour: Host) -> None:
        assert 200 == await node.script()
        before = list(node.server.world.directory.read())
        status, said = await neighbour.exchange(node.words, "os-2")
        assert (403, True) == (status, f"so it is for {NODE} only and not for {NEIGHBOUR}" in said["error"])
        assert before == list(node.server.world.directory.read())
        assert 200 == (await node.exchange(node.words, "os-1"))[0]
        assert 403 == (await neighbour.exchange(node.words, "os-2"))[0]
        shown = json.loads(node.server.world.status_document("hardware/node-01.json") or b"{}")
        assert "False" == next(each["status"] for each in shown["conditions"] if each["type"] == "Contested")

    beside(tmp_path, story)


def test_with_a_stolen_token_it_is_parked_while_the_machine_is_at_work_and_people_are_told(tmp_path: Path) -> None:
    async def story(node: Host, neighbour: Host) -> None:
        await node.begin()
        status, said = await neighbour.exchange(node.words, "os-2")
        assert (423, True) == (status, "at work on node-01" in said["error"])
        shown = json.loads(node.server.world.status_document("hardware/node-01.json") or b"{}")
        (contested,) = [each for each in shown["conditions"] if each["type"] == "Contested"]
        assert ("True", True) == (contested["status"], NEIGHBOUR in contested["message"])
        assert (200, {"accepted": 1}) == await node.report(1, STARTED)

    beside(tmp_path, story, "proxy")


def test_it_races_for_the_first_session_and_one_of_the_two_waits(tmp_path: Path) -> None:
    """Who has the token and is first is the machine, as far as can be known; the other one is shown."""

    async def story(node: Host, neighbour: Host) -> None:
        assert 200 == await node.script()
        answers = await asyncio.gather(node.exchange(node.words, "os-1"), neighbour.exchange(node.words, "os-2"))
        assert [200, 423] == sorted(status for status, _ in answers)
        assert 1 == len(node.server.world.observed.sessions)

    beside(tmp_path, story, "proxy")


@pytest.mark.parametrize(("mode", "refusal"), [("reservation", 403), ("proxy", 423)])
def test_it_replays_what_it_recorded_and_changes_nothing(tmp_path: Path, mode: Mode, refusal: int) -> None:
    """All of it, the exchange of the token too, at its own address and where it has taken the machine's."""

    async def story(node: Host, neighbour: Host) -> None:
        await node.begin()
        await node.report(1, STARTED)
        await node.report(2, ENDED)
        recorded = [request for request in node.sent if b"POST /agent/" in request]
        before = list(node.server.world.directory.read())
        assert (4, True) == (len(recorded), b"POST /agent/session" in recorded[0])
        assert [refusal, 401, 401, 401] == [(await neighbour.raw(request))[0] for request in recorded]
        assert [423, 401, 401, 401] == [(await node.raw(request))[0] for request in recorded]
        forged = recorded[-1].replace(b"SUCCESS", b"TIMEOUT")
        assert 401 == (await neighbour.raw(forged))[0]
        assert before == list(node.server.world.directory.read())

    beside(tmp_path, story, mode)


def test_it_guesses_ids_and_signs_with_what_it_has(tmp_path: Path) -> None:
    """The ids of boots and runs are in the status; they open nothing."""

    async def story(node: Host, neighbour: Host) -> None:
        await node.begin()
        neighbour.words, neighbour.run = {"boot": node.words["boot"], "token": "0" * 64}, node.run
        assert 401 == (await neighbour.exchange(neighbour.words, "os-1"))[0]
        session = next(iter(node.server.world.observed.sessions))
        guessed = from_json({"session": session, "key": "0" * 64, "nonce": node.server.world.sessions.nonce})
        assert guessed is not None
        neighbour.signer = Signer(guessed)
        assert 401 == (await neighbour.report(1, FAILED))[0]
        body = json.dumps({"boot": node.words["boot"], "run": node.run, "sequence": 1, "event": FAILED}).encode()
        token = node.words["token"]
        assert 401 == (await neighbour.ask("POST", "/agent/report", body, Authorization=f"Bearer {token}"))[0]
        assert "RUNNING" == node.state()

    beside(tmp_path, story)


def test_a_forged_discover_and_fetches_after_a_push_do_not_touch_a_run_at_work(tmp_path: Path) -> None:
    async def story(node: Host, neighbour: Host) -> None:
        await node.begin()
        fresh = site()
        PlanStore(tmp_path / "plans").publish(fresh)
        world = node.server.world
        await until(lambda: world.plans is not None and world.plans.current.id == fresh.plan.id)
        before, loop = list(node.server.world.directory.read()), asyncio.get_running_loop()
        for stage in STAGES:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.bind((NEIGHBOUR, 0))
                asked = discover(Firmware(mac(1), BIOS, bytes(16)), stage, b"\1\2\3\4")
                await loop.sock_sendto(sock, asked, ("127.0.0.1", node.server.dhcp_port))
                await asyncio.wait_for(loop.sock_recv(sock, 2048), 20)
            assert 403 == await neighbour.script()
        assert before == list(node.server.world.directory.read())
        assert (200, {"accepted": 1}) == await node.report(1, STARTED)
        assert "RUNNING" == node.state()

    beside(tmp_path, story)


@pytest.mark.parametrize(("mode", "refusal"), [("reservation", 403), ("proxy", 423)])
def test_it_floods_and_the_machine_goes_on(tmp_path: Path, mode: Mode, refusal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limit is lowered to forty requests, and so is the machine's, which needs eight."""
    monkeypatch.setattr(http, "RequestLimits", partial(RequestLimits, at_once=40, per_second=1))

    async def story(node: Host, neighbour: Host) -> None:
        await node.begin()
        answers, limited = Counter[int](), asyncio.Event()

        async def flood() -> None:
            for _ in range(60):
                try:
                    answers[(await neighbour.exchange(node.words, "os-2"))[0]] += 1
                    answers[await neighbour.script()] += 1
                except (OSError, asyncio.IncompleteReadError, ValueError):
                    continue  # turned away
                if answers[429]:
                    limited.set()

        floods = [asyncio.create_task(flood()) for _ in range(8)]
        await asyncio.wait_for(limited.wait(), 20)
        for sequence, event in enumerate((STARTED, ENDED, {**STARTED, "action": "second"}, {**ENDED, "action": "second"}), 1):
            assert (200, {"accepted": sequence}) == await node.report(sequence, event)
        assert not all(each.done() for each in floods)
        await asyncio.gather(*floods)
        assert answers[429] == node.server.world.counts["http", "too-many"] > sum(answers.values()) / 2
        assert answers.keys() <= {refusal, 200 if mode == "proxy" else 403, 429}
        assert (200, {"accepted": 5}) == await node.report(5, {"type": "run-ended", "state": "SUCCESS", "reason": ""})
        assert ("SUCCESS", 1) == (node.state(), len(node.server.world.observed.sessions))

    beside(tmp_path, story, mode)


def test_the_token_and_the_sessions_key_are_in_nothing_that_is_kept_shown_or_cached(tmp_path: Path) -> None:
    async def story(node: Host, neighbour: Host) -> None:
        await node.begin()
        await neighbour.exchange(node.words, "os-2")
        await neighbour.exchange({**node.words, "token": "0" * 64}, "os-2")
        assert (200, {"accepted": 1}) == await node.report(1, STARTED)
        server, tokens = node.server, set[str]()
        loaders = (f"/pxelinux.cfg/01-{mac(1).replace(':', '-')}", f"/grub/boot.cfg-01-{mac(1)}")
        for path in (SCRIPT, *loaders):
            status, text = await node.ask("GET", path)
            tokens |= set(re.findall(r"gitboot\.token=([0-9a-f]{64})", text.decode()))
            assert (200, True) == (status, b"token=" in text), path
            assert b"cache-control: no-store" in node.head.lower(), path
        assert node.signer is not None
        server.world.log.flush()
        shown = {"log": stream_of(server.world.log), "journal": repr(list(server.world.directory.read()))}
        named = json.loads((await node.ask("GET", "/status/index.json"))[1])["documents"]
        for path in ("/status/index.json", "/metrics", *named):
            status, text = await node.ask("GET", path)
            assert 200 == status, path
            shown[path] = text.decode()
        shown |= {str(file): file.read_bytes().decode("latin-1") for file in tmp_path.rglob("*") if file.is_file()}
        assert {"log", "journal"} <= {where for where, text in shown.items() if node.words["boot"] in text}
        secrets = {node.words["token"], node.signer.session.key, *tokens}
        assert [] == [where for where, text in shown.items() for secret in secrets if secret in text]

    beside(tmp_path, story)


def stream_of(log: Log) -> str:
    stream = log._stream
    assert isinstance(stream, StringIO)
    return stream.getvalue()
