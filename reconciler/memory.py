"""What one reading of a repository learnt, as bytes: so that the next one, in another process, need not learn it again.

Core. The law: nothing is guessed. A file is known by its blob, so it says what it said; a machine is known by the objects that
it is made of, so its plan is what it was; and bytes that are not whole, or of another gitboot, are no memory at all.
What is remembered is a commit that could be served: it has warnings at most.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, cast

import msgspec

from netboot.plan import Dump, load
from reconciler.formats import FileContent
from reconciler.inventory import Hardware, Object, Profile, SecretDoc, Site, TemplateDoc, WorkflowDoc
from reconciler.problems import Problem

Files = Mapping[tuple[str, str], FileContent]
_DIGEST = 32


@dataclass(frozen=True, slots=True)
class Memory:
    files: Files
    """As `Reader.files`."""
    dump: Dump
    """What they compile to."""
    artifacts: str
    """What stands for the files of the artefact folder that belong to it, and what image archives held."""


_KINDS: tuple[type[Object], ...] = (Hardware, WorkflowDoc, TemplateDoc, Profile, Site, SecretDoc)
_Objects = tuple[
    tuple[Hardware, ...],
    tuple[WorkflowDoc, ...],
    tuple[TemplateDoc, ...],
    tuple[Profile, ...],
    tuple[Site, ...],
    tuple[SecretDoc, ...],
]


class _File(msgspec.Struct, array_like=True, frozen=True):
    blob: str
    path: str
    problems: tuple[Problem, ...]
    objects: _Objects
    """By kind, in the order of `_KINDS`."""
    order: tuple[int, ...]
    """The kind of each object as they stand in the file."""

    @classmethod
    def of(cls, blob: str, path: str, content: FileContent) -> _File:
        order = tuple(_KINDS.index(type(each)) for each in content.objects)
        objects = tuple(tuple(each for each in content.objects if type(each) is kind) for kind in _KINDS)
        return cls(blob, path, content.problems, cast(_Objects, objects), order)

    def content(self) -> FileContent:
        left = [iter(cast("tuple[Object, ...]", kind)) for kind in self.objects]
        return FileContent(tuple(next(left[kind]) for kind in self.order), self.problems, frozenset(), frozenset())


class _Kept(msgspec.Struct, array_like=True, frozen=True):
    gitboot: str
    artifacts: str
    manifest: bytes
    shards: dict[str, bytes]
    files: list[_File]


def encode(memory: Memory, gitboot: str) -> bytes:
    """`gitboot`: stands for the program, for another one may understand the same file otherwise.

    Raises ValueError for what cannot be kept: a number or a text that no encoding has.
    """
    files = [_File.of(blob, path, content) for (blob, path), content in memory.files.items()]
    kept = _Kept(gitboot, memory.artifacts, memory.dump.manifest, dict(memory.dump.shards), files)
    try:
        data = msgspec.msgpack.encode(kept, enc_hook=_as_text)
    except (OverflowError, UnicodeError, msgspec.MsgspecError) as error:
        raise ValueError(str(error)) from None
    return hashlib.sha256(data).digest() + data


def decode(data: bytes, gitboot: str) -> Memory | None:
    """None for what is no memory of this program's."""
    if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
        return None
    try:
        kept = msgspec.msgpack.decode(data[_DIGEST:], type=_Kept, dec_hook=_from_text)
        if kept.gitboot != gitboot:
            return None
        dump = Dump(load(kept.manifest, kept.shards.__getitem__), kept.manifest)
        return Memory({(file.blob, file.path): file.content() for file in kept.files}, dump, kept.artifacts)
    except (ValueError, KeyError, TypeError, StopIteration, msgspec.MsgspecError):
        return None


def _as_text(value: Any) -> str:
    if isinstance(value, IPv4Address | IPv4Network):
        return str(value)
    raise TypeError(f"{type(value)} is not kept")


def _from_text(kind: type, value: Any) -> Any:
    """`object` is what a person wrote: any JSON value."""
    return value if kind is object else kind(value)
