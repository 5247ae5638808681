"""Which script a fetch is answered with, for machines of git and for those that are not."""

from __future__ import annotations

import msgspec
import pytest

from netboot.boot import RunWork, Stay, Step, ToDisk
from netboot.events import LeaseBound
from netboot.ipxe import Capability, Console
from netboot.plan import BootPlan, Machine
from netboot.scripts import NoScript, Script, script_text
from netboot.tokens import LIFETIME, objection, token
from tests.netboot.plan_example import DISKLESS, HOUSE, KERNEL, MAC, SECOND, SITE, STRANGER, Room, machine, plan, port, work

WORKING = machine(work=(work(),))


def test_work_boots_its_profile_with_a_token_for_this_boot_alone() -> None:
    room = Room.of(WORKING)
    script = room.script()
    told = next(word for word in script.text.split() if word.startswith("gitboot.token="))
    told, pinned = told.removeprefix("gitboot.token="), room.plans.current.id
    assert "" == objection(HOUSE.key, "node-01", pinned, script.boot, told, room.now + LIFETIME)
    assert objection(HOUSE.key, "node-01", pinned, script.boot, told, room.now + LIFETIME + 1)
    assert objection(HOUSE.key, "node-01", pinned, "boot-9", told, room.now)
    assert f"gitboot.boot={script.boot} " in script.text
    assert "inspect/vmlinuz console=ttyS0 quiet" not in script.text
    assert f"/artifacts/sha256/{'a' * 64}/vmlinuz console=ttyS0 quiet" in script.text


def test_a_script_says_who_boots_what_and_why() -> None:
    room = Room.of(WORKING)
    script = room.script()
    assert script.text.splitlines()[:3] == [
        "#!ipxe",
        f"echo gitboot: node-01 ({MAC}), plan {room.plans.current.id[:12]}",
        "echo gitboot: runs workflow install run 1 in profile inspect",
    ]
    assert ("node-01", "runs workflow install run 1 in profile inspect") == (script.machine, script.why)


def test_a_diskless_machine_gets_no_token() -> None:
    text = Room.of(machine(idle="profile:diskless")).script().text
    assert "kernel --name vmlinuz" in text
    assert "gitboot.token" not in text


def test_events_of_a_fetch_are_told_before_its_text_may_be_sent() -> None:
    room = Room.of(WORKING)
    kinds = [type(event).__name__ for event in room.script().events]
    assert ["BootOpened", "BootAdvanced"] == kinds
    assert () == room.script().events


@pytest.mark.parametrize("mac", [MAC, SECOND])
def test_any_interface_s_script_is_the_machine_s(mac: str) -> None:
    room = Room.of(machine("node-01", port(), port(SECOND, "10.1.0.12"), work=(work(),)))
    script = room.script(mac)
    assert "node-01" == script.machine
    assert f"BOOTIF=01-{mac.replace(':', '-')}" in script.text


def test_an_interface_that_does_not_netboot_has_no_script() -> None:
    room = Room.of(machine("node-01", port(netboot=False)))
    assert NoScript(f"git says that {MAC} of node-01 does not boot from the network") == room.fetch()


def test_a_stranger_is_told_to_wait_where_strangers_wait() -> None:
    room = Room.of(WORKING)
    script = room.script(STRANGER)
    assert ("", "", ()) == (script.machine, script.boot, script.events)
    assert f"no machine in git has the MAC {STRANGER}; add it to the inventory and push" in script.text
    assert "chain --replace --autofree http://10.1.0.1/ipxe/52-54-00-aa-aa-aa/boot.ipxe" in script.text


def test_a_stranger_has_no_script_where_strangers_are_ignored_or_only_known_machines_are_asked_for() -> None:
    reason = NoScript(f"no machine in git has the MAC {STRANGER}")
    assert reason == Room.of(WORKING, site=msgspec.structs.replace(SITE, unknown="ignore")).fetch(STRANGER)
    assert reason == Room.of(WORKING).fetch(STRANGER, known_only=True)


def test_a_stranger_that_is_added_to_git_boots_at_its_next_poll() -> None:
    room = Room.of()
    assert "" == room.script().boot
    room.publish(plan(WORKING))
    assert "runs workflow install run 1" in room.script().text


