"""Capabilities: the token that lets an agent speak for one boot, and for nothing else.

Core. Law: a token is HMAC-SHA256(server key, boot id) in hex (RFC 2104), so the server keeps no list of tokens, a restart
forgets none, and a boot id seen in a status file gives nobody the right to report for it. Comparison takes constant time.
"""

from __future__ import annotations

import hashlib
import hmac

KEY_BYTES = 32
"""Length of the server key; the shell makes it once per state directory."""


def token(key: bytes, boot: str) -> str:
    """64 hex digits."""
    return hmac.new(key, boot.encode(), hashlib.sha256).hexdigest()


def verify(key: bytes, boot: str, presented: str) -> bool:
    return hmac.compare_digest(token(key, boot).encode(), presented.encode(errors="replace"))


def from_header(authorization: str) -> str:
    """The token of `Authorization: Bearer <token>` (RFC 6750 section 2.1); empty when it is no such header."""
    scheme, _, presented = authorization.partition(" ")
    return presented.strip() if scheme.lower() == "bearer" else ""
