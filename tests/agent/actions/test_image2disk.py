"""Images to disks: on loop devices, from servers and files that are not what they should be."""

from __future__ import annotations

import errno
import gzip
import hashlib
import lzma
import os
import random
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent import marker
from agent.actions.image2disk import ACTION
from agent.marking import partitions
from tests.agent.actions.badweb import Answer, Request, Web, file, serving
from tests.agent.actions.devices import MB, Loop, environment, loop_device, machine, mounted, needs_loop_devices, run, written

pytestmark = [pytest.mark.shell, needs_loop_devices]

IMAGE = random.Random(1).randbytes(5 * MB + 12345)
SHA256 = hashlib.sha256(IMAGE).hexdigest()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.actions.download.time.sleep", lambda seconds: None)


def image(tmp_path: Path, web: Web, disk: str, **settings: str) -> int:
    defaults = {"IMG_URL": f"{web.url}/image", "DEST_DISK": disk, "RETRY_DURATION_MINUTES": "1"}
    return ACTION.run(environment(tmp_path / "run", machine(), **{**defaults, **settings}))


def content(disk: str, size: int = len(IMAGE)) -> bytes:
    return Path(disk).read_bytes()[:size]


def boots(disk: str) -> bool:
    """Whether there is anything in the first or the last MiB that firmware could start."""
    whole = Path(disk).read_bytes()
    return bool(whole[:MB].strip(b"\0") or whole[-MB:].strip(b"\0"))


def full(disk: str) -> str:
    """Of an old installation."""
    with Path(disk).open("r+b") as device:
        device.write(b"old!" * (os.stat(disk).st_size or Path(f"/sys/class/block/{Path(disk).name}/size").stat().st_size))
    run("sfdisk", "--quiet", disk, given="label: gpt\n,\n")
    return disk


@pytest.mark.parametrize("pack", [bytes, gzip.compress, partial(lzma.compress, preset=0)])
def test_an_image_comes_to_its_disk_unpacked(tmp_path: Path, loop: Loop, pack: Any) -> None:
    disk, packed = full(loop(16 * MB)), pack(IMAGE)
    with serving(packed) as web:
        assert 0 == image(tmp_path, web, disk, IMG_SHA256=hashlib.sha256(packed).hexdigest())
    assert IMAGE == content(disk)
    assert [disk] == written(tmp_path / "run")


