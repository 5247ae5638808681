"""DNS answers: a query and the names of a plan in, an answer or silence out.

Core. The law: this server is the authority for its own names and for nothing else, it never guesses, and an answer holds what
was asked and no more, so nobody gains by making it answer someone else. `respond` returns for any bytes.

RFC 1034 and 1035; RFC 2308 (what does not exist), RFC 6891 (EDNS), RFC 8482 (ANY), RFC 9619 (one question).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from dnslib import QTYPE, RCODE

from netboot.dns_query import AUTHORITATIVE, HEADER, OPCODE, OPT, RECURSION_DESIRED, RESPONSE, TRUNCATED, Query, decode, shown
from netboot.dns_zone import NEGATIVE_TTL, SOA, TTL, Records, Zone
from netboot.errors import Malformed

LARGEST_UDP = 1232
"""Bytes that no path on the way fragments; what EDNS may ask for at most, and what we say that we take."""
SMALLEST_UDP = 512
"""RFC 1035 section 2.3.4: what every asker takes."""
_LARGEST_TCP = 0xFFFF

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
_IN, _ANY = 1, 255
_MORE_THAN_A_NAME = frozenset(range(249, 255))
"""Types that ask for a key exchange or a whole zone: TKEY, TSIG, IXFR, AXFR, MAILB, MAILA (RFC 6895 section 3.1)."""

_RECORD = struct.Struct(">HHHIH")
"""Pointer to the owner's name, type, class, TTL, length of the data."""
_OPT = struct.Struct(">BHHBBHH")
"""RFC 6891 section 6.1.2: root, type, payload size, upper bits of the response code, version, flags, length of the options."""
_POINTER = 0xC000
_DNSSEC_OK = 0x8000


@dataclass(frozen=True, slots=True)
class Reply:
    data: bytes
    rcode: int
    reason: str = ""
    """Why there is no answer in it; "" when there is."""
    asked: Query | None = None
    """None: it could not be read."""
    foreign: bool = False
    """The name is someone else's, and the asker would have us ask on."""

    @property
    def outcome(self) -> str:
        """The response code's name in lower case, as logs and counters have it."""
        return "badvers" if self.rcode == BADVERS else str(RCODE.get(self.rcode)).lower()

    @property
    def name(self) -> str:
        return shown(self.asked.name) if self.asked else ""

    @property
    def qtype(self) -> str:
        """`A`, or `TYPE65280` for one without a name (RFC 3597 section 5)."""
        return type_name(self.asked.qtype) if self.asked else ""


@dataclass(frozen=True, slots=True)
class Ignore:
    reason: str


def respond(query: bytes, zone: Zone | None, *, tcp: bool, curt: bool = False) -> Reply | Ignore:
    """`zone`: None while no plan is served; the asker is told to try elsewhere. `tcp`: there is no need to be short.
    `curt`: no more than "ask by TCP", as long as the question."""
    if len(query) < HEADER.size:
        return Ignore(f"{len(query)} bytes are shorter than a header")
    if query[2] & RESPONSE >> 8:
        return Ignore("it is an answer")  # answering it could go on for ever
    if query[2] & OPCODE >> 8:
        return _header_only(query, NOTIMP, "only queries are answered, not updates or notifications")
    try:
        asked = decode(query)
    except Malformed as malformed:
        return _header_only(query, FORMERR, malformed.reason)
    if curt:
        return _reply(asked, NOERROR, limit=0, reason="too many queries by UDP: ask by TCP")
    return _answer(asked, zone, _LARGEST_TCP if tcp else _largest(asked))


def failure(asked: Query) -> bytes:
    """SERVFAIL, for a query that could not be answered after all."""
    return _reply(asked, SERVFAIL, _largest(asked)).data


def type_name(qtype: int) -> str:
    known = QTYPE.get(qtype)
    return known if known and not str(known).isdecimal() else f"TYPE{qtype}"


