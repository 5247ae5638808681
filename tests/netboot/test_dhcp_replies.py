"""What a DHCP reply carries: the options a client asked for or must see, in what it can receive."""

from __future__ import annotations

import msgspec
import pytest

from netboot.dhcp import BootFile, Reply, classify, decode, respond
from netboot.dhcp_options import pack, unpack
from netboot.dhcp_packet import DISCOVER, SMALLEST, ZERO
from tests.netboot.dhcp_example import LEASE, LONG, SERVER, ip, packet, reply

PXE = {60: b"PXEClient:Arch:00007:UNDI:003000", 93: b"\0\7", 97: b"\0" + b"u" * 16}
IPXE = PXE | {77: b"iPXE", 175: b"\x13\1\1"}
HTTP = {60: b"HTTPClient:Arch:00016:UNDI:003000", 93: b"\0\x10"}


# --- options -----------------------------------------------------------------------------------------------------------


def test_without_a_request_list_every_option_is_sent() -> None:
    _, read = reply(packet(DISCOVER))
    assert unpack(LEASE.options).items() <= read.options.items()


def test_a_request_list_filters_and_orders_but_what_a_lease_needs_is_always_there() -> None:
    _, read = reply(packet(DISCOVER, {55: bytes((15, 6, 234, 0, 15, 3))}))  # with EDK2's garbage, and a repetition
    assert list(read.options) == [53, 54, 51, 58, 59, 15, 6, 3]


def test_the_subnet_mask_comes_before_the_routers_whatever_the_client_says() -> None:
    _, read = reply(packet(DISCOVER, {55: bytes((3, 1))}))
    assert list(read.options)[-2:] == [1, 3]


def test_what_the_client_says_of_itself_is_echoed() -> None:
    _, read = reply(packet(DISCOVER, {61: b"\1abcdef", 97: b"\0" + b"u" * 16, 55: b"\1"}))
    assert (read.options[61], read.options[97]) == (b"\1abcdef", b"\0" + b"u" * 16)  # RFC 6842, RFC 4578


def test_pxe_firmware_finds_its_file_in_the_header_and_in_the_options_it_asks_for() -> None:
    _, read = reply(packet(DISCOVER, PXE | {55: bytes((1, 66, 67))}))
    assert (read.siaddr, read.sname, read.file) == (ip("10.77.0.1"), b"10.77.0.1", b"snponly.efi")
    assert (read.options[66], read.options[67]) == (b"10.77.0.1", b"snponly.efi")
    assert (read.options[60], read.options[43]) == (b"PXEClient", b"\x06\x01\x08\xff")
    _, unasked = reply(packet(DISCOVER, PXE | {55: b"\1"}))
    assert not {66, 67} & unasked.options.keys()
    assert {43, 60} <= unasked.options.keys()


def test_http_firmware_finds_its_url_in_option_67_whether_it_asks_or_not() -> None:
    _, read = reply(packet(DISCOVER, HTTP | {55: b"\1"}))
    assert (read.options[60], read.options[67]) == (b"HTTPClient", b"http://10.77.0.1/ipxe/snponly.efi")


def test_ipxe_gets_its_script_and_need_not_wait_for_a_proxy() -> None:
    _, read = reply(packet(DISCOVER, IPXE | {55: b"\1"}))
    assert read.file == b"http://10.77.0.1/ipxe/52-54-00-77-00-01/boot.ipxe"
    assert (read.siaddr, read.sname) == (ip("10.77.0.1"), b"")  # a URL names its server itself
    assert unpack(read.options[175])[176] == b"\1"
    assert not {43, 60} & read.options.keys()


def test_ipxe_need_not_wait_for_a_proxy_even_where_there_is_nothing_to_boot() -> None:
    asked = packet(DISCOVER, IPXE)
    decision = respond(asked, classify(asked), LEASE, None, SERVER)
    assert isinstance(decision, Reply)
    read = decode(decision.data)
    assert (read.file, read.siaddr, read.options[175]) == (b"", ZERO, b"\xb0\1\1")


def test_what_the_inventory_says_to_ipxe_is_kept_beside_what_we_say() -> None:
    lease = msgspec.structs.replace(LEASE, options=pack(unpack(LEASE.options) | {175: b"\xbf\1\1"}))
    _, read = reply(packet(DISCOVER, IPXE), lease)
    assert unpack(read.options[175]) == {191: b"\1", 176: b"\1"}


def test_an_operating_system_is_offered_nothing_to_boot() -> None:
    _, read = reply(packet(DISCOVER, {60: b"udhcp 1.35.0"}))
    assert (read.siaddr, read.sname, read.file) == (ZERO, b"", b"")
    assert not {43, 60, 66, 67, 97, 175} & read.options.keys()


def test_a_file_name_too_long_for_its_field_goes_into_option_67() -> None:
    asked = packet(DISCOVER, PXE | {55: b"\1"})
    for length, fits in ((127, True), (128, False)):
        decision = respond(asked, classify(asked), LEASE, BootFile("f" * length, ip("10.77.0.1")), SERVER)
        assert isinstance(decision, Reply)
        read = decode(decision.data)
        assert read.file == (b"f" * length if fits else b"")
        assert read.options.get(67) == (None if fits else b"f" * length)


