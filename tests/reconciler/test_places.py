"""Paths are written as people write them, and every value of a document is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.places import Path, Source, path_of, path_text
from reconciler.yaml import read


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("spec",), "spec"),
        (("spec", "interfaces", 0, "mac"), "spec.interfaces[0].mac"),
        (("metadata", "labels", "example.com/rack"), 'metadata.labels["example.com/rack"]'),
        (("options", "42", 1, 2), "options.42[1][2]"),
        (('say "x"', ""), '["say \\"x\\""][""]'),
    ],
)
def test_a_path_is_written_with_dots_and_brackets(path: Path, text: str) -> None:
    assert text == path_text(path)
    assert path == path_of(text)


@given(st.lists(st.text() | st.integers(0, 1000)).map(tuple))
def test_every_path_can_be_written_and_read_back(path: Path) -> None:
    assert path == path_of(path_text(path))
    assert path_text(path).isprintable()


def test_what_was_not_written_is_where_the_nearest_thing_around_it_is() -> None:
    source = Source("f", read(b"spec:\n  a:\n  - b: 1\n").documents[0].root)
    assert source.at("spec.a[0].missing.further") == ("f", 3, 5)
    assert source.at("spec.a[7].b") == ("f", 3, 3)
    assert source.at("other") == ("f", 1, 1)
