"""A real HTTP server around `FakeServer`, on which things go wrong when told to."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from agent.client import Keeper
from agent.session import Session, Signer, from_header, mac
from agent.session import to_json as session_json
from tests.agent.fakes import Answer, FakeServer

BOOT = "boot-1"
TOKEN = "capability"
SESSION = Session("0123456789abcdef", "5e" * 32, "0a" * 16)
"""What the token is exchanged for; the exchange is not counted among the requests, and nothing goes wrong with it."""


def at_work() -> Keeper:
    """What an agent keeps that has claimed already."""
    return Keeper(signer=Signer(SESSION))


def no_fault(path: str, number: int) -> str:
    return ""


class FaultyServer:
    """Serves `fake` on loopback. `fault(path, n)` decides about the n-th request (from 1):

    "" serve it; "500", "429" answer so, without effect; "deaf" cut the connection before anything happened; "lost" do it, then
    cut the connection instead of answering; "html" answer 200 with what is not ours. `after(path, n)` is told when it is done.
    """

    def __init__(
        self, fake: FakeServer, fault: Callable[[str, int], str] = no_fault, tls: ssl.SSLContext | None = None
    ) -> None:
        self.fake = fake
        self.fault = fault
        self.after: Callable[[str, int], None] = lambda path, number: None
        self.requests: list[str] = []
        self.exchanges = 0
        self.turned_away: list[Answer] = []
        """What the first exchanges are answered."""
        self.nonce = SESSION.nonce
        self.files: dict[str, bytes] = {}
        """What GET answers with, by path."""
        self.changed = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.serve(self)

            def do_GET(self) -> None:
                outer.requests.append(self.path)
                body = outer.files.get(self.path)
                _send(self, 404 if body is None else 200, body or b"")

            def log_message(self, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """An agent that was killed cannot hear its answer: that is what the tests are about."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        if tls:
            self.show(tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def show(self, tls: ssl.SSLContext) -> None:
        """From now on it has this certificate."""
        raw = self._server.socket
        raw = raw if not isinstance(raw, ssl.SSLSocket) else socket.socket(fileno=raw.detach())
        self._server.socket = tls.wrap_socket(raw, server_side=True)

    def __enter__(self) -> FaultyServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_until(self, true: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(true, timeout=120), self.requests[-5:]

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        url = urlsplit(handler.path)
        if url.path == "/agent/session":
            right = handler.headers["Authorization"] == f"Bearer {TOKEN}" and json.loads(body)["boot"] == BOOT
            status, document = (200, session_json(SESSION)) if right else (401, {"error": "this token is not for this boot"})
            if self.turned_away:
                status, document = self.turned_away.pop(0)
            self.exchanges += 1
            _send(handler, status, json.dumps(document).encode())
            return
        with self.changed:
            self.requests.append(url.path)
            number = len(self.requests)
            fault = self.fault(url.path, number)
            answer = self._answer(handler, url.path, dict(parse_qsl(url.query)), body) if fault in ("", "lost") else None
            self.changed.notify_all()
        self.after(url.path, number)
        if fault in ("lost", "deaf"):
            handler.connection.shutdown(socket.SHUT_RDWR)
        elif fault == "html":
            _send(handler, 200, b"<html>Welcome to the hotel network</html>")
        else:
            status, document = answer or (int(fault), {"error": "told to"})
            _send(handler, status, json.dumps(document).encode())

    def _unsigned(self, handler: BaseHTTPRequestHandler, body: bytes) -> Answer | None:
        said = from_header(handler.headers["Authorization"])
        if said is None or said.mac != mac(SESSION.key, "POST", handler.path, said.nonce, said.n, body):
            return 401, {"error": "this is not signed by the session"}
        return (401, {"error": "started again", "nonce": self.nonce}) if said.nonce != self.nonce else None

    def _answer(self, handler: BaseHTTPRequestHandler, path: str, query: dict[str, str], body: bytes) -> Answer:
        if refusal := self._unsigned(handler, body):
            return refusal
        if path == "/agent/log":
            attempt = (query["task"], query["action"], int(query["attempt"]))
            return self.fake.log(attempt, int(query["offset"]), body)
        if path == "/agent/console":
            return self.fake.log(("", "console", 1), int(query["offset"]), body)
        document: dict[str, Any] = json.loads(body)
        if document["boot"] != BOOT:
            return 404, {"error": f"no boot {document['boot']}"}
        match path:
            case "/agent/claim":
                return self.fake.claim(document["system"])
            case "/agent/report":
                return self.fake.report(document["sequence"], document["event"])
            case "/agent/heartbeat":
                return self.fake.heartbeat()
            case "/agent/secrets":
                return self.fake.secrets(document["task"], document["action"])
            case "/agent/inventory":
                return self.fake.inventory(document["hardware"])
        return 404, {"error": f"no {path}"}


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
