"""`/events`: server-sent events (HTML Living Standard, section 9.2), one for each change of a status document.

Shell. The law: no event is lost or doubled for a listener that comes back with `Last-Event-ID`; one that is slow costs no
memory, for it is told what it missed when it takes it, and one that takes nothing is cut off as any connection is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from netboot.feed import Feed, News

HEARTBEAT = 15.0
"""Seconds after which something is sent, so that proxies keep the connection and one that is gone is found out."""
PAUSE = 0.2
"""Seconds after something was said in which what changes is gathered: listeners cost the same however much happens."""
RETRY = 2000
"""Milliseconds after which a browser asks again."""


def event_stream(request: Request, feed: Feed, heartbeat: float = HEARTBEAT) -> Response:
    """`changed` with the paths below /status/, or `reset` where some are not known any more."""
    last = _last(request.headers.get("last-event-id", ""), feed)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(feed, last, heartbeat), media_type="text/event-stream", headers=headers)


def _last(said: str, feed: Feed) -> int:
    """What a listener heard last; -1: nothing that can be gone on from. One that says nothing begins now."""
    if not said:
        return feed.last
    epoch, _, number = said.rpartition("-")
    known = epoch == feed.epoch and number.isascii() and number.isdecimal() and len(number) < 16
    return int(number) if known else -1


async def _stream(feed: Feed, last: int, heartbeat: float, pause: float = PAUSE) -> AsyncGenerator[str, None]:
    woken = asyncio.Event()
    feed.listeners += 1
    try:
        yield f"retry: {RETRY}\nid: {feed.epoch}-{max(last, 0)}\n\n"
        while True:
            if news := feed.since(last):
                last = news.last
                yield _text(feed, news)
                await asyncio.sleep(pause)
                continue
            woken.clear()
            feed.wait(woken, woken.set)
            try:
                async with asyncio.timeout(heartbeat):
                    await woken.wait()
            except TimeoutError:
                yield ": still here\n\n"
    finally:
        feed.listeners -= 1
        feed.leave(woken)


def _text(feed: Feed, news: News) -> str:
    name = "reset" if news.gap else "changed"
    return f"id: {feed.epoch}-{news.last}\nevent: {name}\ndata: {json.dumps(list(news.paths))}\n\n"
