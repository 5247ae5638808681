"""Files into a real filesystem."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.actions import writefile
from tests.agent.actions.devices import MB, Loop, environment, machine, mounted, needs_loop_devices, run

pytestmark = [pytest.mark.shell, needs_loop_devices]


@pytest.fixture
def disk(loop: Loop) -> str:
    device = loop(16 * MB)
    run("mkfs.ext4", "-q", device)
    return device


def write(folder: Path, disk: str, **settings: str) -> int:
    return writefile.ACTION.run(environment(folder / "run", machine(), DEST_DISK=disk, FS_TYPE="ext4", **settings))


def test_a_file_is_written_with_its_owner_modes_and_folders(tmp_path: Path, disk: str) -> None:
    modes = {"UID": "1000", "GID": "100", "MODE": "0600", "DIRMODE": "0700"}
    assert 0 == write(tmp_path, disk, DEST_PATH="/etc/cloud/cloud.cfg.d/10.cfg", CONTENTS="datasource: grün\n", **modes)
    with mounted(disk, tmp_path / "mnt") as point:
        folder, file = (point / "etc/cloud").stat(), (point / "etc/cloud/cloud.cfg.d/10.cfg").stat()
        assert "datasource: grün\n" == (point / "etc/cloud/cloud.cfg.d/10.cfg").read_text()
        assert (0o600, 1000, 100) == (file.st_mode & 0o7777, file.st_uid, file.st_gid)
        assert (0o700, 1000, 100) == (folder.st_mode & 0o7777, folder.st_uid, folder.st_gid)


def test_a_file_that_was_there_is_replaced_and_the_folder_kept(tmp_path: Path, disk: str) -> None:
    for content, mode in (("long before", "0750"), ("now", "0711")):
        assert 0 == write(tmp_path, disk, DEST_PATH="/etc/motd", CONTENTS=content, DIRMODE=mode)
    with mounted(disk, tmp_path / "mnt") as point:
        assert ("now", 0o750) == ((point / "etc/motd").read_text(), (point / "etc").stat().st_mode & 0o7777)


def test_a_hostile_image_does_not_make_it_write_to_us(tmp_path: Path, disk: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with mounted(disk, tmp_path / "mnt") as point:
        (point / "etc").symlink_to(outside)
        (point / "var").symlink_to("../../../../../../../../../../../.." + str(outside))
    for path in ("/etc/passwd", "/var/passwd"):
        assert 0 == write(tmp_path, disk, DEST_PATH=path, CONTENTS="root::0:0::/:")
    assert [] == list(outside.iterdir())
    with mounted(disk, tmp_path / "mnt") as point:
        assert (point / str(outside).lstrip("/") / "passwd").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"DEST_PATH": "/x", "MODE": "rw"}, "MODE is 'rw': write permissions in octal, such as 0644"),
        ({"DEST_PATH": "/x", "DIRMODE": "0789"}, "DIRMODE is '0789': write permissions"),
        ({"DEST_PATH": "/x", "UID": "root"}, "UID is 'root': write a whole number"),
        ({}, "DEST_PATH is not set: The file, from the root of that system"),
        ({"DEST_PATH": "/lost+found"}, "/lost+found is a folder"),
        ({"DEST_PATH": "/x", "FS_TYPE": "xfs"}, "mount -t xfs"),
    ],
)
def test_what_cannot_be_written_is_a_sentence(
    settings: dict[str, str], said: str, tmp_path: Path, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"DEST_DISK": disk, **settings}
    assert 1 == writefile.ACTION.run(environment(tmp_path / "run", machine(), **given))
    complaint = capsys.readouterr().err
    assert complaint.startswith("writefile: ")
    assert said in complaint
