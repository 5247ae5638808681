"""LLDP frames, written out byte by byte as IEEE 802.1AB has them."""

from __future__ import annotations

import pytest

from agent.lldp import Neighbour, decode
from agent.messages import Malformed

HEADER = bytes.fromhex("0180c200000e 525400aa0001 88cc")


def tlv(kind: int, value: bytes) -> bytes:
    return (kind << 9 | len(value)).to_bytes(2, "big") + value


CHASSIS = tlv(1, b"\x04" + bytes.fromhex("525400aa0000"))
PORT = tlv(2, b"\x05Ethernet1/7")
TTL = tlv(3, (120).to_bytes(2, "big"))
MANDATORY = HEADER + CHASSIS + PORT + TTL
IPV4 = tlv(8, b"\x05\x01\x0a\x00\x00\x02" + b"\x02\x00\x00\x00\x01" + b"\x00")
VLAN = tlv(127, b"\x00\x80\xc2\x01\x00\x64")
OTHER = tlv(127, b"\x00\x12\x0f\x01\x03\x6c\x00\x00\x10")
END = b"\x00\x00"
FULL = MANDATORY + tlv(4, b"to rack 7") + tlv(5, b"leaf-1\0") + tlv(7, b"\0\x14\0\x14") + OTHER + IPV4 + VLAN + END
FRAMES = (MANDATORY + END, FULL, MANDATORY + bytes(30))


def test_a_switch_says_who_it_is() -> None:
    expected = Neighbour("52:54:00:aa:00:00", "Ethernet1/7", 120, "to rack 7", "leaf-1", "10.0.0.2", 100)
    assert expected == decode(FULL)


@pytest.mark.parametrize("rest", [END, b"", bytes(30), END + b"\xff\xff"], ids=["end", "no end", "padding", "after the end"])
def test_nothing_but_chassis_port_and_time_is_needed(rest: bytes) -> None:
    assert Neighbour("52:54:00:aa:00:00", "Ethernet1/7", 120) == decode(MANDATORY + rest)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"\x07box", "box"),
        (b"\x06eth0", "eth0"),
        (b"\x05\x01\x0a\x00\x00\x01", "10.0.0.1"),
        (b"\x05\x02" + bytes(15) + b"\x01", "::1"),
        (b"\x05\x01\x0a", "010a"),
        (b"\x04abc", "abc"),
        (b"\x07\xff\xfe", "\ufffd\ufffd"),
        (b"\x07\0", "00"),
    ],
)
def test_a_chassis_is_named_in_several_ways(value: bytes, expected: str) -> None:
    assert expected == decode(HEADER + tlv(1, value) + PORT + TTL).chassis


def test_a_port_may_be_named_by_its_mac() -> None:
    assert "52:54:00:aa:00:07" == decode(HEADER + CHASSIS + tlv(2, b"\x03" + bytes.fromhex("525400aa0007")) + TTL).port


def test_the_first_address_that_is_one_is_taken() -> None:
    by_mac = tlv(8, b"\x07\x06" + bytes(6) + b"\x02\x00\x00\x00\x01\x00")
    assert "10.0.0.2" == decode(MANDATORY + tlv(8, b"") + tlv(8, b"\xff\x01") + by_mac + IPV4 + END).address


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"", "not LLDP"),
        (HEADER[:12] + b"\x08\x00" + CHASSIS, "not LLDP"),
        (HEADER, "begins with"),
        (HEADER + PORT + CHASSIS + TTL, "begins with"),
        (HEADER + CHASSIS + PORT + END, "begins with"),
        (HEADER + CHASSIS + PORT + tlv(3, b"\x01"), "time to live"),
        (HEADER + tlv(1, b"\x04") + PORT + TTL, "have a name"),
        (MANDATORY + b"\x0a\x09short", "type 5 runs past the end"),
    ],
)
def test_what_is_no_lldp_says_why(frame: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        decode(frame)