def _answer(asked: Query, zone: Zone | None, limit: int) -> Reply:
    if asked.edns and asked.edns.version:
        return _reply(asked, BADVERS, limit, reason=f"EDNS version {asked.edns.version} is not known here")
    if zone is None:
        return _reply(asked, SERVFAIL, limit, reason="no plan is served yet")
    if asked.qclass != _IN or asked.qtype in _MORE_THAN_A_NAME:
        return _reply(asked, REFUSED, limit, reason="only single names of class IN are answered")
    name = asked.name.lower()  # a length is 63 at most, and 65 is the first letter
    records = zone.find(name)
    found = _chosen(records, asked.qtype) if records else None
    if found is not None:
        rtype, data = found
        return _reply(asked, NOERROR | AUTHORITATIVE, limit, b"".join(_record(0, rtype, TTL, each) for each in data), len(data))
    return _absent(asked, name, zone, limit, exists=records is not None)


def _chosen(records: Records, qtype: int) -> tuple[int, tuple[bytes, ...]] | None:
    """The records of this type; for ANY those of one type, whichever comes first (RFC 8482 section 4.1)."""
    if qtype == _ANY:
        return next(iter(records.items()), None)
    data = records.get(qtype)
    return (qtype, data) if data else None


def _absent(asked: Query, name: bytes, zone: Zone, limit: int, *, exists: bool) -> Reply:
    """The zone's SOA says how long this may be remembered (RFC 2308 section 3)."""
    apex = zone.apex(name)
    if apex is None:
        refused = _reply(asked, REFUSED, limit, reason="the name is in none of our zones")
        return replace(refused, foreign=bool(asked.flags & RECURSION_DESIRED))
    soa = (zone.find(apex) or {})[SOA][0]
    record = _record(len(name) - len(apex), SOA, NEGATIVE_TTL, soa)
    if exists:
        return _reply(asked, NOERROR | AUTHORITATIVE, limit, record, reason="the name has no such record")
    return _reply(asked, NXDOMAIN | AUTHORITATIVE, limit, record, reason="no machine has this name or address")


def _record(into: int, rtype: int, ttl: int, data: bytes) -> bytes:
    """One record whose owner is the name in the question, `into` bytes from its beginning."""
    return _RECORD.pack(_POINTER | HEADER.size + into, rtype, _IN, ttl, len(data)) + data


def _reply(asked: Query, flags: int, limit: int, records: bytes = b"", answers: int = 0, *, reason: str = "") -> Reply:
    """`flags` with the response code; `records` are `answers` answers, or else one of authority, left out if too long."""
    rcode = flags & 0xFF
    flags = RESPONSE | asked.flags & RECURSION_DESIRED | flags & AUTHORITATIVE | rcode & 0xF
    question, opt = asked.question, _opt(asked, rcode)
    if HEADER.size + len(question) + len(records) + len(opt) > limit:
        flags, records, answers = flags | TRUNCATED, b"", 0
    authority = 1 if records and not answers else 0
    header = HEADER.pack(asked.id, flags, 1, answers, authority, 1 if opt else 0)
    return Reply(header + question + records + opt, rcode, reason, asked)


def _opt(asked: Query, rcode: int) -> bytes:
    """Who does not speak EDNS is not answered in it. DO is repeated (RFC 3225 section 3), though nothing here is signed."""
    if asked.edns is None:
        return b""
    return _OPT.pack(0, OPT, LARGEST_UDP, rcode >> 4, 0, _DNSSEC_OK if asked.edns.dnssec_ok else 0, 0)


def _largest(asked: Query) -> int:
    return min(max(asked.edns.size, SMALLEST_UDP), LARGEST_UDP) if asked.edns else SMALLEST_UDP


def _header_only(query: bytes, rcode: int, reason: str) -> Reply:
    """For what cannot be read: id, opcode and RD come back, and no question, for there may be none."""
    id_, flags = HEADER.unpack_from(query)[:2]
    flags = RESPONSE | flags & (OPCODE | RECURSION_DESIRED) | rcode
    return Reply(HEADER.pack(id_, flags, 0, 0, 0, 0), rcode, reason)
