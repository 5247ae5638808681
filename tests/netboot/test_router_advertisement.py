"""Router solicitations: valid ones are answered to whom they came from, and the answer promises nothing. RFC 4861."""

from __future__ import annotations

import struct

import pytest

from netboot.errors import Malformed
from netboot.router_advertisement import ADVERTISEMENT, recipient

LINK_LOCAL = "fe80::5054:ff:fe77:1"
BARE = bytes((133, 0, 0, 0, 0, 0, 0, 0))
ADDRESSED = BARE + bytes.fromhex("0101525400770001")
"""As iPXE sends it: with its own hardware address (section 4.6.1)."""


@pytest.mark.parametrize("message", [BARE, ADDRESSED, BARE + bytes((14, 2, *bytes(14)))])
def test_who_solicits_is_answered(message: bytes) -> None:
    assert LINK_LOCAL == recipient(message, 255, LINK_LOCAL)


def test_who_has_no_address_yet_is_answered_with_all_the_others() -> None:
    assert "ff02::1" == recipient(BARE, 255, "::")


INVALID = [
    ("nothing", b"", 255, LINK_LOCAL, "no router solicitation"),
    ("too short", BARE[:7], 255, LINK_LOCAL, "no router solicitation"),
    ("another type", ADVERTISEMENT, 255, LINK_LOCAL, "no router solicitation"),
    ("another code", b"\x85\1" + bytes(6), 255, LINK_LOCAL, "no router solicitation"),
    ("from another network", BARE, 254, LINK_LOCAL, "its hop limit is 254"),
    ("an option without length", BARE + bytes((1, 0, *bytes(6))), 255, LINK_LOCAL, "an option is cut off"),
    ("an option that is cut off", BARE + bytes((1, 2, *bytes(6))), 255, LINK_LOCAL, "an option is cut off"),
    ("half an option", BARE + b"\1", 255, LINK_LOCAL, "an option is cut off"),
    ("nobody with a hardware address", ADDRESSED, 255, "::", "it comes from nobody"),
]


@pytest.mark.parametrize(
    ("message", "hops", "source", "said"), [case[1:] for case in INVALID], ids=[case[0] for case in INVALID]
)
def test_what_is_no_valid_solicitation_is_refused(message: bytes, hops: int, source: str, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        recipient(message, hops, source)


def test_the_advertisement_is_one_and_promises_nothing() -> None:
    kind, code, _checksum, hop_limit, flags, lifetime, reachable, retransmission = struct.unpack(">BBHBBHII", ADVERTISEMENT)
    assert (134, 0) == (kind, code)
    assert 0 == flags, "managed or other configuration would send iPXE to a DHCPv6 server"
    assert 0 == lifetime, "anything else makes us a default router"
    assert (0, 0, 0) == (hop_limit, reachable, retransmission)
