"""DHCP decisions: each row of RFC 2131's tables, each reason for silence, and where a reply goes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.dhcp import Destination, Ignore, Lease, Note, Reply, Server, classify, decode, link_of, respond
from netboot.dhcp_options import tlv
from netboot.dhcp_packet import (
    ACK,
    BOOTREPLY,
    BROADCAST_FLAG,
    DECLINE,
    DISCOVER,
    INFORM,
    NAK,
    OFFER,
    RELEASE,
    REQUEST,
    SMALLEST,
    ZERO,
    Packet,
)
from netboot.errors import Malformed
from tests.netboot.dhcp_example import ADDRESS, LEASE, LONG, MAC, SERVER, answer, ip, packet, reply

OURS, OTHERS = SERVER.address, ip("10.77.0.9")
WRONG = ip("10.77.0.200")
STICKY = msgspec.structs.replace(LEASE, reserved=False)
NOT_OURS = "10.77.0.200 is not this machine's address, 10.77.0.149 is"
BROADCAST = Destination("broadcast", "255.255.255.255", 68)
HARDWARE = Destination("hardware", "10.77.0.149", 68, bytes.fromhex(MAC.replace(":", "")))


def silence(asked: Packet, lease: Lease | None = LEASE) -> str:
    """The reason why a packet gets no answer."""
    decision = answer(asked, lease)
    assert isinstance(decision, Ignore), decision
    return decision.reason


# --- RFC 2131 section 4.3.2: the states of a REQUEST -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "options", "ciaddr"),
    [
        ("SELECTING", {54: OURS, 50: ADDRESS}, "0.0.0.0"),
        ("INIT-REBOOT", {50: ADDRESS}, "0.0.0.0"),
        ("RENEWING or REBINDING", {}, "10.77.0.149"),
    ],
)
@pytest.mark.parametrize("lease", [LEASE, STICKY], ids=["reserved", "sticky"])
def test_a_request_for_the_machines_own_address_is_acknowledged(
    state: str, options: dict[int, bytes], ciaddr: str, lease: Lease
) -> None:
    decision, read = reply(packet(REQUEST, options, ciaddr=ciaddr), lease)
    assert (decision.message, decision.reason, decision.address) == ("ACK", state, ADDRESS)
    assert (read.message, read.yiaddr, read.ciaddr) == (ACK, ADDRESS, ip(ciaddr))


@pytest.mark.parametrize(
    ("options", "ciaddr", "stickies_too"),
    [({54: OURS, 50: WRONG}, "0.0.0.0", True), ({50: WRONG}, "0.0.0.0", False), ({}, "10.77.0.200", False)],
    ids=["SELECTING", "INIT-REBOOT", "RENEWING or REBINDING"],
)
def test_a_request_for_another_address_is_refused_by_broadcast(
    options: dict[int, bytes], ciaddr: str, stickies_too: bool
) -> None:
    asked = packet(REQUEST, options, ciaddr=ciaddr)
    decision, read = reply(asked)
    assert (decision.message, decision.reason, decision.destination) == ("NAK", NOT_OURS, BROADCAST)
    assert (read.message, read.yiaddr, read.ciaddr, read.siaddr) == (NAK, ZERO, ZERO, ZERO)
    assert {53, 54, 56} == read.options.keys()
    if stickies_too:
        assert reply(asked, STICKY)[0].message == "NAK"
    else:  # RFC 2131 section 4.3.2: where another server may know the client, this one must not refuse it
        assert silence(asked, STICKY) == f"{NOT_OURS}, but another server may have given it"


@pytest.mark.parametrize("message", [REQUEST, DECLINE, RELEASE])
def test_what_is_meant_for_another_server_is_ignored(message: int) -> None:
    assert silence(packet(message, {54: OTHERS, 50: ADDRESS})) == "it is meant for server 10.77.0.9"


def test_a_request_that_names_no_address_is_ignored() -> None:
    assert silence(packet(REQUEST)) == "the REQUEST names no address, neither in option 50 nor in ciaddr"


@pytest.mark.parametrize("message", [DISCOVER, REQUEST, INFORM, DECLINE, RELEASE])
def test_an_unknown_machine_gets_silence_and_never_a_refusal(message: int) -> None:
    assert silence(packet(message, {50: WRONG}, ciaddr="10.77.0.200"), None) == f"unknown machine {MAC}"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (packet(OFFER, op=BOOTREPLY), "it is a server's message"),
        (packet(0), "it is BOOTP"),
        (packet(OFFER), "message type 2 is not one that a client sends"),
        (packet(10), "message type 10 is not one that a client sends"),
    ],
)
def test_what_is_not_a_clients_message_is_ignored(asked: Packet, reason: str) -> None:
    assert silence(asked) == reason


# --- the other messages ------------------------------------------------------------------------------------------------


def test_a_discover_is_offered_the_address_of_the_lease_whatever_it_asks_for() -> None:
    decision, read = reply(packet(DISCOVER, {50: WRONG}))
    assert (decision.message, decision.address, read.yiaddr) == ("OFFER", ADDRESS, ADDRESS)
    assert read.options[54] == OURS
    assert read.options[51] == (86400).to_bytes(4, "big")


def test_a_repeated_question_gets_the_same_bytes_again() -> None:
    assert reply(packet(DISCOVER))[0] == reply(packet(DISCOVER))[0]


def test_an_inform_is_answered_without_address_and_without_lease_times() -> None:
    decision, read = reply(packet(INFORM, {55: bytes((51, 58, 59, 3))}, ciaddr="10.77.0.200"))
    assert (decision.message, decision.address) == ("ACK", ZERO)
    assert decision.destination == Destination("unicast", "10.77.0.200", 68)
    assert (read.yiaddr, read.ciaddr) == (ZERO, WRONG)
    assert {53, 54, 3} == read.options.keys()


def test_an_inform_that_has_no_address_is_ignored() -> None:
    assert silence(packet(INFORM)) == "the INFORM does not say which address to answer"


def test_a_decline_and_a_release_are_noted_with_their_reason() -> None:
    declined = packet(DECLINE, {54: OURS, 50: ADDRESS, 56: b"in use by 52:54:00:00:00:09"})
    assert answer(declined) == Note("DECLINE", ADDRESS, "in use by 52:54:00:00:00:09")
    assert answer(packet(DECLINE, {50: ADDRESS})) == Note("DECLINE", ADDRESS, "another host already answers for it")
    assert answer(packet(RELEASE, ciaddr="10.77.0.149")) == Note("RELEASE", ADDRESS, "the client gave it back")


def test_an_address_that_is_not_the_machines_cannot_be_declined_or_released() -> None:
    assert silence(packet(DECLINE, {50: WRONG})) == "DECLINE of 10.77.0.200, which is not this machine's address"
    assert silence(packet(RELEASE, ciaddr="10.77.0.200")) == "RELEASE of 10.77.0.200, which is not this machine's address"
    assert silence(packet(DECLINE)) == "DECLINE of 0.0.0.0, which is not this machine's address"


# --- where a reply goes: RFC 2131 section 4.1 --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "destination"),
    [
        (packet(DISCOVER), HARDWARE),
        (packet(DISCOVER, flags=BROADCAST_FLAG), BROADCAST),
        (packet(DISCOVER, htype=32), BROADCAST),  # the ARP entry would need an Ethernet address
        (packet(REQUEST, ciaddr="10.77.0.149"), Destination("unicast", "10.77.0.149", 68)),
        (packet(REQUEST, ciaddr="10.77.0.149", flags=BROADCAST_FLAG), Destination("unicast", "10.77.0.149", 68)),
        (packet(DISCOVER, giaddr="10.77.0.254"), Destination("relay", "10.77.0.254", 67)),
        (packet(DISCOVER, giaddr="10.77.0.254", flags=BROADCAST_FLAG), Destination("relay", "10.77.0.254", 67)),
    ],
)
def test_a_reply_goes_where_the_client_can_hear_it(asked: Packet, destination: Destination) -> None:
    decision, read = reply(asked)
    assert destination == decision.destination
    assert (read.flags, read.giaddr, read.chaddr, read.xid) == (asked.flags, asked.giaddr, asked.chaddr, asked.xid)


# --- relays ------------------------------------------------------------------------------------------------------------


def test_option_82_is_echoed_as_the_last_option_in_every_reply() -> None:
    told = b"\1\4port\2\6switch"
    for asked in (packet(DISCOVER, {82: told}, giaddr="10.77.0.254"), packet(REQUEST, {82: told, 50: WRONG})):
        decision, read = reply(asked)
        assert list(read.options)[-1] == 82
        assert read.options[82] == told
        assert decision.data.rstrip(b"\0").endswith(told + b"\xff")


@pytest.mark.parametrize(
    ("options", "giaddr", "link"),
    [
        ({}, "10.88.0.1", "10.88.0.1"),
        ({82: b"\5\4" + ip("10.88.0.0")}, "10.77.0.254", "10.88.0.0"),  # RFC 3527: link selection before giaddr
        ({118: ip("10.88.0.0")}, "10.77.0.254", "10.88.0.0"),  # RFC 3011: subnet selection before giaddr
        ({118: ip("10.77.0.0"), 82: b"\5\4" + ip("10.88.0.0")}, "10.77.0.254", "10.88.0.0"),  # RFC 3527 section 3
    ],
)
def test_a_lease_from_another_link_is_neither_offered_nor_confirmed(options: dict[int, bytes], giaddr: str, link: str) -> None:
    reason = f"10.77.0.149 is of no use on the link of {link}"
    assert silence(packet(DISCOVER, options, giaddr=giaddr)) == reason
    for state in ({54: OURS, 50: ADDRESS}, {50: ADDRESS}):
        decision, read = reply(packet(REQUEST, options | state, giaddr=giaddr))
        assert (decision.message, decision.reason) == ("NAK", reason)
        assert decision.destination == Destination("relay", giaddr, 67)
        assert read.broadcast  # RFC 2131 section 4.3.2: so that the relay does not unicast to an address nobody has


@pytest.mark.parametrize(
    ("options", "giaddr"),
    [
        ({82: b"\5\4" + ip("10.77.0.0")}, "10.88.0.1"),
        ({118: ip("10.77.0.0")}, "10.88.0.1"),
        ({82: b"\5\1x"}, "10.77.0.254"),  # a link selection that is no address selects nothing
        ({82: b"\5\xff"}, "10.77.0.254"),  # broken sub-options are between the relay and its switch
    ],
)
def test_the_link_that_is_selected_decides_and_not_the_relays_address(options: dict[int, bytes], giaddr: str) -> None:
    _, read = reply(packet(DISCOVER, options, giaddr=giaddr))
    assert read.yiaddr == ADDRESS
    assert options.items() <= read.options.items()


def test_a_packet_heard_directly_tells_no_link() -> None:
    assert link_of(packet(DISCOVER)) == b""
    assert link_of(packet(DISCOVER, giaddr="10.88.0.1")) == ip("10.88.0.1")


def test_a_relay_may_put_itself_in_the_servers_place() -> None:
    relay = {82: b"\x0b\4" + ip("10.77.0.254")}  # RFC 5107
    _, offer = reply(packet(DISCOVER, relay, giaddr="10.77.0.254"))
    assert offer.options[54] == ip("10.77.0.254")
    decision, _ = reply(packet(REQUEST, relay | {54: ip("10.77.0.254"), 50: ADDRESS}, giaddr="10.77.0.254"))
    assert decision.message == "ACK"
    assert silence(packet(REQUEST, relay | {54: OURS, 50: ADDRESS}, giaddr="10.77.0.254")) == "it is meant for server 10.77.0.1"


# --- any packet --------------------------------------------------------------------------------------------------------

ADDRESSES = st.sampled_from(["0.0.0.0", "10.77.0.149", "10.77.0.200", "10.88.0.1"])
OPTION_CODES = [50, 54, 55, 57, 60, 61, 77, 82, 93, 97, 118, 175]
FIXED = {50: 4, 54: 4, 57: 2, 118: 4}
SAID = st.fixed_dictionaries(
    {},
    optional={code: st.binary(min_size=FIXED.get(code, 0), max_size=FIXED.get(code, 300)) for code in OPTION_CODES},
)


@given(
    st.integers(0, 12), SAID, st.sampled_from([0, 0x8000]), ADDRESSES, ADDRESSES, st.sampled_from([LEASE, STICKY, None]),
    st.sampled_from([LEASE.options, LONG]),
)  # fmt: skip
def test_any_packet_gets_a_reply_it_can_read_or_a_reason(
    message: int, options: dict[int, bytes], flags: int, ciaddr: str, giaddr: str, lease: Lease | None, said: bytes
) -> None:
    asked = packet(message, options, flags=flags, ciaddr=ciaddr, giaddr=giaddr)
    decision = answer(asked, msgspec.structs.replace(lease, options=said) if lease else None)
    if not isinstance(decision, Reply):
        assert decision.reason
        return
    read = decode(decision.data)
    assert (read.op, read.xid, read.chaddr, read.giaddr) == (BOOTREPLY, asked.xid, asked.chaddr, asked.giaddr)
    assert SMALLEST <= len(decision.data) <= 1472 + len(tlv(82, options.get(82, b"")))
    assert not set(decision.dropped) & {51, 53, 54}
    if giaddr != "0.0.0.0":
        assert decision.destination == Destination("relay", giaddr, 67)


def test_a_packet_that_is_no_dhcp_is_malformed_and_nothing_else() -> None:
    with pytest.raises(Malformed):
        decode(b"\0" * 300)


def test_the_server_names_the_address_it_was_heard_on() -> None:
    asked = packet(DISCOVER)
    decision = respond(asked, classify(asked), LEASE, None, Server(ip("10.77.0.7")))
    assert isinstance(decision, Reply)
    assert decode(decision.data).options[54] == ip("10.77.0.7")
