"""A real web server with a bad link: files, and what goes wrong with each request for one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Web:
    """Serves `files` (path → content) on loopback. `fault(n)` decides about the n-th request (from 1):

    None serve it; a number of bytes: cut the connection after them; "500" and so on: answer so; "whole": know no ranges.
    """

    def __init__(self, **files: bytes) -> None:
        self.files: dict[str, bytes] = {f"/{name}": content for name, content in files.items()}
        self.fault: Callable[[int], int | str | None] = lambda number: None
        self.before: Callable[[int], None] = lambda number: None
        self.requests: list[tuple[str, str]] = []
        """(path, Range)"""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.serve(self)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Web:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, path: str) -> str:
        return f"http://{self.host}/{path}"

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range", "")
        self.requests.append((handler.path, wanted))
        number = len(self.requests)
        self.before(number)
        fault = self.fault(number)
        content = self.files.get(handler.path)
        if isinstance(fault, str) and fault.isdigit():
            return handler.send_error(int(fault))
        if content is None:
            return handler.send_error(404)
        version = f'"{hash(content)}"'
        start = re.fullmatch(r"bytes=(\d+)-", wanted)
        first = int(start[1]) if start and fault != "whole" and handler.headers.get("If-Range", version) == version else 0
        handler.send_response(206 if first else 200)
        if first:
            handler.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        handler.send_header("ETag", version)
        handler.send_header("Content-Length", str(len(content) - first))
        handler.end_headers()
        handler.wfile.write(content[first:][: fault if isinstance(fault, int) else None])
        return None
