"""Values of containers: how images, registries, mounts and secrets of actions are written.

Core. As `reconciler.values`: each parser gives the value in its one form, or ValueError with what it takes.
"""

from __future__ import annotations

import re


def image(text: str) -> str:
    """A container image's reference, roughly: `registry/path:tag@digest`."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*", text) or "://" in text or len(text) > 512:
        raise ValueError("it takes registry/path:tag without http:// and spaces")
    return text


def registry(text: str) -> str:
    """A registry's host, with its port or without."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?", text):
        raise ValueError("it takes host or host:port, without http:// and path")
    return text


def volume(text: str) -> str:
    """`source:target` or `source:target:mode`."""
    if not re.fullmatch(r"[^:\s][^:]*:/[^:]*(:[a-zA-Z,]+)?", text) or not text.isprintable():
        raise ValueError("it takes source:/target or source:/target:ro")
    return text


def pid(text: str) -> str:
    """Whose processes an action sees: `host`, or its own when empty."""
    if text not in ("", "host"):
        raise ValueError("it takes host, or nothing")
    return text


def container_file(text: str) -> str:
    """A file in a container, as a mount can name it."""
    if not re.fullmatch(r"/[^:]*[^:/]", text) or ".." in text.split("/") or not text.isprintable():
        raise ValueError("it takes the path of a file that begins with / and has no .. and no colon")
    return text


def secret_key(text: str) -> str:
    """What a value of a secret is called."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", text):
        raise ValueError("it takes letters, digits, -, _ and dots")
    return text


def variable(text: str) -> str:
    """The name of an environment variable that is not gitboot's own."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) or text.startswith("GITBOOT_"):
        raise ValueError("it takes letters, digits and _, and GITBOOT_… is taken")
    return text
