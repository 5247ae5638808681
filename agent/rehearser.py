"""Going through a workflow without doing it: images are brought, URLs asked for their head, disks looked at, memory measured.

Shell, standard library only. Law: nothing of the work is started, and no disk is opened but for reading. Nothing here can do
either: there is no runtime, of the engine no more is known than how to bring an image, and of marking no more than how to read.
"""

from __future__ import annotations

import base64
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from agent.client import Refused
from agent.disks import BlockDevice
from agent.images import NotHad
from agent.marking import partitions, read_block
from agent.messages import Attempt, Rehearsed
from agent.rehearsal import MOST, Finding, images, of_disk, of_memory, shown, targets, urls
from agent.sysfs import block_devices
from agent.workflow import Action

SILENCE = 20.0
"""Seconds for which a server may say nothing."""
PAUSES = (2.0, 4.0)
"""Seconds between three tries of a URL."""
_NO_HEAD = (403, 405, 501)

Say = Callable[[str], None]
Login = Callable[[Attempt], Mapping[str, str] | None]


class Bringer(Protocol):
    """What brings images: `agent.images.Images`."""

    def get(self, action: Action, say: Say, login: Mapping[str, str] | None = None) -> str: ...


def look_at(disk: str) -> tuple[int, bytes]:
    """How many partitions there are, and what is where a marker would be. Raises OSError."""
    return len(partitions(disk)), read_block(disk)


class Rehearser:
    """`images`: None where no engine is. `login` opens the registry of an action's image. `say` hears each finding."""

    def __init__(
        self,
        images: Bringer | None,
        login: Login,
        say: Say,
        disks: Callable[[], Sequence[BlockDevice]] = block_devices,
        look: Callable[[str], tuple[int, bytes]] = look_at,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._images = images
        self._login = login
        self._say = say
        self._disks = disks
        self._look = look
        self._pause = pause

    def go_through(self, works: Sequence[Rehearsed]) -> list[Finding]:
        """What there is to say of all works, at most `MOST` findings."""
        found: list[Finding] = []
        for finding in self._findings(works):
            self._say(f"rehearsal: {finding}")
            found.append(finding)
        return found[:MOST]

    def _findings(self, works: Sequence[Rehearsed]) -> Iterator[Finding]:
        for work in works:
            self._say(f"rehearsal of workflow {work.workflow.name}, run {work.number}: nothing of it is started")
            yield from self._of_disks(work)
            yield from (self._of_url(url, work.workflow.name) for url in urls(work.workflow))
            for task, action in images(work.workflow):
                yield self._of_image(task, action, work.workflow.name)
        if works:
            yield of_memory(*_memory())

    def _of_disks(self, work: Rehearsed) -> Iterator[Finding]:
        there = list(self._disks())
        for target in targets(work, there):
            path = target.device.path if target.device else ""
            try:
                yield of_disk(target, *(self._look(path) if path else (0, b"")), work)
            except OSError as error:
                yield Finding("disk", target.name, "failed", f"{path} cannot be read: {error.strerror}", work.workflow.name)

    def _of_url(self, url: str, workflow: str) -> Finding:
        said = ""
        for pause in (*PAUSES, None):
            try:
                return Finding("url", shown(url), "ok", _reached(url), workflow)
            except urllib.error.HTTPError as error:
                error.close()
                said = f"answers HTTP {error.code}"
                if error.code < 500:
                    break
            except (OSError, ValueError, http.client.HTTPException) as error:  # of which URLError is one
                said = f"cannot be reached: {getattr(error, 'reason', None) or error or type(error).__name__}"
            if pause is not None:
                self._pause(pause)
        return Finding("url", shown(url), "failed", said, workflow)

    def _of_image(self, task: str, action: Action, workflow: str) -> Finding:
        if self._images is None:
            return Finding("image", action.image, "note", "not brought, for this agent has no container engine", workflow)
        try:
            login = self._login(Attempt(task, action.name, 1)) if action.login else None
            image = self._images.get(action, self._say, login)
        except (NotHad, Refused) as error:
            return Finding("image", action.image, "failed", str(error), workflow)
        return Finding("image", action.image, "ok", f"is here as {image}", workflow)


def _reached(url: str) -> str:
    """How big it is, as far as that is said. Raises HTTPError, OSError, ValueError or HTTPException."""
    try:
        return _asked(url, "HEAD")
    except urllib.error.HTTPError as error:
        if error.code not in _NO_HEAD:
            raise
        error.close()
        return _asked(url, "GET")  # there are servers, and signed URLs, that know no other way


def _asked(url: str, method: str) -> str:
    parts = urlsplit(url)
    headers = {"Range": "bytes=0-0"} if method == "GET" else {}
    if parts.username is not None:
        words = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(words).decode()}"
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    request = urllib.request.Request(bare, headers=headers, method=method)  # noqa: S310 - `urls` finds http and https alone
    with urllib.request.urlopen(request, timeout=SILENCE) as answer:  # noqa: S310 - as above
        size = answer.headers.get("Content-Range", "").rpartition("/")[2] or answer.headers.get("Content-Length", "")
    return f"is there, {int(size) / 1e6:.1f} MB" if size.isdecimal() else "is there"


def _memory() -> tuple[int, int]:
    """All there is and what is free, in bytes."""
    known = dict(re.findall(r"(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text()))
    return int(known["MemTotal"]) << 10, int(known["MemAvailable"]) << 10
