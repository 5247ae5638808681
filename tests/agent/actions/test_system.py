"""The system that is installed: its paths mean what they will mean in it, and nothing of ours is reached through them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agent import marker
from agent.actions import archive2disk, cexec, grub2disk, install_grub, install_root_fs, network, user, writefile
from agent.actions.base import Action
from agent.actions.settings import Failed
from agent.actions.system import STAND_INS, UDEVADM, Mount, System, filesystems, installed, running
from tests.agent.actions.devices import MB, Loop, a_job, environment, machine, mounted, needs_loop_devices, run, written

pytestmark = pytest.mark.shell

NOWHERE = "http://127.0.0.1:9/root.tar"


@pytest.fixture
def system(tmp_path: Path) -> System:
    root = tmp_path / "root"
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    mounts = [("/dev/sda1", "/"), ("/dev/sda2", "/boot"), ("/dev/sda3", "/boot/efi")]
    return System(root, tuple(Mount(device, point, "ext4") for device, point in mounts))


@pytest.mark.parametrize(
    ("links", "path", "expected"),
    [
        ({}, "/bin/sh", "usr/bin/sh"),
        ({}, "bin/../etc//./x", "usr/etc/x"),
        ({}, "/../../../etc/passwd", "etc/passwd"),
        ({"etc": "/"}, "/etc/passwd", "passwd"),
        ({"etc": "../../../../.."}, "/etc/passwd", "passwd"),
        ({"a": "/b/c", "b": "usr"}, "/a/d", "usr/c/d"),
        ({"etc": "/proc/self/root/etc"}, "/etc/passwd", "proc/self/root/etc/passwd"),
    ],
)
def test_a_path_stays_inside_whatever_its_links_say(system: System, links: dict[str, str], path: str, expected: str) -> None:
    for name, target in links.items():
        (system.root / name).symlink_to(target)
    assert system.root / expected == system.real(path)


def test_links_in_a_circle_are_a_sentence(system: System) -> None:
    (system.root / "a").symlink_to("b")
    (system.root / "b").symlink_to("/a")
    with pytest.raises(Failed, match=r"^/a/x goes in a circle of links$"):
        system.real("/a/x")


def test_a_file_replaces_a_link_and_not_what_the_link_leads_to(system: System, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("ours")
    (system.root / "link").symlink_to(outside)
    owner = (os.getuid(), os.getgid())
    system.write("/link", b"theirs", 0o600, owner)
    assert ("ours", "theirs") == (outside.read_text(), (system.root / "link").read_text())
    assert 0o600 == (system.root / "link").stat().st_mode & 0o7777


def test_what_is_no_name_of_a_file_is_refused(system: System) -> None:
    for path in ("/usr", "/usr/bin/", "/", "", "/usr/bin/.."):
        with pytest.raises(Failed, match="is a folder, and not the name of a file"):
            system.write(path, b"")


def test_a_failed_write_leaves_what_was_there(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    (system.root / "file").write_text("before")
    monkeypatch.setattr(os, "fchown", lambda *_: (_ for _ in ()).throw(PermissionError(1, "no")))
    with pytest.raises(PermissionError):
        system.write("/file", b"after")
    assert "before" == (system.root / "file").read_text()
    assert {"bin", "file", "usr"} == {path.name for path in system.root.iterdir()}


def test_a_program_is_found_where_that_system_would_find_it(system: System) -> None:
    tool = system.root / "usr" / "bin" / "tool"
    tool.write_text("")
    assert "" == system.program("tool")
    tool.chmod(0o755)
    assert "/usr/bin/tool" == system.program("other", "tool")


@pytest.mark.parametrize(
    ("path", "device"),
    [
        ("/", "/dev/sda1"),
        ("/bootx", "/dev/sda1"),
        ("/boot", "/dev/sda2"),
        ("/boot/grub", "/dev/sda2"),
        ("/boot/efi/EFI", "/dev/sda3"),
    ],
)
def test_the_filesystem_of_a_path_is_the_innermost(system: System, path: str, device: str) -> None:
    assert device == system.mount_of(path).device


def test_what_git_mounts_is_mounted_from_the_outside_in(tmp_path: Path) -> None:
    said = [("/dev/c", "/boot/efi", "vfat"), ("/dev/s", "", "swap"), ("/dev/b", "/boot", "ext4"), ("/dev/a", "/", "ext4")]
    mounts = [{"mount": {"device": device, "point": point, "format": kind}} for device, point, kind in said]
    job = a_job(tmp_path, machine(storage={"filesystems": mounts}))
    assert ["/", "/boot", "/boot/efi"] == [each.point for each in filesystems(job)]


def test_a_machine_without_a_root_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"^nothing says where the system is: set DEST_DISK, or give the machine a / in"):  # noqa: SIM117
        with installed(a_job(tmp_path, machine()), "", "", "DEST_DISK"):
            pass


@needs_loop_devices
def test_all_that_git_mounts_is_there_and_gone_again_even_after_a_failure(tmp_path: Path, loop: Loop) -> None:
    root, boot = loop(16 * MB), loop(16 * MB)
    run("mkfs.ext4", "-q", root)
    run("mkfs.ext4", "-q", boot)
    mounts = [{"mount": {"device": device, "point": point}} for device, point in [(boot, "/boot/efi"), (root, "/")]]
    job = a_job(tmp_path / "run", machine(storage={"filesystems": mounts}))
    with pytest.raises(ZeroDivisionError), installed(job, "", "", "DEST_DISK") as system:  # noqa: PT012 - what is done inside counts
        assert [root, boot] == [each.device for each in system.mounts]
        system.write("/boot/efi/loader", b"x")
        system.write("/etc/hostname", b"node-01")
        raise ZeroDivisionError
    assert not system.root.exists()
    with mounted(boot, tmp_path / "mnt") as point:
        assert "x" == (point / "loader").read_text()


def install_by(disk: str, workflow: str, number: int = 1) -> None:
    """The marker of a run on a disk."""
    with Path(disk).open("r+b") as file:
        file.seek(marker.OFFSET)
        file.write(marker.encode(marker.Marker("home", workflow, "node-01", number)))


@needs_loop_devices
def test_a_disk_of_another_workflow_is_left_as_it_is_and_so_are_those_beside_it(tmp_path: Path, loop: Loop) -> None:
    root, data = loop(16 * MB), loop(16 * MB)
    for disk in (root, data):
        run("mkfs.ext4", "-q", "-G", "1", disk)
    install_by(data, "database")
    before = [Path(disk).read_bytes() for disk in (root, data)]
    mounts = [{"mount": {"device": device, "point": point}} for device, point in [(root, "/"), (data, "/var/lib")]]
    job = a_job(tmp_path / "run", machine(storage={"filesystems": mounts}))
    with pytest.raises(Failed, match=f"^{data} is left as it is: it was installed by run 1 of workflow database"):  # noqa: SIM117
        with installed(job, "", "", "DEST_DISK"):
            pass
    assert before == [Path(disk).read_bytes() for disk in (root, data)]
    assert not (tmp_path / "run" / "written").exists()


WRITING: list[tuple[Action, dict[str, str]]] = [
    (archive2disk.ACTION, {"ARCHIVE_URL": NOWHERE, "INSECURE_NO_TARFILE_CHECKSUM_VERIFICATION": "true"}),
    (install_root_fs.ACTION, {"ARCHIVE_URL": NOWHERE, "INSECURE_NO_TARFILE_CHECKSUM_VERIFICATION": "true"}),
    (writefile.ACTION, {"DEST_PATH": "/note"}),
    (cexec.ACTION, {"CMD_LINE": "true"}),
    (user.ACTION, {"USERNAME": "root"}),
    (network.ACTION, {}),
    (install_grub.ACTION, {"FIRMWARE": "uefi"}),
    (grub2disk.ACTION, {"FIRMWARE": "bios"}),
]


@needs_loop_devices
@pytest.mark.parametrize(("action", "settings"), WRITING, ids=lambda each: getattr(each, "name", ""))
def test_no_action_writes_into_a_system_of_another_workflow(
    action: Action, settings: dict[str, str], tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = loop(16 * MB)
    run("mkfs.ext4", "-q", disk)
    install_by(disk, "database")
    before = Path(disk).read_bytes()
    ports = [{"mac": "52:54:00:12:34:01"}]
    document = machine(storage={"filesystems": [{"mount": {"device": disk, "point": "/"}}]}, interfaces=ports)
    assert 1 == action.run(environment(tmp_path / "run", document, **settings))
    assert f"{action.name}: {disk} is left as it is: it was installed by run 1" in capsys.readouterr().err
    assert before == Path(disk).read_bytes()


@needs_loop_devices
def test_a_workflow_that_may_replace_it_may_edit_it_and_is_noted_before_the_first_byte(tmp_path: Path, loop: Loop) -> None:
    disk = loop(16 * MB)
    run("mkfs.ext4", "-q", disk)
    install_by(disk, "database")
    document = machine()
    document["run"]["overwrites"] = ["database"]
    with installed(a_job(tmp_path / "run", document), disk, "", "DEST_DISK"):
        assert [disk] == written(tmp_path / "run")


@needs_loop_devices
def test_a_system_that_is_only_read_belongs_to_whom_it_will_and_gets_not_a_byte(tmp_path: Path, loop: Loop) -> None:
    disk = loop(16 * MB)
    run("mkfs.ext4", "-q", disk)
    install_by(disk, "install")
    before = Path(disk).read_bytes()
    with installed(a_job(tmp_path / "run", machine()), disk, "", "DEST_DISK", reading=True) as system:
        assert system.has("/lost+found")
        with pytest.raises(OSError, match="Read-only"):
            system.write("/note", b"x")
    assert before == Path(disk).read_bytes()
    assert not (tmp_path / "run" / "written").exists()


@needs_loop_devices
def test_a_program_runs_in_it_with_the_kernels_files_there_and_gone_again(tmp_path: Path, loop: Loop) -> None:
    disk = loop(16 * MB)
    run("mkfs.ext4", "-q", disk)
    job = a_job(tmp_path / "run", machine())
    busybox = subprocess.run(["which", "busybox"], capture_output=True, text=True, check=True).stdout.strip()
    with installed(job, disk, "ext4", "DEST_DISK") as system:
        system.write("/bin/busybox", Path(busybox).read_bytes(), 0o755)
        with running(system):
            script = "test -b /dev/loop0 && test -d /sys/block && test -e /proc/self && echo all"
            assert "all\n" == system.run("/bin/busybox", "sh", "-c", script)
            assert 7 == system.attend("/bin/busybox", "sh", "-c", "exit 7")
        assert [] == list((system.root / "proc").iterdir())
    assert not system.root.exists()


@pytest.fixture
def udevadm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in, before a real one that says what it was asked."""
    for folder, text in (("first", UDEVADM), ("second", '#!/bin/sh\necho "asked: $*"\n')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "udevadm").write_text(text)
        (tmp_path / folder / "udevadm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/first:{tmp_path}/second:{os.environ['PATH']}")


