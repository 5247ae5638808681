"""Files of secrets lie in memory or nowhere."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from agent import memory

pytestmark = pytest.mark.shell

FILES = {"/run/secrets/key": "correct horse\n", "/etc/other": "battery"}


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path("/dev/shm") / f"gitboot-test-{uuid4().hex}"
    yield made / "container"
    memory.remove(made)


def test_each_file_is_bound_by_itself_and_only_its_owner_reaches_the_folder(folder: Path) -> None:
    binds = memory.lay_out(folder, FILES)
    assert [f"{folder}/0:/run/secrets/key:ro", f"{folder}/1:/etc/other:ro"] == binds
    assert "correct horse\n" == (folder / "0").read_text()
    assert 0o444 == stat.S_IMODE((folder / "0").stat().st_mode)
    assert [0o700] * 2 == [stat.S_IMODE(each.stat().st_mode) for each in (folder, folder.parent)]
    memory.remove(folder)
    assert not folder.exists()


def test_without_files_there_is_no_folder(folder: Path) -> None:
    assert [] == memory.lay_out(folder, {})
    assert not folder.parent.exists()


def test_what_an_earlier_start_left_is_gone(folder: Path) -> None:
    memory.lay_out(folder, FILES)
    memory.lay_out(folder, {"/run/secrets/key": "new secret"})
    assert ["new secret"] == [each.read_text() for each in folder.iterdir()]


def test_a_disk_gets_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_file_system", lambda path: "ext4")
    with pytest.raises(OSError, match="is not in memory: mount a tmpfs there"):
        memory.lay_out(tmp_path / "run" / "container", FILES)
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_file_system_of_a_path_is_that_of_its_deepest_mount() -> None:
    assert ("tmpfs", "proc", "sysfs") == tuple(
        memory._file_system(Path(path)) for path in ("/dev/shm", "/proc/self", "/sys/kernel")
    )
