"""The HTTP target: a request line and a body meet every route of a small site, as they would after uvicorn has read them.

The site is thrown away after some hundred requests: otherwise its one run would soon be over, and no report be worth reading.
"""

from __future__ import annotations

import asyncio
import atexit
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Message

from agent.session import Session, Signer
from netboot.http import application
from netboot.tokens import session_key
from netboot.world import World
from tests.netboot.site import capability, mac, machine, plan, world

REQUESTS = 300
"""Until the site is made anew."""
MACHINES = 3


class _Site:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._folder = tempfile.TemporaryDirectory()
        self._here, self._app = self._loop.run_until_complete(self._open())
        self.left = REQUESTS
        self._numbers = count(1)

    async def _open(self) -> tuple[World, ASGIApp]:
        served = plan(*(machine(number, "look") for number in range(1, MACHINES + 1)), mode="proxy")
        here = await self._stack.enter_async_context(world(Path(self._folder.name), served))
        return here, application(here)

    def close(self) -> None:
        self._loop.run_until_complete(self._stack.aclose())
        self._loop.close()
        self._folder.cleanup()

    def ask(self, data: bytes) -> None:
        self.left -= 1
        method, target, body = _request(self._filled(data))
        status, answer = self._loop.run_until_complete(self._answer(method, target, body))
        assert 200 <= status < 500, answer
        assert not self._here.counts["http", "defect"]
        assert self._here.key not in answer

    def _filled(self, data: bytes) -> bytes:
        """With the ids of the newest boot and run in the place of `$boot` and `$run`; who speaks does so for its own boot."""
        observed = self._here.observed
        boots, runs = list(observed.boots), list(observed.runs)
        if observed.sessions and not data.startswith(b"POST /agent/session"):
            boots = [session.boot for session in observed.sessions.values()]
        values = {b"$boot": boots[-1:], b"$run": runs[-1:], b"$mac": [mac(1 + self.left % MACHINES)]}
        for name, value in values.items():
            data = data.replace(name, value[0].encode() if value else b"none")
        return data

    def _authorization(self, method: str, path: bytes, target: bytes, body: bytes) -> str:
        """The newest boot's token for a session, and for all else the newest session's signature: what is said is looked at."""
        here = self._here
        if path == b"/agent/session":
            return f"Bearer {capability(here, list(here.observed.boots)[-1])}" if here.observed.boots else ""
        session = next(reversed(here.observed.sessions), "0" * 16)
        signer = Signer(Session(session, session_key(here.key, session), here.sessions.nonce), self._numbers)
        return str(signer.sign(method, target.decode("ascii"), body))

    async def _answer(self, method: str, target: bytes, body: bytes) -> tuple[int, bytes]:
        path, _, query = target.partition(b"?")
        header = self._authorization(method, path, target, body)
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote(path.decode("ascii")), "raw_path": path, "query_string": query, "root_path": "",
            "headers": [(b"host", b"10.1.0.1"), (b"authorization", header.encode())],
            "client": ("10.1.0.1", 4321), "server": ("10.1.0.9", 80),
        }  # fmt: skip
        said: list[Message] = []
        heard: Iterator[dict[str, Any]] = iter([{"type": "http.request", "body": body}])

        async def receive() -> Message:
            return next(heard, {"type": "http.disconnect"})

        async def send(message: Message) -> None:
            said.append(message)

        await self._app(scope, receive, send)
        return said[0]["status"], b"".join(message.get("body", b"") for message in said[1:])


def _request(data: bytes) -> tuple[str, bytes, bytes]:
    """Method, target and body, with everything quoted in the target that HTTP does not let pass."""
    line, _, body = data.partition(b"\n")
    method, _, target = line.partition(b" ")
    text = quote(target, safe="%/?&=:.-_~!$'()*+,;@") or "/"
    return method.decode("latin-1"), text.encode() if text.startswith("/") else b"/" + text.encode(), body


_sites: list[_Site] = []


def http(data: bytes) -> None:
    """Any request has an answer below 500, and never the server's key in it."""
    if _sites and not _sites[0].left:
        _sites.pop().close()
    if not _sites:
        _sites.append(_Site())
    _sites[0].ask(data)


@atexit.register
def _close() -> None:
    for site in _sites:
        site.close()
