"""Where the status commands read: a server over HTTP, or the files of a state directory."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from reconciler.commands import options
from reconciler.commands.terminal import printable
from reconciler.errors import words_of
from reconciler.sentence import Sentence

Document = dict[str, Any]
Read = Callable[[str], Document | None]
"""A path below /status/ → its document, or None when there is none."""

TIMEOUT = 10
"""Seconds of silence."""
LONGEST = 64 << 20
PIECE = 4 << 20
"""Bytes of a log that are read at once."""
WANTED = "Here it is read from --token-file or GITBOOT_TOKEN; on the server itself, --state needs none."


class Reader(Protocol):
    """Both raise Sentence when nothing can be read there."""

    def __call__(self, path: str) -> Document | None:
        """As `Read` has it."""

    def log(self, path: str, offset: int = 0) -> bytes:
        """What follows `offset` in a log, `/logs/…` as documents name it: at most `PIECE` bytes, b"" when there is no more."""


@contextmanager
def reading(server: str, state: Path | None, token_file: Path | None, patience: float = TIMEOUT) -> Iterator[Reader]:
    """As the options of a command say: a state directory where one is named, else the server."""
    with files(state) if state else over_http(server, options.token_from(token_file), patience) as reader:
        yield reader


@contextmanager
def files(state: Path) -> Iterator[Reader]:
    """Raises Sentence when the directory cannot be read."""
    if not state.is_dir():
        raise Sentence(f"There is no state directory {state}; correct --state.", 2)
    yield _Files(state)


@contextmanager
def over_http(server: str, token: str, patience: float = TIMEOUT) -> Iterator[Reader]:
    """One connection for all documents. Raises Sentence when nobody, or not gitboot, answers."""
    connection, prefix = connect(server, patience)
    try:
        yield _Server(server, connection, prefix, {"Authorization": f"Bearer {token}"} if token else {})
    finally:
        connection.close()


def connect(server: str, timeout: float) -> tuple[http.client.HTTPConnection, str]:
    """To a server by its URL, with the path that stands before all others. Raises Sentence when it is no URL."""
    try:
        url = urlsplit(server if "://" in server else f"http://{server}")
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}[url.scheme]
        return kind(url.hostname or "", url.port, timeout=timeout), url.path.rstrip("/")
    except (ValueError, KeyError, http.client.HTTPException):
        raise Sentence(
            f"{server!r} is not an address such as http://10.1.0.1 or http://10.1.0.1:8080; correct --server.", 2
        ) from None


class _Files:
    def __init__(self, state: Path) -> None:
        self._state = state

    def __call__(self, path: str) -> Document | None:
        data = self._read(self._state / "status" / path, 0, LONGEST)
        return None if data is None else _document(data, str(self._state))

    def log(self, path: str, offset: int = 0) -> bytes:
        return self._read(self._state / path.lstrip("/"), offset, PIECE) or b""

    def _read(self, file: Path, offset: int, most: int) -> bytes | None:
        try:
            with file.open("rb") as opened:
                opened.seek(offset)
                return opened.read(most)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Sentence(f"{error.filename} cannot be read ({error.strerror}); check its owner.") from None


class _Server:
    def __init__(self, name: str, connection: http.client.HTTPConnection, prefix: str, headers: dict[str, str]) -> None:
        self._name, self._connection, self._prefix, self._headers = name, connection, prefix, headers

    def __call__(self, path: str) -> Document | None:
        status, data, kind = self._ask(f"/status/{path}", {}, LONGEST)
        if status == 404 and kind.startswith("text/plain"):
            return None
        if status != 200:
            raise Sentence(f"{self._name} answers HTTP {status} for /status/{path}; is it a gitboot?")
        return _document(data, self._name)

    def log(self, path: str, offset: int = 0) -> bytes:
        status, data, _ = self._ask(path, {"Range": f"bytes={offset}-{offset + PIECE - 1}"}, PIECE)
        if status in (404, 416):  # not begun; nothing after what was read
            return b""
        if status != 206:
            raise Sentence(f"{self._name} answers HTTP {status} for a part of {path}; is it a gitboot?")
        return data

    def _ask(self, path: str, headers: dict[str, str], most: int) -> tuple[int, bytes, str]:
        """Status, body and type of the body."""
        try:
            self._connection.request("GET", self._prefix + quote(path, safe="/="), headers=self._headers | headers)
            answer = self._connection.getresponse()
            data = answer.read(most)
        except (OSError, http.client.HTTPException) as error:
            hint = "name the server with --server, or read a state directory with --state"
            raise Sentence(f"{self._name} does not answer ({words_of(error)}); {hint}.") from None
        if answer.status in (401, 429):
            raise Sentence(refused(self._name, answer.status, data))
        return answer.status, data, answer.getheader("content-type", "")


def refused(server: str, status: int, said: bytes) -> str:
    """Why a server tells nothing, and what to do."""
    if status in (401, 429):
        return printable(f"{server} says: {said[:1000].decode(errors='replace').strip()} {WANTED}")
    return f"{server} answers HTTP {status}; is it a gitboot?"


def _document(data: bytes, whose: str) -> Document:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("apiVersion") != "gitboot/v1":
        raise Sentence(f"{whose} answers, but not like a gitboot of this version.")
    return document
