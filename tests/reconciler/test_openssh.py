"""Public keys: the lines that sshd reads, and the slips that would let nobody in."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.openssh import public_key

DATA = "AAAAC3NzaC1lZDI1NTE5AAAAIMB4x0bzFcCcIP4aP9fHGWHOCzKhTn2Bzwqg2nJgQ0fI"
KEY = f"ssh-ed25519 {DATA}"


@pytest.mark.parametrize("line", [KEY, f"{KEY} admin@host", f'from="10.1.0.*",no-pty {KEY} a comment', f"  {KEY}\n"])
def test_a_line_of_authorized_keys_is_one(line: str) -> None:
    assert line.strip() == public_key(line)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "a type"),
        (DATA, "a type"),
        ("ssh-ed25519", "a type"),
        (f"ssh-rsa {DATA}", "not of the type"),
        (f"ssh-ed25519 {DATA[:-4]}", "cut off"),
        (f"ssh-ed25519 {DATA[:-1]}", "base64"),
        (f"ssh-ed25519 {DATA}\n{KEY}", "one line"),
        (f"ssh-ed25519 {DATA} \x00", "control"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private"),
        (f"ssh-ed25519 {base64.b64encode(bytes(4)).decode()}", "not of the type"),
    ],
)
def test_a_slip_is_said(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        public_key(line)


@given(st.text(max_size=300))
def test_any_text_is_a_key_or_a_value_error(text: str) -> None:
    line = f"ssh-ed25519 {text}"
    with contextlib.suppress(ValueError):
        assert line.strip() == public_key(line)
