"""DNS queries as bytes: what one asks, or why it cannot be read.

Core. The law: `decode` raises `Malformed` and nothing else, for any bytes, and its work grows with the bytes it is handed, not
with the counts and pointers written in them. So it reads the one question and the EDNS record, and steps over everything else:
no compression pointer is ever followed.

RFC 1035 section 4.1, RFC 6891 section 6.1. Names stay as they are on the wire, in the asker's spelling, which the answer
must repeat; `shown` makes them fit for a person.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from dnslib import DNSLabel

from netboot.errors import Malformed

HEADER = struct.Struct(">HHHHHH")
"""id, flags, and the number of questions, answers, authority and additional records."""
RESPONSE, AUTHORITATIVE, TRUNCATED, RECURSION_DESIRED, OPCODE = 0x8000, 0x0400, 0x0200, 0x0100, 0x7800
OPT = 41

_QUESTION = struct.Struct(">HH")
_RECORD = struct.Struct(">HHIH")
"""What follows a record's name: type, class, TTL, length of its data."""
_LONGEST_LABEL, _LONGEST_NAME, _POINTER = 63, 255, 0xC0


class Edns(NamedTuple):
    """What the OPT record of a query says (RFC 6891 section 6.1.3)."""

    size: int
    """Bytes of UDP payload the asker takes."""
    version: int
    dnssec_ok: bool


class Query(NamedTuple):
    id: int
    flags: int
    name: bytes
    """As on the wire: lengths and labels, down to the empty one."""
    qtype: int
    qclass: int
    edns: Edns | None

    @property
    def question(self) -> bytes:
        """The question section, byte for byte as it was asked."""
        return self.name + _QUESTION.pack(self.qtype, self.qclass)


def decode(data: bytes) -> Query:
    """Raises Malformed: a header alone can be read wherever there are twelve bytes, the rest must be whole and nothing more."""
    if len(data) < HEADER.size:
        raise Malformed(f"{len(data)} bytes are shorter than a header")
    id_, flags, questions, answers, authorities, additional = HEADER.unpack_from(data)
    if questions != 1:
        raise Malformed(f"{questions} questions instead of one")  # RFC 9619
    end = _name_end(data, HEADER.size, pointers=False)
    if end + _QUESTION.size > len(data):
        raise Malformed("the question runs past the end")
    if end - HEADER.size > _LONGEST_NAME:
        raise Malformed(f"a name of {end - HEADER.size} bytes")
    qtype, qclass = _QUESTION.unpack_from(data, end)
    edns = _edns(data, end + _QUESTION.size, answers + authorities, additional)
    return Query(id_, flags, data[HEADER.size : end], qtype, qclass, edns)


def shown(name: bytes) -> str:
    """`node-01.lab.example.`; bytes that do not print are escaped as in a zone file, `\\007` (RFC 1035 section 5.1)."""
    labels, at = [], 0
    while length := name[at]:
        labels.append(name[at + 1 : at + 1 + length])
        at += 1 + length
    return str(DNSLabel(labels))


def answers(data: bytes, query: bytes) -> bool:
    """Whether these bytes answer that query: its id, and its question byte for byte (RFC 5452 section 9.1).

    `query` must be one that `decode` reads.
    """
    end = _name_end(query, HEADER.size, pointers=False) + _QUESTION.size
    expected = query[:2], query[HEADER.size : end], query[4:6]
    return expected == (data[:2], data[HEADER.size : end], data[4:6]) and data[2] & (RESPONSE | OPCODE) >> 8 == RESPONSE >> 8


def _edns(data: bytes, at: int, before: int, additional: int) -> Edns | None:
    """The OPT record among the `additional` records, of which there is one at most; `before`: records of other sections."""
    edns = None
    for number in range(before + additional):
        start, at = at, _name_end(data, at, pointers=True)
        if at + _RECORD.size > len(data):
            raise Malformed("a record runs past the end")
        rtype, rclass, ttl, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size + length
        if rtype == OPT:
            if number < before or data[start] or edns:
                raise Malformed("an OPT record where none may be")  # RFC 6891 section 6.1.1
            edns = Edns(rclass, ttl >> 16 & 0xFF, bool(ttl & 0x8000))
    if at != len(data):
        raise Malformed("a record runs past the end" if at > len(data) else f"{len(data) - at} bytes after the end")
    return edns


def _name_end(data: bytes, at: int, *, pointers: bool) -> int:
    """The offset after the name that begins here. A pointer ends a name; a question has nothing before it to point to."""
    while at < len(data) and (length := data[at]):
        if length >= _POINTER and pointers:
            return at + 2
        if length > _LONGEST_LABEL:
            raise Malformed(f"a label that begins with {length:#x}")
        at += 1 + length
    return at + 1
