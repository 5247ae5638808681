"""Where machines were last seen, and that nobody is seen in two places."""

from __future__ import annotations

from netboot.sightings import MOST, Sightings


def seen(*pairs: tuple[str, str], most: int = MOST) -> Sightings:
    sightings = Sightings(most)
    for mac, address in pairs:
        sightings.note(mac, address)
    return sightings


def test_a_machine_is_where_it_was_seen_last() -> None:
    sightings = seen(("a", "10.0.0.1"), ("a", "10.0.0.2"))
    assert ("10.0.0.2", "", "a") == (sightings.address_of("a"), sightings.mac_at("10.0.0.1"), sightings.mac_at("10.0.0.2"))


def test_an_address_is_the_machine_s_that_was_seen_there_last() -> None:
    sightings = seen(("a", "10.0.0.1"), ("b", "10.0.0.1"))
    assert ("b", "", "10.0.0.1") == (sightings.mac_at("10.0.0.1"), sightings.address_of("a"), sightings.address_of("b"))


def test_two_machines_that_change_places_are_both_found() -> None:
    sightings = seen(("a", "10.0.0.1"), ("b", "10.0.0.2"), ("a", "10.0.0.2"), ("b", "10.0.0.1"))
    assert ("b", "a") == (sightings.mac_at("10.0.0.1"), sightings.mac_at("10.0.0.2"))


def test_who_was_never_seen_is_nowhere_and_a_fetch_from_nowhere_is_none() -> None:
    sightings = seen(("a", ""))
    assert ("", "", "") == (sightings.address_of("a"), sightings.mac_at(""), sightings.mac_at("10.0.0.1"))


def test_a_flood_pushes_out_what_was_seen_longest_ago() -> None:
    sightings = seen(("a", "10.0.0.1"), ("b", "10.0.0.2"), ("a", "10.0.0.1"), ("c", "10.0.0.3"), most=2)
    assert ["10.0.0.1", "", "10.0.0.3"] == [sightings.address_of(mac) for mac in "abc"]
    assert "" == sightings.mac_at("10.0.0.2")


def test_the_bound_is_there_unasked() -> None:
    sightings = seen(*((str(number), f"host-{number}") for number in range(MOST + 1)))
    assert ("", "host-1") == (sightings.address_of("0"), sightings.address_of("1"))
