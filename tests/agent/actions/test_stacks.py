"""What is left in /dev of what was stopped; for the stopping itself see tests/lab/test_stacks.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.actions.stacks import forget

pytestmark = pytest.mark.shell


def test_links_of_volumes_that_are_gone_go_and_all_others_stay(tmp_path: Path) -> None:
    mapper = tmp_path / "mapper"
    for name in ("mapper", "vg0", "vg1", "disk", "shm"):
        (tmp_path / name).mkdir()
    (mapper / "vg1-root").touch()
    for link, target in (("vg0/root", "vg0-root"), ("vg1/root", "vg1-root"), ("vg1/swap", "vg1-swap")):
        (tmp_path / link).symlink_to(mapper / target)
    (tmp_path / "disk" / "missing").symlink_to("/dev/nothing")
    forget(tmp_path)
    expected = ["disk", "disk/missing", "mapper", "mapper/vg1-root", "shm", "vg1", "vg1/root"]
    assert expected == sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
