"""A whole gitboot of this process: a repository, its reconciler and the servers on loopback, and machines that ask by sockets.

Nobody waits for time to pass: `later` puts the server's clock forward.
"""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import socket
import threading
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from agent.session import from_json
from netboot.dhcp_packet import decode, encode
from netboot.log import Log
from netboot.markers import look_now
from netboot.server import Netboot
from netboot.settings import Settings
from netboot.world import World
from reconciler.cli import gitboot
from reconciler.firmware import BIOS, Firmware, Lease, Stage, acknowledged, discover, offered, request
from reconciler.forges import Forge
from reconciler.reviewer import ChildReviewer
from reconciler.service import ReconcileSettings, Service
from reconciler.source import Source
from tests.netboot.site import Signed, capability
from tests.reconciler.forgestub import PROJECT, TOKEN, Stub
from tests.reconciler.gitkit import Work, wait_until
from tests.reconciler.inventories import SOUND

KERNEL = b"kernel"
XID = b"\1\2\3\4"
ANSWER = 20.0
"""Seconds that an answer may take which waits for the disk of a busy host."""
MOMENT = 0.1
"""Seconds in which a server that should not answer is listened to."""


class LiveSite:
    """Served as long as the `with`; `restart` for what is read at start. `url` is where people ask."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, hub: Stub, **settings: Any) -> None:
        """`folder`: for all of it; its state directory may be there. `hub`: the forge that is told of commits."""
        self.hub = hub
        self.work = Work(folder / "site")
        self.folder, self.state, self.loaders = folder, folder / "state", folder / "loaders"
        self.loaders.mkdir()
        (folder / "artifacts/inspect").mkdir(parents=True)
        (folder / "artifacts/inspect/vmlinuz").write_bytes(KERNEL)
        self._settings = Settings(
            state=self.state, artifacts=folder / "artifacts", loaders=self.loaders, listen="127.0.0.1", dhcp_port=0,
            tftp_port=-1, http_port=0, https_port=0, trusted_proxies=("127.0.0.1/32",), new_site=True,
            reply_to_source=True, **settings,
        )  # fmt: skip
        self._reconcile = ReconcileSettings(
            Source(str(self.work.path)),
            self.state,
            folder / "artifacts",
            poll=0.2,
            forge=Forge("gitea", f"{hub.url}/api/v1", PROJECT, TOKEN),
        )
        self._ahead = 0.0
        real = World.now
        monkeypatch.setattr(World, "now", lambda world: real(world) + self._ahead)
        for path, text in SOUND.items():
            self.work.write(path, text)

    def __enter__(self) -> LiveSite:
        head = self.work.commit()
        self._start()
        self.until(lambda: self._serves(head), "the first commit is served")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)
        self._loop.close()

    def _start(self) -> None:
        self._started: Future[Netboot] = Future()
        self._loop, self._over = asyncio.new_event_loop(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        self.server = self._started.result(20)
        self.url = f"http://127.0.0.1:{self.server.http_port}"

    def restart(self, **settings: Any) -> None:
        """With other settings, if any."""
        self.__exit__()
        self._settings = dataclasses.replace(self._settings, **settings)
        self._start()

    async def _run(self) -> None:
        try:
            server = Netboot(self._settings, Log(io.StringIO()))
            async with server.running():
                reviewer = ChildReviewer(self.state, server.log)
                with closing(Service(self._reconcile, server.log)) as service, closing(reviewer):
                    server.world.reviewer = reviewer
                    looking = asyncio.create_task(service.run())
                    self._started.set_result(server)
                    await self._over.wait()
                    looking.cancel()
                    await asyncio.gather(looking, return_exceptions=True)
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    def later(self, seconds: float) -> None:
        self._ahead += seconds

    def look(self) -> None:
        """The reconciler is to look at the repository, as after a push."""
        look_now(self.state)

    def commit(self, **files: str) -> None:
        """Files by their stems; it is served when this returns."""
        head = self.work.commit(**files)
        self.until(lambda: self._serves(head), "it is served")

    def _serves(self, head: str) -> bool:
        """Not only said to be published: until the server has loaded a plan, it drops what machines ask."""
        word = self.word
        return bool(word["revision"] == head and word["plan"] == (self.state / "plans/current").readlink().name)

    def until(self, condition: Any, what: str) -> None:
        assert wait_until(lambda: bool(condition())), f"never: {what}"

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers=headers, timeout=20)

    @property
    def word(self) -> Any:
        return self.get("/status/reconcile.json").json()

    def page(self, path: str) -> str:
        answer = self.get(path, Accept="text/html")
        assert 200 == answer.status_code, answer.text
        return answer.text

    def cli(self, *words: str) -> Result:
        """A command's output; `--server` is given."""
        return CliRunner().invoke(gitboot, [*words, "--server", self.url], standalone_mode=False)


