"""HTTP for firmware and for people: scripts, artefacts by digest, status files, logs, health, metrics.

Shell. Each route is a few lines around a core function. Nothing here writes but what a script fetch itself means (a boot
opens), and nothing is served that the plan or the state directory does not name.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
import traceback
from typing import BinaryIO

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from netboot.agent_api import Denial, agent_routes, denied
from netboot.artifacts import by_digest, stamp_of
from netboot.dashboard import dashboard_routes
from netboot.durations import asked_for
from netboot.grub import first_config
from netboot.hooks import hook_routes
from netboot.ipxe import find_script
from netboot.loader_paths import First, Step, asked
from netboot.metadata_api import metadata_routes
from netboot.metrics import page
from netboot.openapi import document
from netboot.peers import peer_of
from netboot.reading import Door
from netboot.request_limits import RequestLimits
from netboot.script_front import fetch_script, peek_script
from netboot.scripts import Asked, Language, NoScript, mac_at
from netboot.status_front import part_of
from netboot.store import Unavailable
from netboot.world import World

_NO_CACHE = {"Cache-Control": "no-store"}
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_ROOT = """\
gitboot: bare metal that does what git says.
This server tells machines how to boot, carries out the workflows that a git repository names, and shows what happens.

/status/index.json      every status document there is
/status/reconcile.json  which commit is served, and what is wrong with the newest one
/status/fleet.json      a line for each machine
/status/issues.json     what somebody ought to look at
/metrics                for Prometheus
/auto.ipxe              what any iPXE may chain to
/openapi.json           every endpoint, for programs
/healthz /readyz
"""


def application(world: World) -> Starlette:
    """Every route of the server. Exceptions of ours end as one line of text and a status, never as a traceback."""
    server, reading = _Server(world), Door(world).only_readers
    routes = [
        *dashboard_routes(world, server.root, reading),
        Route("/auto.ipxe", server.auto),
        Route("/ipxe/{mac}/boot.ipxe", server.script),
        Route("/artifacts/sha256/{digest}", server.artifact),
        Route("/artifacts/sha256/{digest}/{name:path}", server.artifact),
        Route("/ipxe/{name}", server.loader),
        Route("/ipxe//{name}", server.loader),  # as shim asks for what is beside it
        Route("/grub/{path:path}", server.config),
        Route("/pxelinux.cfg/{path:path}", server.config),
        Route("/ipxe/pxelinux.cfg/{path:path}", server.config),
        Route("/status/{path:path}", server.status, middleware=reading),
        Route("/logs/{path:path}", server.log, middleware=reading),
        Route("/openapi.json", server.openapi),
        Route("/healthz", server.healthz),
        Route("/readyz", server.readyz),
        Route("/metrics", server.metrics, middleware=reading),
        *agent_routes(world),
        *metadata_routes(world),
        *hook_routes(world),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(each, world=world) for each in (_Stopwatch, _Guard, _Peers, _Limits)])
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(Denial, denied)
    app.add_exception_handler(HTTPException, _refused)
    return app


class _Server:
    def __init__(self, world: World) -> None:
        self._world = world

    async def root(self, request: Request) -> Response:
        return PlainTextResponse(_ROOT)

    async def auto(self, request: Request) -> Response:
        """For any iPXE that chains here, whoever gave it an address: told apart by an address of ours, else by its MACs."""
        world = self._world
        peer = request.client.host if request.client else ""
        mac = mac_at(world.plans.current, peer) if world.plans else ""
        if mac:
            return await self._script(request, mac)
        return _ipxe(find_script(world.base(_local(request))))

    async def script(self, request: Request) -> Response:
        mac = _mac(request.path_params["mac"])
        return await self._script(request, mac, known_only="known" in request.query_params)

    async def _script(self, request: Request, mac: str, language: Language = "ipxe", known_only: bool = False) -> Response:
        """GRUB asks by HEAD for the length before it asks for a script: that is no step of a boot."""
        world, peer = self._world, request.client.host if request.client else ""
        if world.plans is None:
            raise HTTPException(503, f"No plan is served yet: {world.no_plan}.", {"Retry-After": "5"})
        fetch = peek_script if request.method == "HEAD" else fetch_script
        answer = await fetch(world, language, Asked(mac, peer, known_only), _local(request))
        if isinstance(answer, NoScript):
            raise HTTPException(answer.status, answer.reason)
        return _ipxe(answer.text)

    async def config(self, request: Request) -> Response:
        """What GRUB and PXELINUX ask for, where they can ask by HTTP."""
        match asked(request.url.path.lstrip("/")):
            case Step(language, mac):
                return await self._script(request, mac, language)
            case First():
                host = self._world.base(_local(request)).removeprefix("http://")
                return _ipxe(first_config(f"(http,{host})"))
        raise HTTPException(404, "There is no such configuration.")

    async def artifact(self, request: Request) -> Response:
        """By digest: HEAD, ranges and caching for ever. What is not in a served plan is not served."""
        world = self._world
        digest = request.path_params["digest"]
        plans = [world.plans.current, *world.plans.pinned.values()] if world.plans else []
        artifact = by_digest(plan.artifacts for plan in plans).get(digest)
        if artifact is None:
            raise HTTPException(404, "No served plan has an artefact with this sha256.")
        content = await asyncio.to_thread(world.artifacts.open, artifact)
        if content is None:
            raise HTTPException(404, f"The artefact {artifact.path} has changed or is gone since this plan was made.")
        world.artifact_fetched(request.client.host if request.client else "", artifact.path, request.method)
        return _Content(content, digest)

    async def loader(self, request: Request) -> Response:
        """Network boot programs over HTTP, for firmware that boots from a URL."""
        binary = self._world.binaries.get(request.path_params["name"])
        if binary is None:
            raise HTTPException(404, "No such network boot program; `gitboot doctor` says which are missing.")
        return Response(binary.content, media_type="application/efi")

    async def status(self, request: Request) -> Response:
        """The whole document, or the part of it that is asked for. Its ETag is the digest of what is sent."""
        world, path = self._world, request.path_params["path"]
        data = await world.status_of_all(path) or world.status_document(path)
        if data is None:
            raise HTTPException(404, "There is no such status; /status/index.json names what there is.")
        return part_of(request, data)

    async def log(self, request: Request) -> Response:
        """What an action printed, as text for any browser and nothing more."""
        path = await asyncio.to_thread(self._world.log_file, request.path_params["path"])
        if path is None:
            raise HTTPException(404, "There is no such log; the status of the workflow names its logs.")
        headers = _NO_CACHE | {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
        return FileResponse(path, media_type="text/plain; charset=utf-8", headers=headers)

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(document())

    async def healthz(self, request: Request) -> Response:
        """Whether the process lives and its journal can be written; a supervisor may restart it when not."""
        failure = self._world.ledger.failure
        return PlainTextResponse(f"{failure or 'ok'}\n", 503 if failure else 200)

    async def readyz(self, request: Request) -> Response:
        """Whether machines can be answered: a plan is loaded."""
        world = self._world
        if world.plans is None:
            return PlainTextResponse(f"no plan is served yet: {world.no_plan}\n", 503)
        behind = f"; {world.plan_failure}" if world.plan_failure else ""
        return PlainTextResponse(f"serving plan {world.plans.current.id}{behind}\n")

    async def metrics(self, request: Request) -> Response:
        return PlainTextResponse(await page(self._world), media_type="text/plain; version=0.0.4; charset=utf-8")


class _Content(FileResponse):
    """An artefact from the very file that was found to have its digest; it breaks off when somebody writes to that file."""

    chunk_size = 256 * 1024

    def __init__(self, content: BinaryIO, digest: str) -> None:
        self._content = content
        self._stamp = stamp_of(content.fileno())
        headers = _FOREVER | {"ETag": f'"{digest}"'}
        # By descriptor, for the name may have come to mean another file.
        path = f"/proc/self/fd/{content.fileno()}"
        super().__init__(path, 200, headers, "application/octet-stream", stat_result=os.fstat(content.fileno()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_if_sound(message: Message) -> None:
            if message.get("body") and stamp_of(self._content.fileno()) != self._stamp:
                raise RuntimeError("an artefact was written to while it was sent; replace files by renaming new ones over them")
            await send(message)

        with self._content:
            await super().__call__(scope, receive, send_if_sound)


class _Stopwatch:
    """How long each answer took, to its head: what follows goes as fast as whoever asked takes it."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._world.durations.answered(asked_for(scope["path"]), time.perf_counter() - asked)
            await send(message)

        await self._app(scope, receive, timed)


