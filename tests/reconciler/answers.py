"""A server on loopback that says what a test has it say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = Callable[[str, str], tuple[int, bytes]]
"""(path, Range header) → status and body. A body of status 404 is told as text, as gitboot does."""


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """The URL of a server that answers every GET by this."""

    def get(request: BaseHTTPRequestHandler) -> None:
        status, body = answer(request.path, request.headers.get("range", ""))
        request.send_response(status)
        request.send_header("content-length", str(len(body)))
        request.send_header("content-type", "text/plain" if status == 404 else "application/json")
        request.end_headers()
        request.wfile.write(body)

    with _serving(get) as url:
        yield url


@contextmanager
def feeding(*streams: str) -> Iterator[tuple[str, list[str]]]:
    """The URL of a server that says each of these streams to whoever comes, and breaks off; what listeners heard last."""
    left, heard = list(streams), list[str]()

    def get(request: BaseHTTPRequestHandler) -> None:
        heard.append(request.headers.get("last-event-id", ""))
        request.send_response(200 if left else 503)
        request.end_headers()
        request.wfile.write(left.pop(0).encode() if left else b"no more")

    with _serving(get) as url:
        yield url, heard


@contextmanager
def _serving(get: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            get(self)

        def log_message(self, *args: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as http:
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


def said(document: dict[str, Any]) -> bytes:
    return json.dumps({"apiVersion": "gitboot/v1", **document}).encode()
