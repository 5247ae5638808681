"""A web server of which everything can be wrong: what it says, what it sends, and when it stops."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(slots=True)
class Answer:
    """To one request."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = -1
    """What Content-Length says; -1: the truth, None: nothing."""
    cut: int | None = None
    """After how many bytes of the body the connection is reset."""


@dataclass(slots=True)
class Request:
    method: str
    path: str
    headers: Message
    body: bytes = b""


class Web:
    """`answer(request, n)` decides about the n-th request, from 1."""

    def __init__(self, answer: Callable[[Request, int], Answer]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._serve(self, self.command, b"")

            def do_PUT(self) -> None:
                outer._serve(self, self.command, _body(self))

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Clients go away: that is what the tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler, method: str, body: bytes) -> None:
        request = Request(method, handler.path, handler.headers, body)
        self.requests.append(request)
        answer = self.answer(request, len(self.requests))
        handler.send_response(answer.status)
        if answer.length is not None:
            handler.send_header("Content-Length", str(len(answer.body) if answer.length < 0 else answer.length))
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(answer.body if answer.cut is None else answer.body[: answer.cut])
        if answer.cut is not None:
            handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True


def file(content: bytes, request: Request, etag: str = '"one"') -> Answer:
    """As an ordinary server answers, byte ranges and all."""
    found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    if not found:
        return Answer(content, headers={"ETag": etag})
    start = int(found[1])
    if start >= len(content):
        return Answer(status=416)
    where = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}", "ETag": etag}
    return Answer(content[start:], 206, where)


def serving(content: bytes) -> Web:
    """The same file at every path."""
    return Web(lambda request, number: file(content, request))


class Files(Web):
    """Serves `files` (path → content), whole from the second request for anything on; the first is cut after `cut` bytes."""

    def __init__(self, **files: bytes) -> None:
        super().__init__(self._answer)
        self.files = {f"/{name}": content for name, content in files.items()}
        self.cut: int | None = None

    def _answer(self, request: Request, number: int) -> Answer:
        content = self.files.get(request.path)
        if content is None:
            return Answer(status=404)
        answer = file(content, request)
        return answer if number > 1 else replace(answer, cut=self.cut)


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if length := handler.headers.get("Content-Length"):
        return handler.rfile.read(int(length))
    body = b""
    while size := int(handler.rfile.readline(), 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body