class _Guard:
    """An exception costs the request it happened in, with one line in the log, and nothing else."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            self._world.counts["http", "defect"] += 1
            where = "".join(traceback.format_exception(error))
            self._world.log.error("request-failed", path=str(scope.get("path")), reason=repr(error), traceback=where)
            if not begun:
                refusal = await _refused(Request(scope), HTTPException(500, "This is a defect of gitboot; its log says more."))
                await refusal(scope, receive, send)


class _Peers:
    """`request.client` is who really asks, in every route: none can forget to look."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trusted, client = self._world.trusted_proxies, scope.get("client")
        if trusted and client and scope["type"] == "http":
            forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
            scope = {**scope, "client": (peer_of(client[0], forwarded, trusted), client[1])}
        await self._app(scope, receive, send)


class _Limits:
    """Too much is refused before it is looked at."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world
        self._limits = RequestLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        target = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
        too_much = self._limits.judge(client[0] if client else "", target, scope["headers"], time.monotonic())
        if too_much is None:
            await self._app(scope, receive, send)
            return
        self._world.counts["http", too_much.counted] += 1
        after = {"Retry-After": str(too_much.retry)} if too_much.retry else None
        refusal = await _refused(Request(scope), HTTPException(too_much.status, too_much.reason, after))
        await refusal(scope, receive, send)


def _ipxe(text: str) -> Response:
    return PlainTextResponse(text, headers=_NO_CACHE)


def _local(request: Request) -> str:
    """The address of ours that the client reached."""
    server = request.scope.get("server")
    return str(server[0]) if server else ""


def _mac(text: str) -> str:
    """`52-54-00-12-34-01`, as iPXE's `${mac:hexhyp}` writes it, or with colons. 404 for anything else."""
    mac = text.lower().replace("-", ":")
    if not re.fullmatch(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", mac):
        raise HTTPException(404, "The path is /ipxe/<mac>/boot.ipxe with a MAC like 52-54-00-12-34-01.")
    return mac


async def _refused(request: Request, error: Exception) -> Response:
    """The sentence and its status: JSON for agents, a line of text for everybody else."""
    refusal = error if isinstance(error, HTTPException) else HTTPException(500)
    if request.url.path.startswith("/agent/"):
        return JSONResponse({"error": refusal.detail}, refusal.status_code, headers=refusal.headers)
    return PlainTextResponse(f"{refusal.detail}\n", refusal.status_code, headers=refusal.headers)


async def _unavailable(request: Request, error: Exception) -> Response:
    """Nothing was acknowledged: the peer asks again."""
    return await _refused(request, HTTPException(503, str(error), {"Retry-After": "5"}))
