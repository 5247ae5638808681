"""The session in which an agent speaks: what it is given for its boot's token, and how each of its requests is signed.

Core, standard library only. Law: a signature covers all that a request says, the server's nonce and a number that no other
request of the session has, so what was recorded can neither be changed nor said again. Both sides use this one module.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

_HEADER = re.compile(r"Gitboot session=([0-9a-f]{16}), nonce=([0-9a-f]{32}), n=([0-9]{1,18}), mac=([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Session:
    id: str
    """16 hex digits."""
    key: str = field(repr=False)
    """64 hex digits."""
    nonce: str
    """32 hex digits, of this start of the server."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What `Authorization: Gitboot …` says."""

    session: str
    nonce: str
    n: int
    mac: str

    def __str__(self) -> str:
        return f"Gitboot session={self.session}, nonce={self.nonce}, n={self.n}, mac={self.mac}"


@dataclass(slots=True)
class Signer:
    """Signs the requests of a session, each with the next number; its threads may share it. An agent that is started again
    in the same system begins above every number it used, and so may others: the server takes any jump forward.
    """

    session: Session
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    nonce: str = ""
    """Replaces the session's once the server has said that it has another."""

    def sign(self, method: str, target: str, body: bytes) -> Signature:
        nonce, n = self.nonce or self.session.nonce, next(self.numbers)
        return Signature(self.session.id, nonce, n, mac(self.session.key, method, target, nonce, n, body))


def mac(key: str, method: str, target: str, nonce: str, n: int, body: bytes) -> str:
    """64 hex digits: HMAC-SHA256 over five lines. `target`: path and query as they are sent, without scheme and host."""
    said = "\n".join((method, target, nonce, str(n), hashlib.sha256(body).hexdigest()))
    return hmac.new(bytes.fromhex(key), said.encode(errors="surrogateescape"), hashlib.sha256).hexdigest()


def from_header(authorization: str) -> Signature | None:
    """None for anything that is not as `Signature` is written."""
    found = _HEADER.fullmatch(authorization)
    return Signature(found[1], found[2], int(found[3]), found[4]) if found else None


def from_json(document: Mapping[str, Any]) -> Session | None:
    """The answer of `POST /agent/session`, or what of it was kept; None when it is not one."""
    session, key, nonce = (document.get(name) for name in ("session", "key", "nonce"))
    if not (isinstance(session, str) and isinstance(key, str) and isinstance(nonce, str)):
        return None
    if from_header(f"Gitboot session={session}, nonce={nonce}, n=0, mac={key}") is None:
        return None
    return Session(session, key, nonce)


def to_json(session: Session) -> dict[str, str]:
    return {"session": session.id, "key": session.key, "nonce": session.nonce}
