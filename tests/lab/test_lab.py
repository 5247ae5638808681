"""The lab proves itself, with dnsmasq and a static script in the place of the server under test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.disk import Disk, boot_sector, empty_disk, installed_disk
from tests.lab.initrd import COMMAND_LINE, MEMORY, Image, build_initrd
from tests.lab.network import PREFIX, Network, remove_leftovers
from tests.lab.process import Process, Transcript
from tests.lab.qemu import FOREIGN_ROM_SCRIPT, IPXE_KERNEL, UNDIONLY, VM, Kernel

pytestmark = pytest.mark.lab

MAC = "52:54:00:77:00:01"
TO_THE_DISK = "#!ipxe\necho MARK-SCRIPT\nexit\n"

AGENT = """
import json, sys, urllib.request  # the parts of the standard library that an agent cannot do without
with open("/proc/cmdline") as file:
    words = dict(word.partition("=")[::2] for word in file.read().split())
with urllib.request.urlopen(words["phone"]) as answer:
    print("MARK-AGENT", sys.version_info.major, json.load(answer)["greeting"])
if "install" in words:
    with urllib.request.urlopen(words["install"]) as image, open("/dev/vda", "wb") as disk:
        disk.write(image.read())
"""


class Site:
    """DHCP, TFTP and HTTP by others, over one folder; the script a machine gets is the folder's `boot.ipxe`."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.folder = folder
        self.url = f"http://{network.address}:8080"
        (folder / "undionly.kpxe").write_bytes(UNDIONLY.read_bytes())
        self._dhcp().wait_for("DHCP, sockets")
        web: list[str | Path] = [
            sys.executable,
            "-u",
            "-m",
            "http.server",
            "8080",
            "--bind",
            network.address,
            "--directory",
            folder,
        ]
        network.spawn([*web, "--directory", folder], "http.log").wait_for("Serving HTTP")

    def script(self, text: str) -> None:
        (self.folder / "boot.ipxe").write_text(text)

    def _dhcp(self) -> Process:
        argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--log-facility=-", "--port=0"]
        argv += ["--pid-file", "--interface=br0", "--bind-interfaces", "--no-ping", "--dhcp-authoritative"]
        argv += ["--dhcp-range=10.77.0.50,10.77.0.99,10m", f"--dhcp-leasefile={self.folder / 'leases'}"]
        argv += ["--enable-tftp", f"--tftp-root={self.folder}", "--dhcp-option=encap:175,176,1b"]
        argv += ["--dhcp-userclass=set:ipxe,iPXE", f"--dhcp-boot=tag:ipxe,{self.url}/boot.ipxe"]
        argv += ["--dhcp-boot=tag:!ipxe,undionly.kpxe"]
        return self.network.spawn(argv, "dnsmasq.log")


@pytest.fixture
def site(network: Network, tmp_path: Path) -> Site:
    folder = tmp_path / "site"
    folder.mkdir()
    return Site(network, folder)