class Node:
    """node-01, or another one, that speaks as its firmware, its iPXE and its agent do, one after the other."""

    def __init__(self, site: LiveSite, mac: str = "52:54:00:12:34:01", address: str = "10.1.0.11", arch: int = BIOS) -> None:
        self._site, self.mac, self.address = site, mac, address
        self._firmware = Firmware(mac, arch, bytes(16))
        self.signed: Signed | None = None
        self.path = f"/ipxe/{mac.replace(':', '-')}/boot.ipxe"
        self.boot = self.run = ""
        self.sequence = 0

    def send(self, data: bytes, within: float = ANSWER) -> bytes:
        """The answer; b"" when none comes. Said once: loopback loses nothing, so what is not answered was dropped by us."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(within)
            client.sendto(data, ("127.0.0.1", self._site.server.dhcp_port))
            try:
                return client.recv(2048)
            except TimeoutError:
                return b""

    def discovers(self, stage: Stage = "pxe", within: float = ANSWER) -> Lease | None:
        return offered(self.send(discover(self._firmware, stage, XID), within), XID)

    def requests(self, offer: Lease, stage: Stage = "pxe") -> Lease | None:
        return acknowledged(self.send(request(self._firmware, stage, XID, offer)), XID)

    def says_unanswered(self, stage: Stage = "pxe", **fields: Any) -> None:
        """Such a packet in its name, of which its DISCOVER is the rest, and nobody is to answer it."""
        packet = decode(discover(self._firmware, stage, XID))
        changed = replace(packet, **{**fields, "options": {**packet.options, **fields.get("options", {})}})
        assert b"" == self.send(encode(changed), MOMENT)

    def gets_address(self, stage: Stage = "pxe") -> Lease:
        offer = self.discovers(stage)
        assert offer is not None
        assert self.requests(offer, stage)
        return offer

    def fetches(self, path: str) -> httpx.Response:
        return self._site.get(path, **{"X-Forwarded-For": self.address})

    def script(self) -> str:
        answer = self.fetches(self.path)
        assert 200 == answer.status_code, answer.text
        boot = self._site.server.world.observed.open_boot(self.mac)
        self.boot = boot.id if boot else ""
        return answer.text

    def boots(self) -> str:
        """As far as its script."""
        self.gets_address()
        self.gets_address("ipxe")
        return self.script()

    # Its agent

    def opens(self, system: str = "os-1") -> httpx.Response:
        """A session; kept if it is given."""
        bearer = capability(self._site.server.world, self.boot)
        asked = {"boot": self.boot, "system": system}
        answer = self._post("/agent/session", asked, headers={"Authorization": f"Bearer {bearer}"})
        if session := from_json(answer.json()):
            self.signed = Signed(session)
        return answer

    def says(self, path: str, **document: Any) -> Any:
        answer = self._post(f"/agent/{path}", {"boot": self.boot, "run": self.run, **document}, auth=self.signed)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def reports(self, **event: Any) -> None:
        self.sequence += 1
        assert {"accepted": self.sequence} == self.says("report", sequence=self.sequence, event=event)

    def begins(self) -> None:
        """It has booted, claimed its run and is at its only action."""
        self.boots()
        self.claims()
        self.reports(type="action-started", task="look", action="look", attempt=1)

    def claims(self) -> Any:
        assert 200 == self.opens().status_code
        claim = self.says("claim", system="os-1")["run"]
        self.run, self.sequence = claim["id"], 0
        return claim

    def ends(self, state: str, reason: str = "") -> None:
        code = 0 if state == "SUCCESS" else 3
        if self.sequence:
            self.reports(type="action-ended", task="look", action="look", attempt=1, state=state, exit_code=code, reason=reason)
        self.reports(type="run-ended", state=state, reason=reason)

    def sends(self, path: str, data: bytes, **params: str) -> httpx.Response:
        """Of a log, or of its console."""
        return self._put(f"/agent/{path}", data, params={"boot": self.boot, **params}, auth=self.signed)

    def _post(self, path: str, document: dict[str, Any], **more: Any) -> httpx.Response:
        return self._put(path, json.dumps(document).encode(), **more)

    def _put(self, path: str, data: bytes, **more: Any) -> httpx.Response:
        base = f"https://127.0.0.1:{self._site.server.https_port}"
        with httpx.Client(verify=False, timeout=20, headers={"X-Forwarded-For": self.address}) as client:
            return client.post(f"{base}{path}", content=data, **more)
