"""Sticky addresses: one MAC each, the same one as long as it can be, and never somebody else's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netboot.events import AddressDeclined, Event, LeaseBound, LeaseReleased
from netboot.observed import Observed, fold
from netboot.pool import DECLINED_SECONDS, PROBES, Pool, sticky_address

A, B = "52:54:00:00:00:0a", "52:54:00:00:00:0b"
NOW = 1_000_000.0
HOUR = 3600


def pool(first: str = "10.1.200.1", last: str = "10.1.200.4", reserved: tuple[str, ...] = ()) -> Pool:
    return Pool(first, last, (reserved,), HOUR)


def bound(mac: str, address: str, at: float = NOW) -> LeaseBound:
    return LeaseBound(at=at, mac=mac, address=address)


def given_to(mac: str, *events: Event, of: Pool | None = None, now: float = NOW) -> str | None:
    return sticky_address(of or pool(), mac, fold(events), now)


def test_an_offer_needs_no_memory() -> None:
    assert given_to(A) == given_to(A)


def test_addresses_spread_over_the_range_and_keep_within_it() -> None:
    wide = pool("10.1.200.250", "10.1.201.5")
    found = {given_to(f"52:54:00:00:00:{number:02x}", of=wide) for number in range(256)}
    expected = {f"10.1.200.{last}" for last in range(250, 256)} | {f"10.1.201.{last}" for last in range(6)}
    assert expected == found


def test_a_range_of_one_address_is_a_range() -> None:
    assert "10.1.200.1" == given_to(A, of=pool("10.1.200.1", "10.1.200.1"))


def test_a_mac_keeps_its_address_also_when_its_lease_ran_out_and_others_came() -> None:
    kept = next(address for last in range(1, 5) if (address := f"10.1.200.{last}") != given_to(A))
    assert kept == given_to(A, bound(A, kept), bound(B, "10.1.200.1" if kept != "10.1.200.1" else "10.1.200.2"), now=NOW + 9e9)


def test_a_mac_that_moved_to_another_range_gets_an_address_there() -> None:
    assert given_to(A) == given_to(A, bound(A, "10.2.0.200"))


def test_what_is_leased_reserved_or_declined_is_passed_over() -> None:
    first = given_to(A)
    assert first is not None
    for passed in (
        given_to(A, bound(B, first)),
        given_to(A, of=pool(reserved=(first,))),
        given_to(A, bound(A, first), of=pool(reserved=(first,))),
        given_to(A, AddressDeclined(at=NOW, mac=A, address=first)),
    ):
        assert passed not in (first, None)


def test_a_released_address_is_free_for_anybody() -> None:
    first = given_to(A)
    assert first is not None
    assert first == given_to(A, bound(B, first), LeaseReleased(at=NOW, mac=B, address=first))


def test_a_declined_address_is_tried_again_after_an_hour() -> None:
    first = given_to(A)
    assert first is not None
    declined = AddressDeclined(at=NOW, mac=A, address=first)
    assert first != given_to(A, declined, now=NOW + DECLINED_SECONDS - 1)
    assert first == given_to(A, declined, now=NOW + DECLINED_SECONDS)


FULL = tuple(bound(f"52:54:00:00:01:{last:02x}", f"10.1.200.{last}", NOW + last) for last in range(1, 5))


def test_a_full_range_has_no_address_to_give() -> None:
    assert given_to(A, *FULL) is None


def test_a_lease_that_certainly_ran_out_is_given_away_when_nothing_is_free() -> None:
    """A client may have renewed for half of its lease without that being journalled."""
    assert given_to(A, *FULL, now=NOW + 4 + 1.5 * HOUR - 3.5) is None
    assert "10.1.200.1" == given_to(A, *FULL, now=NOW + 1.5 * HOUR + 1.5)
    assert given_to(A, *FULL, now=NOW + 9 * HOUR, of=pool(reserved=tuple(f"10.1.200.{last}" for last in range(1, 5)))) is None


class Counting(dict[str, str]):
    """Leases that count how often they are looked at."""

    looks = 0

    def get(self, key: str, default: object = None) -> str:
        self.looks += 1
        return "52:54:00:ff:ff:ff"


def test_a_full_range_costs_a_bounded_search() -> None:
    observed, leases = Observed(bound_at={"52:54:00:ff:ff:ff": NOW}), Counting()
    observed.mac_of = leases
    assert sticky_address(pool("10.0.0.1", "10.255.255.254"), A, observed, NOW) is None
    assert leases.looks <= 2 * PROBES


MACS = st.sampled_from([f"52:54:00:00:00:{number:02x}" for number in range(7)])
DOES = st.sampled_from(["asks", "asks", "asks", "declines", "releases", "sleeps"])


@given(st.lists(st.tuples(MACS, DOES)))
def test_no_two_macs_ever_hold_one_address(story: list[tuple[str, str]]) -> None:
    observed, now, until = Observed(), NOW, dict[str, tuple[str, float]]()
    reserved = pool(reserved=("10.1.200.2",))
    for mac, does in story:
        now += 1
        address = sticky_address(reserved, mac, observed, now)
        if does == "sleeps":
            now += 0.8 * HOUR
        elif address is not None and does == "asks":
            assert address != "10.1.200.2"
            holder, end = until.get(address, (mac, 0.0))
            assert holder == mac or end < now
            until[address] = (mac, now + HOUR)
            observed.apply(bound(mac, address, now))
        elif (held := observed.address_of.get(mac)) is not None:
            kind = AddressDeclined if does == "declines" else LeaseReleased
            observed.apply(kind(at=now, mac=mac, address=held))
            del until[held]
