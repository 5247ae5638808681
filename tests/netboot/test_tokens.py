"""Capabilities of boots."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from netboot.tokens import from_header, token, verify

KEY = bytes(range(32))


def test_a_token_is_the_hmac_of_the_boot_id() -> None:
    assert hmac.digest(KEY, b"boot-1", hashlib.sha256).hex() == token(KEY, "boot-1")


def test_a_token_speaks_for_its_boot_only() -> None:
    assert verify(KEY, "boot-1", token(KEY, "boot-1"))
    assert not verify(KEY, "boot-2", token(KEY, "boot-1"))
    assert not verify(bytes(32), "boot-1", token(KEY, "boot-1"))


@pytest.mark.parametrize("presented", ["", "é", "\ud800", "0" * 64, "x" * 100_000])
def test_anything_else_is_refused_without_an_exception(presented: str) -> None:
    assert not verify(KEY, "boot-1", presented)


@pytest.mark.parametrize(
    ("header", "expected"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("Bearer", ""), ("", ""), ("abc", "")],
)
def test_only_a_bearer_header_has_a_token(header: str, expected: str) -> None:
    assert expected == from_header(header)
