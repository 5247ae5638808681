"""Options: what a person writes becomes one wire form or one sentence; what lies on the wire can always be printed."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.dhcp_names import OWNED, TABLE
from netboot.dhcp_options import code_of, decode, encode, escaped, label, pack, parts, tlv, unpack
from netboot.errors import Malformed

IPS = st.lists(st.ip_addresses(v=4).map(str), min_size=1, max_size=40)
LABELS = st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join)
ROUTES = st.tuples(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4))
VALUES = {
    "ip": st.ip_addresses(v=4).map(str),
    "ips": IPS,
    "pairs": st.lists(st.tuples(*[st.ip_addresses(v=4)] * 2).map(lambda pair: f"{pair[0]} {pair[1]}"), min_size=1),
    "text": st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=600),
    "u8": st.integers(0, 255),
    "u16": st.integers(0, 65535),
    "u32": st.integers(0, 2**32 - 1),
    "i32": st.integers(-(2**31), 2**31 - 1),
    "bool": st.booleans(),
    "flag": st.just(True),
    "domains": st.lists(NAMES, min_size=1, max_size=20),
    "hex": st.binary(max_size=300).map(lambda data: data.hex(":")),
}
OPTIONS = st.dictionaries(st.integers(1, 254), st.binary(max_size=1000), max_size=20)


@given(data=st.data(), code=st.sampled_from(sorted(set(TABLE) - set(OWNED))))
def test_a_decoded_value_is_the_value_that_was_encoded(data: st.DataObject, code: int) -> None:
    kind = TABLE[code][1]
    if kind == "routes":
        value: object = [
            f"{_network(address, prefix)} via {router}" for address, prefix, router in data.draw(st.lists(ROUTES, min_size=1))
        ]
    else:
        value = data.draw(VALUES[kind])
    assert value == decode(*encode(code, value))


def _network(address: object, prefix: int) -> str:
    return str(IPv4Network(f"{address}/{prefix}", strict=False))


@given(code=st.integers(0, 255), data=st.binary(max_size=600))
def test_any_bytes_can_be_printed(code: int, data: bytes) -> None:
    assert isinstance(decode(code, data), str | int | list)


def test_a_long_chain_of_name_pointers_is_shown_as_hex_and_costs_no_stack() -> None:
    chain = b"\x01a\0" + b"".join((0xC000 | at).to_bytes(2, "big") for at in [0, *range(3, 8000, 2)])
    assert isinstance(decode(119, chain), list)
    assert decode(119, b"\xc0\x00") == "c0:00"


@given(OPTIONS)
def test_packed_options_unpack_to_the_same(options: dict[int, bytes]) -> None:
    assert options == unpack(pack(options))
    assert sorted(options) == list(unpack(pack(options)))


@given(OPTIONS)
def test_parts_put_side_by_side_are_what_was_packed(options: dict[int, bytes]) -> None:
    assert pack(options) == b"".join(parts(pack(options)).values())


@given(st.binary(max_size=400))
def test_unpacking_raises_malformed_and_nothing_else(data: bytes) -> None:
    with suppress(Malformed):
        assert all(1 <= code <= 254 for code in unpack(data))


def test_a_value_over_255_bytes_is_split_into_consecutive_parts() -> None:
    assert tlv(67, b"x" * 256) == b"\x43\xff" + b"x" * 255 + b"\x43\x01x"
    assert tlv(80, b"") == b"\x50\x00"


def test_parts_of_a_split_option_are_joined_wherever_they_stand() -> None:
    assert unpack(b"\x43\x01a\x0c\x01h\x43\x01b\xff\x00garbage") == {67: b"ab", 12: b"h"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\x00\x0c", "option 12 has no length"), (b"\x0c\x05host", "option 12 runs 1 bytes past the end")],
)
def test_what_runs_past_the_end_is_malformed_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        unpack(data)


@pytest.mark.parametrize(
    ("option", "value", "code", "wire"),
    [
        ("routers", "10.0.0.1", 3, "0a000001"),
        ("domain_name_servers", ["10.0.0.1", "10.0.0.2"], 6, "0a0000010a000002"),
        ("host-name", "node-01", 12, "6e6f64652d3031"),
        ("time-offset", -3600, 2, "fffff1f0"),
        ("dhcp-lease-time", 86400, 51, "00015180"),
        ("TFTP-Server-Name", "10.1.0.1", 66, "31302e312e302e31"),
        ("67", "a.efi", 67, "612e656669"),
        ("ip-forwarding", False, 19, "00"),
        # RFC 3397 section 2: the second name points into the first
        ("domain-search", ["eng.apple.com", "marketing.apple.com"], 119,
         "03656e67056170706c6503636f6d00096d61726b6574696e67c004"),
        # RFC 3442: prefix length, significant octets, router
        ("classless-static-route", ["10.0.0.0/8 via 10.0.0.1", {"to": "0.0.0.0/0", "via": "10.0.0.2"}], 121,
         "080a0a000001000a000002"),
        ("static-routes", ["10.0.0.0 10.0.0.1"], 33, "0a0000000a000001"),
        (231, "0x01:02-ff", 231, "0102ff"),
        (231, b"\x01", 231, "01"),
    ],
)  # fmt: skip
def test_a_written_value_has_one_wire_form(option: int | str, value: object, code: int, wire: str) -> None:
    assert (code, bytes.fromhex(wire)) == encode(option, value)


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("route", "10.0.0.1", "there is no DHCP option named 'route'; did you mean 'routers'?"),
        ("zzz", "1", "there is no DHCP option named 'zzz'; use its number from the IANA registry and a hex string"),
        (256, "00", "a DHCP option is a name or a number from 1 to 254, not 256"),
        (True, "00", "a DHCP option is a name or a number from 1 to 254, not True"),
        (53, 1, "option 53 (dhcp-message-type) cannot be set: the server says what kind of message it sends"),
        (255, "", "option 255 cannot be set: it is the end of the options"),
        ("routers", [], "option 3 (routers) needs an IPv4 address or a list of them, not []: the list is empty"),
        ("subnet-mask", "255.255.0", "option 1 (subnet-mask) needs an IPv4 address, not '255.255.0'"),
        ("lease-time", -1, "option 51 (dhcp-lease-time) needs a whole number from 0 to 4294967295, not -1"),
        ("lease-time", True, "option 51 (dhcp-lease-time) needs a whole number from 0 to 4294967295, not True"),
        ("host-name", 12, "option 12 (host-name) needs a text, not 12"),
        ("host-name", "n\u00f6de", "option 12 (host-name) needs a text, not 'n\u00f6de': only printable ASCII"),
        ("domain-search", "a..b", "option 119 (domain-search) needs a domain name or a list of them, not 'a..b': 'a..b' is"),
        ("classless-static-route", "10.0.0.1/8 via 10.0.0.1", "'10.0.0.1/8 via 10.0.0.1': 10.0.0.1/8 has host bits set"),
        ("classless-static-route", [{"to": "10.0.0.0/8"}], "needs a list of routes such as '10.0.0.0/8 via 10.1.0.1'"),
        ("static-routes", "10.0.0.0", "needs a list of address pairs such as '10.0.0.0 255.0.0.0', not '10.0.0.0'"),
        (231, "xyz", "option 231 needs its bytes as a hex string such as '01:02:ff', not 'xyz'"),
        ("ip-forwarding", "yes", "option 19 (ip-forwarding) needs true or false, not 'yes'"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_a_sentence(option: int | str, value: object, sentence: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011  the sentence itself is compared below
        encode(option, value)
    assert sentence in str(raised.value)


@given(st.binary(max_size=40))
def test_a_peers_text_is_fit_for_a_log_whatever_its_bytes_are(data: bytes) -> None:
    assert escaped(data).isascii()
    assert escaped(data).isprintable()


def test_plain_text_is_shown_as_it_is_and_the_rest_escaped() -> None:
    assert escaped(b"PXEClient:Arch:00007\0\0") == "PXEClient:Arch:00007"
    assert escaped(b"a\x1b\xff\n") == "a\\x1b\\xff\\n"


def test_every_name_leads_to_its_code() -> None:
    for code, (name, _) in TABLE.items():
        assert code == code_of(name)
        assert f"{code} ({name})" == label(code)
