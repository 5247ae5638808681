"""What git says a file's digest is, and whether it is.

Core. Law: a digest that cannot be understood is never taken for one that need not be checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from agent.actions.settings import Failed

HEX_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}


@dataclass(frozen=True, slots=True)
class Digest:
    algorithm: str
    hex: str

    @classmethod
    def parse(cls, name: str, text: str) -> Self:
        """`sha256:<hex>`, or the digits alone; `name` is of what says so. Raises Failed."""
        algorithm, _, digits = text.strip().lower().rpartition(":")
        known = algorithm or next((name for name, length in HEX_DIGITS.items() if length == len(digits)), "")
        if HEX_DIGITS.get(known) != len(digits) or not set(digits) <= set("0123456789abcdef"):
            raise Failed(f"{name} is {text!r}: write sha256:, sha384: or sha512: and the digest in hexadecimal")
        return cls(known, digits)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


class Hashed:
    """Chunks on their way, counted and digested."""

    def __init__(self, chunks: Iterable[bytes], algorithm: str = "sha256") -> None:
        self._chunks = chunks
        self._hash = hashlib.new(algorithm)
        self.size = 0
        """Bytes so far."""

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk

    @property
    def digest(self) -> Digest:
        return Digest(self._hash.name, self._hash.hexdigest())