@pytest.fixture(scope="module")
def image_of_a_stand_in(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("image")
    (folder / "agent").mkdir()
    (folder / "agent" / "__main__.py").write_text(AGENT)
    return build_initrd(folder / "agent", folder / "initrd")


def boot_script(site: Site, image: Image, arguments: str) -> str:
    (site.folder / "vmlinuz").symlink_to(image.kernel)
    (site.folder / "initrd").symlink_to(image.initrd)
    kernel = f"kernel vmlinuz initrd=initrd {COMMAND_LINE} BOOTIF=01-${{net0/mac:hexhyp}} {arguments}"
    return f"#!ipxe\necho MARK-SCRIPT\n{kernel}\ninitrd initrd\nboot\n"


def test_a_bare_machine_boots_its_system_installs_its_disk_and_boots_from_it(
    site: Site, image_of_a_stand_in: Image, tmp_path: Path
) -> None:
    (site.folder / "hello.json").write_text('{"greeting": "welcome"}')
    installed_disk(site.folder / "disk.img", "MARK-INSTALLED")
    site.script(boot_script(site, image_of_a_stand_in, f"phone={site.url}/hello.json install={site.url}/disk.img"))
    with VM(site.network, "bare", MAC, disk=empty_disk(tmp_path / "bare.qcow2")) as vm:
        vm.wait_for("MARK-SCRIPT")
        vm.wait_for("MARK-INIT")
        vm.wait_for(r"MARK-NET interface=eth0 ip=10\.77\.0\.")
        site.script(TO_THE_DISK)
        assert vm.wait_for("MARK-AGENT .*\n").split() == ["MARK-AGENT", "3", "welcome"]
        assert vm.wait_for("MARK-DONE .*\n").strip() == "MARK-DONE status=0"
        vm.wait_for("MARK-INSTALLED")


def test_a_machine_without_work_goes_to_its_disk_and_can_be_reset_and_power_cycled(site: Site, tmp_path: Path) -> None:
    site.script(TO_THE_DISK)
    with VM(site.network, "idle", MAC, disk=installed_disk(tmp_path / "idle.img")) as vm:
        vm.wait_for("MARK-SCRIPT")
        vm.wait_for("MARK-DISK")
        vm.reset()
        vm.wait_for("SeaBIOS")
        vm.power_cycle()
        vm.wait_for("SeaBIOS")
        vm.stop()
        assert not vm.running()


def test_a_rom_that_is_not_ipxe_fetches_ipxe_by_tftp_and_comes_to_the_script(site: Site, tmp_path: Path) -> None:
    site.script("#!ipxe\necho MARK-SCRIPT ${net0/mac}\n")
    rom = tmp_path / "rom.ipxe"
    rom.write_text(FOREIGN_ROM_SCRIPT)
    with VM(site.network, "rom", MAC, kernel=Kernel(IPXE_KERNEL, rom)) as vm:
        assert vm.wait_for("MARK-ROM .*\n").split()[2] == "undionly.kpxe"
        assert vm.wait_for("MARK-SCRIPT .*\n").split()[1] == MAC


def test_gitboots_own_agent_finds_all_it_needs_in_the_system(site: Site, image: Image) -> None:
    kernel = Kernel(image.kernel, image.initrd, f"{COMMAND_LINE} gitboot.end=poweroff")
    with VM(site.network, "agent", MAC, memory=MEMORY, kernel=kernel) as vm:
        vm.wait_for("the agent cannot go on: missing: --server")
        vm.wait_for("MARK-DONE status=1")
        vm.wait_until_off()


def test_a_host_on_the_network_is_a_dhcp_client_of_its_own(site: Site) -> None:
    client = site.network.host(mac="52:54:00:77:00:02")
    lease = client.run(["busybox", "udhcpc", "-i", "eth0", "-f", "-n", "-q", "-t", "5", "-T", "1", "-s", "/bin/true"])
    assert lease.returncode == 0, lease.stderr
    assert "obtained from 10.77.0.1" in lease.stderr


def test_namespaces_and_programs_of_a_run_that_was_killed_are_removed(tmp_path: Path) -> None:
    run = subprocess.Popen(["sleep", "60"])
    leftover = f"{PREFIX}-{run.pid}-1"
    subprocess.run(["ip", "netns", "add", leftover], check=True)
    orphan = Process(
        ["ip", "netns", "exec", leftover, "sh", "-c", "echo ready; exec cat /dev/zero >/dev/null"], tmp_path / "log"
    )
    orphan.wait_for("ready")
    run.kill()  # only now: another run's tests would remove it too
    run.wait()

    remove_leftovers()

    assert orphan.wait(within=5) < 0
    assert leftover not in namespaces()


def test_nothing_is_left_of_a_network_that_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.lab.process.PATIENCE", 0.1)

    def interrupted() -> None:
        with Network(tmp_path) as network:
            network.host("10.77.0.2/24")
            network.spawn(["sh", "-c", "trap '' TERM; echo ready; exec cat /dev/zero >/dev/null"]).wait_for("ready")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [name for name in namespaces() if name.startswith(f"{PREFIX}-{os.getpid()}-")] == []


def test_a_transcript_is_read_forwards_and_a_failure_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "console"
    path.write_text("\x1b[2Jlogin: one\nlogin: two\n")
    transcript = Transcript(path)
    assert transcript.wait_for(r"login: \w+", within=1).group() == "login: one"
    assert transcript.wait_for(r"login: \w+", within=1).group() == "login: two"
    with pytest.raises(AssertionError, match=r"(?s)did not come within 0 s.*login: one"):
        transcript.wait_for("login", within=0)
    with pytest.raises(AssertionError, match="the program has ended"):
        transcript.wait_for("login", within=60, running=lambda: False)


def test_a_boot_sector_is_what_a_bios_takes_for_one() -> None:
    sector = boot_sector("MARK")
    assert len(sector) == 512
    assert sector.endswith(b"\x55\xaa")
    assert sector[0x21:].startswith(b"\r\nMARK\r\n\0"), "the code points at 0x7c21"


def test_a_new_disk_is_empty(tmp_path: Path) -> None:
    assert empty_disk(tmp_path / "disk.qcow2", "8M") == Disk(tmp_path / "disk.qcow2", "qcow2")
    raw = tmp_path / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", tmp_path / "disk.qcow2", raw], check=True)
    assert raw.read_bytes() == bytes(8 << 20)


def namespaces() -> list[str]:
    listing = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in listing.splitlines()]
