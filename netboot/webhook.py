"""What a git forge says when somebody pushed: whether it is the one that knows the secret.

Core. Law: a message proves itself by a signature over its whole body or by the secret itself, compared in constant time, and
says one thing only: "look now". What it claims besides is not read, so one that is recorded and sent again is a look too many.

| forge | shows | source |
|---|---|---|
| GitHub; Gitea and Forgejo besides | `X-Hub-Signature-256: sha256=<hex>` | "Validating webhook deliveries", docs.github.com |
| Gitea, Forgejo, Gogs | `X-Gitea-Signature: <hex>`, and with their own names | "Webhooks", docs.gitea.com |
| GitLab, secret token | `X-Gitlab-Token: <secret>` | "Webhooks", docs.gitlab.com |
| GitLab, signing token | `webhook-signature: v1,<base64> …` over `id.timestamp.body` | standardwebhooks.com |
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping

LONGEST = 1 << 20
"""Bytes of a message."""
SIGNING = b"whsec_"
"""What a secret begins with that is a signing token: the rest is the key, in base64."""


class BadSecret(Exception):
    """The message is a sentence."""


def secret_of(content: bytes) -> bytes:
    """The secret in a file's content: one line, without what surrounds it. Raises BadSecret."""
    secret = content.strip()
    if not secret or b"\n" in secret:
        raise BadSecret("it holds no secret: one line, as `openssl rand -hex 32` makes it and the forge was given it")
    if secret.startswith(SIGNING) and _signing_key(secret) == b"":
        raise BadSecret("it begins as a signing token does (`whsec_`) but goes on as none: base64 must follow")
    return secret


def sender(secret: bytes, headers: Mapping[str, str], body: bytes) -> str | None:
    """Whose way of showing the secret was right; None when none was. `headers`: by lower-case names."""
    shown = [(name, check) for name, check in _WAYS.items() if name in headers]
    return next((name for name, check in shown if check(secret, headers, body)), None)


def shows_anything(headers: Mapping[str, str]) -> bool:
    """Whether a way of showing a secret was tried at all."""
    return any(name in headers for name in _WAYS)


def _hub(secret: bytes, headers: Mapping[str, str], body: bytes) -> bool:
    return _same("sha256=" + _hex(secret, body), headers["x-hub-signature-256"])


def _bare(name: str) -> Callable[[bytes, Mapping[str, str], bytes], bool]:
    return lambda secret, headers, body: _same(_hex(secret, body), headers[name])


def _token(secret: bytes, headers: Mapping[str, str], body: bytes) -> bool:
    return hmac.compare_digest(_fixed(secret), _fixed(headers["x-gitlab-token"].encode("utf-8", "replace")))


def _standard(secret: bytes, headers: Mapping[str, str], body: bytes) -> bool:
    """Several signatures may stand there, of a token that is being replaced by another."""
    key = _signing_key(secret)
    said = f"{headers.get('webhook-id', '')}.{headers.get('webhook-timestamp', '')}.".encode("utf-8", "replace")
    right = "v1," + base64.b64encode(hmac.digest(key, said + body, hashlib.sha256)).decode()
    return bool(key) and any(_same(right, each) for each in headers["webhook-signature"].split(" "))


_WAYS: dict[str, Callable[[bytes, Mapping[str, str], bytes], bool]] = {
    "x-hub-signature-256": _hub,
    "x-gitea-signature": _bare("x-gitea-signature"),
    "x-forgejo-signature": _bare("x-forgejo-signature"),
    "x-gogs-signature": _bare("x-gogs-signature"),
    "x-gitlab-token": _token,
    "webhook-signature": _standard,
}


def _hex(secret: bytes, body: bytes) -> str:
    return hmac.digest(secret, body, hashlib.sha256).hex()


def _same(right: str, shown: str) -> bool:
    return hmac.compare_digest(right.encode(), shown.encode("utf-8", "replace"))


def _fixed(text: bytes) -> bytes:
    """Of one length for all, so that not even the secret's length can be measured."""
    return hashlib.sha256(text).digest()


def _signing_key(secret: bytes) -> bytes:
    """b"" for a secret that is no signing token."""
    try:
        return base64.b64decode(secret.removeprefix(SIGNING), validate=True) if secret.startswith(SIGNING) else b""
    except binascii.Error:
        return b""
