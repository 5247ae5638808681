"""A server's `/events`, followed for as long as somebody looks: which documents changed.

Shell. The law: nothing that changed is missed. It comes back with the id of what it heard last, and says so where the server
does not know that any more.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator

from reconciler.commands.documents import connect, refused
from reconciler.errors import words_of
from reconciler.sentence import Sentence

SILENCE = 60.0
"""Seconds; the server says something every 15."""
PAUSE = 2.0
"""Seconds before it asks a server again that went away."""
LONGEST = 1 << 20
"""Bytes of a line."""


News = frozenset[str] | None
"""Paths below /status/ that changed; None: any of them may have."""


def changes(server: str, token: str) -> Iterator[News]:
    """None as soon as it listens; then what changed, and nothing of it every few seconds. Never ends.

    Raises Sentence where nobody answers the first time, and where the server refuses to say.
    """
    last = ""
    while True:
        connection, prefix = connect(server, SILENCE)
        try:
            answer = _asked(connection, f"{prefix}/events", token, last)
            if answer.status != 200:
                raise Sentence(refused(server, answer.status, answer.read(1000)))
            for heard, news in _messages(answer, last):
                last = heard
                yield news
        except (OSError, http.client.HTTPException, ValueError) as error:
            if not last:
                raise Sentence(f"{server} does not answer ({words_of(error)}); name the server with --server.") from None
        finally:
            connection.close()
        time.sleep(PAUSE)
        yield frozenset()


def _asked(connection: http.client.HTTPConnection, path: str, token: str, last: str) -> http.client.HTTPResponse:
    headers = {"Accept": "text/event-stream"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    headers |= {"Last-Event-ID": last} if last else {}
    connection.request("GET", path, headers=headers)
    return connection.getresponse()


def _messages(answer: http.client.HTTPResponse, last: str) -> Iterator[tuple[str, News]]:
    """The id of each message, and what it tells; until the server says no more (HTML Living Standard, section 9.2.6)."""
    first, fields = not last, dict[str, str]()
    while line := answer.readline(LONGEST):
        name, _, value = line.decode(errors="replace").rstrip("\r\n").partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
            continue
        if value:  # a comment: it is still here
            yield last, frozenset()
            continue
        last = fields.get("id", last)
        if first or fields.get("event") == "reset":
            yield last, None
        elif fields.get("event") == "changed":
            yield last, frozenset(json.loads(fields.get("data", "[]")))
        first, fields = False, {}
