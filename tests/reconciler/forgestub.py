"""A forge for tests: the endpoints of GitHub, GitLab and Gitea that gitboot uses, with the limits their documentation names.

What a real one would refuse, it refuses: a missing or wrong token, a project or commit it does not know, a field too long, a
state it does not have, a comment of somebody else's. Everything that was said is kept in the order it came.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "glpat-very_secret-123"
PROJECT = "lab/site"
ROOT = {"github": "/api/v3", "gitlab": "/api/v4", "gitea": "/api/v1"}
STATES = {
    "github": {"error", "failure", "pending", "success"},
    "gitlab": {"pending", "running", "success", "failed", "canceled", "skipped"},
    "gitea": {"pending", "success", "error", "failure", "warning"},
}
ME, SOMEBODY = {"id": 7, "login": "ada"}, {"id": 8, "login": "gitea-actions-bot"}
JOBS = {"github": {"id": 41898282, "login": "github-actions[bot]"}, "gitea": {"id": -2, "login": "gitea-actions"}}
Reply = tuple[int, dict[str, str], Any]


@dataclass
class Stub:
    """One project of one forge. `trouble`, when it answers something, takes the place of the forge."""

    kind: str
    is_job: bool = False
    """The token is that of a CI job, which may not ask who it is."""
    is_unknown: Callable[[str], bool] = lambda sha: False
    trouble: Callable[[str, str], Reply | None] = lambda method, path: None
    statuses: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)
    url: str = ""

    def wait_for(self, count: int, seconds: float = 20) -> list[dict[str, Any]]:
        """That many statuses."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.statuses) >= count, seconds), self.asked
        return self.statuses

    def by(self, author: dict[str, Any], body: str) -> dict[str, Any]:
        comment = {"id": 100 + len(self.comments), "author" if self.kind == "gitlab" else "user": author, "body": body}
        self.comments.append(comment)
        return comment

    @property
    def me(self) -> dict[str, Any]:
        return JOBS[self.kind] if self.is_job else ME

    def answer(self, method: str, target: str, headers: dict[str, str], content: Any) -> Reply:
        self.asked.append(f"{method} {target}")
        path = urlsplit(target).path
        if (reply := self.trouble(method, path)) is not None:
            return reply
        if not self._is_let_in(headers):
            return 401, {}, {"message": "401 Unauthorized"}
        query = {key: values[-1] for key, values in parse_qs(urlsplit(target).query).items()}
        route = path.removeprefix(ROOT[self.kind])
        if route == "/user":
            return (403, {}, {"message": "Resource not accessible by integration"}) if self.is_job else (200, {}, ME)
        prefix = "/projects/lab%2Fsite" if self.kind == "gitlab" else "/repos/lab/site"
        if not route.startswith(prefix + "/"):
            return 404, {}, {"message": "404 Project Not Found" if self.kind == "gitlab" else "Not Found"}
        return self._project(method, route.removeprefix(prefix), query, content)

    def _is_let_in(self, headers: dict[str, str]) -> bool:
        if self.kind == "gitlab":
            return headers.get("private-token") == TOKEN
        scheme = "token" if self.kind == "gitea" else "Bearer"
        return headers.get("authorization") == f"{scheme} {TOKEN}" and "user-agent" in headers

    def _project(self, method: str, route: str, query: dict[str, str], content: Any) -> Reply:
        comments = r"/merge_requests/7/notes" if self.kind == "gitlab" else r"/issues/7/comments"
        one = rf"{comments}/(\d+)" if self.kind == "gitlab" else r"/issues/comments/(\d+)"
        if method == "POST" and (found := re.fullmatch(r"/statuses/(\w+)", route)):
            return self._status(found[1], content)
        if route == comments and method == "GET":
            return 200, {}, self._page(query)
        if route == comments and method == "POST":
            return self._body(content) or (201, {}, self.by(self.me, content["body"]))
        if (found := re.fullmatch(one, route)) and method == ("PUT" if self.kind == "gitlab" else "PATCH"):
            return self._change(int(found[1]), content)
        return 404, {}, {"message": "Not Found"}

    def _page(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """Gitea gives all at once, and has no pages here."""
        if self.kind == "gitea":
            return self.comments
        size = min(int(query.get("per_page", 30)), 100)
        start = (int(query.get("page", 1)) - 1) * size
        return self.comments[start : start + size]

    def _body(self, content: Any) -> Reply | None:
        most = 1_000_000 if self.kind == "gitlab" else 65_536
        if not isinstance(content.get("body"), str) or not 0 < len(content["body"]) <= most:
            return 422, {}, {"message": "Validation Failed", "errors": [{"message": f"body is too long (maximum is {most})"}]}
        return None

    def _change(self, number: int, content: Any) -> Reply:
        (comment,) = (each for each in self.comments if each["id"] == number)
        if comment.get("author", comment.get("user")) != self.me:
            return 403, {}, {"message": "Forbidden"}
        if refused := self._body(content):
            return refused
        comment["body"] = content["body"]
        return 200, {}, comment

    def _status(self, sha: str, content: Any) -> Reply:
        if self.is_unknown(sha):
            return (422, {}, {"message": f"No commit found for SHA: {sha}"}) if self.kind == "github" else (404, {}, {})
        most = 140 if self.kind == "github" else 255
        key = "name" if self.kind == "gitlab" else "context"
        if set(content) - {"state", key, "description", "target_url"} or content.get("state") not in STATES[self.kind]:
            return 400 if self.kind == "gitlab" else 422, {}, {"message": "state does not have a valid value"}
        if len(content.get("description", "")) > most or len(content.get(key, "")) > 255:
            return 422, {}, {"message": f"description is too long (maximum is {most} characters)"}
        before = [each for each in self.statuses if (each["sha"], each["context"]) == (sha, content[key])]
        if self.kind == "gitlab" and before and before[-1]["state"] == content["state"] == "pending":
            return 400, {}, {"message": "Cannot transition status via :enqueue from :pending (Reason(s): Status cannot …)"}
        with self.news:
            self.statuses.append({"sha": sha, **content, "context": content[key]})
            self.news.notify_all()
        return 201, {}, {"id": len(self.statuses)}


@contextmanager
def forge(kind: str, **settings: Any) -> Iterator[Stub]:
    """It listens on `stub.url` until the end of the block."""
    stub = Stub(kind, **settings)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, content = stub.answer(self.command, self.path, headers, json.loads(body) if body else {})
            payload = content if isinstance(content, bytes) else json.dumps(content).encode()
            with suppress(OSError):  # the client has given up
                self.send_response(status)
                for name, value in {"Content-Length": str(len(payload)), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_PATCH = _answer  # noqa: N815 - the names http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has in http.server
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
