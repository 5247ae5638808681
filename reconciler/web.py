"""One exchange with a forge over HTTP, and never for ever.

Shell. It ends within a deadline whatever the other side does, follows no redirect (which would carry the token to wherever it
leads), and reads no more than it was asked to. The work is done in a thread of its own, for a name server cannot be
interrupted; it is abandoned, and ends by itself. Proxies count as everywhere (`https_proxy`, `no_proxy`).
"""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from queue import Empty, SimpleQueue
from typing import Any

from reconciler.errors import Unavailable, words_of
from reconciler.forges import Answer, Request

SILENCE = 20.0
"""Seconds without a byte."""
LONGEST = 60.0
"""Seconds for an answer."""
MOST_BYTES = 32 << 20
"""Of an answer: a hundred comments of the longest that GitHub takes are 7 MiB."""
CHUNK = 64 * 1024


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Nowhere: the answer is handed to the caller as it is."""


_opener = urllib.request.build_opener(_Stay)


def exchange(request: Request, silence: float = SILENCE, longest: float = LONGEST) -> Answer:
    """Raises Unavailable, whose text holds no token."""
    answers: SimpleQueue[Answer | Exception] = SimpleQueue()
    deadline = time.monotonic() + longest

    def work() -> None:
        try:
            answers.put(_ask(request, silence, deadline))
        except (OSError, HTTPException, ValueError) as error:
            answers.put(error)

    threading.Thread(target=work, name="forge", daemon=True).start()
    try:
        answer = answers.get(timeout=longest)
    except Empty:
        answer = TimeoutError(f"nothing within {longest:.0f} seconds")
    if isinstance(answer, Answer):
        return answer
    reason = getattr(answer, "reason", None) or answer
    raise Unavailable(
        f"{_origin(request.url)} does not answer ({words_of(reason) if isinstance(reason, Exception) else reason})."
    )


def _ask(request: Request, silence: float, deadline: float) -> Answer:
    asked = urllib.request.Request(  # noqa: S310 - `forge_of` lets only http and https through
        request.url, request.body or None, dict(request.headers), method=request.method
    )
    try:
        answer = _opener.open(asked, timeout=silence)
    except urllib.error.HTTPError as refused:  # an answer as well
        answer = refused
    with answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status, headers, _read(answer, deadline))


def _read(answer: Any, deadline: float) -> bytes:
    content, left = list[bytes](), MOST_BYTES
    while (chunk := answer.read1(CHUNK)) and time.monotonic() < deadline:  # after which nobody waits any more
        content.append(chunk)
        left -= len(chunk)
        if left < 0:
            raise ValueError(f"more than {MOST_BYTES >> 20} MiB")
    return b"".join(content)


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])
