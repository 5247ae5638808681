"""What every page of the dashboard stands on: its template, the documents it is made of, and how times are written.

Shell. The law: a page is whole, runs nothing but our own script, and whatever comes from machines, people or git is text in it.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Generator, Mapping
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.responses import Response

from netboot.leisure import at_leisure
from netboot.status_view import INDEX_PATH
from netboot.world import World

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


_OBEYED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What no template has, and no text of others may have in a page: controls, and what turns the direction of writing round."""

EVERY = 15
"""Seconds after which a page that is looked at is made anew though nothing has changed: time alone makes issues of waits."""


SHARE = 20
T = TypeVar("T")


class Pages:
    def __init__(self, world: World) -> None:
        self.world = world
        self._templates = Environment(
            loader=PackageLoader("netboot.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_plain,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"age": age, "clock": clock, "seconds": seconds, "until": until, "took": took}

    def render(self, name: str, *, every: int = EVERY, watch: Collection[str] = (), **values: object) -> Response:
        """`watch`: paths below /status/ whose change makes it another page; none: any. A new plan always does."""
        world, word = self.world, self.world.git.latest
        shell = {
            "here": name, "now": world.now(), "commit": word.revision if word else "", "hold": world.hold(),
            "every": every, "watch": [INDEX_PATH, *watch] if watch else (),
        }  # fmt: skip
        text = self._templates.get_template(f"{name}.html").render(shell | values)
        return Response(_OBEYED.sub(_visible, text), media_type="text/html; charset=utf-8", headers=HEADERS)

    def document(self, path: str) -> Any:
        """What is at `path` below /status/. Raises 404, or 503 before the first plan."""
        document = self.maybe(path)
        if document is None:
            self.must_serve()
            raise HTTPException(404, "Git names nothing of that name; / lists what there is.")
        return document

    def maybe(self, path: str) -> Any:
        data = self.world.status_document(path)
        return None if data is None else json.loads(data)

    def must_serve(self) -> None:
        """Raises 503 before the first plan."""
        if self.world.plans is None:
            raise HTTPException(503, f"No plan is served yet: {self.world.no_plan}.", {"Retry-After": "5"})


def _plain(value: object) -> object:
    """What a page shows is nothing that a terminal would obey either, or that turns text round. Markup is ours."""
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in value)


class Kept(Generic[T]):
    """What costs as much as all machines, kept for `SHARE` times as long as it took to make: so it takes that part of the
    server's time at most, however often it is asked for, and of a small site everything is new."""

    def __init__(self, most: int = 64) -> None:
        """`most`: values that are kept."""
        self._most = most
        self._kept: OrderedDict[object, tuple[float, T]] = OrderedDict()
        self._making = asyncio.Lock()

    async def get(self, key: object, make: Callable[[], Generator[None, None, T]]) -> T:
        """Whoever asks first has it made for all who ask meanwhile."""
        async with self._making:
            began = time.monotonic()
            kept = self._kept.get(key)
            if kept is not None and began < kept[0]:
                return kept[1]
            value = await at_leisure(make())
            ended = time.monotonic()
            self._kept[key] = (ended + SHARE * (ended - began), value)
            self._kept.move_to_end(key)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return value


def _instant(at: float | str | None) -> float | None:
    return datetime.fromisoformat(at).timestamp() if isinstance(at, str) else at or None


def age(at: float | str | None, now: float) -> str:
    instant = _instant(at)
    return "never" if instant is None else f"{seconds(max(0.0, now - instant))} ago"


def until(by: str, now: float) -> str:
    """`in 1m 20s`, or `overdue for 3m 0s`."""
    left = (_instant(by) or now) - now
    return f"in {seconds(left)}" if left >= 0 else f"overdue for {seconds(-left)}"


def took(run: Mapping[str, Any], now: float) -> str:
    """Of a run's document."""
    ended, began = _instant(run["ended"]), _instant(run["started"]) or now
    return seconds(max(0.0, (ended or now) - began)) + ("" if ended else " so far")


def clock(at: float | str | None) -> str:
    instant = _instant(at)
    return "" if instant is None else datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def seconds(value: float) -> str:
    """`12s`, `3m 20s`, `5h 10m`, `2d`."""
    whole = int(value)
    if whole < 60:
        return f"{value:.1f}s" if value < 10 else f"{whole}s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}h" if hours else f"{days}d"
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s"


def _visible(obeyed: re.Match[str]) -> str:
    return obeyed[0].encode("unicode_escape").decode()
