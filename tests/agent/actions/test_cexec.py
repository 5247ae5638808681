"""Commands in an installed system."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from agent.actions import cexec
from agent.actions.cexec import command
from agent.actions.settings import Failed, Settings
from tests.agent.actions.devices import MB, Loop, environment, machine, mounted, needs_loop_devices, run


@pytest.fixture
def disk(loop: Loop, tmp_path: Path) -> str:
    """A system of one program."""
    device = loop(32 * MB)
    run("mkfs.ext4", "-q", device)
    with mounted(device, tmp_path / "mnt") as root:
        (root / "bin").mkdir()
        shutil.copy(shutil.which("busybox") or "", root / "bin" / "busybox")
        for name in ("sh", "cat", "touch"):
            (root / "bin" / name).symlink_to("busybox")
        (root / "etc").mkdir()
        (root / "etc/resolv.conf").symlink_to("/run/nothing")
    return device


def execute(folder: Path, disk: str, **settings: str) -> int:
    return cexec.ACTION.run(environment(folder / "run", machine(), BLOCK_DEVICE=disk, FS_TYPE="ext4", CHROOT="y", **settings))


@pytest.mark.shell
@needs_loop_devices
def test_the_log_is_what_the_command_says_and_the_status_is_its_own(
    tmp_path: Path, disk: str, capfd: pytest.CaptureFixture[str]
) -> None:
    line = "echo said; echo complained >&2; test -e /proc/self && touch /done; exit 3"
    assert 3 == execute(tmp_path, disk, CMD_LINE=line, DEFAULT_INTERPRETER="/bin/sh -c")
    out, err = capfd.readouterr()
    assert "said\n" in out
    assert "complained\ncexec: /bin/sh ended with exit status 3\n" == err
    with mounted(disk, tmp_path / "mnt") as root:
        assert (root / "done").exists()


@pytest.mark.shell
@needs_loop_devices
def test_a_command_sees_its_system_and_none_of_our_settings(
    tmp_path: Path, disk: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITBOOT_TOKEN", "secret")
    assert 0 == execute(tmp_path, disk, CMD_LINE="/bin/busybox env")
    assert "secret" not in capfd.readouterr().out
    assert 127 == execute(tmp_path, disk, CMD_LINE="/bin/nothing")


@pytest.mark.shell
@needs_loop_devices
def test_our_name_servers_are_lent_to_it(tmp_path: Path, disk: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert 0 == execute(tmp_path, disk, CMD_LINE="cat /etc/resolv.conf", UPDATE_RESOLV_CONF="true")
    assert Path("/etc/resolv.conf").read_text() in capfd.readouterr().out
    with mounted(disk, tmp_path / "mnt") as root:
        assert "/run/nothing" == os.readlink(root / "etc/resolv.conf")
        assert ["resolv.conf"] == os.listdir(root / "etc")


@pytest.mark.parametrize(
    ("line", "interpreter", "words"),
    [
        ("chpasswd -e 'a b'", "", ["chpasswd", "-e", "a b"]),
        ("echo a | cat", "/bin/sh -c", ["/bin/sh", "-c", "echo a | cat"]),
    ],
)
def test_a_command_is_split_as_a_shell_does_or_left_to_one(line: str, interpreter: str, words: list[str]) -> None:
    assert words == command(Settings({"CMD_LINE": line, "DEFAULT_INTERPRETER": interpreter}))


@pytest.mark.parametrize("line", ["'", " "])
def test_what_is_no_command_is_a_sentence(line: str) -> None:
    with pytest.raises(Failed, match=r"cannot be split into words|has no word in it"):
        command(Settings({"CMD_LINE": line, "DEFAULT_INTERPRETER": ""}))
