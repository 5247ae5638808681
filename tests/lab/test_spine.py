"""The spine, end to end: a push makes real firmware boot what the commit says, and the status tells its story."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.disk import empty_disk, installed_disk
from tests.lab.initrd import Image
from tests.lab.network import Network
from tests.lab.qemu import IPXE_KERNEL, VM, Kernel
from tests.lab.site import PROFILE, Gitboot, hardware, wait_until, workflow
from tests.replaying import assert_all_the_same

pytestmark = pytest.mark.lab

MAC = "52:54:00:77:00:01"
ROM_SCRIPT = """#!ipxe
dhcp net0 || shell
chain tftp://${next-server}/undionly.kpxe || shell
"""


def idle_node() -> str:
    """A machine for which git names no work, and so no profile either."""
    return hardware("node-01", MAC, "10.77.0.11").replace("  profile: lab\n", "")


def installing(site: Gitboot) -> dict[str, str]:
    return {
        "site.yaml": site.site(),
        "profile.yaml": PROFILE,
        "template.yaml": site.template(),
        "node.yaml": hardware("node-01", MAC, "10.77.0.11"),
        "workflow.yaml": workflow("install-node-01", "node-01"),
    }


def test_a_push_makes_a_bare_machine_install_itself_and_then_boot_its_disk_for_ever(
    network: Network, tmp_path: Path, image: Image
) -> None:
    site = Gitboot(network, tmp_path / "site", image)
    installed_disk(site.disk, "MARK-INSTALLED")
    site.serve_disk()
    site.commit({"site.yaml": site.site(), "profile.yaml": PROFILE, "node.yaml": hardware("node-01", MAC, "10.77.0.11")})
    site.start("--new-site")
    site.served(site.commit(installing(site)))

    with VM(network, "bare", MAC, disk=empty_disk(tmp_path / "disk.qcow2")) as vm:
        vm.wait_for("gitboot: runs workflow install-node-01 run 1")
        vm.wait_for("MARK-INIT")
        vm.wait_for(r"MARK-NET interface=eth0 ip=10\.77\.0\.11\s")
        vm.wait_for("workflow install SUCCESS")
        vm.wait_for("gitboot: workflow install-node-01 run 1 ended SUCCESS")
        vm.wait_for("MARK-INSTALLED")

        machine = site.status("hardware/node-01.json")
        assert machine["run"]["state"] == "SUCCESS"
        actions = machine["run"]["tasks"][0]["actions"]
        assert [("write-disk", "SUCCESS"), ("look", "SUCCESS")] == [(each["name"], each["state"]) for each in actions]
        assert actions[0]["attempts"][0]["exitCode"] == 0
        assert "the disk is written" in site.get(actions[0]["attempts"][0]["log"])
        assert machine["boot"]["phase"] == "disk"
        assert site.status("workflows/install-node-01.json")["state"] == "SUCCESS"
        site.holds_story("installed")

        vm.power_cycle()  # the network card is still first in the boot order
        vm.wait_for("gitboot: booting from the local disk")
        vm.wait_for("MARK-INSTALLED")
        assert len(site.status("workflows/install-node-01.json")["runs"]) == 1

        site.served(site.commit({"workflow.yaml": workflow("install-node-01", "node-01", run=2)}))
        vm.reset()
        vm.wait_for("gitboot: runs workflow install-node-01 run 2")
        vm.wait_for("MARK-INSTALLED", within=90)
        assert [2, 1] == [run["number"] for run in site.status("workflows/install-node-01.json")["runs"]]


def test_a_machine_without_work_goes_to_its_disk(network: Network, tmp_path: Path) -> None:
    site = Gitboot(network, tmp_path / "site")
    site.commit({"site.yaml": site.site(), "node.yaml": idle_node()})
    server = site.start()
    with VM(network, "idle", MAC, disk=installed_disk(tmp_path / "disk.img")) as vm:
        vm.wait_for("gitboot: git names no work for it; its idle state is the disk")
        vm.wait_for("MARK-DISK")
        site.holds_story("without-work")
    server.stop()
    assert 3 <= assert_all_the_same(tmp_path), "DISCOVER, REQUEST and the script; what is replayed after every test is there"


def test_firmware_fetches_ipxe_by_tftp_and_that_ipxe_comes_to_its_script(network: Network, tmp_path: Path) -> None:
    """Debian has no PXE ROM but iPXE, which is never sent its own binary again: here its script fetches it, as a ROM would."""
    site = Gitboot(network, tmp_path / "site")
    site.commit({"site.yaml": site.site(), "node.yaml": idle_node()})
    server = site.start()
    (tmp_path / "rom.ipxe").write_text(ROM_SCRIPT)
    kernel = Kernel(IPXE_KERNEL, tmp_path / "rom.ipxe")
    with VM(network, "rom", MAC, disk=installed_disk(tmp_path / "disk.img"), kernel=kernel) as vm:
        server.wait_for('"event":"tftp","outcome":"completed".*undionly.kpxe')
        vm.wait_for("gitboot: git names no work for it")
        vm.wait_for("MARK-DISK")
        site.holds_story("by-tftp")


def test_a_boot_ends_on_the_plan_it_began_with_while_another_is_pushed(network: Network, tmp_path: Path, image: Image) -> None:
    site = Gitboot(network, tmp_path / "site", image)
    installed_disk(site.disk, "MARK-INSTALLED")
    site.serve_disk()
    site.commit(installing(site))
    site.start("--new-site")
    with VM(network, "swap", MAC, disk=empty_disk(tmp_path / "disk.qcow2")) as vm:
        vm.wait_for("gitboot: runs workflow install-node-01 run 1")
        pinned = site.status("hardware/node-01.json")["boot"]["plan"]
        changed = site.template().replace("cat /proc/uptime", "false")
        site.served(site.commit({"template.yaml": changed, "node.yaml": hardware("renamed", MAC, "10.77.0.12"),
                                 "workflow.yaml": workflow("install-node-01", "renamed")}))  # fmt: skip
        vm.wait_for("MARK-NET interface=eth0 ip=10.77.0.11")  # the address of the plan it began with
        vm.wait_for("workflow install SUCCESS")  # and its actions
        vm.wait_for("MARK-INSTALLED")  # the new plan renamed it: that starts nothing
    run = site.status("workflows/install-node-01.json")["runs"]
    assert [(pinned, "SUCCESS")] == [(each["plan"], each["state"]) for each in run]
    site.holds_story("renamed-meanwhile", "renamed")


def test_a_stranger_waits_politely_until_git_knows_it(network: Network, tmp_path: Path) -> None:
    site = Gitboot(network, tmp_path / "site")
    site.commit({"site.yaml": site.site(unknown="wait")})
    site.start()
    with VM(network, "stranger", MAC, disk=installed_disk(tmp_path / "disk.img")) as vm:
        vm.wait_for(f"gitboot: no machine in git has the MAC {MAC}")
        (seen,) = site.status("reconcile.json")["unknown"]
        assert (MAC, "boot script") == (seen["mac"], seen["asked"])
        assert seen["address"].startswith("10.77.0.20")
        site.served(site.commit({"node.yaml": idle_node()}))
        vm.wait_for("gitboot: git names no work for it; its idle state is the disk", within=60)
        vm.wait_for("MARK-DISK")
    wait_until(lambda: site.status("reconcile.json")["unknown"] == [], "it is no stranger any more")
