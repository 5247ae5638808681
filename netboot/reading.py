"""The door before the routes that people read by.

Shell. Law: every route that has `Door.only_readers` in front answers nobody whom `netboot.readers` does not admit; which routes
those are is said where the routes are.
"""

from __future__ import annotations

import time

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from netboot.reader_tokens import TokenFile
from netboot.readers import Asked, NotAdmitted, Readers
from netboot.world import World

FORWARDING = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class Door:
    """One for all listeners of a server, so that wrong tokens are counted together."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._readers = Readers(world.settings.open_status)
        self._file = TokenFile(world.settings.state)
        self._trouble = ""
        self.only_readers = [Middleware(_OnlyReaders, door=self)]

    def refusal(self, request: Request) -> Response | None:
        """None for a reader."""
        asked = _asked(request)
        tokens = self._file.tokens() if asked.authorization else []
        self._say_once(self._file.trouble)
        verdict = self._readers.admit(asked, tokens, time.monotonic())
        if not isinstance(verdict, NotAdmitted):
            return None
        if verdict.retry:
            self._world.counts["read", "too-many"] += 1  # and no line in the log, which is what is bounded
        else:
            what = "wrong-token" if verdict.wrong else "no-token"
            self._world.exchange("read", what, peer=asked.peer, path=request.url.path)
        return _answer(verdict)

    def _say_once(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                self._world.log.error("tokens-unusable", reason=trouble)


class _OnlyReaders:
    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._door.refusal(Request(scope)) or self._app)(scope, receive, send)


def _asked(request: Request) -> Asked:
    client, server = request.scope.get("client"), request.scope.get("server") or ("", 0)
    return Asked(
        peer=client[0] if client else "",
        local=server[0],
        by_socket=client is None and server[1] is None,  # the ASGI specification, "HTTP connection scope"
        host=request.headers.get("host", ""),
        forwarded=any(name in request.headers for name in FORWARDING),
        authorization=request.headers.get("authorization", ""),
    )


def _answer(verdict: NotAdmitted) -> Response:
    """Two challenges in two fields: browsers stop at a scheme that they do not know."""
    answer = PlainTextResponse(f"{verdict.reason}\n", verdict.status, {"Cache-Control": "no-store"})
    if verdict.retry:
        answer.headers["Retry-After"] = str(verdict.retry)
    else:
        answer.headers.append("WWW-Authenticate", 'Basic realm="gitboot", charset="UTF-8"')
        answer.headers.append("WWW-Authenticate", 'Bearer realm="gitboot"')
    return answer
