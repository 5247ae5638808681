"""Who is told, on loopback: an HTTP server that answers as it is told to, and as much of a mail server as is needed."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import TypeVar

Sent = TypeVar("Sent")


@dataclass
class Posted:
    """What an HTTP server was sent; it answers with the first of `answers`, the last one for ever."""

    answers: list[int] = field(default_factory=lambda: [204])
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    url: str = ""


@contextmanager
def http_receiver(answers: tuple[int, ...] = (204,), location: str = "") -> Iterator[Posted]:
    posted = Posted(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = posted.answers.pop(0) if len(posted.answers) > 1 else posted.answers[0]
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            posted.bodies.append(body)
            posted.headers.append(dict(self.headers.items()))
            posted.came.release()

        def do_GET(self) -> None:
            posted.bodies.append(b"GET")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        posted.url = f"http://127.0.0.1:{server.server_address[1]}/secret-path"
        yield from _serving(server, posted)


@dataclass
class Mailed:
    """What a mail server was sent. `refused`: command → what it answers instead of taking it."""

    refused: dict[str, str] = field(default_factory=dict)
    recipients: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    server: str = ""


class _Mail(socketserver.StreamRequestHandler):
    """One connection of RFC 5321, with STARTTLS (RFC 3207) or TLS from the beginning (RFC 8314), and AUTH PLAIN (RFC 4616)."""

    server: _MailServer

    def handle(self) -> None:
        self.tls = False
        if self.server.implicit and not self._wrap():
            return None
        self._say("220 stub")
        while line := self.rfile.readline():
            command, _, rest = line.decode().strip().partition(" ")
            command = command.upper()
            if command in self.server.mailed.refused:
                self._say(self.server.mailed.refused[command])
            elif command == "QUIT":
                return self._say("221 bye")
            elif command == "STARTTLS":
                self._say("220 go on")
                if not self._wrap():
                    return None
            else:
                self._answer(command, rest)
        return None

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def _answer(self, command: str, rest: str) -> None:
        mailed, said = self.server.mailed, "250 ok"
        if command == "EHLO":
            said = "250-stub\r\n250 " + ("STARTTLS" if self.server.context and not self.tls else "AUTH PLAIN")
        elif command == "AUTH":
            mailed.logins.append(base64.b64decode(rest.removeprefix("PLAIN ")).decode())
            said = "235 welcome"
        elif command == "RCPT":
            mailed.recipients.append(rest)
        elif command == "DATA":
            self._say("354 go on")
            mailed.messages.append(b"".join(iter(self.rfile.readline, b".\r\n")))
            mailed.encrypted.append(self.tls)
        self._say(said)

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def _wrap(self) -> bool:
        assert self.server.context is not None
        try:
            self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError):
            return False
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        self.tls = True
        return True


class _MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, mailed: Mailed, context: ssl.SSLContext | None, implicit: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.mailed, self.context, self.implicit = mailed, context, implicit


@contextmanager
def mail_receiver(
    context: ssl.SSLContext | None = None, *, implicit: bool = False, refused: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Mailed]:
    """`refused`: command → what it answers instead of taking it."""
    mailed = Mailed(dict(refused))
    with _MailServer(mailed, context, implicit) as server:
        mailed.server = f"127.0.0.1:{server.server_address[1]}"
        yield from _serving(server, mailed)


def _serving(server: socketserver.BaseServer, sent: Sent) -> Iterator[Sent]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield sent
    finally:
        server.shutdown()
        thread.join()
