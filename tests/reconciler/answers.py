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

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path, self.headers.get("range", ""))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("content-type", "text/plain" if status == 404 else "application/json")
            self.end_headers()
            self.wfile.write(body)

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
