"""People in an installed system."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.actions import user
from tests.agent.actions.devices import Loop, environment, machine, mounted, needs_loop_devices
from tests.agent.actions.installed import install

pytestmark = [pytest.mark.shell, needs_loop_devices]
HASH = "$6$salt$abcdefghij"


def with_people(root: Path) -> None:
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nops:x:1000:1001:,,,:/home/ops:/bin/sh\n")
    (root / "home/ops").mkdir(parents=True)


def admit(folder: Path, disk: str, **settings: str) -> int:
    return user.ACTION.run(environment(folder / "run", machine(), DEST_DISK=disk, FS_TYPE="ext4", **settings))


@pytest.fixture
def disk(loop: Loop, tmp_path: Path) -> str:
    return install(loop, tmp_path, "usr/sbin/chpasswd", "usr/sbin/useradd", more=with_people)


def test_a_user_gets_keys_password_and_sudo(tmp_path: Path, disk: str, capfd: pytest.CaptureFixture[str]) -> None:
    settings = {"SSH_KEYS": "ssh-ed25519 AAAA one\n\n ssh-ed25519 BBBB two\n", "PASSWORD_HASH": HASH, "SUDO": "true"}
    assert 0 == admit(tmp_path, disk, USERNAME="ops", **settings), capfd.readouterr().err
    assert HASH not in capfd.readouterr().out
    with mounted(disk, tmp_path / "mnt") as root:
        assert f"/usr/sbin/chpasswd --encrypted\nops:{HASH}\n" == (root / "calls").read_text()
        keys = root / "home/ops/.ssh/authorized_keys"
        assert "ssh-ed25519 AAAA one\nssh-ed25519 BBBB two\n" == keys.read_text()
        for path, mode in ((keys, 0o600), (keys.parent, 0o700)):
            about = path.stat()
            assert (mode, 1000, 1001) == (about.st_mode & 0o7777, about.st_uid, about.st_gid)
        sudo = root / "etc/sudoers.d/90-gitboot-ops"
        assert ("ops ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440) == (sudo.read_text(), sudo.stat().st_mode & 0o7777)


def test_a_user_that_is_not_there_is_made_by_that_systems_own_useradd(
    tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    def makes_one(root: Path) -> None:
        with_people(root)
        line = "new:x:1001:1002::/home/new:/bin/bash"
        (root / "usr/sbin/useradd").write_text(f'#!/bin/busybox sh\necho "$*" >/calls\necho {line} >>/etc/passwd\n')

    disk = install(loop, tmp_path, "usr/sbin/useradd", more=makes_one)
    assert 0 == admit(tmp_path, disk, USERNAME="new"), capsys.readouterr().err
    with mounted(disk, tmp_path / "mnt") as root:
        assert "--create-home --shell /bin/bash new\n" == (root / "calls").read_text()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"USERNAME": "../x"}, "USERNAME is '../x': write lower-case"),
        ({"USERNAME": "ops", "PASSWORD_HASH": "secret"}, "PASSWORD_HASH is no hash of crypt(5)"),
        ({"USERNAME": "ops", "PASSWORD_HASH": "$6$a\nroot:$6$b"}, "PASSWORD_HASH is no hash of crypt(5)"),
    ],
)
def test_what_could_be_taken_for_something_else_is_refused(
    settings: dict[str, str], said: str, tmp_path: Path, disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == admit(tmp_path, disk, **settings)
    complaint = capsys.readouterr().err
    assert said in complaint
    assert settings.get("PASSWORD_HASH", "secret") not in complaint


@pytest.mark.parametrize(
    "entry", ["x:root:0::/home/ops", "x:1000:\u0662::/home/ops", "x:1000:1000::home", f"x:{2**32 - 1}:0::/"]
)
def test_a_user_who_cannot_be_is_told_in_a_sentence(
    entry: str, tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    """An image from anywhere has any passwd."""
    disk = install(loop, tmp_path, more=lambda root: write(root / "etc/passwd", f"ops:{entry}:/bin/sh\n"))
    assert 1 == admit(tmp_path, disk, USERNAME="ops", SSH_KEYS="ssh-ed25519 AAAA one")
    assert "user: the system's /etc/passwd has ops with the numbers " in capsys.readouterr().err


def test_a_useradd_that_adds_nobody_is_noticed(tmp_path: Path, disk: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == admit(tmp_path, disk, USERNAME="new")
    assert "there is no new in the system's /etc/passwd" in capsys.readouterr().err


def write(path: Path, text: str) -> None:
    path.write_text(text)
