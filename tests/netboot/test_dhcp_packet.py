"""Packets: what is sent is what is read, and what is broken is refused by name."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.dhcp_packet import BOOTREPLY, DISCOVER, HEADER_SIZE, SMALLEST, Packet, decode, describe, encode
from netboot.errors import Malformed
from tests.netboot.dhcp_example import packet

ADDRESSES = st.binary(min_size=4, max_size=4)
SIZES = {50: 4, 54: 4, 57: 2, 118: 4}
OPTIONS = st.dictionaries(
    st.integers(1, 254).filter(lambda code: code not in (52, 53, *SIZES)), st.binary(max_size=600), max_size=8
)
PACKETS = st.builds(
    lambda message, options, **fields: Packet(
        message=message, htype=1, hlen=6, options=({53: bytes([message])} if message else {}) | options, **fields
    ),
    message=st.integers(0, 255),
    options=OPTIONS,
    op=st.sampled_from([1, 2]),
    xid=ADDRESSES,
    secs=st.integers(0, 65535),
    flags=st.sampled_from([0, 0x8000]),
    ciaddr=ADDRESSES,
    yiaddr=ADDRESSES,
    siaddr=ADDRESSES,
    giaddr=ADDRESSES,
    chaddr=st.binary(min_size=16, max_size=16),
    sname=st.binary(max_size=64).map(lambda name: name.rstrip(b"\0")),
    file=st.binary(max_size=128).map(lambda name: name.rstrip(b"\0")),
)
GOOD = encode(packet(DISCOVER, {12: b"node-01"}))


@given(PACKETS)
def test_what_is_sent_is_what_is_read(sent: Packet) -> None:
    assert sent == decode(encode(sent))


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=20))
def test_a_damaged_packet_is_read_or_malformed_and_nothing_else(at: int, damage: bytes) -> None:
    with suppress(Malformed):
        assert decode(GOOD[:at] + damage + GOOD[at + len(damage) :]).htype in range(256)


@given(st.binary(max_size=400))
def test_any_options_are_read_or_malformed_and_can_be_described(options: bytes) -> None:
    with suppress(Malformed):
        assert describe(decode(GOOD[:HEADER_SIZE] + options))


def header(**changes: int) -> bytes:
    """A good header with single bytes changed by name."""
    places = {"op": 0, "htype": 1, "hlen": 2, "cookie": 236}
    damaged = bytearray(GOOD[:HEADER_SIZE])
    for name, value in changes.items():
        damaged[places[name]] = value
    return bytes(damaged)


def with_field(name: str, content: bytes, overload: int) -> bytes:
    at, size = {"sname": (44, 64), "file": (108, 128)}[name]
    good = header()
    return good[:at] + content.ljust(size, b"\0") + good[at + size :] + bytes((53, 1, 1, 52, 1, overload, 255))


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", "a DHCP message has at least 240 bytes, this one has 0"),
        (GOOD[:239], "a DHCP message has at least 240 bytes, this one has 239"),
        (header(cookie=0) + b"\xff", "the magic cookie is 00825363, not 63825363"),
        (header(op=3) + b"\xff", "op is 3, neither request nor reply"),
        (header(hlen=7) + b"\xff", "a hardware address of type 1 cannot have 7 bytes"),
        (header(hlen=0) + b"\xff", "a hardware address of type 1 cannot have 0 bytes"),
        (header(htype=32, hlen=17) + b"\xff", "a hardware address of type 32 cannot have 17 bytes"),
        (header() + b"\x35", "option 53 has no length"),
        (header() + b"\x35\x01", "option 53 runs 1 bytes past the end"),
        (header() + b"\x0c\xff" + b"x" * 254, "option 12 runs 1 bytes past the end"),
        (header() + b"\x35\x00\xff", "option 53 has 0 bytes instead of 1"),
        (header() + b"\x35\x01\x01\x35\x01\x01\xff", "option 53 has 2 bytes instead of 1"),
        (header() + b"\x32\x03\x0a\x00\x00\xff", "option 50 has 3 bytes instead of 4"),
        (header() + b"\x36\x08" + b"\x0a" * 8 + b"\xff", "option 54 has 8 bytes instead of 4"),
        (header() + b"\x39\x01\x05\xff", "option 57 has 1 bytes instead of 2"),
        (header() + b"\x76\x00\xff", "option 118 has 0 bytes instead of 4"),
        (header() + b"\x34\x01\x04\xff", "option 52 (overload) is 04, not 1, 2 or 3"),
        (header() + b"\x34\x00\xff", "option 52 (overload) is , not 1, 2 or 3"),
        (with_field("file", b"\x0c\xc8", 1), "in the overloaded file field: option 12 runs 74 bytes past the end"),
        (with_field("sname", b"\x0c\x40", 2), "in the overloaded sname field: option 12 runs 2 bytes past the end"),
        (with_field("sname", b"\x32\x01\x0a\xff", 3), "option 50 has 1 bytes instead of 4"),
    ],
)
def test_a_planted_fault_is_refused_by_name(datagram: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as raised:
        decode(datagram)
    assert reason == raised.value.reason


def test_an_option_split_over_the_options_and_both_overloaded_fields_is_joined_in_that_order() -> None:
    good = header()
    sname = b"\x43\x01c\xff".ljust(64, b"\0")
    file = b"\x43\x01b\xff".ljust(128, b"\0")
    read = decode(good[:44] + sname + file + good[236:] + b"\x43\x01a\x34\x01\x03\x35\x01\x01\xff")
    assert read.options == {67: b"abc", 53: b"\1"}
    assert (read.sname, read.file) == (b"", b"")


def test_an_overload_within_an_overloaded_field_means_nothing() -> None:
    assert {53: b"\1"} == decode(with_field("file", b"\x34\x01\x02\xff", 1)).options


def test_a_field_that_is_not_overloaded_keeps_its_name() -> None:
    assert decode(with_field("file", b"pxelinux.0", 2)).file == b"pxelinux.0"


def test_a_client_that_leaves_the_end_out_or_writes_after_it_is_read() -> None:
    assert decode(header() + b"\x00\x35\x01\x01").message == DISCOVER
    assert decode(header() + b"\x35\x01\x01\xff\x0c\xff").options == {53: b"\1"}


def test_plain_bootp_has_no_message_type() -> None:
    assert decode(header() + b"\xff").message == 0


def test_a_short_message_is_padded_for_old_relays() -> None:
    assert len(GOOD) == SMALLEST
    assert GOOD.rstrip(b"\0").endswith(b"\x0c\x07node-01\x35\x01\x01\xff")


def test_option_82_is_the_last_whatever_its_number() -> None:
    assert encode(packet(DISCOVER, {82: b"\1\1x", 175: b"\xb0\1\1"})).rstrip(b"\0").endswith(b"\xaf\3\xb0\1\1\x52\3\1\1x\xff")


def test_a_message_is_described_for_a_person() -> None:
    told = describe(
        packet(DISCOVER, {12: b"node-01", 6: b"\x0a\0\0\1\x0a\0\0\2"}, op=BOOTREPLY, flags=0x8000, giaddr="10.9.0.1")
    )
    assert told == (
        "DISCOVER xid=01020304 mac=52:54:00:77:00:01 broadcast\n"
        "giaddr=10.9.0.1\n"
        "53 (dhcp-message-type): 1\n"
        "12 (host-name): node-01\n"
        "6 (domain-name-servers): 10.0.0.1, 10.0.0.2"
    )
