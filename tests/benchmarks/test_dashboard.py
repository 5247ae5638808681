"""The pages that are measured are pages of a fleet at work."""

from pathlib import Path

import pytest

from benchmarks.dashboard import measure, pages


@pytest.mark.shell
def test_every_figure_is_of_a_whole_page(tmp_path: Path) -> None:
    took = measure(tmp_path, machines=200, later=2)
    assert list(pages(200)) == list(took)
    assert all(part > 0 for each in took.values() for part in (*each.first, *each.then))
    assert took["a rack of it"].size < took["the fleet"].size
