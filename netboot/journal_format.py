"""The journal's bytes: one event per line, with its number and a checksum.

Core. Law: `lines` and `scan` are inverses; `scan` never skips anything quietly: it stops at the first byte that is not as it
was written and says where. A line is `{"seq":n,"crc32":"xxxxxxxx","event":{…}}`; the checksum (CRC-32, ISO 3309) covers the
number and the event's bytes, so that a line that was moved is as wrong as one that was changed.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from netboot.errors import Malformed
from netboot.events import Event, decode, encode


class _Line(msgspec.Struct, frozen=True):
    seq: int
    crc32: str
    event: msgspec.Raw


_decoder = msgspec.json.Decoder(_Line)


@dataclass(frozen=True, slots=True)
class Scan:
    """What a segment holds: `events`, in its first `size` bytes; then `problem`, if that is not all of it."""

    events: tuple[Event, ...]
    size: int
    problem: str = ""
    torn: bool = False
    """The rest is what a crash leaves of a write that never ended, and so of nothing that was ever acknowledged."""


def lines(first: int, events: Iterable[Event]) -> bytes:
    """The bytes of `events`, numbered from `first`."""
    return b"".join(_line(seq, encode(event)) for seq, event in enumerate(events, first))


def scan(data: bytes, first: int) -> Scan:
    """Reads a segment whose first event has the number `first`."""
    events: list[Event] = []
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        if end < 0:
            return Scan(tuple(events), start, "its last line has no end", torn=not _is_line(data[start:-1]))
        try:
            events.append(_event(data[start:end], first + len(events)))
        except Malformed as error:
            # Bytes of zero are pages that a file system had promised and not yet written when the power went. Whole events
            # after them may have been acknowledged: then it is damage, for a person to judge.
            rest = data[start:].partition(b"\0")[2]
            torn = b"\0" in data[start:end] and not any(map(_is_line, re.split(rb"[\n\0]+", rest)))
            return Scan(tuple(events), start, str(error), torn)
        start = end + 1
    return Scan(tuple(events), start)


def _line(seq: int, payload: bytes) -> bytes:
    return b'{"seq":%d,"crc32":"%08x","event":%b}\n' % (seq, _checksum(seq, payload), payload)


def _checksum(seq: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(b"%d:" % seq))


def _event(line: bytes, seq: int) -> Event:
    found = _sound(line)
    if found.seq != seq:
        raise Malformed(f"event {seq} is due and event {found.seq} is there")
    return decode(found.event)


def _sound(line: bytes) -> _Line:
    """A line as it was written, whatever its number."""
    try:
        found = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not a journal line: {error}") from error
    if found.crc32 != f"{_checksum(found.seq, bytes(found.event)):08x}":
        raise Malformed("the checksum does not match")
    return found


def _is_line(line: bytes) -> bool:
    try:
        _sound(line)
    except Malformed:
        return False
    return True
