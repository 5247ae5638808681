"""Who may read: every reason to be let in, and every other case refused."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.errors import Malformed
from netboot.readers import (
    MOST_WRONG,
    WRONG_SECONDS,
    Admitted,
    Asked,
    NotAdmitted,
    Readers,
    Token,
    decode_tokens,
    digest_of,
    encode_tokens,
    token_of,
)

SECRET = "gitboot_the-one-that-counts"
TOKENS = [
    Token("prometheus", digest_of(SECRET), "2026-01-31T12:00:00Z"),
    Token("ada", digest_of("other"), "2026-01-31T12:00:00Z"),
]
FAR = Asked(peer="10.1.0.77", local="10.1.0.1", host="10.1.0.1")
NEAR = Asked(peer="127.0.0.1", local="127.0.0.1", host="127.0.0.1:8080")


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def admit(asked: Asked, *, open_status: bool = False) -> Admitted | NotAdmitted:
    return Readers(open_status).admit(asked, TOKENS, 0)


def status(asked: Asked) -> int:
    verdict = admit(asked)
    return verdict.status if isinstance(verdict, NotAdmitted) else 200


@pytest.mark.parametrize(
    ("asked", "by"),
    [
        (NEAR, "loopback"),
        (replace(NEAR, host="localhost"), "loopback"),
        (replace(NEAR, host="gitboot.localhost:80"), "loopback"),
        (replace(NEAR, host="[::1]:80", peer="::1", local="::1"), "loopback"),
        (replace(NEAR, host=""), "loopback"),
        (Asked(peer="", local="/var/lib/gitboot/http.sock", by_socket=True, host="x"), "unix socket"),
        (replace(FAR, authorization=f"Bearer {SECRET}"), "prometheus"),
        (replace(FAR, authorization=f"bearer {SECRET}"), "prometheus"),
        (replace(FAR, authorization=basic("", SECRET)), "prometheus"),
        (replace(FAR, authorization=basic("anybody", "other")), "ada"),
        (replace(NEAR, forwarded=True, authorization=f"Bearer {SECRET}"), "prometheus"),
    ],
)
def test_a_reader_is_let_in_and_it_is_known_why(asked: Asked, by: str) -> None:
    assert Admitted(by) == admit(asked)


@pytest.mark.parametrize(
    "asked",
    [
        FAR,
        replace(NEAR, peer="10.1.0.1", local="10.1.0.1"),  # from this host, but by an address that others have, too
        replace(NEAR, local="10.1.0.1"),
        replace(NEAR, peer="10.1.0.77"),
        replace(NEAR, peer=""),
        replace(NEAR, forwarded=True),  # a reverse proxy on this host
        replace(NEAR, host="evil.example"),  # a page whose name was made to mean 127.0.0.1
        replace(NEAR, host="127.0.0.1.evil.example"),
        replace(NEAR, host="localhost.evil.example"),
        replace(NEAR, host="[::1"),
        replace(FAR, host="127.0.0.1"),
        replace(FAR, authorization="Bearer"),
        replace(FAR, authorization="Bearer "),
        replace(FAR, authorization=f"Bearer {SECRET}x"),
        replace(FAR, authorization=f"Bearer {digest_of(SECRET)}"),
        replace(FAR, authorization=SECRET),
        replace(FAR, authorization=f"Digest {SECRET}"),
        replace(FAR, authorization=basic(SECRET, "")),
        replace(FAR, authorization=f"Basic {SECRET}"),
        replace(FAR, authorization="Basic \xff\xfe"),
        replace(FAR, authorization="Bearer \udcff"),
        replace(FAR, authorization=f"Bearer {'x' * 100_000}"),
    ],
)
def test_everybody_else_is_refused_with_a_next_step(asked: Asked) -> None:
    verdict = admit(asked)
    assert isinstance(verdict, NotAdmitted)
    assert 401 == verdict.status
    assert "gitboot token add" in verdict.reason
    assert SECRET not in verdict.reason


def test_an_operator_may_open_it_to_all() -> None:
    assert Admitted("--open-status") == admit(FAR, open_status=True)


def test_wrong_tokens_are_bounded_for_each_address_and_a_right_one_is_let_in_all_the_same() -> None:
    readers = Readers()
    wrong, right = replace(FAR, authorization="Bearer x"), replace(FAR, authorization=f"Bearer {SECRET}")
    seen = [readers.admit(wrong, TOKENS, 100) for _ in range(MOST_WRONG + 1)]
    assert [401] * MOST_WRONG + [429] == [each.status for each in seen if isinstance(each, NotAdmitted)]
    (last,) = seen[-1:]
    assert isinstance(last, NotAdmitted)
    assert f"wait {last.retry} s" in last.reason
    assert WRONG_SECONDS <= last.retry <= WRONG_SECONDS + 1
    assert Admitted("prometheus") == readers.admit(right, TOKENS, 100)
    other = readers.admit(replace(wrong, peer="10.1.0.78"), TOKENS, 100)
    again = readers.admit(wrong, TOKENS, 100 + WRONG_SECONDS)
    assert [401, 401] == [each.status for each in (other, again) if isinstance(each, NotAdmitted)]


def test_who_shows_no_token_guesses_nothing() -> None:
    """As every browser's first request."""
    readers = Readers()
    for _ in range(2 * MOST_WRONG):
        verdict = readers.admit(FAR, TOKENS, 0)
        assert isinstance(verdict, NotAdmitted)
        assert 401 == verdict.status


@given(st.text())
def test_no_text_is_more_than_a_wrong_token(text: str) -> None:
    assert status(replace(FAR, authorization=text)) == 401
    assert SECRET != token_of(text)


def test_the_list_is_read_as_it_was_written() -> None:
    assert TOKENS == decode_tokens(encode_tokens(TOKENS))
    assert SECRET.encode() not in encode_tokens(TOKENS)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"tokens":[{"name":"x"}]}', b"\xff", b"[" * 100_000, b'{"tokens":"x"}'])
def test_a_damaged_list_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="the list of tokens"):
        decode_tokens(data)
