"""Bytes from a web server, for actions that write them to a disk while they come.

Shell, standard library only. Law: what is yielded is the file from its first byte to its last, each once, or `Failed` is
raised: a connection that breaks is taken up again where it broke (RFC 9110, 14: Range), never where another file begins.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from agent.actions.progress import Progress
from agent.actions.settings import Failed

CHUNK = 1 << 18
SILENCE = 30.0
"""Seconds without a byte after which a connection counts as broken."""
TRIES = 8
"""Connections in a row without a new byte; with the pauses between them that is two minutes."""
_ALGORITHMS = {"sha256": 64, "sha384": 96, "sha512": 128}
_Hash = Any


@dataclass(frozen=True, slots=True)
class Checksum:
    algorithm: str
    digest: str

    def check(self, hashed: _Hash, url: str) -> None:
        """Raises Failed unless it is the digest of what was hashed."""
        if hashed.hexdigest() != self.digest:
            raise Failed(f"{url} is not what it should be: its {self.algorithm} is {hashed.hexdigest()}, wanted {self.digest}")

    def new(self) -> _Hash:
        return hashlib.new(self.algorithm)


def read_checksum(name: str, text: str) -> Checksum:
    """Of the form `sha256:<hex>`; `name` is of the parameter. Raises Failed."""
    algorithm, _, digest = text.strip().lower().partition(":")
    if _ALGORITHMS.get(algorithm) != len(digest) or not re.fullmatch(r"[0-9a-f]+", digest):
        raise Failed(f"{name} is {text!r}: write sha256:, sha384: or sha512: and the digest in hexadecimal")
    return Checksum(algorithm, digest)


@dataclass(slots=True)
class Download:
    """One file; iterate once."""

    url: str
    say: Callable[[str], None]
    minutes: int = 0
    """After which it has failed; 0: as long as bytes come."""
    name: str = "download"
    """What lines about its progress begin with."""
    pause: Callable[[float], None] = time.sleep
    _received: int = 0
    _total: int | None = None
    _version: str = ""

    def __iter__(self) -> Iterator[bytes]:
        deadline = time.monotonic() + 60 * self.minutes if self.minutes else None
        progress = Progress(self.name)
        failures = 0
        while True:
            before = self._received
            try:
                for data in self._connection():
                    yield data
                    progress.total = self._total or 0
                    if line := progress.line(self._received, time.monotonic()):
                        self.say(line)
                    if deadline and time.monotonic() > deadline:
                        raise Failed(f"{self.url} was not there in {self.minutes} minutes; {self._received} bytes were")
                self.say(progress.last(self._received))
                return
            except (OSError, http.client.HTTPException) as error:
                failures = failures + 1 if before == self._received else 1
                reason = _reason(error)
                if failures == TRIES or _is_final(error):
                    raise Failed(f"{self.url} cannot be had: {reason}") from error
                self.say(f"{self.name}: {reason}; trying again after {self._received} bytes")
                self.pause(min(2.0 ** (failures - 1), 30))

    def _connection(self) -> Iterator[bytes]:
        """The rest of the file by one connection. Raises OSError or HTTPException when it breaks."""
        with urllib.request.urlopen(self._request(), timeout=SILENCE) as answer:  # noqa: S310 - the scheme is looked at
            self._take_up(answer)
            while data := answer.read(CHUNK):
                self._received += len(data)
                yield data
        if self._total is not None and self._received < self._total:
            raise ConnectionError("the connection ended early")

    def _request(self) -> urllib.request.Request:
        if not self.url.startswith(("http://", "https://")):
            raise Failed(f"{self.url!r} is not a URL: write http://… or https://…")
        headers = {"Accept-Encoding": "identity"}
        if self._received:
            headers |= {"Range": f"bytes={self._received}-"} | ({"If-Range": self._version} if self._version else {})
        return urllib.request.Request(self.url, headers=headers)  # noqa: S310 - the scheme is looked at

    def _take_up(self, answer: Any) -> None:
        """Know how long the file is, or go to where the last connection broke. Raises Failed if it is another file now."""
        length = answer.headers.get("Content-Length")
        if answer.status == 206:
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != self._received:
                raise Failed(f"{self.url}: the server sends another part of the file than it was asked for")
            return
        version = answer.headers.get("ETag", "")
        version = "" if version.startswith("W/") else version or answer.headers.get("Last-Modified", "")
        total = int(length) if length and length.isdigit() else None
        if self._received and (self._version, self._total) != (version, total):
            raise Failed(f"{self.url} changed on the server while it was fetched")
        self._version, self._total = version, total
        skip = self._received
        while skip and (data := answer.read(min(CHUNK, skip))):
            skip -= len(data)


def fetch_text(url: str, say: Callable[[str], None], limit: int = 1 << 20) -> str:
    """A small file whole."""
    content = b""
    for data in Download(url, say):
        content += data
        if len(content) > limit:
            raise Failed(f"{url} is longer than {limit} bytes")
    return content.decode(errors="replace")


def _is_final(error: Exception) -> bool:
    """A client's error stays one, but for those that say: later."""
    return isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code not in (408, 425, 429)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server says {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
