"""IMDSv2: the token without which a request that was smuggled into a machine's own software learns nothing.

Core. Law: a token is good until it expires, for the machine that it was made for, and is kept nowhere: it is its expiry and an
HMAC over that and the machine's name, by a key of its own derived from the server's. AWS, "Use the Instance Metadata Service to
access instance metadata".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "x-aws-ec2-metadata-token"  # noqa: S105 - the header's name, no token
FORWARDED_HEADER = "x-forwarded-for"
LONGEST_TTL = 21600
"""Seconds; six hours."""


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    ttl: int


@dataclass(frozen=True, slots=True)
class Refusal:
    status: Literal[400, 401, 403]
    why: str


def issue(key: bytes, machine: str, headers: Mapping[str, str], now: float) -> Token | Refusal:
    """Answers PUT /latest/api/token. `headers` by lower-case name; `now`: seconds since the epoch."""
    if FORWARDED_HEADER in headers:
        return Refusal(403, "A token is not given through a proxy: ask without X-Forwarded-For.")
    ttl = headers.get(TTL_HEADER, "")
    if not (ttl.isascii() and ttl.isdigit() and len(ttl) <= 5 and 1 <= int(ttl) <= LONGEST_TTL):
        return Refusal(400, f"A token needs the header {TTL_HEADER} with seconds from 1 to {LONGEST_TTL}.")
    expiry = f"{int(now) + int(ttl):016x}"
    return Token(expiry + _mac(key, machine, expiry), int(ttl))


def admit(key: bytes, machine: str, headers: Mapping[str, str], required: bool, now: float) -> Refusal | None:
    """Whether a request for metadata may be answered; a wrong token is worse than none."""
    token = headers.get(TOKEN_HEADER)
    if token is None:
        return Refusal(401, "This site gives metadata to who shows a token: PUT /latest/api/token first.") if required else None
    expiry, mac = token[:16], token[16:]
    if not hmac.compare_digest(_mac(key, machine, expiry).encode(), mac.encode(errors="replace")):
        return Refusal(401, "This token is not one of ours for this machine: PUT /latest/api/token for a new one.")
    if int(now) >= int(expiry, 16):
        return Refusal(401, "This token has expired: PUT /latest/api/token for a new one.")
    return None


def _mac(key: bytes, machine: str, expiry: str) -> str:
    own = hmac.new(key, b"metadata", hashlib.sha256).digest()
    return hmac.new(own, f"{len(machine)}:{machine}:{expiry}".encode(errors="replace"), hashlib.sha256).hexdigest()
