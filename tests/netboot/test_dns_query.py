"""DNS queries as bytes: what is read of them, and every way in which they can be wrong."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.dns_query import HEADER, Edns, Query, decode, shown
from netboot.errors import Malformed

NAME = b"\7node-01\3lab\7example\0"
QUESTION = NAME + b"\0\1\0\1"
OPT = b"\0" + struct.pack(">HHIH", 41, 1400, 0, 0)
COOKIE = b"\0" + struct.pack(">HHIH", 41, 1232, 0x00018000, 12) + b"\0\x0a\0\x08abcdefgh"


def header(questions: int = 1, answers: int = 0, authorities: int = 0, additional: int = 0) -> bytes:
    return HEADER.pack(0xBEEF, 0x0100, questions, answers, authorities, additional)


def record(rtype: int = 16, data: bytes = b"", owner: bytes = b"\xc0\x0c") -> bytes:
    return owner + struct.pack(">HHIH", rtype, 1, 0, len(data)) + data


def test_a_plain_question_is_read() -> None:
    assert Query(0xBEEF, 0x0100, NAME, 1, 1, None) == decode(header() + QUESTION)


def test_the_name_keeps_the_askers_spelling() -> None:
    mixed = b"\4NoDe\0"
    assert mixed == decode(header() + mixed + b"\0\1\0\1").name


def test_the_question_comes_back_byte_for_byte() -> None:
    asked = b"\4NoDe\0\xff\xfe\0\3"
    assert asked == decode(header() + asked).question


def test_the_root_is_a_name() -> None:
    assert b"\0" == decode(header() + b"\0\0\2\0\1").name


@pytest.mark.parametrize(("opt", "edns"), [(OPT, Edns(1400, 0, False)), (COOKIE, Edns(1232, 1, True))], ids=["bare", "cookie"])
def test_edns_is_read_and_its_options_are_stepped_over(opt: bytes, edns: Edns) -> None:
    assert edns == decode(header(additional=1) + QUESTION + opt).edns


def test_records_of_any_section_are_stepped_over() -> None:
    """IXFR sends a SOA as authority, TSIG comes last of all; an owner's name may be compressed."""
    message = header(answers=1, authorities=1, additional=3) + QUESTION
    message += record(1, b"\1\2\3\4") + record(6, bytes(22), NAME) + record() + OPT + record(250, b"key", b"\3key\0")
    assert Edns(1400, 0, False) == decode(message).edns


LONG_NAME = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
MALFORMED = {
    "0 bytes are shorter than a header": b"",
    "11 bytes are shorter than a header": header()[:11],
    "0 questions instead of one": header(questions=0),
    "2 questions instead of one": header(questions=2) + QUESTION * 2,
    "the question runs past the end": header(),
    "the question runs past the end, in a label": header() + NAME[:5],
    "the question runs past the end, before the root": header() + NAME[:-1],
    "the question runs past the end, in its class": header() + QUESTION[:-1],
    "a label that begins with 0xc0": header() + b"\xc0\x0c\0\1\0\1",
    "a label that begins with 0x40": header() + b"\x40" + b"a" * 64 + b"\0\0\1\0\1",
    "a name of 256 bytes": header() + b"\1" + b"a" + LONG_NAME[:-63] + b"\x3c" + b"a" * 60 + b"\0" + b"\0\1\0\1",
    "an OPT record where none may be": header(additional=2) + QUESTION + OPT + OPT,
    "an OPT record where none may be, as an answer": header(answers=1) + QUESTION + OPT,
    "an OPT record where none may be, with a name": header(additional=1) + QUESTION + b"\1a" + OPT,
    "a record runs past the end": header(additional=1) + QUESTION,
    "a record runs past the end, in its fields": header(additional=1) + QUESTION + OPT[:-1],
    "a record runs past the end, in its data": header(additional=1) + QUESTION + COOKIE[:-1],
    "a record runs past the end, in its pointer": header(additional=1) + QUESTION + b"\xc0",
    "1 bytes after the end": header() + QUESTION + b"\0",
    "1 bytes after the end of a record": header(additional=1) + QUESTION + OPT + b"\0",
}


@pytest.mark.parametrize(("reason", "data"), MALFORMED.items(), ids=MALFORMED)
def test_what_is_wrong_is_said(reason: str, data: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        decode(data)
    assert reason.startswith(caught.value.reason)


def test_the_longest_name_is_read() -> None:
    assert 255 == len(LONG_NAME)
    assert LONG_NAME == decode(header() + LONG_NAME + b"\0\1\0\1").name


def test_a_chain_of_pointers_is_not_followed() -> None:
    """Libraries that follow it need a stack frame for each of thirty thousand."""
    chain = b"".join(struct.pack(">H", 0xC000 | at) for at in range(12, 0x3FFF, 2))
    message = header(additional=2) + QUESTION + record(data=chain) + record(owner=b"\xff\xfd")
    assert NAME == decode(message).name


@given(st.binary(max_size=600))
def test_any_bytes_are_a_query_or_malformed(data: bytes) -> None:
    for message in (data, header(additional=1) + data, header(additional=2) + QUESTION + data):
        with suppress(Malformed):
            assert 0 <= decode(message).id <= 0xFFFF


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=10), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_what_is_asked_is_what_is_read(labels: list[bytes], qtype: int, qclass: int) -> None:
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    question = name + struct.pack(">HH", qtype, qclass)
    query = decode(header() + question)
    assert (name, qtype, qclass, question) == (query.name, query.qtype, query.qclass, query.question)


@pytest.mark.parametrize(
    ("name", "text"), [(NAME, "node-01.lab.example."), (b"\0", "."), (b"\4a\n\xff \0", "a\\010\\255\\032.")]
)
def test_names_are_shown_fit_for_a_terminal(name: bytes, text: str) -> None:
    assert text == shown(name)