@pytest.mark.usefixtures("udevadm")
def test_a_disks_place_is_told_without_udevadm() -> None:
    disk = next(Path("/sys/class/block").iterdir())
    said = run("udevadm", "info", "--query", "path", "--name", f"/dev/{disk.name}")
    assert f"{str(disk.resolve()).removeprefix('/sys')}\n" == said


@pytest.mark.usefixtures("udevadm")
@pytest.mark.parametrize(
    "question",
    ["info --query path --name /dev/mapper/root", "info --query property --name /dev/null", "settle --timeout=0", ""],
)
def test_all_else_is_udevadms_to_say(question: str) -> None:
    assert f"asked: {question}\n" == run("udevadm", *question.split())


@needs_loop_devices
def test_a_running_system_finds_the_stand_in_first_and_keeps_nothing_of_it(tmp_path: Path, loop: Loop) -> None:
    device = loop(16 * MB)
    run("mkfs.ext4", "-q", device)
    with mounted(device, tmp_path / "mnt") as root:
        (root / "bin").mkdir()
        shutil.copy(shutil.which("busybox") or "", root / "bin" / "busybox")
    job = a_job(tmp_path / "run", machine())
    with installed(job, device, "ext4", "DEST_DISK") as system, running(system):
        assert f"{STAND_INS}/udevadm\n" == system.run("/bin/busybox", "which", "udevadm")
    with mounted(device, tmp_path / "mnt") as root:
        assert not (root / "run/gitboot-bin").exists()
