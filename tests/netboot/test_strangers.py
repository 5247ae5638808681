"""Machines that git does not know are listed, and nobody can make the list grow without bound."""

from __future__ import annotations

from netboot.strangers import MOST, Strangers


def test_a_stranger_is_known_by_when_and_what_it_asked() -> None:
    strangers = Strangers()
    strangers.note("a", 1.0, "DISCOVER", {"kind": "pxe", "arch": "0"})
    strangers.note("a", 2.0, "REQUEST", address="10.1.200.1")
    strangers.note("a", 3.0, "boot script", {"kind": "ipxe"})
    (seen,) = strangers.list()
    assert ("a", 1.0, 3.0, 3, "boot script") == (seen.mac, seen.first_seen, seen.last_seen, seen.count, seen.asked)
    assert ({"kind": "ipxe", "arch": "0"}, "10.1.200.1") == (seen.client, seen.address)


def test_the_one_seen_last_comes_first() -> None:
    strangers = Strangers()
    for mac in ("a", "b", "a"):
        strangers.note(mac, 1.0, "DISCOVER")
    assert ["a", "b"] == [seen.mac for seen in strangers.list()]


def test_a_flood_pushes_out_those_seen_longest_ago() -> None:
    strangers = Strangers(most=2)
    for mac in ("a", "b", "a", "c"):
        strangers.note(mac, 1.0, "DISCOVER")
    assert ["c", "a"] == [seen.mac for seen in strangers.list()]
    assert 2 == len(strangers)


def test_the_bound_is_there_unasked() -> None:
    strangers = Strangers()
    for number in range(MOST + 10):
        strangers.note(str(number), 1.0, "DISCOVER")
    assert MOST == len(strangers)


def test_what_one_stranger_says_is_not_another_s() -> None:
    strangers, said = Strangers(), {"kind": "pxe"}
    strangers.note("a", 1.0, "DISCOVER", said)
    strangers.note("b", 1.0, "DISCOVER", said)
    strangers.note("b", 2.0, "DISCOVER", {"kind": "ipxe"})
    assert [{"kind": "ipxe"}, {"kind": "pxe"}] == [seen.client for seen in strangers.list()]
    assert {"kind": "pxe"} == said
