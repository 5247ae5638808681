"""Capabilities: of boots, which expire, and of sessions."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.tokens import FOREIGN, LIFETIME, from_header, objection, session_key, token

KEY = bytes(range(32))
NOW = 1_700_000_000.0
BOOT = ("node-01", "plan-1", "boot-1")


def test_a_token_is_its_expiry_and_the_hmac_of_machine_plan_boot_and_expiry() -> None:
    words = ("boot", *BOOT, "6553f100")
    message = b"".join(len(word).to_bytes(4, "big") + word.encode() for word in words)
    assert "6553f100" + hmac.digest(KEY, message, hashlib.sha256).hex()[:56] == token(KEY, *BOOT, NOW)


def test_a_token_speaks_for_its_boot_until_it_expires() -> None:
    presented = token(KEY, *BOOT, NOW + LIFETIME)
    assert "" == objection(KEY, *BOOT, presented, NOW)
    assert "" == objection(KEY, *BOOT, presented, NOW + LIFETIME)
    assert "The token has expired" in objection(KEY, *BOOT, presented, NOW + LIFETIME + 1)


@pytest.mark.parametrize(
    "other", [("node-02", "plan-1", "boot-1"), ("node-01", "plan-2", "boot-1"), ("node-01", "plan-1", "b")]
)
def test_a_token_speaks_for_no_other_machine_plan_or_boot(other: tuple[str, str, str]) -> None:
    assert FOREIGN == objection(KEY, *other, token(KEY, *BOOT, NOW), NOW)
    assert FOREIGN == objection(bytes(32), *BOOT, token(KEY, *BOOT, NOW), NOW)


def test_the_same_letters_divided_otherwise_are_another_token() -> None:
    assert token(KEY, "node-01", "plan", "1boot", NOW) != token(KEY, "node-01", "plan1", "boot", NOW)


def test_nobody_can_put_the_expiry_off() -> None:
    presented = token(KEY, *BOOT, NOW)
    assert FOREIGN == objection(KEY, *BOOT, f"{int(NOW) + 9:08x}{presented[8:]}", NOW)


@given(st.text() | st.binary().map(bytes.hex))
def test_anything_else_is_refused_without_an_exception(presented: str) -> None:
    assert FOREIGN == objection(KEY, *BOOT, presented, NOW)


@pytest.mark.parametrize("presented", ["\ud800", "0" * 64, "x" * 100_000, "-0000001" + "0" * 56])
def test_what_looks_like_a_token_is_refused_too(presented: str) -> None:
    assert FOREIGN == objection(KEY, *BOOT, presented, NOW)


def test_the_key_of_a_session_is_its_own_and_no_token() -> None:
    assert 64 == len(session_key(KEY, "s1"))
    assert 4 == len({session_key(KEY, "s1"), session_key(KEY, "s2"), session_key(bytes(32), "s1"), token(KEY, *BOOT, NOW)})


@pytest.mark.parametrize(
    ("header", "expected"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("Bearer", ""), ("", ""), ("abc", "")],
)
def test_only_a_bearer_header_has_a_token(header: str, expected: str) -> None:
    assert expected == from_header(header)
