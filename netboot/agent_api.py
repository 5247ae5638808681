"""The agent's side of HTTP: session, claim, report, log, console, heartbeat, inventory, secrets.

Shell. A boot's token opens a session, and every other request is signed by one; who has neither learns nothing and writes
nothing. An answer, a refusal too, leaves only when what it rests on is on disk. docs/agent-protocol.md is the contract.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from netboot.bodies import limited
from netboot.boot import Due, claimable
from netboot.delivery import Entitled, SecretsRequest, decode_secrets, entitled, opened
from netboot.endings import cancelled
from netboot.errors import Malformed
from netboot.inventory_document import InventoryRequest, decode_inventory
from netboot.log_names import console_log, place
from netboot.machine_document import machine_document
from netboot.observed import BootStatus, SessionStatus
from netboot.peers import is_within
from netboot.rehearsals import (
    RehearsalRequest,
    Rehearse,
    claim_rehearsal,
    decode_rehearsal,
    entitled_to_login,
    report_rehearsal,
)
from netboot.reports import (
    ClaimRequest,
    HeartbeatRequest,
    ReportRequest,
    decode_claim,
    decode_heartbeat,
    decode_report,
    decode_session,
)
from netboot.runs import Accepted, Claimed, Nothing, Refused, claim, report
from netboot.scripts import withheld
from netboot.secrets import Unreadable, unspoken
from netboot.sessions import Denied, Parked, exchange
from netboot.store import LogName, Misplaced
from netboot.tokens import FOREIGN, from_header, objection, session_key
from netboot.work import Work
from netboot.world import World

LONGEST_REQUEST = 64 * 1024
LONGEST_CHUNK = 256 * 1024
LONGEST_CONSOLE = 4 << 20
RETRY_SECONDS = 10

Decoded = TypeVar("Decoded")
Body = TypeVar("Body", ClaimRequest, ReportRequest, HeartbeatRequest, InventoryRequest, SecretsRequest, RehearsalRequest)
_DECODE = {
    ClaimRequest: decode_claim,
    ReportRequest: decode_report,
    HeartbeatRequest: decode_heartbeat,
    InventoryRequest: decode_inventory,
    SecretsRequest: decode_secrets,
    RehearsalRequest: decode_rehearsal,
}


class Denial(HTTPException):
    """`nonce`: what the request may be signed again with."""

    def __init__(self, denied: Denied) -> None:
        super().__init__(denied.status, denied.error)
        self.nonce = denied.nonce


def agent_routes(world: World) -> list[Route]:
    """By TLS alone, where there is TLS."""
    agent = _Agent(world)
    routes = [
        Route("/agent/session", agent.session, methods=["POST"]),
        Route("/agent/claim", agent.claim, methods=["POST"]),
        Route("/agent/report", agent.report, methods=["POST"]),
        Route("/agent/log", agent.log, methods=["POST"]),
        Route("/agent/console", agent.console, methods=["POST"]),
        Route("/agent/heartbeat", agent.heartbeat, methods=["POST"]),
        Route("/agent/inventory", agent.inventory, methods=["POST"]),
        Route("/agent/secrets", agent.secrets, methods=["POST"]),
        Route("/agent/rehearsal", agent.rehearsal, methods=["POST"]),
    ]
    for route in routes:
        route.app = _by_tls(world, route.app)
    return routes


def _by_tls(world: World, app: ASGIApp) -> ASGIApp:
    """RFC 9110 section 15.5.22. What was said in clear was heard by others, so it counts for nothing."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if world.https_port and scope["scheme"] != "https":
            raise HTTPException(
                426,
                f"Agents speak to this server by HTTPS, on port {world.https_port}; restart the machine, and its boot script "
                "says where and by which certificate. `--https-port off` allows plain HTTP.",
                {"Upgrade": "TLS/1.2, HTTP/1.1", "Connection": "Upgrade"},
            )
        await app(scope, receive, send)

    return application


