"""Capabilities: the token that a boot script carries, and the key of the session that it is exchanged for.

Core. Law: both are HMAC-SHA256 (RFC 2104) under the server key, over length-prefixed words of which the first says what it is,
so the server keeps no list, a restart forgets none, nothing secret is on disk, and an id seen in a status file gives nobody
anything. A token is bound to machine, plan and boot, and dies by the server's clock. Comparison takes constant time.
"""

from __future__ import annotations

import hashlib
import hmac

KEY_BYTES = 32
"""Length of the server key; the shell makes it once per state directory."""
LIFETIME = 3600
"""Seconds from the script to the exchange of its token: the slowest load of a kernel and its initrds."""
_EXPIRY = 8
"""Hex digits of seconds since the epoch, which stand before the digest: enough until 2106."""


FOREIGN = "The token does not belong to a boot that is known here: boot the machine again, and its script brings a new one."


def token(key: bytes, machine: str, plan: str, boot: str, until: float) -> str:
    """64 hex digits, good for one exchange of this boot until `until`, in seconds since the epoch."""
    expiry = f"{int(until) & 0xFFFFFFFF:0{_EXPIRY}x}"
    return expiry + _hmac(key, "boot", machine, plan, boot, expiry)[: 64 - _EXPIRY]


def objection(key: bytes, machine: str, plan: str, boot: str, presented: str, now: float) -> str:
    """Why `presented` opens no session in this boot now, or ""."""
    try:
        until = int(presented[:_EXPIRY], 16)
    except ValueError:
        until = 0
    if not hmac.compare_digest(token(key, machine, plan, boot, until).encode(), presented.encode(errors="replace")):
        return FOREIGN
    return "" if now <= until else "The token has expired: boot the machine again, and its script brings a new one."


def session_key(key: bytes, session: str) -> str:
    """64 hex digits: what the requests of a session are signed with."""
    return _hmac(key, "session", session)


def from_header(authorization: str) -> str:
    """The token of `Authorization: Bearer <token>` (RFC 6750 section 2.1); empty when it is no such header."""
    scheme, _, presented = authorization.partition(" ")
    return presented.strip() if scheme.lower() == "bearer" else ""


def _hmac(key: bytes, *words: str) -> str:
    parts = [word.encode() for word in words]
    return hmac.new(key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), hashlib.sha256).hexdigest()
