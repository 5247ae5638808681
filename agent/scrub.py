"""Scrubbing: what an action was given in secret, and what the agent has, is taken out of everything that leaves the machine.

Core, standard library only. Law: each byte of a secret becomes one `*`, so that nothing else moves and an offset stays what it
was; and whatever may be the beginning of a secret is held back until more has come, so that it makes no difference where a
stream was cut. Known are a value as it is, each of its longer lines, and both in base64, JSON, URLs and hexadecimal digits.
"""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

SHORTEST_LINE = 8
"""Characters of a line of a secret that counts by itself."""
_WIDTHS = (64, 76)
"""Columns in which base64 is broken into lines (RFC 7468, RFC 2045)."""


class Scrubber:
    """Learns while the agent runs. Its threads may share it."""

    def __init__(self) -> None:
        self._forms: tuple[bytes, ...] = ()
        """The longest first."""
        self._sorted: list[bytes] = []
        self._blind = False
        self.values: tuple[str, ...] = ()
        """All that was learned."""

    def learn(self, values: Iterable[str]) -> None:
        values = tuple(values)
        self.values = tuple(dict.fromkeys(self.values + values))
        found = {form for value in values for form in _forms(value)}
        self._sorted = sorted(found.union(self._forms))
        self._forms = tuple(sorted(self._sorted, key=len, reverse=True))

    def hide_everything(self) -> None:
        """There are secrets, and nobody knows which."""
        self._blind = True

    @property
    def reach(self) -> int:
        """How many bytes before a place may belong to a secret that ends after it."""
        return len(self._forms[0]) - 1 if self._forms else 0

    def __call__(self, data: bytes) -> bytes:
        if self._blind:
            return b"\n".join(b"*" * len(line) for line in data.split(b"\n"))
        return _hidden(data, self._forms) if self._forms else data

    def text(self, text: str) -> str:
        return self(text.encode(errors="surrogatepass")).decode(errors="replace") if self._blind or self._forms else text

    def document(self, value: Any) -> Any:
        """JSON values, every text among them scrubbed; keys are ours."""
        if isinstance(value, dict):
            return {key: self.document(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.document(each) for each in value]
        return self.text(value) if isinstance(value, str) else value

    def held(self, data: bytes) -> int:
        """How many bytes at the end of `data` may be the beginning of a secret."""
        for at in range(max(0, len(data) - self.reach), len(data)):
            end = data[at:]
            after = bisect_right(self._sorted, end)  # the forms that begin with it, and are longer, come right after it
            if after < len(self._sorted) and self._sorted[after].startswith(end):
                return len(end)
        return 0

    def stream(self) -> Stream:
        return Stream(self)


class Stream:
    """One stream from its beginning: `receive` what comes, and at its end take the `rest`."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber
        self._raw = self._clean = b""
        """What is held back, as it came and as it may go; the two differ where a secret ends in it."""

    def receive(self, chunk: bytes) -> bytes:
        raw = self._raw + chunk
        clean = bytearray(self._scrubber(raw))
        for index, (before, after) in enumerate(zip(self._raw, self._clean, strict=True)):
            if before != after:
                clean[index] = after
        ready = len(raw) - self._scrubber.held(raw)
        self._raw, self._clean = raw[ready:], bytes(clean[ready:])
        return bytes(clean[:ready])

    def rest(self) -> bytes:
        self._raw, rest, self._clean = b"", self._clean, b""
        return rest


def _hidden(data: bytes, forms: Iterable[bytes]) -> bytes:
    """Secrets may overlap, so each is looked for in what came, and not in what is left of it."""
    clean: bytearray | None = None
    for form in forms:
        at = data.find(form)
        while at >= 0:
            clean = clean or bytearray(data)
            clean[at : at + len(form)] = b"*" * len(form)
            at = data.find(form, at + 1)
    return bytes(clean) if clean else data


def _forms(value: str) -> Iterator[bytes]:
    whole = value.strip()
    lines = [line.strip() for line in whole.splitlines()]
    for text in {whole, *(line for line in lines if len(line) >= SHORTEST_LINE)} - {""}:
        data = text.encode(errors="surrogatepass")
        yield data
        yield data.hex().encode()
        yield data.hex().upper().encode()
        yield json.dumps(text)[1:-1].encode()
        yield quote(data, safe="").encode()
        yield quote(data, safe="/").encode()
        yield from _base64(data)


def _base64(data: bytes) -> Iterator[bytes]:
    """As it stands inside of more, begun at each of three places and without the characters that its neighbours have a part in;
    and as it ends.
    """
    for encode in (b64encode, urlsafe_b64encode):
        for shift in range(3):
            first, last = -(-8 * shift // 6), 8 * (shift + len(data)) // 6
            whole = encode(bytes(shift) + data)
            encoded = whole[first:last]
            yield from (encoded, whole[first:])
            if shift == 0:
                for width in _WIDTHS:
                    lines = (encoded[at : at + width] for at in range(0, len(encoded), width))
                    yield from (line for line in lines if len(line) >= SHORTEST_LINE)
