"""What a machine would be told now: the servers' own answers, masked, and nothing changed by asking."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from netboot.boot import Plans
from netboot.desk import Counter
from netboot.dhcp import Server
from netboot.events import JournalOpened
from netboot.observed import Observed
from netboot.plan import Artifact, BootPlan, Interface, Profile, Site, Subnet, dump
from netboot.preview import MOST_SHOWN, Told, told_now
from netboot.scripts import House
from tests.netboot.site import mac, machine, plan

SERVED = plan().plan
HOUSE = House("http://10.1.0.1", b"key")


def journal() -> Observed:
    observed = Observed()
    observed.apply(JournalOpened(at=1.0, journal="j1"))
    return observed


def ask(served: BootPlan, observed: Observed, number: int = 1, hold: str = "", client: Any = None) -> tuple[Told, ...]:
    at = Counter(Server(bytes((10, 1, 0, 1))), HOUSE.base, hold, "0" * 16)
    return told_now(HOUSE, Plans(served, {}), observed, served.by_mac[mac(number)], at, 10.0, client or {})


def test_it_is_told_what_firmware_and_ipxe_would_be_answered_and_the_script() -> None:
    firmware, ipxe, script = ask(plan().plan, journal())
    assert ("its firmware", "OFFER 10.1.0.1") == (firmware.who, firmware.outcome)
    assert "file=snponly.efi" in firmware.text
    assert "yiaddr=10.1.0.1" in firmware.text
    assert "lease-time" in firmware.text
    assert "file=http://10.1.0.1/ipxe/52-54-00-12-34-01/boot.ipxe" in ipxe.text
    assert ("iPXE's script", "runs workflow look run 1 in profile inspect") == (script.who, script.outcome)
    assert script.text.startswith("#!ipxe")


def test_asking_changes_nothing() -> None:
    observed = journal()
    before = deepcopy(observed)
    ask(plan().plan, observed)
    assert before == observed


def test_no_token_and_no_password_is_shown() -> None:
    subnet, profile = Subnet("rack1", "10.1.0.0/16", b""), Profile("inspect", kernel="vmlinuz", cmdline="root-password=hunter2")
    served = dump(Site("home"), [subnet], [profile], [Artifact("vmlinuz", "0" * 64, 8)], [machine(1, "look")]).plan
    (*_, script) = ask(served, journal())
    assert "gitboot.token=" in script.text
    assert "gitboot.token=****" in script.text
    assert "hunter2" not in script.text


def test_of_an_answer_without_end_the_first_lines_are_shown() -> None:
    subnet, profile = Subnet("rack1", "10.1.0.0/16", b""), Profile("inspect", script="#!ipxe\n" + "http://a:hunter2@b\n" * 1000)
    served = dump(Site("home"), [subnet], [profile], [], [machine(1, "look")]).plan
    (*_, script) = ask(served, journal())
    assert "hunter2" not in script.text
    assert MOST_SHOWN > len(script.text) > MOST_SHOWN // 2
    assert re.search(r"\n… and \d{4} characters more$", script.text)


@given(st.dictionaries(st.sampled_from(["kind", "arch", "vendorClass", "userClass"]), st.text(max_size=300)))
def test_whatever_firmware_said_of_itself_there_is_something_to_show(client: dict[str, str]) -> None:
    assert all(each.outcome for each in ask(SERVED, journal(), client=client))


def test_beside_another_server_it_is_told_its_boot_file_and_no_address() -> None:
    firmware, ipxe, script = ask(plan(machine(1, "look"), mode="proxy").plan, journal())
    assert "yiaddr" not in firmware.text
    assert "file=snponly.efi" in firmware.text
    assert "boot.ipxe" in ipxe.text
    assert script.text.startswith("#!ipxe")


@pytest.mark.parametrize(
    ("client", "file"), [({"kind": "pxe", "arch": "0"}, "undionly.kpxe"), ({"arch": "\u0663"}, "snponly.efi")]
)
def test_firmware_asks_as_it_did_at_its_last_boot(client: dict[str, str], file: str) -> None:
    assert f"file={file}" in ask(plan().plan, journal(), client=client)[0].text


def test_where_ipxe_is_the_firmware_nothing_else_asks() -> None:
    assert ["iPXE", "iPXE's script"] == [each.who for each in ask(plan().plan, journal(), client={"kind": "ipxe", "arch": "0"})]


def test_u_boot_asks_for_no_script_of_ipxe() -> None:
    served = plan(replace(machine(1, "look"), arch="aarch64")).plan
    firmware, script = ask(served, journal(), client={"kind": "uboot", "arch": "22"})
    assert ("its firmware", "PXELINUX's configuration") == (firmware.who, script.who)
    assert "LABEL" in script.text.upper()


def test_a_hold_shows_in_what_would_be_served() -> None:
    (*_, script) = ask(plan().plan, journal(), hold="frozen by somebody")
    assert "frozen by somebody" in script.outcome


def test_why_there_is_no_answer_is_said() -> None:
    off = plan(machine(1, "look"), mode="off").plan
    assert "no answer: the site's DHCP mode is off: other servers answer" == ask(off, journal())[0].outcome
    silent = replace(machine(1), interfaces=(Interface(mac(1), "10.1.0.1", "n", "rack1", b"", netboot=False),))
    assert "none: git says that 52:54:00:12:34:01 of node-01 does not boot" in ask(plan(silent).plan, journal())[-1].outcome


def test_each_loader_is_told_in_its_own_language() -> None:
    (*_, script) = ask(plan(machine(1, "look", loader="grub")).plan, journal())
    assert "GRUB's configuration" == script.who
    assert "linux " in script.text


def test_a_machine_that_git_gives_no_address_asks_from_its_subnet() -> None:
    port = Interface(mac(1), "", "n", "rack1", b"\x33\x04\x00\x00\x0e\x10")
    firmware, _, script = ask(plan(replace(machine(1, "look"), interfaces=(port,))).plan, journal())
    assert firmware.outcome.startswith("OFFER 10.1.200.")
    assert script.text == "" or script.text.startswith("#!ipxe")
