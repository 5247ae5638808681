"""Name and network of an installed system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.actions import network
from tests.agent.actions.devices import Loop, environment, machine, mounted, needs_loop_devices
from tests.agent.actions.installed import install
from tests.agent.actions.test_networkd import PORT

pytestmark = [pytest.mark.shell, needs_loop_devices]


def configure(folder: Path, disk: str, **document: Any) -> int:
    return network.ACTION.run(environment(folder / "run", machine(**document), DEST_DISK=disk, FS_TYPE="ext4"))


def hostile(root: Path) -> None:
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 image\n::1 localhost\n")
    (root / "etc/resolv.conf").symlink_to("/run/outside")
    (root / "etc/systemd").symlink_to("/../../../srv")
    (root / "etc/cloud/cloud.cfg.d").mkdir(parents=True)


def test_a_system_gets_its_ports_its_name_and_its_name_servers(
    tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = install(loop, tmp_path, "bin/systemctl", "usr/lib/systemd/systemd-networkd", more=hostile)
    assert 0 == configure(tmp_path, disk, interfaces=[PORT]), capsys.readouterr().err
    with mounted(disk, tmp_path / "mnt") as root:
        assert "DHCP=ipv4" in (root / "srv/network/10-gitboot-525400123401.network").read_text()
        assert "node-01\n" == (root / "etc/hostname").read_text()
        hosts = "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 node-01.lab.example node-01\n"
        assert hosts == (root / "etc/hosts").read_text()
        assert "network: {config: disabled}\n" == (root / "etc/cloud/cloud.cfg.d/99-gitboot-network.cfg").read_text()
        assert "nameserver 10.1.0.1" in (root / "etc/resolv.conf").read_text()
        assert "/bin/systemctl enable systemd-networkd.service\n" == (root / "calls").read_text()


def test_what_cannot_be_configured_is_a_sentence(tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    disk = install(loop, tmp_path)
    assert 1 == configure(tmp_path, disk)
    assert "nothing is known of this machine's ports" in capsys.readouterr().err
    assert 1 == configure(tmp_path, disk, interfaces=[PORT])
    assert "the installed system has no systemd-networkd; " in capsys.readouterr().err
