"""Host lists mean what cluster tools mean by them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.hostlist import expand, is_list


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node-01", ["node-01"]),
        ("a,b,a", ["a", "b"]),
        ("node[01-03]", ["node01", "node02", "node03"]),
        ("node[9-11]", ["node9", "node10", "node11"]),
        ("node[1,3-4,08]x", ["node1x", "node3x", "node4x", "node08x"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("a[1-2],b", ["a1", "a2", "b"]),
        (" a , b ", ["a", "b"]),
        ("", []),
    ],
)
def test_a_list_is_these_names(text: str, expected: list[str]) -> None:
    assert expected == expand(text)
    assert is_list(text) or expand(text) in ([text], [])


@pytest.mark.parametrize(
    "text", ["node[", "node]1", "node[]", "node[a-b]", "node[3-1]", "node[1-2", "n[1-999999999]", "n[0-9999]m[0-9999]"]
)
def test_what_is_none_is_said_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        expand(text)


@given(st.text(max_size=40))
def test_whatever_is_written_ends_in_names_or_a_sentence(text: str) -> None:
    try:
        names = expand(text)
    except ValueError:
        return
    assert all(names)
