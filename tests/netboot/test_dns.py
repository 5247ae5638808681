"""DNS answers: a row for each rule, read by another codec than the one that wrote them."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from dnslib import DNSError, DNSRecord, EDNSOption
from hypothesis import given
from hypothesis import strategies as st

from netboot.dns import LARGEST_UDP, SMALLEST_UDP, Ignore, Reply, respond, type_name
from netboot.dns_query import HEADER
from netboot.dns_zone import zone_of
from netboot.plan import Site
from tests.netboot.dns_example import ZONE, ask, lines, machine, plan, port, replied, told

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
SERIAL = lines(told(ask("lab.example", "SOA")).rr)[0].split()[6]
SOA = f"gitboot.lab.example. hostmaster.lab.example. {SERIAL} 3600 600 86400 10"

ANSWERED = [
    ("node-01.lab.example", "A", ["node-01.lab.example. 60 IN A 10.1.0.11"]),
    ("guest.elsewhere.example", "A", ["guest.elsewhere.example. 60 IN A 10.1.0.13"]),
    ("gitboot.lab.example", "A", ["gitboot.lab.example. 60 IN A 10.1.0.1"]),
    ("12.0.1.10.in-addr.arpa", "PTR", ["12.0.1.10.in-addr.arpa. 60 IN PTR Node-02.lab.example."]),
    ("1.0.1.10.in-addr.arpa", "PTR", [f"1.0.1.10.in-addr.arpa. 60 IN PTR {host}.lab.example." for host in ("gitboot", "home")]),
    ("lab.example", "SOA", [f"lab.example. 60 IN SOA {SOA}"]),
    ("lab.example", "NS", ["lab.example. 60 IN NS gitboot.lab.example."]),
    ("1.10.in-addr.arpa", "SOA", [f"1.10.in-addr.arpa. 60 IN SOA {SOA}"]),
    ("1.10.in-addr.arpa", "NS", ["1.10.in-addr.arpa. 60 IN NS gitboot.lab.example."]),
    ("guest.elsewhere.example", "NS", ["guest.elsewhere.example. 60 IN NS gitboot.lab.example."]),
    ("node-01.lab.example", "ANY", ["node-01.lab.example. 60 IN A 10.1.0.11"]),
    ("12.0.1.10.in-addr.arpa", "ANY", ["12.0.1.10.in-addr.arpa. 60 IN PTR Node-02.lab.example."]),
    ("lab.example", "ANY", [f"lab.example. 60 IN SOA {SOA}"]),
]


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize(("name", "qtype", "expected"), ANSWERED, ids=[f"{name} {qtype}" for name, qtype, _ in ANSWERED])
def test_what_there_is_is_answered_with_authority_and_nothing_besides(
    name: str, qtype: str, expected: list[str], tcp: bool
) -> None:
    reply = told(ask(name, qtype), tcp=tcp)
    assert (NOERROR, 1, 0, 4711) == (reply.header.rcode, reply.header.aa, reply.header.tc, reply.header.id)
    assert expected == lines(reply.rr)
    assert [] == reply.auth == reply.ar


ABSENT = [
    ("node-01.lab.example", "AAAA", NOERROR, "lab.example"),
    ("node-01.lab.example", "PTR", NOERROR, "lab.example"),
    ("node-01.lab.example", "SOA", NOERROR, "lab.example"),
    ("node-01.lab.example", "HTTPS", NOERROR, "lab.example"),
    ("node-01.lab.example", "CNAME", NOERROR, "lab.example"),
    ("lab.example", "A", NOERROR, "lab.example"),
    ("12.0.1.10.in-addr.arpa", "A", NOERROR, "1.10.in-addr.arpa"),
    ("0.1.10.in-addr.arpa", "PTR", NOERROR, "1.10.in-addr.arpa"),  # an empty non-terminal: it exists
    ("0.1.10.in-addr.arpa", "ANY", NOERROR, "1.10.in-addr.arpa"),
    ("guest.elsewhere.example", "AAAA", NOERROR, "guest.elsewhere.example"),
    ("node-03.lab.example", "A", NXDOMAIN, "lab.example"),
    ("node-03.lab.example", "AAAA", NXDOMAIN, "lab.example"),
    ("node-03.lab.example", "ANY", NXDOMAIN, "lab.example"),
    ("x.node-01.lab.example", "A", NXDOMAIN, "lab.example"),
    ("node-01.lab.example.lab.example", "A", NXDOMAIN, "lab.example"),
    ("99.0.1.10.in-addr.arpa", "PTR", NXDOMAIN, "1.10.in-addr.arpa"),
    ("012.0.1.10.in-addr.arpa", "PTR", NXDOMAIN, "1.10.in-addr.arpa"),
    ("x.guest.elsewhere.example", "A", NXDOMAIN, "guest.elsewhere.example"),
]


@pytest.mark.parametrize(("name", "qtype", "rcode", "apex"), ABSENT, ids=[f"{name} {qtype}" for name, qtype, *_ in ABSENT])
def test_what_is_absent_is_denied_with_the_zones_soa(name: str, qtype: str, rcode: int, apex: str) -> None:
    """RFC 2308: NXDOMAIN for a name, no data for a type, and for how long to remember it."""
    reply = told(ask(name, qtype))
    assert (rcode, 1, []) == (reply.header.rcode, reply.header.aa, reply.rr)
    assert [f"{apex}. 10 IN SOA {SOA}"] == lines(reply.auth)


OTHERS = ["example", "www.example", "elsewhere.example", "www.elsewhere.example", "10.in-addr.arpa", "1.2.10.in-addr.arpa", "."]


@pytest.mark.parametrize("name", OTHERS)
def test_names_of_others_are_refused(name: str) -> None:
    reply = told(ask(name))
    assert (REFUSED, 0, [], []) == (reply.header.rcode, reply.header.aa, reply.rr, reply.auth)


@pytest.mark.parametrize("qtype", [249, 250, 251, 252, 253, 254], ids=["TKEY", "TSIG", "IXFR", "AXFR", "MAILB", "MAILA"])
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_a_whole_zone_is_handed_to_nobody(qtype: int, tcp: bool) -> None:
    query = ask("lab.example")
    query.questions[0].qtype = qtype
    assert REFUSED == told(query, tcp=tcp).header.rcode


@pytest.mark.parametrize("qclass", [0, 3, 4, 254, 255])
def test_classes_other_than_the_internet_are_refused(qclass: int) -> None:
    query = ask("version.bind" if qclass == 3 else "node-01.lab.example")
    query.questions[0].qclass = qclass
    assert REFUSED == told(query).header.rcode


def test_the_askers_spelling_comes_back_in_the_question_and_in_the_answer() -> None:
    """Resolvers draw the case of each letter by lot, and drop answers that do not repeat it."""
    reply = told(ask("nOdE-01.LaB.eXaMpLe"))
    assert "nOdE-01.LaB.eXaMpLe." == str(reply.q.qname) == str(reply.rr[0].rname)
    assert "LaB.eXaMpLe." == str(told(ask("nO.LaB.eXaMpLe")).auth[0].rname)


def test_only_letters_are_alike_in_both_cases() -> None:
    zone = zone_of(plan(machine("m", port("10.1.0.5", "a-b"))))
    assert NXDOMAIN == told(ask("a\\013b.lab.example"), zone).header.rcode  # "-" is 45, and 13 with the case bit cleared


@pytest.mark.parametrize("recursion", [0, 1])
def test_recursion_may_be_desired_and_is_not_available(recursion: int) -> None:
    query = ask("node-01.lab.example")
    query.header.rd = recursion
    reply = told(query)
    assert (1, recursion, 0) == (reply.header.qr, reply.header.rd, reply.header.ra)


@pytest.mark.parametrize("flag", ["z", "ad", "cd", "aa", "tc"])
def test_other_flags_of_the_query_do_not_come_back(flag: str) -> None:
    query = ask("www.example")
    setattr(query.header, flag, 1)
    query.header.rd = 0
    assert 0x8000 | REFUSED == told(query).header.bitmap


def test_a_machine_without_a_domain_is_found_by_its_bare_name() -> None:
    zone = zone_of(plan(machine("m", port("10.1.0.5", "m")), site=Site("home")))
    assert ["m. 60 IN A 10.1.0.5"] == lines(told(ask("m"), zone).rr)
    assert REFUSED == told(ask("n"), zone).header.rcode


def test_before_the_first_plan_the_asker_is_sent_elsewhere() -> None:
    reply = told(ask("node-01.lab.example"), None)
    assert (SERVFAIL, 0) == (reply.header.rcode, reply.header.aa)


# --- EDNS and length --------------------------------------------------------------------------------------------------------


def test_who_does_not_speak_edns_is_not_answered_in_it() -> None:
    assert [] == told(ask("node-01.lab.example")).ar


@pytest.mark.parametrize("name", ["node-01.lab.example", "no.lab.example", "www.example"])
def test_edns_is_answered_with_our_own_size_and_without_options(name: str) -> None:
    query = ask(name, edns=4096, opts=[EDNSOption(10, b"abcdefgh"), EDNSOption(3, b""), EDNSOption(12, bytes(40))])
    (opt,) = told(query).ar
    assert (LARGEST_UDP, 0, 0, []) == (opt.edns_len, opt.edns_ver, opt.edns_do, opt.rdata)


def test_who_understands_dnssec_is_told_so_and_gets_nothing_signed() -> None:
    assert 1 == told(ask("node-01.lab.example", edns=1232, flags="do")).ar[0].edns_do


@pytest.mark.parametrize("version", [1, 255])
def test_an_unknown_edns_version_is_answered_by_the_one_we_know(version: int) -> None:
    reply = told(ask("node-01.lab.example", edns=1232, version=version))
    (opt,) = reply.ar
    assert (0, 1, 0, []) == (reply.header.rcode, opt.edns_rcode, opt.edns_ver, reply.rr)  # 1 << 4 is BADVERS
    assert "badvers" == replied(ask("node-01.lab.example", edns=1232, version=version)).outcome


def crowd(count: int) -> list[str]:
    return [f"10.1.1.{number}" for number in range(count)]


LIMITS = [  # 12 of header, 17 + 4 of question, 16 each
    pytest.param(0, 29, False, id="without EDNS what fits in 512"),
    pytest.param(0, 30, True, id="without EDNS what does not"),
    pytest.param(100, 29, False, id="a size below 512 counts as 512"),
    pytest.param(600, 34, False, id="the asker's size is kept to"),
    pytest.param(600, 35, True, id="and not exceeded by OPT, which takes 11"),
    pytest.param(1232, 74, False, id="1232"),
    pytest.param(65535, 75, True, id="nor ours, whatever is asked for"),
]


@pytest.mark.parametrize(("edns", "count", "truncated"), LIMITS)
def test_an_answer_too_long_for_a_datagram_says_so_and_comes_whole_by_tcp(edns: int, count: int, truncated: bool) -> None:
    zone = zone_of(plan(machine("m", *(port(address, "all") for address in crowd(count)))))
    reply = told(ask("all.lab.example", edns=edns), zone)
    assert (truncated, 0 if truncated else count) == (bool(reply.header.tc), len(reply.rr))
    assert bool(edns) == bool(reply.ar)
    whole = told(ask("all.lab.example", edns=edns), zone, tcp=True)
    assert (0, crowd(count)) == (whole.header.tc, [str(record.rdata) for record in whole.rr])


@pytest.mark.parametrize(("label", "size"), [("x" * 18, 512), ("x" * 19, 33 + 12 + 4)])
def test_an_answer_may_be_as_long_as_the_limit(label: str, size: int) -> None:
    zone = zone_of(plan(machine("m", *(port(address, label) for address in crowd(29)))))
    assert size == len(replied(ask(f"{label}.lab.example"), zone).data)


def test_a_denial_too_long_for_a_datagram_says_so_too() -> None:
    domain = ".".join(["d" * 61] * 3)
    zone = zone_of(plan(site=Site("home", domain)))
    name = f"{'x' * 60}.{domain}"
    reply = told(ask(name), zone)
    assert (NXDOMAIN, 1, []) == (reply.header.rcode, reply.header.tc, reply.auth)
    assert 1 == len(told(ask(name), zone, tcp=True).auth)


# --- what is not a query ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(12))
def test_what_has_no_header_is_dropped(size: int) -> None:
    assert Ignore(f"{size} bytes are shorter than a header") == respond(bytes(size), ZONE, tcp=False)


def test_an_answer_is_never_answered() -> None:
    """Two servers would go on for ever. That holds for our own replies, and for what else cannot be understood."""
    for data in (replied(ask("node-01.lab.example")).data, b"\0\0\x80" + bytes(9), b"\0\0\xff" + bytes(9)):
        assert Ignore("it is an answer") == respond(data, ZONE, tcp=False)


@pytest.mark.parametrize("opcode", range(1, 16))
def test_other_operations_are_not_implemented(opcode: int) -> None:
    """Not even looked at: an UPDATE has other sections than a query."""
    data = HEADER.pack(77, opcode << 11 | 0x0100, 9, 9, 9, 9)
    reply = told(data)
    assert (77, NOTIMP, opcode, 1) == (reply.header.id, reply.header.rcode, reply.header.opcode, reply.header.rd)
    assert len(data) == len(replied(data).data)


@pytest.mark.parametrize("rest", [b"", b"\0\0\1\0", b"\xc0\x0c\0\1\0\1", b"\0\0\1\0\1\0"])
def test_what_cannot_be_read_is_a_format_error_no_longer_than_itself(rest: bytes) -> None:
    reply = replied(HEADER.pack(77, 0x0100, 1, 0, 0, 0) + rest)
    assert (FORMERR, None, "", "") == (reply.rcode, reply.asked, reply.name, reply.qtype)
    assert HEADER.pack(77, 0x8101, 0, 0, 0, 0) == reply.data


@pytest.mark.parametrize("questions", [0, 2, 65535])
def test_there_is_one_question_in_a_query(questions: int) -> None:
    two = bytes(ask("node-01.lab.example").pack())
    assert FORMERR == replied(two[:4] + struct.pack(">H", questions) + two[6:] + two[12:]).rcode


def test_a_reply_says_what_was_asked_and_why_there_is_no_answer() -> None:
    found, absent = replied(ask("node-01.lab.example")), replied(ask("NO.lab.example", "AAAA"))
    assert ("noerror", "node-01.lab.example.", "A", "") == (found.outcome, found.name, found.qtype, found.reason)
    assert ("nxdomain", "NO.lab.example.", "AAAA") == (absent.outcome, absent.name, absent.qtype)
    assert "no machine has this name or address" == absent.reason


@pytest.mark.parametrize(("qtype", "name"), [(1, "A"), (65, "HTTPS"), (255, "ANY"), (65280, "TYPE65280"), (0, "TYPE0")])
def test_types_are_shown_by_name_or_by_number(qtype: int, name: str) -> None:
    assert name == type_name(qtype)


# --- anything ---------------------------------------------------------------------------------------------------------------

REAL = [
    bytes(query.pack())
    for query in (
        ask("node-01.lab.example"),
        ask("12.0.1.10.in-addr.arpa", "PTR", edns=1232, opts=[EDNSOption(10, b"abcdefgh")]),
        ask("no.lab.example", "AAAA", edns=4096, flags="do"),
    )
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real query with a few bytes changed, and perhaps cut off or drawn out."""
    data = bytearray(draw(st.sampled_from(REAL)))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=8)) if draw(st.booleans()) else bytes(data)


@given(st.one_of(st.binary(max_size=600), damaged()), st.booleans())
def test_whatever_is_asked_the_reply_is_sound_and_hardly_longer(query: bytes, tcp: bool) -> None:
    decided = respond(query, ZONE, tcp=tcp)
    if isinstance(decided, Ignore):
        assert decided.reason
        return
    assert isinstance(decided, Reply)
    assert query[:2] == decided.data[:2]
    assert len(decided.data) <= SMALLEST_UDP
    assert len(decided.data) <= len(query) + 11 + 90  # OPT, and the SOA of a denial
    with suppress(DNSError):  # the other codec knows no labels but UTF-8, and no empty class
        assert decided.rcode & 0xF == DNSRecord.parse(decided.data).header.rcode