def test_an_image_as_large_as_the_disk_fits_and_one_byte_more_does_not(
    tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = loop(8 * MB)
    exact = random.Random(2).randbytes(8 * MB)
    with serving(exact) as web:
        assert 0 == image(tmp_path, web, disk)
    assert exact == content(disk, 8 * MB)
    with serving(exact + b"x") as web:
        assert 1 == image(tmp_path, web, disk)
    assert f"has 8388609 bytes and does not fit on {disk}, which has 8388608" in capsys.readouterr().err
    assert exact == content(disk, 8 * MB), "nothing is written when that is known before"


@pytest.mark.parametrize("checksum", [{"IMG_SHA256": "0" * 64}, {"CHECKSUM": "sha512:" + "0" * 128}])
def test_a_wrong_digest_leaves_a_disk_that_nothing_boots_from(
    tmp_path: Path, loop: Loop, checksum: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    disk = full(loop(8 * MB))
    with serving(IMAGE) as web:
        assert 1 == image(tmp_path, web, disk, **checksum)
    assert "and git says sha" in capsys.readouterr().err
    assert not boots(disk)


def test_nothing_boots_while_the_image_comes(tmp_path: Path, loop: Loop) -> None:
    disk = full(loop(8 * MB))
    seen: list[bool] = []

    def answer(request: Request, number: int) -> Answer:
        seen.append(boots(disk))
        found = file(IMAGE, request)
        found.cut = 2 * MB if number < 3 else None
        return found

    with Web(answer) as web:
        assert 0 == image(tmp_path, web, disk, IMG_SHA256=SHA256)
    assert [True, False, False] == seen
    assert IMAGE == content(disk)


def test_a_disk_is_left_as_it_was_when_there_is_no_image(tmp_path: Path, loop: Loop) -> None:
    disk = full(loop(8 * MB))
    before = Path(disk).read_bytes()
    with Web(lambda request, number: Answer(status=404)) as web:
        assert 1 == image(tmp_path, web, disk)
    assert before == Path(disk).read_bytes()
    assert not (tmp_path / "run" / "written").exists()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(b""), "is empty"),
        (Answer(IMAGE, length=len(IMAGE) + MB), "cannot be read: the connection ended"),
        (Answer(gzip.compress(IMAGE)[:-1000]), "the end of the gzip data is missing"),
        (Answer(gzip.compress(IMAGE)[: 2 * MB] + b"\xff" * 2 * MB), "this is not gzip, or damaged"),
    ],
)
def test_half_an_image_leaves_a_disk_that_nothing_boots_from(
    tmp_path: Path, loop: Loop, answer: Answer, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = full(loop(8 * MB))
    with Web(lambda request, number: answer) as web:
        assert 1 == image(tmp_path, web, disk)
    assert reason in capsys.readouterr().err
    assert not boots(disk)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_bomb_ends_where_the_disk_does(tmp_path: Path, loop: Loop, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    disk = full(loop(8 * MB))
    bomb = subprocess.run([kind, "-c"], input=b"x" * 64 * MB, capture_output=True, check=True).stdout
    with serving(bomb) as web:
        assert 1 == image(tmp_path, web, disk)
    assert f"the image does not fit on {disk}, which has 8388608 bytes" in capsys.readouterr().err
    assert not boots(disk)


def test_a_disk_that_vanishes_is_a_sentence(
    tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk, real = loop(8 * MB), os.pwrite

    def pwrite(file: int, data: bytes, at: int) -> int:
        if at >= 3 * MB and len(data) != MB:
            raise OSError(errno.ENODEV, "No such device")
        return real(file, data[: 1 << 16], at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with serving(IMAGE + b"odd") as web:
        assert 1 == image(tmp_path, web, disk)
    assert f"{disk} cannot be written to at byte " in capsys.readouterr().err
    assert not boots(disk)


def test_without_a_checksum_that_is_said(tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(IMAGE) as web:
        assert 0 == image(tmp_path, web, loop(8 * MB))
    assert "image2disk: warning: no checksum is given" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"IMG_SHA256": "abc"}, "IMG_SHA256 is 'abc': write sha256:"),
        ({"IMG_SHA256": SHA256, "CHECKSUM": "sha256:" + "0" * 64}, "say different things"),
        ({"COMPRESSED": "true"}, "is not compressed in a way we know"),
        ({"COMPRESSED": "gzip"}, "write true or false"),
        ({"GROW": "maybe"}, "GROW is 'maybe'"),
    ],
)
def test_a_wrong_setting_is_a_sentence_before_anything_is_written(
    tmp_path: Path, loop: Loop, settings: dict[str, str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = full(loop(8 * MB))
    before = Path(disk).read_bytes()
    with serving(IMAGE) as web:
        assert 1 == image(tmp_path, web, disk, **settings)
    assert reason in capsys.readouterr().err
    assert before == Path(disk).read_bytes()


def test_what_is_no_image_is_refused(tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    run("tar", "-cf", tmp_path / "a.tar", "-C", tmp_path, ".")
    with serving((tmp_path / "a.tar").read_bytes()) as web:
        assert 1 == image(tmp_path, web, loop(8 * MB))
    assert "is a tar archive and not the image of a disk" in capsys.readouterr().err


def test_what_is_compressed_stays_so_when_it_is_told_to(tmp_path: Path, loop: Loop) -> None:
    disk, packed = loop(8 * MB), gzip.compress(IMAGE)
    with serving(packed) as web:
        assert 0 == image(tmp_path, web, disk, COMPRESSED="false")
    assert packed == content(disk, len(packed))


def test_an_installation_and_a_mounted_disk_are_left_alone(
    tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = loop(16 * MB)
    run("mkfs.ext4", "-q", disk)
    with serving(IMAGE) as web:
        with mounted(disk, tmp_path / "mnt"):
            assert 1 == image(tmp_path, web, disk)
        assert f"{disk} is mounted on {tmp_path}/mnt" in capsys.readouterr().err
        with Path(disk).open("r+b") as device:
            device.seek(marker.OFFSET)
            device.write(marker.encode(marker.Marker("home", "install", "node-01", 1)))
        assert 1 == image(tmp_path, web, disk)
    assert "this run has already installed it" in capsys.readouterr().err
    assert "ext4" in run("wipefs", "--noheadings", disk)


def test_it_says_how_far_it_is(
    tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr("agent.actions.download.time.monotonic", lambda: next(clock))
    with serving(IMAGE) as web:
        assert 0 == image(tmp_path, web, loop(8 * MB))
    assert ["image2disk: 4 of 6 MB"] == [line for line in capsys.readouterr().out.splitlines() if line.endswith(" MB")]


# Growing -------------------------------------------------------------------------------------------------------------------


def installed(tmp_path: Path, kind: str, size: int = 120 * MB, table: str = "label: gpt\n2048,2048\n,\n") -> bytes:
    """An image with a filesystem in its last partition that holds a file."""
    with loop_device(tmp_path / "golden.img", size) as disk:
        run("sfdisk", "--quiet", disk, given=table)
        run("partx", "--update", disk)
        run(f"mkfs.{kind}", "-q", f"{disk}p2")
        with mounted(f"{disk}p2", tmp_path / "golden") as root:
            (root / "file").write_text("kept")
        run("partx", "--delete", disk)
    return (tmp_path / "golden.img").read_bytes()


@pytest.mark.parametrize(
    ("kind", "size", "table", "grow"),
    [("ext4", 120, "gpt", "true"), ("btrfs", 120, "gpt", "1"), ("ext4", 120, "dos", "2"), ("xfs", 310, "gpt", "true")],
)
def test_the_last_partition_and_its_filesystem_take_the_rest(
    tmp_path: Path, loop: Loop, kind: str, size: int, table: str, grow: str
) -> None:
    """No xfs is smaller than 300 MiB."""
    golden = installed(tmp_path, kind, size * MB, table=f"label: {table}\n2048,2048\n,\n")
    disk = loop((size + 180) * MB)
    with serving(gzip.compress(golden, 1)) as web:
        assert 0 == image(tmp_path, web, disk, GROW=grow)
    last = partitions(disk)[-1]
    assert last.start + last.size > (size + 178) * MB
    with mounted(last.path, tmp_path / "mnt") as root:
        assert "kept" == (root / "file").read_text()
        assert os.statvfs(root).f_blocks * os.statvfs(root).f_frsize > (size + 80) * MB
    run("sfdisk", "--verify", disk)


@pytest.mark.parametrize(
    ("table", "grow", "reason"),
    [("label: gpt\n2048,2048\n,\n", "1", ""), ("label: gpt\n2048,2048\n,\n", "3", "partition 3 is not the last one")],
)
def test_only_the_last_partition_can_grow(
    tmp_path: Path, loop: Loop, table: str, grow: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`1` is a flag: the last one."""
    golden = installed(tmp_path, "ext4", table=table)
    with serving(golden) as web:
        assert bool(reason) == image(tmp_path, web, loop(200 * MB), GROW=grow)
    assert reason in capsys.readouterr().err


def test_without_partitions_nothing_can_grow(tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(IMAGE) as web:
        assert 1 == image(tmp_path, web, loop(8 * MB), GROW="true")
    assert "has no partitions, so none can grow: leave GROW out" in capsys.readouterr().err
