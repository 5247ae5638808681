"""The server as the agent sees it: six requests over HTTP, each with its rule for what to do when it goes wrong.

Shell, standard library only. Law: a connection error, a 5xx, 408 or 429, and an answer that is not gitboot's are the world's
fault (`Unavailable`) and asked again for ever where the answer decides what happens; any other refusal is final (`Refused`).
One connection per request, so threads may share a `Server`. `docs/agent-protocol.md` is the reference.
"""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from agent.commands import Accepted, Cancelled, Gone
from agent.given import Given, given_from_json
from agent.messages import Attempt, Claim, Event, Idle, Malformed, claim_from_json, event_to_json
from agent.pinned import Impostor, connect
from agent.scrub import Scrubber

LONGEST_PAUSE = 10.0
"""Seconds between two tries of one request, at most."""
LONGEST_ANSWER = 64 << 20
"""Bytes. A workflow has kilobytes; what is longer is not from gitboot."""

T = TypeVar("T")


class Unavailable(Exception):
    """The world's fault: nobody answered, or not with an answer. The message says who and how."""


class Refused(Exception):
    """The server's final word: asking again gets the same answer."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(f"{error} (HTTP {status})")
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    document: Mapping[str, Any]

    @property
    def error(self) -> str:
        return str(self.document.get("error", "no reason given"))


@dataclass(frozen=True, slots=True)
class Server:
    """`pause` is slept through between two tries; `say` hears about each new trouble once."""

    url: str
    boot: str
    token: str = field(repr=False)
    say: Callable[[str], None] = field(default=lambda _: None, repr=False)
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)
    timeout: float = 10.0
    """Seconds a connection may stay silent."""
    pins: frozenset[str] = frozenset()
    """Of the certificates that count, with an `https` URL."""

    scrubber: Scrubber = field(default_factory=Scrubber, repr=False)
    """Knows what was given in secret: no free text that is sent holds any of it."""

    def claim(self, system: str) -> Claim | Idle:
        """Asked until answered. `system` is the id of this start of the OS. Raises Refused."""
        return self._insist(lambda: self._claim(system))

    def report(self, run: str, sequence: int, event: Event) -> Accepted | Gone:
        """Asked until answered: an answer that was lost is simply given again. Raises Refused."""
        said = event_to_json(event)
        if "reason" in said:
            said["reason"] = self.scrubber.text(said["reason"])
        body = {"boot": self.boot, "run": run, "sequence": sequence, "event": said}
        return self._insist(lambda: self._report(body, sequence))

    def secrets(self, run: str, attempt: Attempt) -> Given:
        """What the attempt, whose start was accepted, is given in secret. Asked until answered. Raises Refused."""
        body = {"boot": self.boot, "run": run, "task": attempt.task, "action": attempt.action}
        given = self._insist(lambda: self._secrets(body))
        self.scrubber.learn(given.values)
        return given

    def log(self, run: str, attempt: Attempt, offset: int, chunk: bytes) -> int:
        """How many bytes the server holds now, whether it took the chunk or has others already. Raises Unavailable, Refused."""
        where = {"boot": self.boot, "run": run, "task": attempt.task, "action": attempt.action}
        return self._append("/agent/log", {**where, "attempt": attempt.number, "offset": offset}, chunk)

    def console(self, offset: int, chunk: bytes) -> int:
        """The same for what the console of this boot says."""
        return self._append("/agent/console", {"boot": self.boot, "offset": offset}, chunk)

    def _append(self, path: str, where: Mapping[str, object], chunk: bytes) -> int:
        answer = self._ask(f"{path}?{urlencode(where)}", chunk, "application/octet-stream")
        size = answer.document.get("size")
        if answer.status in (200, 409) and isinstance(size, int):
            return size
        raise Refused(answer.status, answer.error)

    def heartbeat(self, run: str) -> Cancelled | Gone | None:
        """Tried once. Raises Unavailable, Refused."""
        answer = self._post("/agent/heartbeat", {"boot": self.boot, "run": run})
        match answer.status:
            case 200:
                return Cancelled() if answer.document.get("cancel") is True else None
            case 410:
                return Gone(answer.error)
        raise Refused(answer.status, answer.error)

    def inventory(self, system: str, hardware: Mapping[str, Any]) -> None:
        """What the machine is made of. Tried once. Raises Unavailable, Refused."""
        told = self.scrubber.document(hardware)
        answer = self._post("/agent/inventory", {"boot": self.boot, "system": system, "hardware": told})
        if answer.status != 200:
            raise Refused(answer.status, answer.error)

    def _claim(self, system: str) -> Claim | Idle:
        answer = self._post("/agent/claim", {"boot": self.boot, "system": system})
        if answer.status != 200:
            raise Refused(answer.status, answer.error)
        try:
            return claim_from_json(answer.document)
        except Malformed as error:
            raise Unavailable(str(error)) from error

    def _secrets(self, body: Mapping[str, Any]) -> Given:
        answer = self._post("/agent/secrets", body)
        if answer.status != 200:
            raise Refused(answer.status, answer.error)
        try:
            return given_from_json(answer.document)
        except Malformed as error:
            raise Unavailable(str(error)) from error

    def _report(self, body: Mapping[str, Any], sequence: int) -> Accepted | Gone:
        answer = self._post("/agent/report", body)
        match answer.status:
            case 200:
                return Accepted(sequence)
            case 409 | 410:  # 409: our picture of the run is not the server's; a new claim brings the right one
                return Gone(answer.error)
        raise Refused(answer.status, answer.error)

    def _insist(self, ask: Callable[[], T]) -> T:
        told = ""
        for seconds in pauses():
            try:
                return ask()
            except Unavailable as error:
                if told != (told := str(error)):
                    self.say(f"{told}; trying again")
                self.pause(seconds)
        raise AssertionError("pauses() never ends")

    def _post(self, path: str, document: Mapping[str, Any]) -> Answer:
        return self._ask(path, json.dumps(document).encode(), "application/json")

    def _ask(self, path: str, body: bytes, content: str) -> Answer:
        """One POST. Raises Unavailable."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content, "Connection": "close"}
        connection = connect(self.url, self.pins, self.timeout)
        try:
            connection.request("POST", urlsplit(self.url).path.rstrip("/") + path, body, headers)
            response = connection.getresponse()
            return _understand(self.url, response.status, response.read(LONGEST_ANSWER))
        except Impostor as error:
            raise Unavailable(f"{self.url} is not the server that this machine booted from: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{self.url} does not answer: {error or type(error).__name__}") from error
        finally:
            connection.close()


def pauses() -> Iterator[float]:
    """Seconds to wait before the next try: doubling from about 0.2 up to 10, spread so that a rack does not ask in step."""
    longest = 0.2
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311 - spreads load, hides nothing
        longest = min(longest * 2, LONGEST_PAUSE)


def _understand(url: str, status: int, body: bytes) -> Answer:
    if status >= 500 or status in (408, 429):
        raise Unavailable(f"{url} answers HTTP {status}")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        return Answer(status, document)
    if status == 200:
        raise Unavailable(f"{url} answers, but not like gitboot")
    return Answer(status, {"error": body[:200].decode(errors="replace").strip() or "no reason given"})