class _Agent:
    def __init__(self, world: World) -> None:
        self._world = world
        self._log_end = asyncio.Lock()
        """Held from looking where a log ends until it has grown: two senders of one chunk must not both be at the end."""

    async def session(self, request: Request) -> Response:
        """A token for a session, decided and applied in one go: of two who come at once the second is parked."""
        presented = from_header(request.headers.get("authorization", ""))
        if not presented:
            raise _unauthorised("This request has no token.")
        asked = _decoded(decode_session, await limited(request, LONGEST_REQUEST))
        world, now = self._world, self._world.now()
        peer = request.client.host if request.client else ""
        boot = self._shown(asked.boot, presented, peer, now)
        self._hold_to_address(boot, peer)
        if boot.closed is not None:
            await world.ledger.commit()
            raise HTTPException(410, f"boot {boot.id} is closed: {boot.reason}")
        answer = exchange(world.observed, boot, asked.system, now, world.new_id())
        if isinstance(answer, Parked):
            return self._parked(answer, boot, peer, now)
        await world.ledger.commit(answer.events)
        world.exchange("session", "opened", machine=boot.machine, boot=boot.id, session=answer.session, peer=peer)
        key = session_key(world.key, answer.session)
        return JSONResponse({"session": answer.session, "key": key, "nonce": world.sessions.nonce})

    def _shown(self, boot: str, presented: str, peer: str, now: float) -> BootStatus:
        """The boot whose token was presented: who has none is not told which boots there are."""
        world = self._world
        known = world.observed.boots.get(boot)
        machine, plan = (known.machine, known.plan) if known else ("", "")
        why = objection(world.key, machine, plan, boot, presented, now)
        if known is None or why:
            world.exchange("session", "401", boot=boot, machine=machine, peer=peer, reason=why or FOREIGN)
            raise _unauthorised(why or FOREIGN)
        return known

    def _hold_to_address(self, boot: BootStatus, peer: str) -> None:
        """For whom the script was, its token is. A proxy that passes TLS on cannot say for whom: it has the site's trust."""
        world = self._world
        if world.plans is None:
            raise HTTPException(503, f"No plan is served yet: {world.no_plan}.", {"Retry-After": "5"})
        why = withheld("boot", (world.plans.current, world.plans.of(boot)), world.observed, boot.macs, peer)
        if why and not is_within(peer, world.trusted_proxies):
            world.exchange("session", "403", boot=boot.id, machine=boot.machine, peer=peer, reason=why)
            raise HTTPException(403, f"{why}.")

    def _parked(self, parked: Parked, boot: BootStatus, peer: str, now: float) -> Response:
        if self._world.sessions.contend(boot.machine, parked, peer, now):
            self._world.on_contest(boot.machine)
        self._world.exchange("session", "parked", machine=boot.machine, boot=boot.id, peer=peer, reason=parked.reason)
        return JSONResponse({"error": parked.reason, "retry": round(parked.retry, 3)}, 423)

    async def claim(self, request: Request) -> Response:
        world, (session, asked) = self._world, await self._body(request, ClaimRequest)
        if asked.system != session.system:
            raise HTTPException(403, "This session belongs to another start of the machine's system.")
        now, boot = world.now(), world.observed.boots.get(asked.boot)
        if boot and boot.rehearses and world.plans:
            return await self._rehearse(boot, claim_rehearsal(world.plans.of(boot), boot, world.observed, now), now)
        run, hold = world.new_id(), world.hold()
        due = claimable(world.plans, world.observed, boot, hold) if world.plans and boot else Due()
        answer = claim(
            world.observed,
            asked.boot,
            asked.system,
            now,
            due.work,
            run_id=run,
            machine=self._machine_document(boot, run, due.work),
            hold=hold or due.held,
            stays=due.stays,
            news=due.news,
        )
        await world.ledger.commit(answer.events)
        world.observed.touch(asked.boot, now)
        machine_name = boot.machine if boot else ""
        if isinstance(answer, Claimed):
            world.exchange("claim", machine=machine_name, boot=asked.boot, run=answer.run)
            return JSONResponse({"run": answer.answer})
        world.exchange("claim", "nothing", machine=machine_name, boot=asked.boot, reason=answer.reason)
        return JSONResponse(_idle(answer.then, answer.reason))

    async def _rehearse(self, boot: BootStatus, answer: Rehearse | Nothing, now: float) -> Response:
        """No run, so that an agent that knows of no rehearsals waits."""
        world = self._world
        await world.ledger.commit(answer.events)
        world.observed.touch(boot.id, now)
        world.exchange("claim", "rehearsal", machine=boot.machine, boot=boot.id, reason=answer.reason)
        if isinstance(answer, Nothing):
            return JSONResponse(_idle(answer.then, answer.reason))
        return JSONResponse({**_idle("wait", answer.reason), "rehearsal": answer.answer})

    async def rehearsal(self, request: Request) -> Response:
        """What would have been, and would not: kept in the journal, once."""
        world, said = self._world, (await self._body(request, RehearsalRequest))[1]
        if world.plans is None:
            raise HTTPException(503, f"No plan is served yet: {world.no_plan}.", {"Retry-After": "5"})
        plan = world.plans.of(world.observed.boots.get(said.boot))
        answer = report_rehearsal(plan, world.observed, said, world.now())
        await world.ledger.commit(answer.events if isinstance(answer, Accepted) else ())
        if isinstance(answer, Refused):
            world.exchange("rehearsal", str(answer.status), boot=said.boot, reason=answer.error)
            return JSONResponse({"error": answer.error}, answer.status)
        world.exchange("rehearsal", "accepted", boot=said.boot)
        return JSONResponse({"accepted": True})

    def _machine_document(self, boot: BootStatus | None, run: str, work: Work | None) -> dict[str, Any]:
        """What a run of `work` that begins now will know of its machine; nothing where none can begin."""
        if boot is None or work is None or self._world.plans is None:
            return {}
        plan = self._world.plans.of(boot)
        return machine_document(plan, plan.machines[boot.machine], run, work)

    async def report(self, request: Request) -> Response:
        world, said = self._world, (await self._body(request, ReportRequest))[1]
        now = world.now()
        answer = report(world.observed, said.boot, said.run, said.sequence, said.event, now)
        await world.ledger.commit(answer.events if isinstance(answer, Accepted) else ())
        world.observed.touch(said.boot, now)
        if isinstance(answer, Refused):
            world.exchange("report", str(answer.status), boot=said.boot, run=said.run, reason=answer.error)
            return JSONResponse({"error": answer.error, "sequence": answer.sequence}, answer.status)
        world.exchange("report", "accepted", boot=said.boot, run=said.run, sequence=said.sequence)
        return JSONResponse({"accepted": said.sequence})

    async def log(self, request: Request) -> Response:
        """Raw bytes at an offset: a chunk that was already taken is refused with the size, so nothing is lost or doubled."""
        world, asked, chunk = self._world, request.query_params, await limited(request, LONGEST_CHUNK)
        boot = self._authenticate(request, chunk, asked.get("boot", "")).boot
        attempt, offset = _number(asked.get("attempt")), _number(asked.get("offset"))
        name = place(world.observed, boot, asked.get("run", ""), asked.get("task", ""), asked.get("action", ""), attempt)
        if isinstance(name, Refused):
            return JSONResponse({"error": name.error}, name.status)
        return await self._append(boot, name, offset, chunk)

    async def console(self, request: Request) -> Response:
        """The same for what the boot's console says: that much of it and no more, for it may go on for months."""
        chunk, offset = await limited(request, LONGEST_CHUNK), _number(request.query_params.get("offset"))
        boot = self._authenticate(request, chunk, request.query_params.get("boot", "")).boot
        if boot not in self._world.observed.boots:
            raise HTTPException(404, f"boot {boot} is not known here")
        if offset >= LONGEST_CONSOLE:
            raise HTTPException(413, f"At most {LONGEST_CONSOLE} bytes of a boot's console are kept.")
        return await self._append(boot, console_log(boot), offset, chunk)

    async def _append(self, boot: str, name: LogName, offset: int, chunk: bytes) -> Response:
        world = self._world
        async with self._log_end:
            try:
                size = await asyncio.to_thread(world.directory.append_log, name, offset, chunk)
            except Misplaced as error:
                return JSONResponse({"error": str(error), "size": error.size}, 409)
        world.observed.touch(boot, world.now())
        return JSONResponse({"size": size})

    async def heartbeat(self, request: Request) -> Response:
        world, said = self._world, (await self._body(request, HeartbeatRequest))[1]
        now, boot = world.now(), world.observed.boots.get(said.boot)
        world.observed.touch(said.boot, now)
        if boot is not None and said.clock is not None:
            world.noticed.clocks.keep(boot.machine, (boot.id, said.clock - now))
        cancel = cancelled(world.observed, said.boot, said.run)
        if cancel:
            await world.ledger.commit()
        return JSONResponse({"cancel": cancel})

    async def inventory(self, request: Request) -> Response:
        """What the machine is made of: the last word of its last boot is kept, and nothing is decided by it."""
        world, said = self._world, (await self._body(request, InventoryRequest))[1]
        boot = world.observed.boots.get(said.boot)
        if boot is None:
            raise HTTPException(404, f"boot {said.boot} is not known here")
        last = world.observed.last_boot_of(boot.machine)
        if last is None or last.id != said.boot:
            raise HTTPException(410, f"machine {boot.machine} has booted again since")
        now = world.now()
        world.observed.touch(said.boot, now)
        new = await world.inventories.keep(boot.machine, said, now)
        world.exchange("inventory", "kept" if new else "known", machine=boot.machine, boot=said.boot)
        return JSONResponse({"kept": new})

    async def secrets(self, request: Request) -> Response:
        """What the action that the run began last is given in secret: by TLS, and kept by nobody on the way."""
        if request.url.scheme != "https":
            raise HTTPException(403, "Secrets travel by HTTPS only; the server's --https-port has it.")
        world, (session, asked) = self._world, await self._body(request, SecretsRequest)
        if world.plans is None:
            raise HTTPException(503, f"No plan is served yet: {world.no_plan}.", {"Retry-After": "5"})
        plan = world.plans.of(world.observed.boots.get(asked.boot))
        answer: Entitled | Refused
        if asked.run:
            answer = entitled(world.observed, asked, session.system)
        else:
            answer = entitled_to_login(plan, world.observed, asked)
        if isinstance(answer, Refused):
            world.exchange("secrets", str(answer.status), boot=asked.boot, run=asked.run, reason=answer.error)
            return JSONResponse({"error": answer.error}, answer.status)
        try:
            with unspoken():
                document = await asyncio.to_thread(opened, plan, answer.action, world.keys)
                given = JSONResponse(document, headers={"Cache-Control": "no-store"})
        except Unreadable as error:
            world.exchange("secrets", "409", boot=asked.boot, run=asked.run, reason=str(error))
            return JSONResponse({"error": str(error)}, 409)
        await world.ledger.commit()
        world.exchange("secrets", boot=asked.boot, run=asked.run, action=f"{asked.task}/{asked.action}")
        return given

    async def _body(self, request: Request, kind: type[Body]) -> tuple[SessionStatus, Body]:
        """The request and whose it is, once it has shown the signature of the boot it speaks for."""
        data = await limited(request, LONGEST_REQUEST)
        session = self._authenticate(request, data)
        body = _decoded(_DECODE[kind], data)
        assert isinstance(body, kind)  # noqa: S101 - for the type checker: `_DECODE` says so
        _hold_to(session, body.boot)
        return session, body

    def _authenticate(self, request: Request, body: bytes, boot: str | None = None) -> SessionStatus:
        """`boot`: what it says that it speaks for, where the target does."""
        found = speaker(self._world, request, body)
        if boot is not None:
            _hold_to(found, boot)
        return found


