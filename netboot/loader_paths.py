"""What a network loader asks for by a path, by TFTP or HTTP: a program, a configuration, or a file of the plan.

Core. One reading for both protocols. Loaders look for their configuration in several places below wherever they came from;
what is in front of the part that means something is let pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from netboot.scripts import Language


@dataclass(frozen=True, slots=True)
class Program:
    """A network boot program."""

    name: str


@dataclass(frozen=True, slots=True)
class First:
    """GRUB's first configuration, which is the same for all."""


@dataclass(frozen=True, slots=True)
class Step:
    """What the machine with this MAC does next, in its loader's language."""

    language: Language
    mac: str


@dataclass(frozen=True, slots=True)
class Content:
    """An artefact by its digest."""

    sha256: str


@dataclass(frozen=True, slots=True)
class Owned:
    """A file of one machine's: what a Raspberry Pi asks for below its serial number or MAC."""

    owner: str
    """Eight hex digits, or a MAC with colons; lower case."""
    name: str


Asked = Program | First | Step | Content | Owned

_MAC = r"([0-9a-f]{2}(?:[:-][0-9a-f]{2}){5})"
_STEPS: tuple[tuple[Language, re.Pattern[str]], ...] = (
    ("grub", re.compile(rf"(?:.*/)?boot\.cfg-01-{_MAC}", re.I)),
    ("pxelinux", re.compile(rf"(?:.*/)?pxelinux\.cfg/01-{_MAC}", re.I)),
)
_FIRST = re.compile(rf"(?:.*/)?grub\.cfg(?:-01-{_MAC})?", re.I)
_OWNED = re.compile(r"([0-9a-f]{8}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5})/(.+)", re.I | re.S)
_CONTENT = re.compile(r"artifacts/sha256/([0-9a-f]{64})(?:/[^/]*)?")


def asked(path: str) -> Asked:
    """What the path means; a program where it means nothing else, for the operator's files may have any name."""
    for language, pattern in _STEPS:
        if found := pattern.fullmatch(path):
            return Step(language, found[1].lower().replace("-", ":"))
    if _FIRST.fullmatch(path):
        return First()
    if found := _CONTENT.fullmatch(path):
        return Content(found[1])
    if found := _OWNED.fullmatch(path):
        return Owned(found[1].lower().replace("-", ":"), found[2])
    return Program(path.removeprefix("ipxe/"))
