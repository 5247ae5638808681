"""Other DHCP servers: which packets tell of one, and what is remembered of it."""

from __future__ import annotations

import pytest

from netboot.dhcp_packet import BOOTREPLY, BOOTREQUEST
from netboot.rivals import MOST, Rivals, rival_of
from tests.netboot.dhcp_example import MAC, ip, packet

OURS, THEIRS = ip("10.77.0.1"), ip("10.77.0.66")
DISCOVER, OFFER, REQUEST, ACK, NAK, INFORM = 1, 2, 3, 5, 6, 8


@pytest.mark.parametrize(
    ("message", "op", "server", "giaddr", "expected"),
    [
        (OFFER, BOOTREPLY, THEIRS, "0.0.0.0", "10.77.0.66"),
        (ACK, BOOTREPLY, THEIRS, "0.0.0.0", "10.77.0.66"),
        (NAK, BOOTREPLY, THEIRS, "0.0.0.0", "10.77.0.66"),
        (REQUEST, BOOTREQUEST, THEIRS, "0.0.0.0", "10.77.0.66"),  # a client that chose it
        (OFFER, BOOTREPLY, OURS, "0.0.0.0", ""),
        (REQUEST, BOOTREQUEST, OURS, "0.0.0.0", ""),
        (REQUEST, BOOTREQUEST, None, "0.0.0.0", ""),  # a renewal names no server
        (OFFER, BOOTREPLY, ip("0.0.0.0"), "0.0.0.0", ""),
        (REQUEST, BOOTREQUEST, THEIRS, "10.78.0.1", ""),  # of another wire, where the relay may stand in for us
        (DISCOVER, BOOTREQUEST, THEIRS, "0.0.0.0", ""),
        (INFORM, BOOTREQUEST, THEIRS, "0.0.0.0", ""),
        (OFFER, BOOTREQUEST, THEIRS, "0.0.0.0", ""),
    ],
)
def test_a_server_is_known_by_what_it_broadcasts_and_by_who_chose_it(
    message: int, op: int, server: bytes | None, giaddr: str, expected: str
) -> None:
    said = {} if server is None else {54: server}
    assert expected == rival_of(packet(message, said, op=op, giaddr=giaddr), OURS)


def test_a_server_is_remembered_with_its_last_client() -> None:
    rivals = Rivals()
    new = [rivals.note("10.77.0.66", packet(message, {}), at) for message, at in ((OFFER, 1.0), (ACK, 2.0), (REQUEST, 5.0))]
    (one,) = rivals.list()
    assert [True, False, False] == new
    assert (1.0, 5.0, 3, MAC, "REQUEST") == (one.first_seen, one.last_seen, one.count, one.mac, one.heard)


def test_the_one_heard_last_comes_first_and_a_flood_pushes_out_the_others() -> None:
    rivals = Rivals(most=2)
    for address in ("a", "b", "a", "c"):
        rivals.note(address, packet(OFFER, {}), 1.0)
    assert ["c", "a"] == [each.address for each in rivals.list()]
    flooded = Rivals()
    for number in range(MOST + 5):
        flooded.note(str(number), packet(OFFER, {}), 1.0)
    assert MOST == len(flooded)
