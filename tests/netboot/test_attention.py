"""Silence counts only while somebody listens."""

from __future__ import annotations

import pytest

from netboot.attention import BREAK, Attention


def test_a_server_that_looks_all_the_time_has_listened_since_its_start() -> None:
    attention = Attention(1000.0, 1000.0, 50.0)
    assert [1000.0] * 3 == [attention.look(1000.0 + at, 50.0 + at) for at in (0.25, 4.0, 8.5)]


@pytest.mark.parametrize(
    ("wall", "steady"),
    [
        pytest.param(1100.0, 150.0, id="stopped"),
        pytest.param(1100.0, 50.1, id="asleep with its host, or its clock was put on"),
        pytest.param(1000.1 + BREAK, 50.1 + BREAK, id="long enough"),
    ],
)
def test_after_a_break_it_begins_to_listen(wall: float, steady: float) -> None:
    attention = Attention(1000.0, 1000.0, 50.0)
    assert [wall, wall] == [attention.look(wall, steady), attention.look(wall + 1, steady + 1)]


def test_nobody_listens_since_tomorrow() -> None:
    attention = Attention(1000.0, 1000.0, 50.0)
    assert [400.0, 400.0] == [attention.look(400.0, 50.1), attention.look(401.0, 51.1)]