def speaker(world: World, request: Request, body: bytes = b"") -> SessionStatus:
    """Whose request this is, by its signature. Raises Denial."""
    header = request.headers.get("authorization", "")
    found = world.sessions.authenticate(world.observed, header, request.method, _target(request), body, world.now())
    if isinstance(found, Denied):
        world.exchange("agent", str(found.status), path=request.url.path, reason=found.error)
        raise Denial(found)
    return found


def _hold_to(session: SessionStatus, boot: str) -> None:
    if session.boot != boot:
        raise HTTPException(403, "This session speaks for another boot.")


def _target(request: Request) -> str:
    """Path and query as they were sent."""
    path, query = request.scope["raw_path"], request.scope["query_string"]
    target: bytes = path + b"?" + query if query else path
    return target.decode(errors="surrogateescape")


def _decoded(decode: Callable[[bytes], Decoded], data: bytes) -> Decoded:
    try:
        return decode(data)
    except Malformed as error:
        raise HTTPException(400, f"The request is not what docs/agent-protocol.md says: {error}.") from None


async def denied(request: Request, error: Exception) -> Response:
    """The sentence, and the nonce of this start where that is all that is wrong."""
    assert isinstance(error, Denial)  # noqa: S101 - for the type checker: it is registered for these
    more = {"nonce": error.nonce} if error.nonce else {}
    return JSONResponse({"error": error.detail, **more}, error.status_code)


def _unauthorised(why: str) -> HTTPException:
    return HTTPException(401, why, {"WWW-Authenticate": "Bearer"})


def _idle(then: str, reason: str) -> dict[str, Any]:
    return {"run": None, "then": then, "reason": reason, "retry": RETRY_SECONDS}


def _number(text: str | None) -> int:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 18:
        raise HTTPException(400, "attempt and offset are whole numbers.")
    return int(text)
