"""How often an action says how far it is."""

from __future__ import annotations

from agent.actions.progress import MB, Progress


def test_it_says_how_far_it_is_at_most_once_in_an_interval() -> None:
    progress = Progress("image2disk", 2048 * MB, interval=10)
    said = [progress.line(second * 16 * MB, float(second)) for second in range(36)]
    assert ["image2disk: 160 of 2048 MB", "image2disk: 320 of 2048 MB"] == [line for line in said if line][:2]
    assert 3 == len([line for line in said if line])


def test_without_a_total_it_says_what_is_done() -> None:
    assert "slurp: 1 MB" == Progress("slurp").last(1)
