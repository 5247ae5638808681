"""Which kernel is loaded, and with which words; the kernel call itself is the machine's."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.actions import kexec
from agent.actions.kexec import Entry, first_entry
from tests.agent.actions.devices import Loop, environment, machine, needs_loop_devices
from tests.agent.actions.installed import install

MENU = """
menuentry 'Debian' {
\tinsmod ext2
\tlinux\t/vmlinuz-6.1 root=UUID=1 ro console=ttyS0
\techo 'Loading'
\tinitrd\t/initrd.img-6.1
}
menuentry 'Debian, older' {
\tlinux /vmlinuz-5 root=UUID=1
\tinitrd /initrd.img-5
}
"""


def test_the_first_entry_of_a_menu_is_taken() -> None:
    assert Entry("/vmlinuz-6.1", "/initrd.img-6.1", "root=UUID=1 ro console=ttyS0") == first_entry(MENU)
    without = MENU.replace("\tinitrd\t/initrd.img-6.1\n", "")
    assert Entry("/vmlinuz-6.1", "", "root=UUID=1 ro console=ttyS0") == first_entry(without)
    assert first_entry("set timeout=5\n") is None


@pytest.mark.shell
@needs_loop_devices
@pytest.mark.parametrize(
    ("menu", "settings", "expected"),
    [
        (MENU, {}, ["boot/vmlinuz-6.1", "--initrd=boot/initrd.img-6.1", "--command-line=root=UUID=1 ro console=ttyS0"]),
        (MENU, {"CMD_LINE": "quiet"}, ["boot/vmlinuz-6.1", "--initrd=boot/initrd.img-6.1", "--command-line=quiet"]),
        (MENU, {"KERNEL_PATH": "/boot/vmlinuz-5", "CMD_LINE": "a b"}, ["boot/vmlinuz-5", "--command-line=a b"]),
        ("", {"CMD_LINE": "x"}, ["boot/vmlinuz-6.1", "--initrd=boot/initrd.img-6.1", "--command-line=x"]),
    ],
)
def test_a_kernel_is_loaded_from_the_system(
    menu: str, settings: dict[str, str], expected: list[str], tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_kernels(root: Path) -> None:
        for name in ("vmlinuz-6.1", "initrd.img-6.1", "vmlinuz-5"):
            (root / "boot" / name).write_bytes(b"")
        (root / "boot/grub").mkdir()
        (root / "boot/grub/grub.cfg").write_text(menu)

    disk = install(loop, tmp_path, more=with_kernels)
    said: list[str] = []
    monkeypatch.setattr(kexec, "tool", lambda *words: said.extend(words))
    given = environment(tmp_path / "run", machine(), BLOCK_DEVICE=disk, FS_TYPE="ext4", **settings)
    assert 0 == kexec.ACTION.run(given)
    assert ["kexec", "--kexec-syscall-auto", "--load"] == said[:3]
    folder = said[3].partition("boot/")[0]
    assert expected == [word.replace(folder, "") for word in said[3:]]


@pytest.mark.shell
@needs_loop_devices
def test_a_kernel_that_is_not_there_is_a_sentence(tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    disk = install(loop, tmp_path)
    for settings, said in (({"KERNEL_PATH": "/x", "CMD_LINE": "y"}, "has no /x"), ({}, "has no kernel in /boot")):
        given = environment(tmp_path / "run", machine(), BLOCK_DEVICE=disk, FS_TYPE="ext4", **settings)
        assert 1 == kexec.ACTION.run(given)
        assert f"kexec: the installed system {said}" in capsys.readouterr().err