def test_a_machine_that_git_drops_while_it_waits_is_told_so_and_its_boot_closes() -> None:
    room = Room.of(machine(idle="wait"))
    room.script()
    room.publish(plan())
    assert f"no machine in git has the MAC {MAC}" in room.script().text
    assert room.observed.open_boot(MAC) is None


# Who gets a token


TWO = machine("node-01", port(), port(SECOND, "10.1.0.12"), work=(work(),))
LEASED = machine("node-01", port(address=""), work=(work(),))
FOREIGN = machine("node-01", port(address="", dhcp=False), work=(work(),))
ALLOWED: list[tuple[Machine, str, str, bool]] = [
    (WORKING, "reservation", "10.1.0.11", True),
    (WORKING, "reservation", "10.1.0.12", False),
    (WORKING, "reservation", "10.1.200.1", False),
    (WORKING, "reservation", "127.0.0.1", False),
    (WORKING, "reservation", "", False),
    (TWO, "reservation", "10.1.0.12", True),
    (TWO, "reservation", "10.1.0.13", False),
    (LEASED, "reservation", "10.1.200.1", False),
    (machine("node-01", port(dhcp=False), work=(work(),)), "reservation", "10.1.0.11", True),
    (machine("node-01", port(dhcp=False), work=(work(),)), "reservation", "10.1.0.12", False),
    (FOREIGN, "reservation", "10.2.0.7", True),
    (FOREIGN, "reservation", "192.0.2.7", False),
    *((WORKING, mode, "10.2.0.7", True) for mode in ("proxy", "auto-proxy", "off")),
    *((WORKING, mode, "192.0.2.7", False) for mode in ("proxy", "auto-proxy", "off")),
]


@pytest.mark.parametrize(("asks", "mode", "peer", "given"), ALLOWED)
def test_a_token_is_for_the_machine_s_own_address_or_else_for_the_site_s(
    asks: Machine, mode: str, peer: str, given: bool
) -> None:
    room = Room.of(asks, site=msgspec.structs.replace(SITE, mode=mode))
    before = len(room.journal)
    found = room.fetch(MAC, peer=peer or "nobody")
    if given:
        assert isinstance(found, Script)
        return
    assert isinstance(found, NoScript)
    assert (403, True) == (found.status, "the script of node-01 holds a token" in found.reason)
    assert before == len(room.journal), "nothing has happened"


def test_an_address_that_we_lent_a_machine_of_git_is_its_own() -> None:
    room = Room.of(LEASED)
    room.happen(LeaseBound(at=room.tick(), mac=MAC, address="10.1.200.2"))
    assert isinstance(room.fetch(peer="10.1.200.2"), Script)
    assert isinstance(room.fetch(peer="10.1.200.3"), NoScript)


def test_an_address_that_a_push_changed_counts_until_the_machine_has_the_new_one() -> None:
    room = Room.of(machine(idle="wait"))
    room.script()
    room.publish(plan(machine("node-01", port(address="10.1.0.99"), work=(work(),))))
    assert isinstance(room.fetch(peer="10.1.0.11"), Script)


def test_where_a_site_names_no_subnets_whoever_reaches_the_server_is_given_a_token() -> None:
    lone = machine("node-01", port(address="", subnet=""), work=(work(),))
    room = Room.of(lone, site=msgspec.structs.replace(SITE, mode="proxy"), subnets=())
    assert isinstance(room.fetch(peer="192.0.2.7"), Script)


def test_scripts_without_a_token_are_no_secret() -> None:
    assert isinstance(Room.of(machine()).fetch(peer="192.0.2.7"), Script)


# The steps


CAPABILITY = Capability("boot-1", token(HOUSE.key, "node-01", "plan", "boot-1", 0))
STEPS: list[tuple[Step, str]] = [
    (RunWork(work(), KERNEL, "because"), f"gitboot.token={CAPABILITY.token}"),
    (ToDisk("exit", "because"), "booting from the local disk\nexit\n"),
    (Stay("because"), "sleep 30"),
]


@pytest.mark.parametrize(("step", "expected"), STEPS)
def test_every_step_has_a_script_that_says_why(step: Step, expected: str) -> None:
    known: BootPlan = plan(machine())
    text = script_text(HOUSE, known, Console(HOUSE.base, "node-01", MAC, known.id), step, CAPABILITY)
    assert expected in text
    assert "echo gitboot: because" in text


def test_the_plan_s_profiles_are_those_of_the_tests() -> None:
    assert DISKLESS == plan().profiles["diskless"]
