"""A simulated boot: every firmware and loader gets to where the plan wants the machine, or is told what is in its way."""

from __future__ import annotations

import pytest

from netboot.ipxe import Secure
from netboot.plan import Artifact, Binding, Dump, Interface, Machine, Profile, RaspberryPi, Site, Subnet, dump
from reconciler.firmware import PROFILES
from reconciler.simulation import Simulation, Where, simulate
from tests.netboot.site import KERNEL_SHA256, machine, plan

WHERE = Where("10.1.0.1", "http://10.1.0.1", Secure("https://10.1.0.1:443", "PIN"))
ARTIFACTS = {"vmlinuz": KERNEL_SHA256}


def boot(served: Dump, name: str = "node-01", firmware: str = "uefi") -> Simulation:
    here = served.plan.machines[name]
    return simulate(served.plan, Binding(here, here.interfaces[0]), PROFILES[firmware], WHERE)


def kinds(found: Simulation) -> list[str]:
    return [f"{each.kind} {each.outcome}" for each in found.exchanges]


def test_a_machine_with_work_goes_from_its_rom_to_its_actions() -> None:
    found = boot(plan(machine(1, "look"), artifacts=ARTIFACTS))
    assert ["dhcp offer", "dhcp ack", "tftp ok", "dhcp offer", "dhcp ack", "script ok", "artifact ok", "claim ok"] == kinds(
        found
    )
    assert ("it runs workflow look run 1 in profile inspect: 2 actions", "") == (found.end, found.trouble)
    assert b"first: image\nsecond: image\n" == found.exchanges[-1].answer


@pytest.mark.parametrize("firmware", sorted(PROFILES.keys() - {"rpi"}))
@pytest.mark.parametrize("loader", ["", "ipxe", "grub", "shim", "pxelinux"])
def test_every_firmware_and_every_loader_gets_there(firmware: str, loader: str) -> None:
    found = boot(plan(machine(1, "look", loader=loader), artifacts=ARTIFACTS), firmware=firmware)
    assert ("it runs workflow look run 1 in profile inspect: 2 actions", "") == (found.end, found.trouble)
    assert "script ok" in kinds(found)


@pytest.mark.parametrize("handover", ["auto", "exit", "sanboot", "grub", "no-boot-file"])
@pytest.mark.parametrize("firmware", ["uefi", "http", "ipxe"])
@pytest.mark.parametrize("mode", ["reservation", "proxy"])
def test_a_machine_without_work_gets_to_its_disk(handover: str, firmware: str, mode: str) -> None:
    found = boot(plan(machine(1, handover=handover), mode=mode), firmware=firmware)
    assert "" == found.trouble
    assert found.end.startswith("it boots its local disk")
    assert ("script ok" in kinds(found)) == (handover != "no-boot-file")


@pytest.mark.parametrize(
    ("idle", "end"), [("wait", "it waits, and asks again"), ("profile:inspect", "it runs profile inspect")]
)
def test_a_machine_idles_as_git_says(idle: str, end: str) -> None:
    found = boot(plan(machine(1, idle=idle), artifacts=ARTIFACTS))
    assert found.end.startswith(end)
    assert "" == found.trouble


@pytest.mark.parametrize("mode", ["proxy", "auto-proxy", "off"])
def test_beside_another_server_the_same_script_is_reached(mode: str) -> None:
    found = boot(plan(machine(1, "look"), artifacts=ARTIFACTS, mode=mode))
    assert ("it runs workflow look run 1 in profile inspect: 2 actions", "") == (found.end, found.trouble)
    assert "dhcp ack" not in kinds(found)


def test_a_chain_of_a_profile_takes_over() -> None:
    found = boot(plan(machine(1, idle="profile:other")))
    assert ("it runs profile other, and nothing of ours in it", "") == (found.end, found.trouble)


def test_a_raspberry_pi_is_sent_its_files() -> None:
    interface = Interface("b8:27:eb:00:00:01", "10.1.0.7", "pi", "rack1")
    pi = Machine("pi", "aarch64", (interface,), rpi=RaspberryPi("0000abcd", "pi4", "kernel=kernel8.img\n"))
    site = dump(
        Site("home", server="10.1.0.1"), [Subnet("rack1", "10.1.0.0/16")], [Profile("p", chain="http://x/")],
        [Artifact("pi4/start4.elf", "1" * 64, 3), Artifact("pi4/kernel8.img", "2" * 64, 3)], [pi],
    )  # fmt: skip
    found = boot(site, "pi", "rpi")
    assert "" == found.trouble
    asked = {each.said: each.answer for each in found.exchanges if each.kind == "tftp"}
    assert {"0000abcd/config.txt": b"kernel=kernel8.img\n", "0000abcd/kernel8.img": b"", "0000abcd/start4.elf": b""} == asked


# What is in the way -----------------------------------------------------------------------------------------------------


def test_a_machine_that_is_in_no_subnet_is_told_of_the_silence() -> None:
    here = machine(1, "look")
    lost = Machine(here.name, here.arch, (Interface(here.macs[0], "", "node-01", "nowhere"),), work=here.work)
    found = boot(plan(lost))
    assert f"UEFI PXE gets no OFFER: git puts {here.macs[0]} in no subnet" == found.trouble
    assert ["dhcp ignored"] == kinds(found)


def test_a_loader_that_reads_no_script_is_followed_no_further() -> None:
    found = boot(plan(machine(1, "look", loader="special.efi")))
    assert ("it runs special.efi, and what that does nobody knows here", "") == (found.end, found.trouble)


def test_a_raspberry_pi_s_profile_on_another_machine_is_said_to_be_unknown() -> None:
    assert "BIOS PXE is sent an iPXE" in boot(plan(machine(1, "look")), firmware="rpi").trouble


def test_an_interface_that_does_not_boot_is_no_trouble() -> None:
    here = machine(1, "look")
    quiet = Machine(here.name, here.arch, (Interface(here.macs[0], "10.1.0.1", "n", "rack1", netboot=False),))
    found = boot(plan(quiet))
    assert (f"git says that {here.macs[0]} does not boot from the network", "") == (found.end, found.trouble)


def test_without_the_artefact_folder_digests_are_taken_at_their_word() -> None:
    found = boot(plan(machine(1, "look"), artifacts={"vmlinuz": ""}))
    assert "" == found.trouble
    assert "--artifacts" in next(each.reason for each in found.exchanges if each.kind == "artifact")
