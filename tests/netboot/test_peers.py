"""Who is really asking, through proxies or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.peers import NOBODY, is_within, peer_of

TRUSTED = ("10.9.0.0/24", "127.0.0.1/32")


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("10.1.0.11", [], "10.1.0.11"),
        ("10.1.0.11", ["10.1.0.12"], "10.1.0.11"),
        ("10.9.0.1", [], "10.9.0.1"),
        ("10.9.0.1", ["10.1.0.12"], "10.1.0.12"),
        ("10.9.0.1", ["10.1.0.12:40312"], "10.1.0.12"),
        ("10.9.0.1", ["10.1.0.66, 10.1.0.12"], "10.1.0.12"),
        ("10.9.0.1", ["10.1.0.66", "10.1.0.12"], "10.1.0.12"),
        ("127.0.0.1", ["10.1.0.66, 10.1.0.12 ,10.9.0.7, 10.9.0.8"], "10.1.0.12"),
        ("127.0.0.1", ["10.9.0.7,10.9.0.8"], "10.9.0.7"),
        ("10.9.0.1", ["10.1.0.12, unknown"], NOBODY),
        ("10.9.0.1", ["10.1.0.12, unknown, 10.9.0.2"], NOBODY),
        ("10.9.0.1", [""], NOBODY),
        ("10.9.0.1", ["fe80::1"], NOBODY),
        ("", ["10.1.0.12"], ""),
    ],
)
def test_the_last_hop_that_is_no_trusted_proxy_is_who_asks(client: str, forwarded: list[str], expected: str) -> None:
    assert expected == peer_of(client, forwarded, TRUSTED)


@given(st.lists(st.text()))
def test_without_trusted_proxies_no_header_makes_anybody_another(forwarded: list[str]) -> None:
    assert "10.1.0.11" == peer_of("10.1.0.11", forwarded, ())
    assert "10.1.0.11" == peer_of("10.1.0.11", forwarded, TRUSTED)


@given(st.lists(st.text()))
def test_what_a_client_puts_before_the_word_of_a_trusted_proxy_does_not_count(lies: list[str]) -> None:
    assert "10.1.0.11" == peer_of("10.9.0.1", [*lies, "10.1.0.11"], TRUSTED)
    assert "10.1.0.11" == peer_of("10.9.0.1", [",".join([*lies, "10.1.0.11"])], TRUSTED)


@given(st.text())
def test_what_is_no_address_is_in_no_network(text: str) -> None:
    assert not is_within(text + "x", ("0.0.0.0/0",))
