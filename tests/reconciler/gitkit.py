"""Real repositories and real git servers for tests: everything on loopback and below one temporary folder."""

from __future__ import annotations

import base64
import os
import random
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@lab.example",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@lab.example",
}


class Work:
    """A work tree of the test's author, who commits with plain git."""

    date = ""
    """Of the commits that are made, in any form that git knows; "": now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str, feed: bytes = b"") -> str:
        return self.raw(*words, feed=feed).decode(errors="surrogateescape").strip()

    def raw(self, *words: str, feed: bytes = b"") -> bytes:
        command = ["git", "-C", str(self.path), *words]
        dated = {"GIT_COMMITTER_DATE": self.date} if self.date else {}
        return subprocess.run(command, env={**_ENVIRONMENT, **dated}, input=feed, check=True, capture_output=True).stdout

    def write(self, path: str, content: str | bytes) -> Path:
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def commit(self, **files: str) -> str:
        """Commit everything there is, and `files` (by stem, as YAML); the commit id."""
        for stem, content in files.items():
            self.write(f"{stem}.yaml", content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, listing: bytes) -> str:
        """Commit a tree made by hand, which git itself would never record; `listing` as `git mktree -z` takes it."""
        tree = self.git("mktree", "-z", "--missing", feed=listing)
        commit = self.git("commit-tree", tree, "-m", "by hand")
        self.git("update-ref", "refs/heads/main", commit)
        return commit


def free_port() -> int:
    """A port that is still free when its server comes up: none that the kernel gives to whoever connects meanwhile."""
    while True:
        port = random.randrange(10000, 20000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def git_daemon(base: Path, port: int) -> Iterator[str]:
    """`git daemon` serving the repositories below `base`; the address up to their path."""
    command = ["git", "daemon", "--verbose", "--export-all", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}"]
    daemon = subprocess.Popen(
        [*command, f"--base-path={base}"], env=_ENVIRONMENT, stderr=subprocess.PIPE, start_new_session=True
    )
    assert daemon.stderr is not None
    try:
        assert b"Ready to rumble" in daemon.stderr.readline()
        drain = threading.Thread(target=daemon.stderr.read, daemon=True)
        drain.start()
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()
        drain.join()
        daemon.stderr.close()


Answer = Callable[[str, bytes, bytes], Iterable[bytes]]
"""(path, what was asked, what git answers) → what is sent instead; bytes that are waited for hang the client."""


def _honest(path: str, question: bytes, answer: bytes) -> Iterable[bytes]:
    return (answer,)


def _body(asked: BaseHTTPRequestHandler) -> bytes:
    if asked.headers.get("Transfer-Encoding") != "chunked":
        return asked.rfile.read(int(asked.headers.get("Content-Length", 0)))
    parts = []
    while size := int(asked.rfile.readline(), 16):
        parts.append(asked.rfile.read(size))
        asked.rfile.readline()
    return b"".join(parts)


def _git_http_backend(base: Path, asked: BaseHTTPRequestHandler, body: bytes) -> tuple[dict[str, str], bytes]:
    """Headers and content of git's own CGI program."""
    path, _, query = asked.path.partition("?")
    environment = {
        **_ENVIRONMENT,
        "GIT_PROJECT_ROOT": str(base),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_METHOD": asked.command,
        "CONTENT_TYPE": asked.headers.get("Content-Type", ""),
        "HTTP_CONTENT_ENCODING": asked.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": asked.headers.get("Git-Protocol", ""),
    }
    done = subprocess.run(["git", "http-backend"], env=environment, input=body, capture_output=True, check=False)
    head, _, payload = done.stdout.partition(b"\r\n\r\n")
    return dict(line.split(": ", 1) for line in head.decode().splitlines()), payload


@contextmanager
def http_server(
    base: Path, user: str = "", password: str = "", tls: ssl.SSLContext | None = None, answer: Answer = _honest
) -> Iterator[str]:
    """`git http-backend` behind a small HTTP server, with basic authentication if a user is given."""
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if user and self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="lab"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = _body(self)
            headers, payload = _git_http_backend(base, self, body)
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            parts = answer(self.path, body, payload)
            if tls:  # whose end of a connection is no end of an answer
                parts = [b"".join(parts)]
                headers["Content-Length"] = str(len(parts[0]))
            self._send(headers, parts)

        def _send(self, headers: dict[str, str], parts: Iterable[bytes]) -> None:
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the client has given up
                for part in parts:
                    self.wfile.write(part)
                    self.wfile.flush()

        do_POST = do_GET  # noqa: N815 - the name http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has in http.server
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether the condition came true in time: for what happens in other processes and announces itself nowhere."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (true := condition()) and time.monotonic() < deadline:
        pause.wait(0.01)
    return true


def is_gone(text: str) -> bool:
    """Whether every process with `text` on its command line ends: a killed one may take a moment to be gone."""
    return wait_until(lambda: not processes_that_mention(text), 5)


def processes_that_mention(text: str) -> list[int]:
    """Living processes with `text` on their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found
