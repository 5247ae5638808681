"""What an action printed, as text for a page: a part of it, or the lines in which something stands.

Core. The law: whatever was printed, what is shown are lines of printable characters: what a terminal would obey is left out or
written as the escape that it is. A part ends between two lines, unless a single line is longer than it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

PART = 64 * 1024
"""Bytes that a page shows."""
MOST_FOUND = 300
MOST_LOOKED = 100_000
"""Lines with one of the words in which the others are looked for: half a second."""
LONGEST = 2000
"""Characters of a line that a search shows."""
_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])")
"""ECMA-48: control sequences (colours, cursor), operating system commands (titles), and the two-character kind."""


class Part(NamedTuple):
    start: int
    """Offset in the log, in bytes; so is `end`."""
    end: int
    lines: Sequence[str]


class Hit(NamedTuple):
    offset: int
    """Where its line begins, in bytes."""
    line: str


class Found(NamedTuple):
    hits: Sequence[Hit]
    on: int | None
    """Where to search on, for there may be more; None: there is no more."""


def shown(line: bytes) -> str:
    """One line as a terminal would have left it, without what a terminal obeys."""
    text = _SEQUENCES.sub("", line.decode(errors="backslashreplace").rstrip("\r"))
    text = text[text.rfind("\r") + 1 :]  # a progress bar writes over itself
    return "".join(each if each.isprintable() or each == "\t" else ascii(each)[1:-1] for each in text)


def part(data: bytes, start: int, *, exact: bool, last: bool) -> Part:
    """`data`: the log's bytes from `start` on. `exact`: they are shown from there on, and else from the next line on;
    `last`: the log ends so, and else they are shown to the end of a line.
    """
    begin = 0 if exact else data.find(b"\n") + 1
    end = len(data) if last else data.rfind(b"\n") + 1 or len(data)
    if begin >= end:
        begin, end = 0, len(data)
    lines = data[begin:end].removesuffix(b"\n").split(b"\n") if begin < end else []
    return Part(start + begin, start + end, [shown(line) for line in lines])


def search(blocks: Iterable[bytes], words: Sequence[str], start: int = 0) -> Found:
    """The lines from `start` on that hold each word, wherever `blocks` are cut. ASCII letters match in either case."""
    wanted = [word.encode().lower() for word in words]
    hits: list[Hit] = []
    rarest = max(wanted, key=len, default=b"")
    for looked, (offset, line) in enumerate(_candidates(blocks, rarest, start)):
        if len(hits) == MOST_FOUND or looked == MOST_LOOKED:
            return Found(hits, offset)
        low = line.lower()
        if all(word in low for word in wanted):
            hits.append(Hit(offset, shown(line[: 4 * LONGEST])[:LONGEST]))
    return Found(hits, None)


def _candidates(blocks: Iterable[bytes], word: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """Lines that hold the word, with their offsets. Few of many lines do, so the lines are not split but looked around."""
    for offset, text in _whole_lines(blocks, start):
        low, at = text.lower(), 0
        while at < len(text) and (found := low.find(word, at)) >= 0:
            begin = text.rfind(b"\n", 0, found) + 1
            end = text.find(b"\n", found)
            at = (end if end >= 0 else len(text)) + 1
            yield offset + begin, text[begin : at - 1]


def _whole_lines(blocks: Iterable[bytes], start: int) -> Iterator[tuple[int, bytes]]:
    """The same bytes, cut behind newlines; a line without end is cut all the same."""
    rest, offset = b"", start
    for block in blocks:
        text = rest + block
        end = text.rfind(b"\n") + 1 or (len(text) if len(text) > PART else 0)
        if end:
            yield offset, text[:end]
        rest, offset = text[end:], offset + end
    if rest:
        yield offset, rest
