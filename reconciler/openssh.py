"""OpenSSH: a public key as one line.

Core. Law: what is accepted is what sshd reads (sshd(8), AUTHORIZED_KEYS FILE FORMAT; RFC 4253 section 6.6): a key that was cut
off when it was copied is a line of the commit, not a machine that lets nobody in.
"""

from __future__ import annotations

import base64
import re

_TYPE = re.compile(r"(?:sk-)?(?:ssh|ecdsa)-[a-z0-9-]+(?:@openssh\.com)?")


def public_key(text: str) -> str:
    """The line, with its options and comment if it has such. Raises ValueError as `reconciler.values` does."""
    if "PRIVATE KEY" in text:
        raise ValueError("this is the private key; the public one is in the file that ends in .pub")
    line = text.strip()
    if not line.isprintable():
        raise ValueError("it takes one line without control characters")
    words = line.split()
    at = next((index for index, word in enumerate(words) if _TYPE.fullmatch(word)), None)
    if at is None or at + 1 == len(words):
        raise ValueError("it takes a type, such as ssh-ed25519, and the key after it")
    try:
        data = base64.b64decode(words[at + 1], validate=True)
    except ValueError:
        raise ValueError("what comes after the type is not base64, or it was cut off") from None
    if not _is_key(data, words[at].encode()):
        raise ValueError("the key is not of the type before it, or it was cut off")
    return line


def _is_key(data: bytes, kind: bytes) -> bool:
    """Whether the bytes are fields with their lengths (RFC 4251 section 5), the first of which is the type."""
    fields = []
    while data:
        length = int.from_bytes(data[:4])
        if len(data) < 4 + length:
            return False
        fields.append(data[4 : 4 + length])
        data = data[4 + length :]
    return len(fields) > 1 and fields[0] == kind
