"""HTTP for firmware and for people: scripts, artefacts by digest, status files, logs, health, metrics.

Shell. Each route is a few lines around a core function. Nothing here writes but what a script fetch itself means (a boot
opens), and nothing is served that the plan or the state directory does not name.
"""

from __future__ import annotations

import asyncio
import re

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from netboot.agent_api import agent_routes
from netboot.artifacts import by_digest
from netboot.ipxe import find_script
from netboot.metrics import page
from netboot.scripts import NoScript, script_for
from netboot.store import Unavailable
from netboot.world import World

_NO_CACHE = {"Cache-Control": "no-store"}
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


def application(world: World) -> Starlette:
    """Every route of the server. Exceptions of ours end as one line of text and a status, never as a traceback."""
    server = _Server(world)
    routes = [
        Route("/auto.ipxe", server.auto),
        Route("/ipxe/{mac}/boot.ipxe", server.script),
        Route("/artifacts/sha256/{digest}", server.artifact),
        Route("/artifacts/sha256/{digest}/{name:path}", server.artifact),
        Route("/ipxe/{name}", server.loader),
        Route("/status/{path:path}", server.status),
        Route("/logs/{path:path}", server.log),
        Route("/healthz", server.healthz),
        Route("/readyz", server.readyz),
        Route("/metrics", server.metrics),
        *agent_routes(world),
    ]
    app = Starlette(routes=routes)
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(HTTPException, _refused)
    return app


class _Server:
    def __init__(self, world: World) -> None:
        self._world = world

    async def auto(self, request: Request) -> Response:
        """For any iPXE that chains here, whoever gave it an address: told apart by that address, else by its MACs."""
        world = self._world
        peer = request.client.host if request.client else ""
        binding = world.plans.current.by_address.get(peer) if world.plans else None
        if binding is not None:
            return await self._script(binding.interface.mac, peer, known_only=False)
        return _ipxe(find_script(world.base(_local(request))))

    async def script(self, request: Request) -> Response:
        mac = _mac(request.path_params["mac"])
        peer = request.client.host if request.client else ""
        return await self._script(mac, peer, known_only="known" in request.query_params, local=_local(request))

    async def _script(self, mac: str, peer: str, known_only: bool, local: str = "") -> Response:
        world = self._world
        if world.plans is None:
            raise HTTPException(503, "No plan is served yet: no commit has been accepted so far.")
        now = world.now()
        answer = script_for(world.house(local), world.plans, world.observed, mac, world.hold(), now, world.new_id(), known_only)
        if isinstance(answer, NoScript):
            world.exchange("script", mac=mac, peer=peer, outcome="404", reason=answer.reason)
            if not known_only:
                world.strangers.note(mac, now, "boot script")
            raise HTTPException(404, answer.reason)
        if not answer.machine:
            world.strangers.note(mac, now, "boot script")
        await world.ledger.commit(answer.events)
        if answer.boot:
            world.observed.touch(answer.boot, now)
        world.exchange("script", mac=mac, peer=peer, machine=answer.machine, boot=answer.boot, reason=answer.why)
        return _ipxe(answer.text)

    async def artifact(self, request: Request) -> Response:
        """By digest: HEAD, ranges and caching for ever. What is not in a served plan is not served."""
        world = self._world
        digest = request.path_params["digest"]
        plans = [world.plans.current, *world.plans.pinned.values()] if world.plans else []
        artifact = by_digest(plan.artifacts for plan in plans).get(digest)
        if artifact is None:
            raise HTTPException(404, f"No served plan has an artefact with the sha256 {digest}.")
        path = await asyncio.to_thread(world.artifacts.locate, artifact)
        if path is None:
            raise HTTPException(404, f"The artefact {artifact.path} has changed or is gone since this plan was made.")
        world.artifact_fetched(request.client.host if request.client else "", artifact.path, request.method)
        return FileResponse(path, media_type="application/octet-stream", headers=_FOREVER)

    async def loader(self, request: Request) -> Response:
        """Network boot programs over HTTP, for firmware that boots from a URL."""
        binary = self._world.binaries.get(request.path_params["name"])
        if binary is None:
            raise HTTPException(404, "No such network boot program; `gitboot doctor` says which are missing.")
        return Response(binary.content, media_type="application/efi")

    async def status(self, request: Request) -> Response:
        data = self._world.status_document(request.path_params["path"])
        if data is None:
            raise HTTPException(404, "There is no such status; /status/index.json names what there is.")
        return Response(data, media_type="application/json", headers=_NO_CACHE)

    async def log(self, request: Request) -> Response:
        """What an action printed, as text for any browser and nothing more."""
        path = await asyncio.to_thread(self._world.log_file, request.path_params["path"])
        if path is None:
            raise HTTPException(404, "There is no such log; the status of the workflow names its logs.")
        headers = _NO_CACHE | {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
        return FileResponse(path, media_type="text/plain; charset=utf-8", headers=headers)

    async def healthz(self, request: Request) -> Response:
        """Whether the process lives and its journal can be written; a supervisor may restart it when not."""
        failure = self._world.ledger.failure
        return PlainTextResponse(str(failure) if failure else "ok", 503 if failure else 200)

    async def readyz(self, request: Request) -> Response:
        """Whether machines can be answered: a plan is loaded."""
        plans = self._world.plans
        return PlainTextResponse(f"serving plan {plans.current.id}" if plans else "no plan yet", 200 if plans else 503)

    async def metrics(self, request: Request) -> Response:
        return PlainTextResponse(page(self._world), media_type="text/plain; version=0.0.4; charset=utf-8")


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
    return PlainTextResponse(f"{error}\n", 503, headers={"Retry-After": "5"})