# --- size: options 57 and 52 -------------------------------------------------------------------------------------------


def test_a_short_reply_has_the_300_bytes_old_relays_want() -> None:
    decision, _ = reply(packet(DISCOVER, {55: b"\1"}))
    assert len(decision.data) == SMALLEST


def test_what_the_relay_will_take_out_again_does_not_count() -> None:
    asked = {55: bytes((209,)), 57: (576).to_bytes(2, "big")}
    lease = msgspec.structs.replace(LEASE, options=pack({209: b"x" * 250}))
    told = {82: b"\1\xc8" + b"p" * 200}
    decision, read = reply(packet(DISCOVER, asked | told, giaddr="10.77.0.254"), lease)
    assert (decision.dropped, read.options[209], read.options[82]) == ((), b"x" * 250, told[82])


@pytest.mark.parametrize(
    ("said", "limit"),
    [(None, 548), (0, 548), (575, 548), (1000, 972), (1472, 1444), (0xFF00, 1472)],
    ids=["silent", "0", "too small", "1000", "iPXE", "EDK2 promises 65280"],
)
def test_a_reply_keeps_within_what_the_client_can_receive_and_one_frame(said: int | None, limit: int) -> None:
    lease = msgspec.structs.replace(LEASE, options=pack(unpack(LEASE.options) | dict.fromkeys(range(224, 250), b"x" * 100)))
    decision, _ = reply(packet(DISCOVER, {} if said is None else {57: said.to_bytes(2, "big")}), lease)
    assert limit - 103 < len(decision.data) <= limit
    assert decision.dropped


def test_what_does_not_fit_the_options_goes_into_the_unused_fields() -> None:
    lease = msgspec.structs.replace(LEASE, options=LONG)
    decision, read = reply(packet(DISCOVER, {82: b"\1\1x"}), lease)
    assert b"\x34\x01\x01" in decision.data  # the file field alone was enough
    assert decision.data[108:110] == b"\xe1\x5a"  # 225 stands in it
    assert decision.dropped == (224,)  # which fits in no field
    assert {code: data for code, data in unpack(LONG).items() if code != 224}.items() <= read.options.items()
    assert decision.data.rstrip(b"\0").endswith(b"\x52\3\1\1x\xff")


def test_the_field_with_the_boot_file_is_never_overloaded() -> None:
    lease = msgspec.structs.replace(LEASE, options=LONG)
    decision, read = reply(packet(DISCOVER, PXE), lease)
    assert read.file == b"snponly.efi"
    assert read.siaddr == ip("10.77.0.1")
    assert len(decision.data) <= 548


def test_what_the_client_asked_for_last_is_dropped_first() -> None:
    lease = msgspec.structs.replace(LEASE, options=pack({224: b"a" * 250, 225: b"b" * 250, 51: b"\0\0\1\0"}))
    assert reply(packet(DISCOVER, {55: bytes((224, 225))}), lease)[0].dropped == (225,)
    decision, read = reply(packet(DISCOVER, {55: bytes((225, 224))}), lease)
    assert decision.dropped == (224,)
    assert {53, 54, 51, 225} == read.options.keys()


@pytest.mark.parametrize(
    ("options", "used"),
    [({}, {"file", "sname"}), (PXE, {"sname"})],
    ids=["nothing to boot", "a boot file"],
)
def test_whatever_the_sizes_each_option_arrives_whole_or_is_named_as_dropped(options: dict[int, bytes], used: set[str]) -> None:
    sizes: set[int] = set()
    fields: set[str] = set()
    for size in range(256):
        sent = {51: b"\0\0\1\0", 224: b"a" * 60, 225: b"b" * size, 226: b"c" * 62, 227: b"d" * (size // 2), 228: b"e" * 61}
        decision, read = reply(packet(DISCOVER, options), msgspec.structs.replace(LEASE, options=pack(sent)))
        assert {code: data for code, data in sent.items() if code not in decision.dropped}.items() <= read.options.items()
        assert len(decision.data) <= 548
        places = {"sname": decision.data[44:108].rstrip(b"\0"), "file": decision.data[108:236].rstrip(b"\0")}
        overloaded = {name: field for name, field in places.items() if field and field[0] in sent}
        assert all(field.endswith(b"\xff") for field in overloaded.values())
        sizes |= {len(decision.data)} if overloaded else set()
        fields |= overloaded.keys()
    assert max(sizes) == 548  # to the last byte, and not one more
    assert used == fields


def test_a_request_list_longer_than_there_are_codes_is_read_as_far_as_that() -> None:
    _, read = reply(packet(DISCOVER, {55: bytes((1,)) * 255 + bytes((3,))}))
    assert 1 in read.options
    assert 3 not in read.options


def test_an_option_over_255_bytes_is_split_and_arrives_whole() -> None:
    lease = msgspec.structs.replace(LEASE, options=pack(unpack(LEASE.options) | {209: b"c" * 700}))
    _, read = reply(packet(DISCOVER, {57: (1500).to_bytes(2, "big")}), lease)
    assert read.options[209] == b"c" * 700
