"""The in-memory OS on real firmware: it comes up, works, says so on the console and to the server, and goes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from agent.os.recipe import DRIVERS
from tests import secret_documents
from tests.lab.debian import modules_of, newer_loaders
from tests.lab.disk import Disk, empty_disk
from tests.lab.network import Network
from tests.lab.operating_system import Built, build_os, kept_os, profile, small_image
from tests.lab.qemu import ARM64, BIOS, UEFI, VM, Kernel
from tests.lab.site import Gitboot, hardware, workflow
from tests.lab.trunk import trunk

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

MAC, OTHER_MAC = "52:54:00:77:00:01", "52:54:00:77:00:02"
TEMPLATE = """
version: "0.1"
name: look
tasks:
- name: look
  worker: "{{.device_1}}"
  actions:
  - name: look
    image: tool:v1
    timeout: 60
    command: [sh, -c, "COMMAND"]
"""
SMALL = replace(BIOS, memory=320, machine=(*BIOS.machine, "-rtc", "base=2001-01-01"))
"""In the memory that docs/os.md promises, and with an old clock."""
LOOK = "cat /proc/sys/kernel/hostname /proc/cmdline && echo CONTAINER-SAW $GITBOOT_ACTION"
SECRET = "correct horse of the lab"
SECRET_64 = "Y29ycmVjdCBob3JzZSBvZiB0aGUgbGFi"
REF = "secretRef: {name: database, key: password}"
SECRETS = f"secrets: [{{{REF}, env: PW}}, {{{REF}, file: /run/pw}}]"
BETRAY = "echo $PW && cat /run/pw && [ $(cat /run/pw | wc -c) = 25 ] && echo THEY-ARE-RIGHT"


@pytest.fixture(scope="module", autouse=True)
def building(built_os: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Built]]:
    """What later tests want is built while the machines of earlier ones leave a processor idle."""
    again = tmp_path_factory.mktemp("again") / "elsewhere"
    pool = ThreadPoolExecutor(1)
    builds: dict[str, Future[Built]] = {
        "generic": pool.submit(kept_os, "generic"),
        "again": pool.submit(build_os, again, "--kernel", "cloud"),
        "arm64": pool.submit(kept_os, "cloud", "arm64"),
    }
    yield lambda name: builds[name].result()
    pool.shutdown(cancel_futures=True)


def working(site: Gitboot, words: str = "", command: str = LOOK) -> dict[str, str]:
    """A machine with one action to carry out in the OS."""
    small_image(site.artifacts / "tool.tar", "tool:v1")
    return {
        "site.yaml": site.site() + "  images: {archives: [tool.tar]}\n",
        "profile.yaml": profile(words=words),
        "template.yaml": TEMPLATE.replace("COMMAND", command),
        "node.yaml": hardware("node-01", MAC, "10.77.0.11"),
        "workflow.yaml": workflow("look-node-01", "node-01", template="look"),
    }


def test_without_work_it_stays_and_who_asked_for_a_shell_has_one_first(
    network: Network, tmp_path: Path, built_os: Built
) -> None:
    site = Gitboot(network, tmp_path / "site")
    built_os.into(site.artifacts)
    node = hardware("node-01", MAC, "10.77.0.11", "  idle: profile:lab\n")
    site.commit({"site.yaml": site.site(), "profile.yaml": profile(), "node.yaml": node})
    site.start("--new-site")
    with VM(network, "idle", MAC, memory=384) as vm:
        vm.wait_for("gitboot: git has no work for this boot", within=120)
        site.served(site.commit({"profile.yaml": profile(words="gitboot.rescue")}))
        vm.reset()
        vm.wait_for("gitboot: a shell, as gitboot.rescue asks for", within=120)
        assert vm.console.text().count("the network is up") == 1


def test_every_driver_of_the_recipe_is_one_that_debian_has() -> None:
    """On one of the two architectures: a name that is misspelt would silently be none."""
    known = modules_of("amd64") | modules_of("arm64")
    assert [] == [name for name in DRIVERS if name not in known]


def test_every_program_in_it_finds_its_libraries(tmp_path: Path, built_os: Built) -> None:
    with (built_os.folder / "os/amd64/initrd.img").open("rb") as initrd:
        subprocess.run(["cpio", "--extract", "--quiet", "root.squashfs"], stdin=initrd, cwd=tmp_path, check=True)
    subprocess.run(["unsquashfs", "-quiet", "-no-progress", "root.squashfs"], cwd=tmp_path, check=True, capture_output=True)
    root = tmp_path / "squashfs-root"
    loader = next(root.glob("lib64/ld-linux-*"))
    programs = [file for folder in ("bin", "sbin") for file in (root / "usr" / folder).iterdir() if file.is_file()]
    missing = {}
    for program in programs:
        argv: list[str | Path] = ["chroot", root, f"/lib64/{loader.name}", "--list", f"/{program.relative_to(root)}"]
        said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
        if "not found" in said:
            missing[program.name] = said
    assert {} == missing
    assert {"kexec", "dockerd", "runc"} <= {program.name for program in programs}


def test_a_machine_boots_it_and_an_action_runs_in_a_container(network: Network, tmp_path: Path, built_os: Built) -> None:
    """One with BIOS, little memory and an old clock, and one with UEFI."""
    site = Gitboot(network, tmp_path / "site")
    built_os.into(site.artifacts)
    key = tmp_path / "age.key"
    key.write_text(secret_documents.IDENTITY)
    files = working(site, command=f"{LOOK} && {BETRAY}")
    files["template.yaml"] = files["template.yaml"].replace("timeout: 60\n", f"timeout: 60\n    {SECRETS}\n")
    files["secret.yaml"] = secret_documents.secret("database", {"password": f"{SECRET}\n"})
    files["other.yaml"] = hardware("node-02", OTHER_MAC, "10.77.0.12")
    files["other-workflow.yaml"] = workflow("look-node-02", "node-02", template="look")
    site.commit(files)
    site.start("--new-site", "--age-identity", str(key))
    wire = network.capture()
    with (
        VM(network, "node-01", MAC, firmware=SMALL, disk=empty_disk(tmp_path / "1.qcow2")) as small,
        VM(network, "node-02", OTHER_MAC, firmware=UEFI, disk=empty_disk(tmp_path / "2.qcow2")) as other,
    ):
        for vm in (small, other):
            does_its_work(vm)
    for name, mac, firmware in (("node-01", MAC, "bios"), ("node-02", OTHER_MAC, "uefi")):
        judge(site, name, mac, firmware)
    boots = [path for path in (site.state / "logs").iterdir() if path.name.startswith("boot-")]
    consoles = "".join((path / "os/console.1.log").read_text() for path in boots)
    assert all(f"gitboot: eth0 has {address}" in consoles for address in ("10.77.0.11", "10.77.0.12"))

    heard = wire.read_bytes()
    assert b"GET /ipxe/52-54-00-77-00-01/boot.ipxe" in heard  # firmware's part of it can be read by everybody
    assert b"GET /artifacts/sha256/" in heard
    assert b"agent.gitboot.invalid" in heard
    assert [] == re.findall(rb"(?:POST|PUT) /|/agent/|CONTAINER-SAW|workflow look, run|Authorization: \w+ \S{16}", heard)
    files_kept = [path for path in [*site.state.rglob("*"), *network.scratch.rglob("*.log")] if path.is_file()]
    said = [site.get(path).encode() for path in site.status("index.json")["documents"]]
    told = [site.get("/metrics").encode(), *(vm.console.text().encode() for vm in (small, other))]
    everything = [heard, *told, *said, *(path.read_bytes() for path in files_kept)]
    assert [] == [each[:200] for each in everything for form in (SECRET, SECRET_64) if form.encode() in each]
    shown = [site.get("/metrics"), *(path.read_text(errors="replace") for path in site.state.rglob("*") if path.is_file())]
    assert [] == re.findall(r"gitboot\.token=[0-9a-f]{64}", "\n".join([*shown, *(each.decode() for each in said)]))


def does_its_work(vm: VM) -> None:
    vm.wait_for(r"gitboot: kernel \S+ runs", within=90)
    vm.wait_for(r"gitboot: eth0 has 10\.77\.0\.1[12] from 10\.77\.0\.1")
    vm.wait_for(r"gitboot: the network is up; it is 20(?:2[6-9]|[3-9]\d)-")
    vm.wait_for("workflow look, run")
    vm.wait_for("workflow look SUCCESS", within=120)
    vm.wait_for("then: reboot")
    vm.wait_for(f"gitboot: workflow look-{vm.name} run 1 ended SUCCESS", within=120)


def judge(site: Gitboot, name: str, mac: str, firmware: str) -> None:
    machine = site.status(f"hardware/{name}.json")
    (action,) = machine["run"]["tasks"][0]["actions"]
    assert ("look", "SUCCESS") == (action["name"], action["state"])
    log = site.get(action["attempts"][0]["log"])
    assert f"{name}\n" in log
    assert "CONTAINER-SAW look" in log
    assert f"{'*' * len(SECRET)}\n{'*' * len(SECRET)}\nTHEY-ARE-RIGHT\n" in log
    assert f"gitboot.token={'*' * 64}" in log, "the action has read the kernel's command line"
    assert [] == re.findall(r"gitboot\.token=[0-9a-f]{64}", log)
    known = site.status(f"inventory/{name}.json")["hardware"]
    assert [("/dev/vda", name)] == [(disk["path"], disk["serial"]) for disk in known["disks"]]
    assert [(mac, "virtio_net", True)] == [(card["mac"], card["driver"], card["link"]) for card in known["interfaces"]]
    assert firmware == known["firmware"]["type"]
    assert machine["inventory"]["summary"].startswith("LabCo LabServer, ")


def test_the_generic_kernel_drives_an_old_card_in_a_vlan_and_disks_of_all_kinds_and_turns_itself_off(
    network: Network, tmp_path: Path, building: Callable[[str], Built]
) -> None:
    """Its address is static. Every loader before it tags too: nothing untagged reaches the network."""
    site = Gitboot(network, tmp_path / "site")
    building("generic").into(site.artifacts)
    static = "ip=10.77.0.11::10.77.0.1:255.255.255.0:by-hand::none:10.77.0.1"
    files = working(site, words=static, command=f"echo one >/dev/nvme0n1 && echo two >/dev/sda && sync && {LOOK}")
    files["node.yaml"] = hardware("node-01", MAC, "10.77.0.11").replace(".11}", ".11, vlan: 42}")
    site.commit(files | {"template.yaml": files["template.yaml"] + "then: poweroff\n"})
    site.start("--new-site")
    stick = Kernel(newer_loaders() / "ipxe.lkrn", site.bootstrap("node-01", tmp_path / "autoexec.ipxe"))
    disks = [Disk(tmp_path / bus, bus=bus) for bus in ("nvme", "ahci")]
    for disk in disks:
        disk.path.write_bytes(bytes(8 << 20))
    port = trunk(network, 42)
    with VM(network, "old", MAC, memory=512, nic="e1000", kernel=stick, netdev=port, disk=disks[0], spare=disks[1]) as vm:
        vm.wait_for(r"gitboot: eth0\.42 has 10.77.0.11 ", within=120)
        vm.wait_for("workflow look SUCCESS", within=120)
        vm.wait_for("then: poweroff")
        vm.wait_until_off(within=60)
    run = site.status("hardware/node-01.json")["run"]
    (action,) = run["tasks"][0]["actions"]
    assert "\nby-hand\n" in site.get(action["attempts"][0]["log"])
    assert "SUCCESS" == run["state"]
    assert [b"one\n", b"two\n"] == [disk.path.read_bytes()[:4] for disk in disks]
    known = site.status("inventory/node-01.json")["hardware"]["disks"]
    assert {("/dev/nvme0n1", "old"), ("/dev/sda", "old-spare")} == {(disk["path"], disk["serial"]) for disk in known}


def test_the_list_of_contents_is_true_and_the_same_input_is_the_same_output(
    built_os: Built, building: Callable[[str], Built]
) -> None:
    """Built once more, by nobody in particular, elsewhere, later."""
    first = built_os.folder / "os" / "amd64"
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=first, check=True, capture_output=True)
    packages = {each["name"]: each["version"] for each in json.loads((first / "contents.json").read_text())["packages"]}
    assert {"docker.io", "containerd", "runc", "python3-docker", "busybox-static"} <= packages.keys()
    assert (first / "initrd.img").stat().st_size < 80e6

    again = building("again").folder / "os" / "amd64"
    assert (first / "SHA256SUMS").read_text() == (again / "SHA256SUMS").read_text()


def test_it_boots_on_arm64_too(tmp_path: Path, network: Network, building: Callable[[str], Built]) -> None:
    """Built on this host, whatever its own architecture."""
    site = Gitboot(network, tmp_path / "site")
    building("arm64").into(site.artifacts, "arm64")
    node = hardware("node-01", MAC, "10.77.0.11", "  arch: aarch64\n")
    site.commit(working(site) | {"profile.yaml": profile(arch="arm64"), "node.yaml": node})
    site.start("--new-site", "--loaders", str(newer_loaders()))
    with VM(network, "arm", MAC, firmware=ARM64, memory=1024) as vm:
        vm.wait_for(r"gitboot: kernel \S+-arm64 runs", within=180)
        vm.wait_for("gitboot: eth0 has 10.77.0.11", within=60)
        vm.wait_for("workflow look, run", within=120)  # asked for once the engine is there
