"""Where the status commands read: a server over HTTP, or the files of a state directory."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from reconciler.commands.terminal import printable
from reconciler.sentence import Sentence

Document = dict[str, Any]
Read = Callable[[str], Document | None]
"""A path below /status/ → its document, or None when there is none."""

TIMEOUT = 10
LONGEST = 64 << 20
WANTED = "Here it is read from --token-file or GITBOOT_TOKEN; on the server itself, --state needs none."


@contextmanager
def files(state: Path) -> Iterator[Read]:
    """Raises Sentence when the directory cannot be read."""

    def read(path: str) -> Document | None:
        try:
            return _document((state / "status" / path).read_bytes(), str(state))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Sentence(f"{error.filename} cannot be read ({error.strerror}); check its owner.") from None

    if not state.is_dir():
        raise Sentence(f"There is no state directory {state}; correct --state.", 2)
    yield read


@contextmanager
def over_http(server: str, token: str) -> Iterator[Read]:
    """One connection for all documents. Raises Sentence when nobody, or not gitboot, answers."""
    try:
        url = urlsplit(server if "://" in server else f"http://{server}")
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}[url.scheme]
        connection = kind(url.hostname or "", url.port, timeout=TIMEOUT)
    except (ValueError, KeyError, http.client.HTTPException):
        raise Sentence(
            f"{server!r} is not an address such as http://10.1.0.1 or http://10.1.0.1:8080; correct --server.", 2
        ) from None

    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def read(path: str) -> Document | None:
        try:
            connection.request("GET", f"{url.path.rstrip('/')}/status/{path}", headers=headers)
            answer = connection.getresponse()
            data = answer.read(LONGEST)
        except (OSError, http.client.HTTPException) as error:
            raise Sentence(
                f"{server} does not answer ({error}); name the server with --server, or read a state directory with --state."
            ) from None
        if answer.status == 404 and answer.getheader("content-type", "").startswith("text/plain"):
            return None
        if answer.status in (401, 429):
            raise Sentence(printable(f"{server} says: {data[:1000].decode(errors='replace').strip()} {WANTED}"))
        if answer.status != 200:
            raise Sentence(f"{server} answers HTTP {answer.status} for /status/{path}; is it a gitboot?")
        return _document(data, server)

    try:
        yield read
    finally:
        connection.close()


def _document(data: bytes, whose: str) -> Document:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("apiVersion") != "gitboot/v1":
        raise Sentence(f"{whose} answers, but not like a gitboot of this version.")
    return document
