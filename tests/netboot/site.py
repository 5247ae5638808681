"""A small site for tests of the shells: plans of a few machines, a world on a state directory, a browser without sockets."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import AsyncIterator, Generator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from agent.session import Session, Signer, from_json
from agent.workflow import Action, Task, Workflow, to_json
from netboot.binaries import Binary
from netboot.boot import Plans
from netboot.events import JournalOpened
from netboot.http import application
from netboot.log import Log
from netboot.plan import Artifact, Dump, Interface, Machine, Profile, Site, Subnet, dump
from netboot.sealed import Secret
from netboot.settings import Settings
from netboot.state_directory import StateDirectory
from netboot.tokens import token
from netboot.work import Work
from netboot.world import World

LOOK = Workflow("look", (Task("look", "node-01", (Action("first", "image"), Action("second", "image"))),))
KERNEL = b"a kernel"
KERNEL_SHA256 = hashlib.sha256(KERNEL).hexdigest()


def mac(number: int) -> str:
    return f"52:54:00:12:34:{number:02x}"


def machine(number: int, *workflows: str, **more: Any) -> Machine:
    """`node-NN` at 10.1.0.NN with the work named."""
    work = tuple(Work(workflow=name, run=1, document=to_json(LOOK), profile="inspect") for name in workflows)
    interface = Interface(mac(number), f"10.1.0.{number}", f"node-{number:02}", "rack1", b"\x33\x04\x00\x00\x0e\x10")
    return Machine(f"node-{number:02}", "x86_64", (interface,), work=work, **more)


def plan(*machines: Machine, artifacts: Mapping[str, str] | None = None, secrets: Iterable[Secret] = (), **site: Any) -> Dump:
    """`artifacts`: path → SHA-256."""
    named = artifacts if artifacts is not None else {"vmlinuz": "0" * 64}
    return dump(
        Site("home", **{"server": "10.1.0.1", **site}),
        [Subnet("rack1", "10.1.0.0/16", b"\x33\x04\x00\x00\x0e\x10", ("10.1.200.1", "10.1.200.9"))],
        [Profile("inspect", kernel="vmlinuz", cmdline="quiet"), Profile("other", chain="http://10.1.0.1/other.ipxe")],
        [Artifact(path, digest, 8) for path, digest in named.items()],
        machines or (machine(1, "look"), machine(2)),
        secrets=secrets,
    )


@asynccontextmanager
async def world(state: Path, served: Dump | None = None, *, new_site: bool = True, **settings: Any) -> AsyncIterator[World]:
    """What the servers are handed, without servers; whoever asks may read, unless the test says otherwise."""
    here = World(
        Settings(state=state, http_port=80, **{"open_status": True, **settings}),
        StateDirectory(state),
        {"undionly.kpxe": Binary("undionly.kpxe", b"\0" * 600, "0" * 64, "/usr/lib/ipxe/undionly.kpxe")},
        Log(io.StringIO()),
    )
    if served is not None:
        here.plans = Plans(served.plan, {})
    if new_site:
        await here.ledger.commit((JournalOpened(at=here.now(), journal="j1"),))
    try:
        yield here
    finally:
        await here.directory.close()


@asynccontextmanager
async def browser(world: World, peer: str = "10.1.0.11") -> AsyncIterator[httpx.AsyncClient]:
    """Asks the world's routes; an exception that escapes them is the test's."""
    transport = httpx.ASGITransport(application(world), client=(peer, 4321))
    async with httpx.AsyncClient(transport=transport, base_url="http://10.1.0.1") as client:
        yield client


class Signed(httpx.Auth):
    """Requests signed by a session that was opened for a boot with its own token."""

    requires_request_body = True

    def __init__(self, session: Session) -> None:
        self.signer = Signer(session)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        target = request.url.raw_path.decode("ascii")
        request.headers["Authorization"] = str(self.signer.sign(request.method, target, request.content))
        yield request


def capability(world: World, boot: str, seconds: float = 60.0) -> str:
    """The token that a script of this boot would bring now."""
    status = world.observed.boots[boot]
    return token(world.key, status.machine, status.plan, boot, world.now() + seconds)


async def exchanged(world: World, client: httpx.AsyncClient, boot: str, system: str = "os-1") -> httpx.Response:
    """The answer to a session's request with the boot's token."""
    headers = {"Authorization": f"Bearer {capability(world, boot)}"}
    return await client.post("/agent/session", json={"boot": boot, "system": system}, headers=headers)


async def signed(world: World, client: httpx.AsyncClient, boot: str, system: str = "os-1") -> Signed:
    """A session that nobody contests."""
    session = from_json((await exchanged(world, client, boot, system)).json())
    assert session is not None
    return Signed(session)


def logged(log: Log) -> list[dict[str, Any]]:
    """Every line so far, of a log that writes to a StringIO."""
    log.flush()
    stream = log._stream
    assert isinstance(stream, io.StringIO)
    return [json.loads(line) for line in stream.getvalue().splitlines()]
