"""Archives onto real filesystems, from a real web server."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.actions import archive2disk, install_root_fs
from tests.agent.actions.badweb import Files
from tests.agent.actions.devices import MB, Loop, environment, machine, mounted, needs_loop_devices, run

pytestmark = [pytest.mark.shell, needs_loop_devices]
FILES = {"etc/hostname": b"node\n", "usr/bin/ping": b"x" * 300_000}


def entry(name: str, **fields: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def tar(*entries: tarfile.TarInfo, **files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for each in entries:
            content = b"hostile" if each.isreg() else b""
            each.size = len(content)
            archive.addfile(each, io.BytesIO(content))
        for name, content in files.items():
            archive.addfile(entry(name, size=len(content)), io.BytesIO(content))
    return made.getvalue()


ROOT = tar(entry("dev", type=tarfile.DIRTYPE, mode=0o755), entry("var", type=tarfile.DIRTYPE, mode=0o755), **FILES)


def packed(program: str, content: bytes) -> bytes:
    return subprocess.run([program, "-c"], input=content, capture_output=True, check=True).stdout


def checksum(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def web() -> Iterator[Files]:
    with Files(rootfs=ROOT) as server:
        yield server


@pytest.fixture
def disk(loop: Loop) -> str:
    device = loop(32 * MB)
    run("mkfs.ext4", "-q", device)
    return device


def unpack(folder: Path, web: Files, disk: str, capsys: pytest.CaptureFixture[str], **settings: str) -> tuple[int, str]:
    """Exit status, and what it complained of."""
    given = {"ARCHIVE_URL": f"{web.url}/rootfs", "DEST_DISK": disk, "FS_TYPE": "ext4", **settings}
    status = archive2disk.ACTION.run(environment(folder / "run", machine(), **given))
    return status, capsys.readouterr().err


@pytest.mark.parametrize("program", ["cat", "gzip", "zstd", "xz", "bzip2"])
def test_an_archive_is_unpacked_however_it_is_compressed(
    program: str, tmp_path: Path, web: Files, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = ROOT if program == "cat" else packed(program, ROOT)
    web.files["/rootfs"] = content
    web.cut = 500
    assert (0, "") == unpack(tmp_path, web, disk, capsys, TARFILE_CHECKSUM=checksum(content))
    with mounted(disk, tmp_path / "mnt") as point:
        assert FILES == {name: (point / name).read_bytes() for name in FILES}


def test_owners_modes_devices_links_attributes_and_capabilities_are_those_of_the_archive(
    tmp_path: Path, web: Files, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capability = "\x01\x00\x00\x02\x00\x20" + "\x00" * 14  # CAP_NET_RAW, permitted; VFS_CAP_REVISION_2 (linux/capability.h)
    web.files["/rootfs"] = content = tar(
        entry("secret", mode=0o4750, uid=1234, gid=5678, mtime=1),
        entry("null", type=tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3),
        entry("link", type=tarfile.SYMTYPE, linkname="/secret"),
        entry("ping", pax_headers={"SCHILY.xattr.security.capability": capability, "SCHILY.xattr.user.note": "kept"}),
    )
    assert (0, "") == unpack(tmp_path, web, disk, capsys, TARFILE_CHECKSUM=checksum(content))
    with mounted(disk, tmp_path / "mnt") as point:
        about = (point / "secret").stat()
        assert (0o4750, 1234, 5678, 1) == (about.st_mode & 0o7777, about.st_uid, about.st_gid, about.st_mtime)
        assert os.makedev(1, 3) == (point / "null").stat().st_rdev
        assert "/secret" == os.readlink(point / "link")
        assert b"kept" == os.getxattr(point / "ping", "user.note")
        assert os.getxattr(point / "ping", "security.capability")


def test_an_archive_with_another_digest_is_a_failure_and_so_is_one_without(
    tmp_path: Path, web: Files, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = unpack(tmp_path, web, disk, capsys, TARFILE_CHECKSUM=checksum(b"another"))
    assert (1, True) == (status, "is not what it should be: it is sha256:" in said)
    status, said = unpack(tmp_path, web, disk, capsys)
    assert (1, True) == (status, said.startswith("archive2disk: TARFILE_CHECKSUM is not set"))
    assert (0, "") == unpack(tmp_path, web, disk, capsys, INSECURE_NO_TARFILE_CHECKSUM_VERIFICATION="true")


@pytest.mark.parametrize("content", [b"", b"no archive" * 500, ROOT[:-60_000], packed("gzip", ROOT)[:-10]])
def test_what_is_no_whole_archive_is_a_sentence_even_unverified(
    content: bytes, tmp_path: Path, web: Files, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    web.files["/rootfs"] = content
    status, said = unpack(tmp_path, web, disk, capsys, INSECURE_NO_TARFILE_CHECKSUM_VERIFICATION="true")
    assert (1, True) == (status, "cannot be unpacked: " in said or "cannot be read" in said)


def test_an_archive_that_does_not_fit_says_so(
    tmp_path: Path, web: Files, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    web.files["/rootfs"] = content = tar(large=bytes(40 * MB))
    status, said = unpack(tmp_path, web, disk, capsys, TARFILE_CHECKSUM=checksum(content))
    assert (1, True) == (status, "cannot be unpacked: the filesystem of / is full; tar: large: " in said)


def test_no_program_of_ours_stays_there(tmp_path: Path, web: Files, disk: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (0, "") == unpack(tmp_path, web, disk, capsys, TARFILE_CHECKSUM=checksum(ROOT))
    with mounted(disk, tmp_path / "mnt") as point:
        assert {"dev", "etc", "usr", "var", "lost+found"} == {path.name for path in point.iterdir()}


def test_nothing_of_an_archive_gets_out_of_its_folder(
    tmp_path: Path, web: Files, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for hostile in (
        [entry(f"..{outside}/file"), entry("../../../../../../../../.." + str(outside) + "/file")],
        [entry("way", type=tarfile.SYMTYPE, linkname=str(outside)), entry("way/file")],
        [entry("hard", type=tarfile.LNKTYPE, linkname=str(outside))],
        [entry(str(outside / "file"))],
    ):
        web.files["/rootfs"] = content = tar(*hostile)
        unpack(tmp_path, web, disk, capsys, TARFILE_CHECKSUM=checksum(content))
        assert [] == list(outside.iterdir())


def test_a_link_that_is_on_the_disk_already_leads_nowhere_else(
    tmp_path: Path, web: Files, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with mounted(disk, tmp_path / "mnt") as point:
        (point / "srv").symlink_to(outside)
        (point / "etc").symlink_to(outside)
    web.files["/rootfs"] = content = tar(**{"etc/hostname": b"node"})
    unpack(tmp_path, web, disk, capsys, TARFILE_CHECKSUM=checksum(content), DEST_PATH="/srv")
    unpack(tmp_path, web, disk, capsys, TARFILE_CHECKSUM=checksum(content))
    assert [] == list(outside.iterdir())
    with mounted(disk, tmp_path / "mnt") as point:
        assert b"node" == (point / str(outside).lstrip("/") / "etc/hostname").read_bytes()


def storage(*mounts: tuple[str, str, str]) -> dict[str, Any]:
    return {"filesystems": [{"mount": {"device": d, "point": p, "format": f}} for d, p, f in mounts]}


def test_an_operating_system_is_unpacked_onto_all_filesystems_and_has_their_fstab(
    tmp_path: Path, web: Files, loop: Loop, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    efi, swap = loop(16 * MB), loop(16 * MB)
    run("mkfs.ext4", "-q", "-U", "77777777-2222-3333-4444-555555555555", efi)
    run("mkswap", "--uuid", "11111111-2222-3333-4444-555555555555", swap)
    run("tune2fs", "-U", "66666666-2222-3333-4444-555555555555", disk)
    web.files["/rootfs/x86_64.tar.zst"] = archive = packed("zstd", tar(**{"boot/efi/loader": b"efi", "etc/fstab": b"# none\n"}))
    web.files["/rootfs/x86_64.tar.zst.sha256"] = f"{checksum(archive)[7:]}  x86_64.tar.zst\n".encode()
    document = machine(storage=storage((efi, "/boot/efi", "ext4"), (disk, "/", "ext4"), (swap, "none", "swap")))
    status = install_root_fs.ACTION.run(environment(tmp_path / "run", document, MIRROR_HOST=web.url.removeprefix("http://")))
    assert 0 == status, capsys.readouterr().err
    with mounted(efi, tmp_path / "efi") as point:
        assert b"efi" == (point / "loader").read_bytes()
    with mounted(disk, tmp_path / "root") as point:
        assert [
            "UUID=66666666-2222-3333-4444-555555555555 / ext4 defaults 0 1",
            "UUID=77777777-2222-3333-4444-555555555555 /boot/efi ext4 defaults 0 2",
            "UUID=11111111-2222-3333-4444-555555555555 none swap sw 0 0",
        ] == (point / "etc/fstab").read_text().splitlines()[1:]


def test_what_git_has_for_the_filesystems_is_written_into_them(
    tmp_path: Path, web: Files, loop: Loop, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data, secret = loop(16 * MB), loop(32 * MB)
    run("mkfs.ext4", "-q", data)
    uuid = ("--uuid", "12345678-2222-3333-4444-555555555555")
    fast = ("--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", "--key-file=-")
    run("cryptsetup", "luksFormat", "--batch-mode", "--type=luks2", *uuid, *fast, secret, given="pass")
    layout = storage((disk, "/", "ext4"), (data, "/srv", "ext4"))
    motd = {"path": "/etc/motd", "contents": "w\u00e4lcome"}
    key = {"path": "keys/own", "contents": "k", "mode": "0400", "uid": 1000, "gid": 1001}
    layout["filesystems"][0]["mount"]["files"], layout["filesystems"][1]["mount"]["files"] = [motd], [key]
    document = machine(storage=layout | {"luks": [{"name": "crypt", "device": secret, "key": {"environment": "KEY"}}]})
    web.files["/os"] = archive = tar(**{"etc/motd": b"the archive's", "etc/crypttab": b"# none\n"})
    given = {"ARCHIVE_URL": f"{web.url}/os", "TARFILE_CHECKSUM": checksum(archive)}
    assert 0 == install_root_fs.ACTION.run(environment(tmp_path / "run", document, **given)), capsys.readouterr().err
    with mounted(disk, tmp_path / "root") as point:
        assert "w\u00e4lcome" == (point / "etc/motd").read_text()
        crypt = (point / "etc/crypttab").read_text().splitlines()[1:]
        assert ["crypt UUID=12345678-2222-3333-4444-555555555555 none luks"] == crypt
    with mounted(data, tmp_path / "data") as point:
        about = (point / "keys/own").stat()
        assert (0o400, 1000, 1001) == (about.st_mode & 0o7777, about.st_uid, about.st_gid)


def test_an_operating_system_without_a_digest_beside_it_is_refused_before_anything_is_written(
    tmp_path: Path, web: Files, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    web.files["/rootfs/x86_64.tar.zst"] = packed("zstd", ROOT)
    given = environment(
        tmp_path / "run", machine(storage=storage((disk, "/", "ext4"))), MIRROR_HOST=web.url.removeprefix("http://")
    )
    assert 1 == install_root_fs.ACTION.run(given)
    assert "x86_64.tar.zst.sha256 answers HTTP 404" in capsys.readouterr().err
    for empty in (b"", b" \n"):
        web.files["/rootfs/x86_64.tar.zst.sha256"] = empty
        assert 1 == install_root_fs.ACTION.run(given)
        assert "x86_64.tar.zst.sha256 is 'sha256:': write sha256:" in capsys.readouterr().err
    with mounted(disk, tmp_path / "mnt") as point:
        assert ["lost+found"] == [path.name for path in point.iterdir()]
    assert 1 == install_root_fs.ACTION.run(environment(tmp_path / "run", machine()))
    assert "nothing says where the archive is: set MIRROR_HOST or ARCHIVE_URL" in capsys.readouterr().err
