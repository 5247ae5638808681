"""A file over HTTP, read once from beginning to end, through connections that break.

Shell. Law: what is handed on are the file's bytes in order, each once, and all of them, or it ends in `Failed`. A connection
that ends before the length it announced has broken, and is taken up where it broke (RFC 9110, 14.2); should the file have
changed meanwhile, that is said, for two halves of two files are no file.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

from agent.actions.base import say
from agent.actions.progress import Progress
from agent.actions.settings import Failed

CHUNK = 1 << 20
SILENCE = 60.0
"""Seconds without a byte after which a connection is given up."""
FINAL = frozenset(range(400, 500)) - {408, 425, 429}
"""Answers that stay the same however often one asks."""
LONGEST_PAUSE = 10.0


class Broken(Exception):
    """The connection, or the server for now; asking again may help."""


class Denied(Failed):
    """HTTP 401; `challenge` says how one proves who one is (RFC 9110, 11.6.1)."""

    def __init__(self, message: str, challenge: str) -> None:
        super().__init__(message)
        self.challenge = challenge


def _web(tls: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
    """HTTP and nothing else, wherever a server redirects to."""
    web = urllib.request.OpenerDirector()
    web.add_handler(urllib.request.HTTPSHandler(context=tls))
    for handler in (
        *(urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.UnknownHandler),
        *(urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPRedirectHandler, urllib.request.HTTPErrorProcessor),
    ):
        web.add_handler(handler())
    return web


@dataclass(slots=True)
class Download:
    """`headers` go to the named server only, not to one that it redirects to."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    patience: float = 120.0
    """Seconds of waiting without progress after which it fails; 0: at the first trouble."""
    minutes: int = 0
    """In which all of it must be there; 0: as long as bytes come."""
    say: Callable[[str], None] = field(default=lambda _: None, repr=False)
    pause: Callable[[float], None] = field(default=lambda seconds: time.sleep(seconds), repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    size: int | None = field(default=None, init=False)
    """Bytes, once it has begun and if the server says so."""
    _done: int = field(default=0, init=False)
    _identity: tuple[str, ...] = field(default=(), init=False)
    _deadline: float = field(default=inf, init=False)

    def __iter__(self) -> Iterator[bytes]:
        """Raises Failed."""
        self._deadline = time.monotonic() + 60 * self.minutes if self.minutes else inf
        waited, longest = 0.0, 0.5
        while True:
            before = self._done
            try:
                yield from self._connection()
                return
            except Broken as error:
                if self._done > before:
                    waited, longest = 0.0, 0.5
                if waited >= self.patience:
                    raise Failed(f"{self.url} cannot be read: {error}") from error
                self.say(f"{error}; trying again in {longest:g} s")
            self.pause(longest)
            waited, longest = waited + longest, min(longest * 2, LONGEST_PAUSE)

    def _connection(self) -> Iterator[bytes]:
        """What one connection brings of what is still missing. Raises Broken and Failed."""
        self._look_at_the_clock()
        with self._ask() as response:
            skip = self._begin(response)
            left = CHUNK if response.length is None else response.length
            while chunk := self._read(response, min(left, CHUNK)):
                left -= 0 if response.length is None else len(chunk)
                new = chunk[skip:]
                skip -= min(skip, len(chunk))
                self._done += len(new)
                if new:
                    yield new
        if skip or (self.size is not None and self._done < self.size):
            raise Broken(f"the connection ended after {self._done} of {self.size} bytes")

    def _ask(self) -> http.client.HTTPResponse:
        try:
            request = urllib.request.Request(self.url, headers={"Accept-Encoding": "identity"})  # noqa: S310 - looked at below
            if request.type not in ("http", "https") or not request.host:
                raise ValueError(f"it begins with {request.type}")
        except ValueError as error:
            raise Failed(f"{self.url} is not a URL that begins with http:// or https://") from error
        for name, value in self.headers.items():
            request.add_unredirected_header(name, value)
        if self._done:
            request.add_header("Range", f"bytes={self._done}-")
        try:
            response: http.client.HTTPResponse = _web(self.tls).open(request, timeout=SILENCE)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 401:
                raise Denied(
                    f"{self.url} answers HTTP 401 {error.reason}", error.headers.get("WWW-Authenticate", "")
                ) from error
            if error.code == 416:
                raise Failed(f"{self.url} has {self._done} bytes, and said that it had {self.size}") from error
            raise (Failed if error.code in FINAL else Broken)(f"{self.url} answers HTTP {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "reason", "") or str(error) or type(error).__name__
            raise Broken(f"{self.url} does not answer: {why}") from error
        except ValueError as error:
            raise Failed(f"{self.url} leads to what is no URL: {error}") from error
        return response

    def _begin(self, response: http.client.HTTPResponse) -> int:
        """How many bytes of the answer are known already. Raises Failed if it is not the file that it was."""
        said = response.headers.get("Content-Range", "") if response.status == 206 else ""
        ranged = re.match(r"bytes (\d{1,18})-\d+/(\d{1,18}|\*)", said)
        start = int(ranged[1]) if ranged else 0
        total = int(ranged[2]) if ranged and ranged[2] != "*" else None
        if not ranged and response.length is not None:
            total = response.length
        identity = tuple(response.headers.get(name, "") for name in ("ETag", "Last-Modified"))
        if not self._done:
            self.size, self._identity = total, identity
        elif identity != self._identity or (total or self.size) != self.size:
            raise Failed(f"{self.url} has changed while it was read: begin again")
        if start > self._done:
            raise Failed(f"{self.url} skips from byte {self._done} to {start}")
        return self._done - start

    def _read(self, response: http.client.HTTPResponse, missing: int) -> bytes:
        """So many bytes, and less at the end alone; however slowly they come, the time is kept. Raises Broken and Failed."""
        parts = list[bytes]()
        while missing:
            try:
                part = response.read1(missing)
            except (OSError, http.client.HTTPException) as error:
                raise Broken(f"the connection broke: {error or type(error).__name__}") from error
            self._look_at_the_clock()
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _look_at_the_clock(self) -> None:
        if self.minutes and time.monotonic() > self._deadline:
            raise Failed(f"{self.url} was not there in {self.minutes} minutes; {self._done} bytes were")


def told(name: str, download: Download, interval: float = 10.0) -> Iterator[bytes]:
    """The same chunks, while the log hears how far it is."""
    progress, done = Progress(name, interval=interval), 0
    for chunk in download:
        done, progress.total = done + len(chunk), download.size or 0
        if line := progress.line(done, time.monotonic()):
            say(line)
        yield chunk


def fetch_text(download: Download, limit: int = 1 << 20) -> str:
    """A small file whole. Raises Failed if it has more bytes than `limit`."""
    content = b""
    for chunk in download:
        content += chunk
        if len(content) > limit:
            raise Failed(f"{download.url} is longer than {limit} bytes")
    return content.decode(errors="replace")
