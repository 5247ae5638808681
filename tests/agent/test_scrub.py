"""No secret is left, however a stream is cut, and nothing else is touched."""

from __future__ import annotations

import json
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Iterable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.scrub import Scrubber

SECRET = "correct horse/ä"
KEY = (
    "-----BEGIN KEY-----\n" + "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" + str(n) for n in range(9)) + "\n-----END KEY-----\n"
)


def scrubber(*values: str) -> Scrubber:
    made = Scrubber()
    made.learn(values)
    return made


def streamed(scrub: Scrubber, data: bytes, cuts: Iterable[int]) -> bytes:
    stream, before, out = scrub.stream(), 0, b""
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        out += stream.receive(data[before:cut])
        before = cut
    return out + stream.rest()


@pytest.mark.parametrize(
    "form",
    [
        SECRET.encode(),
        json.dumps(SECRET).encode()[1:-1],
        quote(SECRET).encode(),
        quote(SECRET, safe="").encode(),
        SECRET.encode().hex().encode(),
        SECRET.encode().hex().upper().encode(),
    ],
)
def test_a_secret_is_hidden_in_each_form_and_what_is_around_it_stays(form: bytes) -> None:
    assert b"a " + b"*" * len(form) + b"\nb" == scrubber(SECRET)(b"a " + form + b"\nb")


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("before", [b"", b"u", b"us", b"user:"])
@pytest.mark.parametrize("after", [b"", b"x", b"xy", b"\n"])
def test_a_secret_is_hidden_in_base64_of_more_than_itself(encode: type, before: bytes, after: bytes) -> None:
    """`Authorization: Basic` is base64 of user and password."""
    hidden = scrubber(SECRET)(b64encode(before + SECRET.encode() + after))
    left = hidden.replace(b"*", b"").rstrip(b"=")
    assert len(left) <= len(b64encode(before)) + len(b64encode(after)) + 2
    assert b"*" * 18 in hidden


def test_a_key_is_hidden_as_a_whole_by_lines_and_in_wrapped_base64() -> None:
    scrub = scrubber(KEY)
    assert set(scrub(KEY.strip().encode())) == {ord("*")}
    assert set(scrub(KEY.strip().replace("\n", "\r\n  ").encode())) <= set(b"*\r\n ")
    assert set(scrub(b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC4")) == {ord("*")}
    for line in encodebytes(KEY.encode()).splitlines()[:-1]:
        assert set(scrub(line)) == {ord("*")}


def test_secrets_that_overlap_are_hidden_both() -> None:
    assert b"*" * 13 == scrubber("password1", "word12345")(b"password12345")
    assert b"*" * 8 == scrubber("abcab")(b"abcabcab")


def test_a_secret_that_is_cut_in_its_middle_twice_is_hidden() -> None:
    """Its end is the beginning of another occurrence, so it is held back, and must not come out bare."""
    assert b"******xyz" == streamed(scrubber("abcabc"), b"abcabcxyz", [6])
    assert b"*********xyz" == streamed(scrubber("abcabc"), b"abcabcabcxyz", [6, 7])


@given(
    st.lists(st.text("ab", min_size=4, max_size=7), min_size=1, max_size=3),
    st.text("abc", max_size=60),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_where_a_stream_is_cut_makes_no_difference(values: list[str], text: str, cuts: list[int]) -> None:
    scrub = scrubber(*values)
    whole = scrub(text.encode())
    assert len(whole) == len(text)
    assert not any(value.encode() in whole for value in values)
    assert whole == streamed(scrub, text.encode(), cuts)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4))
def test_a_stream_without_secrets_is_what_it_was(data: bytes, cuts: list[int]) -> None:
    assert data == streamed(Scrubber(), data, cuts)


def test_nothing_is_held_back_that_cannot_become_a_secret() -> None:
    stream = scrubber("correct horse").stream()
    assert b"progress 50%" == stream.receive(b"progress 50%")
    assert b" " == stream.receive(b" correct")
    assert b"correctly" == stream.receive(b"ly")


def test_reports_are_scrubbed_in_their_values_and_not_in_their_keys() -> None:
    scrub = scrubber("reason", "task")
    assert {"reason": "no ****** for ****", "list": [1, None, "****s"]} == scrub.document(
        {"reason": "no reason for task", "list": [1, None, "tasks"]}
    )


def test_who_does_not_know_the_secrets_hides_everything() -> None:
    scrub = Scrubber()
    scrub.hide_everything()
    assert b"***\n**" == scrub(b"abc\nde")
    assert b"***\n**" == streamed(scrub, b"abc\nde", [1, 2])
    assert "***" == scrub.text("abc")


def test_lone_surrogates_and_damaged_text_are_no_obstacle() -> None:
    assert "a\udc80b" == Scrubber().text("a\udc80b")
    assert scrubber(SECRET).text(f"\udc80 {SECRET}").endswith("*" * len(SECRET.encode()))
