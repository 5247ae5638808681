"""The server as the agent sees it: a few requests over HTTP, each with its rule for what to do when it goes wrong.

Shell, standard library only. Law: a connection error, a 5xx, 408 or 429, and an answer that is not gitboot's are the world's
fault (`Unavailable`) and asked again for ever where the answer decides what happens; any other refusal is final (`Refused`).
The first claim opens a session with the boot's token, or goes on with the one that was kept, and every request is signed by it.
One connection per request, so threads may share a `Server`. `docs/agent-protocol.md` is the reference.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from agent import session
from agent.commands import Accepted, Cancelled, Gone
from agent.given import Given, given_from_json
from agent.messages import Attempt, Claim, Event, Idle, Malformed, Rehearse, claim_from_json, event_to_json
from agent.pinned import Impostor, connect
from agent.scrub import Scrubber
from agent.session import Session, Signer

LONGEST_PAUSE = 10.0
"""Seconds between two tries of one request, at most."""
LONGEST_ANSWER = 64 << 20
"""Bytes. A workflow has kilobytes; what is longer is not from gitboot."""

SIGNATURES = 4
"""Times that one request is signed anew in a row, for a server that was started again or saw later ones first."""

T = TypeVar("T")


class Unavailable(Exception):
    """The world's fault: nobody answered, or not with an answer. The message says who and how."""


class Parked(Unavailable):
    """Another agent is at work on this machine: asked again after `seconds`."""

    def __init__(self, error: str, seconds: float) -> None:
        super().__init__(f"parked: {error}")
        self.seconds = seconds


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


@dataclass(slots=True)
class Keeper:
    """The session of this start of the system, in memory and, with a `file`, for the agent that is started after this one."""

    file: Path | None = None
    signer: Signer | None = None

    def load(self, boot: str, system: str) -> None:
        """What an earlier agent kept, if it is of this boot and this start of the system."""
        if self.file is None:
            return
        with suppress(OSError, ValueError, RecursionError):
            kept = json.loads(self.file.read_bytes())
            if isinstance(kept, dict) and (kept.get("boot"), kept.get("system")) == (boot, system):
                self._begin(session.from_json(kept))

    def keep(self, found: Session, boot: str, system: str) -> None:
        self._begin(found)
        if self.file is not None:
            document = json.dumps({"boot": boot, "system": system, **session.to_json(found)})
            fresh = self.file.with_suffix(".new")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(document)
            fresh.rename(self.file)

    def drop(self) -> None:
        self.signer = None
        if self.file is not None:
            self.file.unlink(missing_ok=True)

    def _begin(self, found: Session | None) -> None:
        """Above every number that was used: nobody makes a request in a microsecond."""
        self.signer = Signer(found, itertools.count(time.monotonic_ns() // 1000)) if found else None


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
    kept: Keeper = field(default_factory=Keeper, repr=False)

    scrubber: Scrubber = field(default_factory=Scrubber, repr=False)
    """Knows the token, the session's key and what was given in secret: no free text that is sent holds any of it."""

    def __post_init__(self) -> None:
        self.scrubber.learn([self.token])  # an action sees it on the kernel's command line

    def claim(self, system: str) -> Claim | Rehearse | Idle:
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
        """What the attempt, whose start was accepted, is given in secret. Asked until answered. Raises Refused.

        Without a run, in a rehearsal: the login of its image's registry and nothing else.
        """
        body = {"boot": self.boot, "run": run, "task": attempt.task, "action": attempt.action}
        given = self._insist(lambda: self._secrets(body))
        self.scrubber.learn(given.values)
        return given

    def rehearsed(self, findings: Sequence[Mapping[str, Any]]) -> None:
        """Asked until answered. Raises Refused."""
        body = {"boot": self.boot, "findings": [self.scrubber.document(each) for each in findings]}
        self._insist(lambda: self._rehearsed(body))

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
        answer = self._post("/agent/heartbeat", {"boot": self.boot, "run": run, "clock": time.time()})
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

    def _claim(self, system: str) -> Claim | Rehearse | Idle:
        if self.kept.signer is None:
            self.kept.load(self.boot, system)
        if self.kept.signer is None and (over := self._open(system)):
            return over
        if signer := self.kept.signer:
            self.scrubber.learn([signer.session.key])
        answer = self._post("/agent/claim", {"boot": self.boot, "system": system})
        if answer.status == 410:
            self.kept.drop()
            raise Unavailable(answer.error)
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

    def _rehearsed(self, body: Mapping[str, Any]) -> None:
        answer = self._post("/agent/rehearsal", body)
        if answer.status != 200:
            raise Refused(answer.status, answer.error)

    def _open(self, system: str) -> Idle | None:
        """Exchanges the boot's token for a session; what is left to do when the boot is over. Raises Unavailable, Refused."""
        body = json.dumps({"boot": self.boot, "system": system}).encode()
        answer = self._send("/agent/session", body, "application/json", f"Bearer {self.token}")
        match answer.status:
            case 200 if found := session.from_json(answer.document):
                self.kept.keep(found, self.boot, system)
                return None
            case 200:
                raise Unavailable(f"{self.url} answers, but not like gitboot")
            case 410:
                return Idle("reboot", answer.error, 0.0)
            case 423:
                retry = answer.document.get("retry")
                raise Parked(answer.error, float(retry) if isinstance(retry, int | float) else LONGEST_PAUSE)
        raise Refused(answer.status, answer.error)

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
                self.pause(error.seconds if isinstance(error, Parked) else seconds)
        raise AssertionError("pauses() never ends")

    def _post(self, path: str, document: Mapping[str, Any]) -> Answer:
        return self._ask(path, json.dumps(document).encode(), "application/json")

    def _ask(self, path: str, body: bytes, content: str) -> Answer:
        """One POST, signed; again where only its nonce or number was too old. Raises Unavailable."""
        for _ in range(SIGNATURES):
            signer = self.kept.signer
            if signer is None:
                raise Unavailable("no session is open yet")
            answer = self._send(path, body, content, str(signer.sign("POST", path, body)))
            nonce = answer.document.get("nonce")
            if answer.status != 401 or not isinstance(nonce, str):
                return answer
            signer.nonce = nonce
        raise Unavailable(f"{self.url} takes none of our signatures: {answer.error}")

    def _send(self, path: str, body: bytes, content: str, authorization: str) -> Answer:
        """One POST. Raises Unavailable."""
        headers = {"Authorization": authorization, "Content-Type": content, "Connection": "close"}
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
