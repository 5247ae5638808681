"""Every packet survives its own bytes, firmware's bytes are understood, and all other bytes are `Malformed` with a reason."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.errors import Malformed
from netboot.tftp_packets import (
    Ack,
    Data,
    Error,
    OptionAck,
    Packet,
    ReadRequest,
    WriteRequest,
    decode,
    encode,
)

words = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=12).map(str.lower)
options = st.dictionaries(words, words, max_size=4)
paths = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
blocks = st.integers(0, 0xFFFF)
packets: st.SearchStrategy[Packet] = st.one_of(
    st.builds(ReadRequest, paths, words, options),
    st.builds(WriteRequest, paths, words, options),
    st.builds(Data, blocks, st.binary(max_size=600)),
    st.builds(Ack, blocks),
    st.builds(Error, blocks, paths),
    st.builds(OptionAck, options.filter(bool)),
)


@given(packets)
def test_a_packet_survives_its_own_bytes(packet: Packet) -> None:
    assert packet == decode(encode(packet))


@given(
    st.binary(max_size=600) | st.builds(lambda code, rest: bytes((0, code)) + rest, st.integers(0, 7), st.binary(max_size=80))
)
def test_any_bytes_are_a_packet_or_malformed(datagram: bytes) -> None:
    with suppress(Malformed):
        decode(datagram)


@given(packets, st.integers(0, 80))
def test_a_truncated_packet_is_a_packet_or_malformed(packet: Packet, length: int) -> None:
    with suppress(Malformed):
        decode(encode(packet)[:length])


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", "0 octets are too short"),
        (b"\0\4\0", "3 octets are too short"),
        (b"\0\0\0\0", "opcode 0 is none"),
        (b"\0\7\0\0", "opcode 7 is none"),
        (b"\0\6\0\0", "an OACK that names no option"),
        (b"\1\1x\0octet\0", "opcode 257 is none"),
        (b"\0\1x", "3 octets are too short"),
        (b"\0\1file", "b'file' is not ended by NUL"),
        (b"\0\1file\0", "needs a file name and a mode"),
        (b"\0\1file\0octet", "b'octet' is not ended by NUL"),
        (b"\0\1file\0\0", "without a mode"),
        (b"\0\1f\xfc\0octet\0", "is not UTF-8"),
        (b"\0\1f\xed\xa0\x80\0octet\0", "is not UTF-8"),
        (b"\0\1file\0octet\0blksize\0", "option b'blksize' has no value"),
        (b"\0\1file\0octet\0blksize\x001468", "b'1468' is not ended by NUL"),
        (b"\0\1" + b"f" * 504 + b"\0octet\0", "of 513 octets is longer than 512"),
        (b"\0\2file\0octet\0tsize\0", "option b'tsize' has no value"),
        (b"\0\6tsize\x005", "b'5' is not ended by NUL"),
        (b"\0\6tsize\0", "option b'tsize' has no value"),
    ],
)
def test_malformed_bytes_are_named_by_what_is_wrong_with_them(datagram: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode(datagram)
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("datagram", "packet"),
    [
        pytest.param(
            b"\0\1snponly.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0",
            ReadRequest("snponly.efi", "octet", {"tsize": "0", "blksize": "1468", "windowsize": "4"}),
            id="EDK2 asks for the size",
        ),
        pytest.param(b"\0\5\0\x08User aborted the transfer\0", Error(8, "User aborted the transfer"), id="EDK2 has it"),
        pytest.param(
            b"\0\1undionly.kpxe\0octet\0blksize\x001432\0tsize\x000\0",
            ReadRequest("undionly.kpxe", "octet", {"blksize": "1432", "tsize": "0"}),
            id="iPXE",
        ),
        pytest.param(b"\0\1a\0OCTET\0BlkSize\x0016\0", ReadRequest("a", "octet", {"blksize": "16"}), id="case does not matter"),
        pytest.param(
            b"\0\1a\0octet\0tsize\x000\0\0\0\0", ReadRequest("a", "octet", {"tsize": "0"}), id="a request padded with NUL"
        ),
        pytest.param(b"\0\1a\0octet\0x\0\0y\x001\0", ReadRequest("a", "octet", {"x": "", "y": "1"}), id="an empty value"),
        pytest.param(b"\0\1a\0octet\0x\x001\0x\x002\0", ReadRequest("a", "octet", {"x": "1"}), id="the first of two counts"),
        pytest.param(b"\0\4\0\7\0\0\0\0", Ack(7), id="a padded ACK"),
        pytest.param(b"\0\5\0\0", Error(0, ""), id="ERROR without a message"),
        pytest.param(b"\0\5\0\3full", Error(3, "full"), id="ERROR without its last NUL"),
        pytest.param(b"\0\5\0\3f\xfcll\0", Error(3, "f\ufffdll"), id="ERROR in another character set"),
        pytest.param(b"\0\1" + b"f" * 503 + b"\0octet\0", ReadRequest("f" * 503), id="the longest request"),
    ],
)
def test_what_firmware_sends_is_understood(datagram: bytes, packet: Packet) -> None:
    assert packet == decode(datagram)
