"""What is asked for: paths, modes and options, each admitted, granted, left out or refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.errors import Malformed
from netboot.tftp import Limits, Refused, admit, negotiate, normalise
from netboot.tftp_packets import ReadRequest, WriteRequest


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ({}, {}),
        ({"blksize": "8"}, {"blksize": 8}),
        ({"blksize": "1468"}, {"blksize": 1468}),
        ({"blksize": "1469"}, {"blksize": 1468}),
        ({"blksize": "65464"}, {"blksize": 1468}),
        ({"windowsize": "1"}, {"windowsize": 1}),
        ({"windowsize": "65535"}, {"windowsize": 64}),
        ({"timeout": "1"}, {"timeout": 1}),
        ({"timeout": "255"}, {"timeout": 255}),
        ({"tsize": "0"}, {"tsize": 1234}),
        ({"tsize": "99"}, {"tsize": 1234}),
        ({"multicast": ""}, {}),
        ({"rollover": "0", "tsize": "0", "blksize": "1432"}, {"tsize": 1234, "blksize": 1432}),
    ],
)
def test_known_options_are_granted_up_to_the_servers_limits(asked: dict[str, str], granted: dict[str, int]) -> None:
    assert granted == negotiate(asked, 1234, Limits())


@pytest.mark.parametrize("value", ["", "-1", "+8", " 8", "0x10", "abc", "8.0", "1_0", "\xb2", "9" * 400])
@pytest.mark.parametrize("name", ["blksize", "tsize", "timeout", "windowsize"])
def test_an_option_value_that_is_no_number_is_as_if_it_had_not_been_asked(name: str, value: str) -> None:
    assert {} == negotiate({name: value}, 1234, Limits())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("blksize", "7"),
        ("blksize", "65465"),
        ("timeout", "0"),
        ("timeout", "256"),
        ("windowsize", "0"),
        ("windowsize", "65536"),
    ],
)
def test_an_option_value_out_of_its_range_is_as_if_it_had_not_been_asked(name: str, value: str) -> None:
    assert {} == negotiate({name: value}, 1234, Limits())


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("undionly.kpxe", "undionly.kpxe"),
        ("/undionly.kpxe", "undionly.kpxe"),
        ("//52:54:00:12:34:01//ipxe.efi", "52:54:00:12:34:01/ipxe.efi"),
        ("\\Boot\\BCD", "Boot/BCD"),
        ("./a/./b", "a/b"),
        ("a/../b", "b"),
        ("..a/b..", "..a/b.."),
        ("pxelinux.cfg/größe", "pxelinux.cfg/größe"),
    ],
)
def test_the_ways_firmware_writes_a_path_come_to_one(path: str, normal: str) -> None:
    assert normal == normalise(path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../etc/passwd", "climbs out"),
        ("a/../../b", "climbs out"),
        ("..\\..\\b", "climbs out"),
        ("/..", "climbs out"),
        ("", "names no file"),
        ("/", "names no file"),
        ("a/..", "names no file"),
        ("a\nb", "control characters"),
        ("a\x1b[2J", "control characters"),
    ],
)
def test_a_path_that_leads_nowhere_is_malformed(path: str, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        normalise(path)


@given(st.lists(st.sampled_from(["a", "..", ".", "", "/", "\\", "b c"])).map("/".join))
def test_a_normal_path_stays_and_stays_inside(path: str) -> None:
    with suppress(Malformed):
        normal = normalise(path)
        assert normal == normalise(normal)
        assert not {"", ".", ".."} & set(normal.split("/"))


@pytest.mark.parametrize(
    ("request_", "verdict"),
    [
        (ReadRequest("/a//b"), "a/b"),
        (ReadRequest("a", "netascii"), "a"),
        (ReadRequest("a", "mail"), Refused(4, "mode 'mail' is neither octet nor netascii")),
        (ReadRequest("../a"), Refused(2, "path '../a' climbs out of the tree")),
        (WriteRequest("a"), Refused(2, "this server is read only")),
    ],
)
def test_a_request_is_admitted_or_refused_with_a_code_and_a_reason(
    request_: ReadRequest | WriteRequest, verdict: str | Refused
) -> None:
    assert verdict == admit(request_)
