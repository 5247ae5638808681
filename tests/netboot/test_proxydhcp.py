"""ProxyDHCP on the wire: what firmware recognises an offer by, and where it is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from netboot.dhcp import BootFile, Destination, Ignore, Reply, classify, decode
from netboot.dhcp_options import unpack
from netboot.dhcp_packet import ACK, BOOTREPLY, DISCOVER, INFORM, OFFER, REQUEST, Packet, dotted
from netboot.loader import boot_file
from netboot.proxydhcp import respond_proxy
from tests.netboot.dhcp_example import SERVER, URLS, ip, packet

CAPTURES = Path(__file__).parent / "captures"
DISCOVERS = sorted(path.stem for path in CAPTURES.glob("*DISCOVER.hex"))
BROADCAST = Destination("broadcast", "255.255.255.255", 68)
BIOS = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 97: b"\0" + bytes(range(16))}
HTTP = {60: b"HTTPClient:Arch:00016:UNDI:003001", 93: b"\0\x10"}
USE_BOOT_FILE = b"\x06\x01\x08\xff"


def proxied(asked: Packet, boot_port: bool = False) -> Reply | Ignore:
    client = classify(asked)
    return respond_proxy(asked, client, boot_file(client, URLS), SERVER, boot_port)


def told(asked: Packet, boot_port: bool = False) -> tuple[Reply, Packet]:
    answered = proxied(asked, boot_port)
    assert isinstance(answered, Reply), answered
    return answered, decode(answered.data)


@pytest.mark.parametrize("name", DISCOVERS)
def test_captured_firmware_is_offered_a_boot_file_and_no_address(name: str) -> None:
    asked = decode(bytes.fromhex((CAPTURES / f"{name}.hex").read_text()))
    kind = classify(asked).kind
    if kind == "other":
        assert proxied(asked) == Ignore("it does not boot from the network: another server gives it its address")
        return
    answered, offer = told(asked)
    assert (OFFER, BROADCAST, "0.0.0.0", asked.xid) == (offer.message, answered.destination, dotted(offer.yiaddr), offer.xid)
    assert (b"HTTPClient" if kind == "http" else b"PXEClient", SERVER.address) == (offer.options[60], offer.options[54])
    assert (kind != "http") == (offer.options.get(43) == USE_BOOT_FILE)
    assert asked.options.get(97) == offer.options.get(97)
    assert set() == offer.options.keys() & {1, 3, 6, 12, 51, 58, 59}


def test_the_boot_file_and_its_server_stand_in_the_header() -> None:
    _, offer = told(packet(DISCOVER, BIOS))
    assert (b"undionly.kpxe", b"10.77.0.1", "10.77.0.1") == (offer.file, offer.sname, dotted(offer.siaddr))


def test_http_firmware_reads_its_url_in_option_67() -> None:
    _, offer = told(packet(DISCOVER, HTTP))
    assert (b"http://10.77.0.1/ipxe/snponly.efi", b"HTTPClient") == (offer.options[67], offer.options[60])
    assert 43 not in offer.options


def test_a_url_too_long_for_its_field_goes_into_option_67() -> None:
    asked = packet(DISCOVER, BIOS)
    url = "http://10.77.0.1/" + "x" * 150
    answered = respond_proxy(asked, classify(asked), BootFile(url, SERVER.address), SERVER, False)
    assert isinstance(answered, Reply)
    offer = decode(answered.data)
    assert (b"", url.encode(), b"PXEClient") == (offer.file, offer.options[67], offer.options[60])


@pytest.mark.parametrize("message", [REQUEST, INFORM])
def test_on_port_4011_the_same_is_acknowledged_to_a_client_with_an_address(message: int) -> None:
    answered, ack = told(packet(message, BIOS, ciaddr="10.77.0.149"), boot_port=True)
    _, offer = told(packet(DISCOVER, BIOS))
    assert (ACK, "0.0.0.0", "10.77.0.149") == (ack.message, dotted(ack.yiaddr), dotted(ack.ciaddr))
    assert Destination("unicast", "10.77.0.149", 68) == answered.destination
    assert (offer.file, offer.siaddr) == (ack.file, ack.siaddr)
    assert {**offer.options, 53: b"\5"} == dict(ack.options)


def test_who_looks_for_a_boot_server_by_its_type_finds_that_type_in_the_answer() -> None:
    item = b"\0\0\0\0"
    _, ack = told(packet(REQUEST, BIOS | {43: b"\x47\x04" + item + b"\xff"}, ciaddr="10.77.0.149"), boot_port=True)
    assert {6: b"\x08", 71: item} == unpack(ack.options[43])
    _, ack = told(packet(REQUEST, BIOS | {43: b"\x47\x99"}, ciaddr="10.77.0.149"), boot_port=True)  # broken inside
    assert USE_BOOT_FILE == ack.options[43]


def test_an_offer_goes_back_by_the_relay_it_came_by() -> None:
    answered, offer = told(packet(DISCOVER, BIOS | {82: b"\1\1x"}, giaddr="10.78.0.1"))
    assert Destination("relay", "10.78.0.1", 67) == answered.destination
    assert b"\1\1x" == offer.options[82]


def test_a_server_s_message_is_not_answered() -> None:
    assert Ignore("it is a server's message") == proxied(packet(DISCOVER, BIOS, op=BOOTREPLY))


def test_an_architecture_without_a_loader_is_left_alone() -> None:
    asked = packet(DISCOVER, {60: b"PXEClient:Arch:00012:UNDI:003000", 93: b"\0\x0c"})
    assert Ignore("there is nothing for it to boot from the network") == proxied(asked)


def test_the_server_that_a_relay_wants_named_is_not_asked_for_here() -> None:
    """RFC 5107 is for renewals, and there is no lease to renew."""
    _, offer = told(packet(DISCOVER, BIOS | {82: b"\x0b\x04" + ip("10.78.0.1")}, giaddr="10.78.0.1"))
    assert SERVER.address == offer.options[54]
