"""Images that have to be read crosswise, to loop devices."""

from __future__ import annotations

import gzip
import hashlib
import random
from pathlib import Path

import pytest

from agent.actions import crosswise, image2disk, qemuimg2disk
from agent.actions.devices import Device
from tests.agent.actions.badweb import serving
from tests.agent.actions.devices import MB, Loop, environment, machine, needs_loop_devices, run, written

pytestmark = [pytest.mark.shell, needs_loop_devices]

RAW = random.Random(1).randbytes(2 * MB) + bytes(20 * MB) + random.Random(2).randbytes(MB) + bytes(MB)


@pytest.fixture
def qcow2(tmp_path: Path) -> bytes:
    return packed(tmp_path, "qcow2", "-c")


def packed(tmp_path: Path, kind: str, *options: str) -> bytes:
    (tmp_path / "raw").write_bytes(RAW)
    run("qemu-img", "convert", "-f", "raw", "-O", kind, *options, tmp_path / "raw", tmp_path / "packed")
    return (tmp_path / "packed").read_bytes()


def write(tmp_path: Path, content: bytes, disk: str, action: str = "qemuimg2disk", **settings: str) -> int:
    program = {"qemuimg2disk": qemuimg2disk.ACTION, "image2disk": image2disk.ACTION}[action]
    with serving(content) as web:
        given = {"IMG_URL": f"{web.url}/a", "DEST_DISK": disk, "IMG_SHA256": hashlib.sha256(content).hexdigest(), **settings}
        return program.run(environment(tmp_path / "run", machine(), **given))


@pytest.mark.parametrize("action", ["qemuimg2disk", "image2disk"])
def test_a_qcow2_image_is_unpacked_to_its_disk(tmp_path: Path, loop: Loop, qcow2: bytes, action: str) -> None:
    disk = loop(64 * MB)
    Path(disk).write_bytes(b"old!" * 16 * MB)
    assert 0 == write(tmp_path, qcow2, disk, action)
    assert RAW == Path(disk).read_bytes()[: len(RAW)]
    assert [disk] == written(tmp_path / "run")


@pytest.mark.parametrize("kind", ["vdi", "vhdx"])
def test_other_formats_are_told_by_their_content(tmp_path: Path, loop: Loop, kind: str) -> None:
    disk = loop(128 * MB)
    assert 0 == write(tmp_path, packed(tmp_path, kind), disk)
    assert RAW == Path(disk).read_bytes()[: len(RAW)]


def test_a_compressed_one_whose_size_nobody_knows_waits_in_the_middle(tmp_path: Path, loop: Loop, qcow2: bytes) -> None:
    disk = loop(64 * MB)
    assert 0 == write(tmp_path, gzip.compress(qcow2), disk)
    assert RAW == Path(disk).read_bytes()[: len(RAW)]


def test_where_an_image_waits() -> None:
    disk = Device("/dev/vda", 64 * MB, ())
    assert [54 * MB, 32 * MB, MB] == [crosswise.place(size, disk) for size in (9 * MB + 1, None, 70 * MB)]


def test_a_disk_without_room_for_both_is_refused_and_boots_nothing(
    tmp_path: Path, loop: Loop, qcow2: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = loop(26 * MB)
    assert 1 == write(tmp_path, qcow2, disk)
    assert f"becomes {len(RAW)} bytes, and its own {len(qcow2)} have to wait on {disk} meanwhile" in capsys.readouterr().err
    assert not Path(disk).read_bytes()[:MB].strip(b"\0")
    assert 1 == write(tmp_path, qcow2, loop(2 * MB))
    assert "does not fit on" in capsys.readouterr().err


def test_a_wrong_digest_is_found_before_it_is_unpacked(
    tmp_path: Path, loop: Loop, qcow2: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = loop(64 * MB)
    assert 1 == write(tmp_path, qcow2, disk, IMG_SHA256="0" * 64)
    assert "and git says sha256:0000" in capsys.readouterr().err
    assert not Path(disk).read_bytes()[: 32 * MB].strip(b"\0")


@pytest.mark.parametrize("option", ["backing_file=/etc/hostname,backing_fmt=raw", "data_file={folder}/outside"])
def test_an_image_that_names_a_file_of_this_machine_is_refused(
    tmp_path: Path, loop: Loop, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", option.format(folder=tmp_path), tmp_path / "evil", "8M")
    disk = loop(64 * MB)
    assert 1 == write(tmp_path, (tmp_path / "evil").read_bytes(), disk)
    assert "names a file for the rest" in capsys.readouterr().err
    assert not Path(disk).read_bytes()[: 32 * MB].strip(b"\0")


def test_what_is_no_such_image_is_refused(tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == write(tmp_path, b"<html>not found</html>" * 1000, loop(64 * MB))
    assert "is no image that we know (qcow2, vdi, vhdx, vpc), but raw: image2disk writes raw ones" in capsys.readouterr().err
