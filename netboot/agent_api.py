"""The agent's side of HTTP: claim, report, log, heartbeat.

Shell. Every request carries its boot's token; who has none learns nothing and writes nothing. An answer leaves only when what
it rests on is on disk. docs/agent-protocol.md is the contract.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from netboot.boot import Diskless, RunWork, Step, next_step
from netboot.events import BootAdvanced
from netboot.observed import BootStatus
from netboot.reports import ClaimRequest, HeartbeatRequest, ReportRequest
from netboot.runs import Accepted, Claimed, Refused, Then, cancelled, claim, report
from netboot.store import LogName, Misplaced
from netboot.tokens import from_header, verify
from netboot.world import World

LONGEST_REQUEST = 64 * 1024
LONGEST_CHUNK = 256 * 1024
RETRY_SECONDS = 10

Body = TypeVar("Body", ClaimRequest, ReportRequest, HeartbeatRequest)


def agent_routes(world: World) -> list[Route]:
    agent = _Agent(world)
    return [
        Route("/agent/claim", agent.claim, methods=["POST"]),
        Route("/agent/report", agent.report, methods=["POST"]),
        Route("/agent/log", agent.log, methods=["POST"]),
        Route("/agent/heartbeat", agent.heartbeat, methods=["POST"]),
    ]


class _Agent:
    def __init__(self, world: World) -> None:
        self._world = world

    async def claim(self, request: Request) -> Response:
        world, asked = self._world, await self._body(request, ClaimRequest)
        now, boot = world.now(), world.observed.boots.get(asked.boot)
        step = self._step(boot)
        work = step.work if isinstance(step, RunWork) else None
        then: Then = "wait" if isinstance(step, Diskless) else "reboot"
        answer = claim(world.observed, asked.boot, asked.system, now, work, run_id=world.new_id(), hold=world.hold(), then=then)
        events = answer.events
        if boot is not None and boot.closed is None and boot.phase != "agent":
            events = (BootAdvanced(at=now, boot=boot.id, phase="agent", reason="the agent asks for work"), *events)
        await world.ledger.commit(events)
        world.observed.touch(asked.boot, now)
        machine_name = boot.machine if boot else ""
        if isinstance(answer, Claimed):
            world.exchange("claim", machine=machine_name, boot=asked.boot, run=answer.run)
            return JSONResponse({"run": answer.answer})
        world.exchange("claim", machine=machine_name, boot=asked.boot, reason=answer.reason)
        return JSONResponse({"run": None, "then": answer.then, "reason": answer.reason, "retry": RETRY_SECONDS})

    def _step(self, boot: BootStatus | None) -> Step | None:
        """What the boot's own plan asks of its machine next, whatever holds it back."""
        plans = self._world.plans
        machine = plans.of(boot).machines.get(boot.machine) if boot and plans else None
        if boot is None or plans is None or machine is None:
            return None
        return next_step(plans.of(boot), machine, self._world.observed, "", boot.id)

    async def report(self, request: Request) -> Response:
        world, said = self._world, await self._body(request, ReportRequest)
        now = world.now()
        answer = report(world.observed, said.boot, said.run, said.sequence, said.event, now)
        if isinstance(answer, Refused):
            world.exchange("report", boot=said.boot, run=said.run, outcome=str(answer.status), reason=answer.error)
            return JSONResponse({"error": answer.error, "sequence": answer.sequence}, answer.status)
        await world.ledger.commit(answer.events if isinstance(answer, Accepted) else ())
        world.observed.touch(said.boot, now)
        world.exchange("report", boot=said.boot, run=said.run, outcome="accepted", sequence=said.sequence)
        return JSONResponse({"accepted": said.sequence})

    async def log(self, request: Request) -> Response:
        """Raw bytes at an offset: a chunk that was already taken is refused with the size, so nothing is lost or doubled."""
        world, asked = self._world, request.query_params
        self._authorise(request, asked.get("boot", ""))
        run = world.observed.runs.get(asked.get("run", ""))
        if run is None or run.boot != asked["boot"]:
            raise HTTPException(410, "This boot carries no such run.")
        chunk = await _limited(request, LONGEST_CHUNK)
        task = asked.get("task", "")
        log = LogName(run.id, task, asked.get("action", ""), _number(asked.get("attempt")), run.restarts.get(task, 0))
        try:
            size = await asyncio.to_thread(world.directory.append_log, log, _number(asked.get("offset")), chunk)
        except Misplaced as error:
            return JSONResponse({"size": error.size}, 409)
        world.observed.touch(run.boot, world.now())
        return JSONResponse({"size": size})

    async def heartbeat(self, request: Request) -> Response:
        world, said = self._world, await self._body(request, HeartbeatRequest)
        world.observed.touch(said.boot, world.now())
        return JSONResponse({"cancel": cancelled(world.observed, said.boot, said.run)})

    async def _body(self, request: Request, kind: type[Body]) -> Body:
        data = await _limited(request, LONGEST_REQUEST)
        try:
            body = msgspec.json.decode(data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise HTTPException(400, f"The request is not what docs/agent-protocol.md says: {error}.") from None
        self._authorise(request, body.boot)
        return body

    def _authorise(self, request: Request, boot: str) -> None:
        if not verify(self._world.key, boot, from_header(request.headers.get("authorization", ""))):
            raise HTTPException(401, "The token does not belong to this boot.", {"WWW-Authenticate": "Bearer"})


def _number(text: str | None) -> int:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 18:
        raise HTTPException(400, "attempt and offset are whole numbers.")
    return int(text)


async def _limited(request: Request, most: int) -> bytes:
    """The body, or 413: what is too long is not even read."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise HTTPException(413, f"At most {most} bytes at once.")
    return bytes(data)
