"""Metadata by HTTP: EC2 style with IMDSv2 tokens, NoCloud, and Tinkerbell's document.

Shell. Each answer is a look-up in what `metadata` makes of the machine that has the peer's address, or whose session signed the
request; who has neither gets a sentence. Nothing here writes.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from netboot.agent_api import Denial, speaker
from netboot.boot import Plans
from netboot.imds import TTL_HEADER, Refusal, admit, issue
from netboot.metadata import EC2_VERSIONS, Told, asking, ec2, ec2_key, nocloud, speaking, tinkerbell
from netboot.sessions import Denied
from netboot.world import World

_NO_CACHE = {"Cache-Control": "no-store"}


def metadata_routes(world: World) -> list[Route]:
    service = _Metadata(world)
    versions = [
        route
        for version in EC2_VERSIONS
        for route in (Route(f"/{version}", service.ec2), Route(f"/{version}/{{path:path}}", service.ec2))
    ]
    return [
        Route("/latest/api/token", service.token, methods=["PUT"]),
        *versions,
        Route("/nocloud/{file}", service.nocloud),
        Route("/nocloud/{name}/{file}", service.nocloud),
        Route("/metadata", service.tinkerbell),
    ]


class _Metadata:
    def __init__(self, world: World) -> None:
        self._world = world

    async def token(self, request: Request) -> Response:
        told = self._asking(request)
        answer = issue(self._world.key, told.machine.name, request.headers, self._world.now())
        if isinstance(answer, Refusal):
            raise self._refused(request, told, answer)
        self._note(request, told)
        return PlainTextResponse(answer.text, headers=_NO_CACHE | {TTL_HEADER: str(answer.ttl)})

    async def ec2(self, request: Request) -> Response:
        told = self._asking(request)
        required = told.plan.site.metadata_tokens == "required"
        if refusal := admit(self._world.key, told.machine.name, request.headers, required, self._world.now()):
            raise self._refused(request, told, refusal)
        found = ec2(told, _peer(request)).get(ec2_key(request.path_params.get("path", "")))
        return self._answer(request, told, found)

    async def nocloud(self, request: Request) -> Response:
        """A name in the path is for people: who asks for another's learns nothing, not even whether there is such a machine."""
        told = self._asking(request)
        if request.path_params.get("name", told.machine.name) != told.machine.name:
            why = f"This is {told.machine.name}'s address, and a machine is told of itself only."
            raise self._refused(request, told, Refusal(403, why))
        return self._answer(request, told, nocloud(told).get(request.path_params["file"]))

    async def tinkerbell(self, request: Request) -> Response:
        told = self._asking(request)
        self._note(request, told)
        return Response(tinkerbell(told), media_type="application/json", headers=_NO_CACHE)

    def _asking(self, request: Request) -> Told:
        world, peer = self._world, _peer(request)
        if world.plans is None:
            raise HTTPException(503, f"No plan is served yet: {world.no_plan}.", {"Retry-After": "5"})
        there = asking(world.plans, world.observed, peer)
        if request.headers.get("authorization", "").startswith("Gitboot "):
            return self._speaking(request, world.plans, there)
        if there is None:
            world.exchange("metadata", "403", peer=peer, path=request.url.path, reason="no machine has this address")
            raise HTTPException(
                403, f"No machine in git has the address {peer}, and metadata is given by address, or to a machine's session."
            )
        return there

    def _speaking(self, request: Request, plans: Plans, there: Told | None) -> Told:
        """A session decides; but it speaks from no other machine's address. A body, where there is one, is not read."""
        session = speaker(self._world, request)
        told = speaking(plans, self._world.observed, session)
        if told is None:
            raise Denial(Denied(410, f"boot {session.boot} of this session is over"))
        if there is not None and there.machine.name != told.machine.name:
            why = f"This session speaks for another machine than the one that has the address {_peer(request)}."
            raise self._refused(request, told, Refusal(403, why))
        return there or told

    def _answer(self, request: Request, told: Told, text: str | None) -> Response:
        self._note(request, told, "ok" if text is not None else "404")
        if text is None:
            raise HTTPException(404, "There is nothing of this name for this machine.")
        return PlainTextResponse(text, headers=_NO_CACHE)

    def _refused(self, request: Request, told: Told, refusal: Refusal) -> HTTPException:
        self._note(request, told, str(refusal.status), refusal.why)
        return HTTPException(refusal.status, refusal.why)

    def _note(self, request: Request, told: Told, outcome: str = "ok", reason: str = "") -> None:
        path = f"{request.method} {request.url.path}"
        self._world.exchange("metadata", outcome, machine=told.machine.name, peer=_peer(request), path=path, reason=reason)


def _peer(request: Request) -> str:
    """Behind proxies that the site trusts, who asked them (`peers`)."""
    return request.client.host if request.client else ""
