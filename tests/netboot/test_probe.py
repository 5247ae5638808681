"""The question that every DHCP server answers, and what is read in the answers."""

from __future__ import annotations

import pytest

from netboot.dhcp import Server, classify, decode
from netboot.dhcp_packet import BOOTREPLY, encode
from netboot.loader import boot_file
from netboot.probe import Offer, offer_of, question
from netboot.proxydhcp import respond_proxy
from tests.netboot.dhcp_example import SERVER, URLS, answer, ip, packet

MAC, XID = bytes.fromhex("525400770001"), b"\1\2\3\4"


def test_a_server_of_addresses_and_a_proxy_are_told_apart_in_their_answers() -> None:
    asked = decode(question(MAC, XID))
    client = classify(asked)
    given, added = answer(asked), respond_proxy(asked, client, boot_file(client, URLS), Server(ip("10.77.0.3")), False)
    assert Offer("10.77.0.1", "10.77.0.149", "undionly.kpxe") == offer_of(given.data, XID)  # type: ignore[union-attr] # a Reply
    assert Offer("10.77.0.3", "", "undionly.kpxe") == offer_of(added.data, XID)  # type: ignore[union-attr] # as above


def test_the_question_is_a_pxe_client_s_and_asks_for_a_broadcast() -> None:
    asked = decode(question(MAC, XID))
    assert ("52:54:00:77:00:01", XID, True, "pxe") == (asked.mac, asked.xid, asked.broadcast, classify(asked).kind)
    assert 1 == asked.message


@pytest.mark.parametrize(
    "datagram",
    [
        b"", bytes(300), question(MAC, XID),
        encode(packet(5, {54: SERVER.address}, op=BOOTREPLY)),
        encode(packet(2, {54: SERVER.address}, op=BOOTREPLY)).replace(XID, b"\4\3\2\1", 1),
    ],
    ids=["nothing", "zeroes", "our own question", "an ACK", "an answer to somebody else"],
)  # fmt: skip
def test_what_answers_another_question_is_no_offer(datagram: bytes) -> None:
    assert offer_of(datagram, XID) is None


def test_a_server_that_does_not_name_itself_and_a_file_of_odd_bytes_are_shown_as_they_can_be() -> None:
    bare = encode(packet(2, {67: b"\x1b[2J"}, op=BOOTREPLY))
    assert Offer("", "", "\\x1b[2J") == offer_of(bare, XID)
