"""Who may read what people read: the status, logs and metrics of a site.

Core. Law: a request is let in for one of four reasons and no other: the operator said that everybody may, it came by the unix
socket in the state directory, both its ends are this host's loopback, or it shows a token of the list. Which reason it was, or
why it was none, is the answer. The list knows tokens by their SHA-256 alone, and a presented one is compared with every entry
in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from netboot.errors import Malformed
from netboot.rates import Rates

PREFIX = "gitboot_"
"""What every token begins with, so that a person, or a scanner for lost secrets, sees what it is."""
MOST_WRONG, WRONG_SECONDS = 10, 10
"""Wrong tokens of one address at once, and the seconds after which it may try one more."""
LONGEST = 1024
"""Of an Authorization header that is looked at."""

HOW = (
    "`gitboot token add NAME --state DIR` on the server makes one; send it as `Authorization: Bearer TOKEN`, "
    "or as the password of HTTP Basic with any user name (`curl -u :TOKEN`)"
)


class Token(msgspec.Struct, frozen=True):
    """One that may read; the token itself was shown once, to whoever made it."""

    name: str
    sha256: str
    """64 lower-case hex digits."""
    made: str
    """RFC 3339, UTC."""


class _File(msgspec.Struct):
    tokens: list[Token]


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request decides. Addresses are texts; "" is one that is not known."""

    peer: str
    local: str
    """The address of ours that it reached."""
    by_socket: bool = False
    host: str = ""
    """The Host header."""
    forwarded: bool = False
    """A proxy says that it speaks for somebody else."""
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class Admitted:
    """`by`: the name of a token, or how it came without one."""

    by: str


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    status: int
    """401, or 429 with `retry` seconds."""
    reason: str
    wrong: bool = False
    """A token was shown, and it is none of ours."""
    retry: int = 0


class Readers:
    """Decides, and remembers nothing but who showed wrong tokens lately."""

    def __init__(self, open_status: bool = False) -> None:
        self._open = open_status
        self._wrong = Rates(1 / WRONG_SECONDS, MOST_WRONG)

    def admit(self, asked: Asked, tokens: Sequence[Token], now: float) -> Admitted | NotAdmitted:
        """A right token is let in however often its address was wrong: behind a NAT that was somebody else, and a token is
        too long to be guessed. What is bounded is what wrong ones cost us."""
        if open_by := self._without_token(asked):
            return Admitted(open_by)
        presented = token_of(asked.authorization)
        if not presented:
            return NotAdmitted(401, f"Reading this needs a token: {HOW}.")
        name = _whose(presented, tokens)
        if name is not None:
            return Admitted(name)
        if wait := self._wrong.wait(asked.peer, now):
            retry = int(wait) + 1
            return NotAdmitted(429, f"Too many wrong tokens came from {asked.peer}: wait {retry} s.", wrong=True, retry=retry)
        return NotAdmitted(401, f"This is no token of this server (`gitboot token list` names them): {HOW}.", wrong=True)

    def _without_token(self, asked: Asked) -> str:
        """A proxy on this host speaks for others, and so does a web page that was made to mean us by a name of its own (DNS
        rebinding): loopback counts only where neither can be."""
        if self._open:
            return "--open-status"
        if asked.by_socket:
            return "unix socket"
        here = _is_loopback(asked.peer) and _is_loopback(asked.local)
        return "loopback" if here and not asked.forwarded and _names_loopback(asked.host) else ""


def decode_tokens(data: bytes) -> list[Token]:
    """`STATE/tokens.json`. Raises Malformed."""
    try:
        return msgspec.json.decode(data, type=_File).tokens
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the list of tokens: {error}") from None


def encode_tokens(tokens: Sequence[Token]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(_File(list(tokens)))) + b"\n"


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def token_of(authorization: str) -> str:
    """Of `Bearer TOKEN` (RFC 6750) or `Basic …` with the token as password (RFC 7617); "" where there is none."""
    scheme, _, value = authorization[:LONGEST].partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip()
        case "basic":
            try:
                return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
            except (binascii.Error, ValueError):
                return ""
    return ""


def _whose(presented: str, tokens: Sequence[Token]) -> str | None:
    """Every entry is compared, whichever is right."""
    digest, found = digest_of(presented).encode(), None
    for token in tokens:
        if hmac.compare_digest(digest, token.sha256.encode()):
            found = token.name
    return found


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _names_loopback(host: str) -> bool:
    """Programs that say no Host are no browsers."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return not host or name == "localhost" or name.endswith(".localhost") or _is_loopback(name)
