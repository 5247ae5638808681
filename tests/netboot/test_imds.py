"""IMDSv2: tokens as AWS documents them, in the words of "Use the Instance Metadata Service to access instance metadata"."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.imds import LONGEST_TTL, Refusal, Token, admit, issue

KEY, NOW = b"k" * 32, 1_800_000_000.5
TTL, TOKEN = "x-aws-ec2-metadata-token-ttl-seconds", "x-aws-ec2-metadata-token"


def token(ttl: int = 60, machine: str = "node-01", key: bytes = KEY, now: float = NOW) -> str:
    made = issue(key, machine, {TTL: str(ttl)}, now)
    assert isinstance(made, Token)
    return made.text


@pytest.mark.parametrize(
    "ttl", ["", "0", "-1", "21601", "1.5", "1e3", " 60", "sixty", "\u0661\u0662", "9" * 400, "+60", "0x10"]
)
def test_a_put_without_a_valid_ttl_is_400(ttl: str) -> None:
    refused = issue(KEY, "node-01", {TTL: ttl} if ttl else {}, NOW)
    assert isinstance(refused, Refusal)
    assert 400 == refused.status
    assert "21600" in refused.why


@pytest.mark.parametrize("ttl", [1, 2, 60, LONGEST_TTL])
def test_a_token_lives_as_long_as_was_asked_for_and_not_a_second_longer(ttl: int) -> None:
    made = token(ttl)
    for late in (0, ttl - 1):
        assert admit(KEY, "node-01", {TOKEN: made}, required=True, now=NOW + late) is None
    refused = admit(KEY, "node-01", {TOKEN: made}, required=False, now=NOW + ttl)
    assert refused is not None
    assert (401, "This token has expired: PUT /latest/api/token for a new one.") == (refused.status, refused.why)


def test_a_put_with_x_forwarded_for_is_refused_whatever_else_it_says() -> None:
    for headers in ({TTL: "60", "x-forwarded-for": "10.1.0.11"}, {"x-forwarded-for": ""}):
        refused = issue(KEY, "node-01", headers, NOW)
        assert isinstance(refused, Refusal)
        assert 403 == refused.status


def test_without_a_token_is_answered_where_tokens_are_optional_and_401_where_they_are_required() -> None:
    assert admit(KEY, "node-01", {}, required=False, now=NOW) is None
    refused = admit(KEY, "node-01", {}, required=True, now=NOW)
    assert refused is not None
    assert 401 == refused.status


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    "presented",
    [
        token(machine="node-02"), token(key=b"x" * 32), token()[:-1], token() + "0", "", "0" * 80, "f" * 80, "zz" * 40,
        "\u00e9" * 80, token().upper(), " " + token(), "-000000000000001" + token()[16:],
    ],
)  # fmt: skip
def test_an_invalid_token_is_401_even_where_none_is_needed(presented: str, required: bool) -> None:
    refused = admit(KEY, "node-01", {TOKEN: presented}, required=required, now=NOW)
    assert refused is not None
    assert 401 == refused.status


@given(expiry=st.integers(min_value=0, max_value=2**64 - 1), ttl=st.integers(min_value=1, max_value=LONGEST_TTL))
def test_nobody_makes_a_token_live_longer(expiry: int, ttl: int) -> None:
    made = token(ttl)
    changed = f"{expiry:016x}" + made[16:]
    if changed != made:
        assert admit(KEY, "node-01", {TOKEN: changed}, required=False, now=NOW) is not None


@given(st.text(max_size=100))
def test_no_text_is_a_token_and_none_is_a_defect(presented: str) -> None:
    assert admit(KEY, "node-01", {TOKEN: presented}, required=False, now=NOW) is not None
