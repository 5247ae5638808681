"""The comparison that is measured is one."""

from pathlib import Path

import pytest

from benchmarks.plan import measure


@pytest.mark.shell
def test_every_figure_is_of_a_comparison_that_found_the_change(tmp_path: Path) -> None:
    took = measure(tmp_path, machines=300, rounds=1)
    assert ["an address, cold", "an address, warm", "the kernel of all, warm"] == list(took)
    assert all(each.processor > 0 for rounds in took.values() for each in rounds)
