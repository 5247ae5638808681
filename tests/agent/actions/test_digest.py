"""Digests as git writes them, and of what comes."""

from __future__ import annotations

import hashlib

import pytest

from agent.actions.digest import Digest, Hashed
from agent.actions.settings import Failed


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_digest_is_read_with_and_without_its_algorithm_and_compared(algorithm: str) -> None:
    digits = hashlib.new(algorithm, b"abcd").hexdigest()
    coming = Hashed([b"ab", b"cd"], algorithm)
    assert b"abcd" == b"".join(coming)
    assert 4 == coming.size
    for text in (f"{algorithm}:{digits}", f" {algorithm}:{digits.upper()}\n", digits):
        assert coming.digest == Digest.parse("SUM", text)
    assert coming.digest != Digest.parse("SUM", "0" * len(digits))


@pytest.mark.parametrize(
    "text", ["", "abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:abc", f"sha256:{'g' * 64}", f"sha512:{'0' * 64}"]
)
def test_what_is_no_digest_is_refused_with_its_form(text: str) -> None:
    with pytest.raises(Failed, match=r"^SUM is .*: write sha256:, sha384: or sha512: and the digest in hexadecimal$"):
        Digest.parse("SUM", text)
