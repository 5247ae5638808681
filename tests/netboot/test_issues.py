"""Every issue comes with what it tells of, and goes when that is cured."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any, get_args

import msgspec
import pytest

from agent.workflow import Action, Task, Workflow, to_json
from netboot.dhcp_packet import DECLINE, OFFER
from netboot.endings import END_OF_WORK
from netboot.events import ActionStarted, BootAdvanced, BootClosed, RunEnded
from netboot.expectations import Expectations
from netboot.heard import Health, Heard
from netboot.issue_kinds import CATALOGUE, Name
from netboot.issues import (
    ASKS_AGAIN,
    GIT_PATIENCE,
    GONE,
    LEAST_ROOM,
    NOTICE_PATIENCE,
    SKEW,
    STILL,
    STOPPED,
    Issue,
    Moment,
    of_machine,
    of_site,
)
from netboot.noticed import Choice, Noticed, Recent
from netboot.observed import SOON, Observed, fold
from netboot.plan import BootPlan, Interface
from netboot.reconcile_document import Reconciliation
from netboot.records import ActionStatus, Contest
from netboot.rivals import Rivals
from netboot.runs import Claimed
from netboot.story import OVERDUE, PATIENCE
from netboot.strangers import Strangers
from netboot.unasked import timed_out
from tests.netboot.plan_example import BIOS, IPXE, MAC, SECOND, SITE, STRANGER, Room, ip, machine, packet, plan, port, work

HEALTHY = Reconciliation("https://git.example/site", head="c0ffee", revision="c0ffee", plan="p1", last_success=1000.0)
LIMITED = to_json(Workflow("install", (Task("task", "node-01", (Action("act", "image", timeout=60),)),)))


def issues(room: Room, later: float = 0.0, due: float = 0.0, **at: Any) -> list[Issue]:
    (each,) = room.plans.current.machines.values()
    return list(of_machine(room.plans, each, room.observed, Moment(room.now + later, room.hold, lambda _: due, **at)))


def kinds(room: Room, later: float = 0.0, **at: Any) -> list[str]:
    return [each.kind for each in issues(room, later, **at)]


def working() -> Room:
    return Room.of(machine(work=(work(document=LIMITED),)))


def started(room: Room) -> str:
    """The run of a machine whose agent has begun."""
    room.discover(said=IPXE)
    claimed = room.claim(room.script().boot, work(document=LIMITED))
    assert isinstance(claimed, Claimed)
    return claimed.run


def test_each_name_is_explained() -> None:
    assert CATALOGUE.keys() == set(get_args(Name))
    for kind in CATALOGUE.values():
        assert kind.causes
        assert all(text.endswith(".") for text in (kind.means, kind.remedy, *kind.causes))


def test_a_machine_that_nothing_is_wrong_with_has_no_issue() -> None:
    assert [] == kinds(Room.of(machine()), later=1e9)
    room = working()
    started(room)
    assert [] == kinds(room)


@pytest.mark.parametrize("phase", ["firmware", "ipxe", "script", "kernel"])
def test_a_boot_that_comes_no_further_says_so_once_its_patience_has_ended(phase: str) -> None:
    room = working()
    room.discover(said=BIOS)
    if phase != "firmware":
        room.discover(said=IPXE)
    if phase in ("script", "kernel"):
        boot = room.script().boot
        if phase == "kernel":
            room.happen(BootAdvanced(at=room.now, boot=boot, phase="kernel"))
            room.observed.touch(boot, room.now)
    (kind, _), patience = STOPPED[phase], PATIENCE[phase]  # type: ignore[index]
    assert [] == kinds(room, patience)
    (found,) = issues(room, patience + 1)
    assert (kind, "node-01") == (found.kind, found.machine)
    assert "{" not in found.message


def test_it_is_cured_by_the_next_sign_of_life() -> None:
    room = working()
    room.discover(said=BIOS)
    room.now += 500
    assert ["boot-file-not-fetched"] == kinds(room)
    room.discover(said=IPXE)
    assert [] == kinds(room)


def test_while_nobody_listened_nobody_was_silent() -> None:
    room = working()
    room.discover(said=BIOS)
    room.now += 500
    room.observed.listening = room.now - 10
    assert [] == kinds(room)


def test_a_machine_that_was_told_to_wait_is_not_overdue() -> None:
    room = Room.of(machine(idle="wait"))
    room.discover(said=IPXE)
    room.script()
    assert [] == kinds(room, 900)


def test_work_that_is_due_and_a_machine_that_does_not_come() -> None:
    room = working()
    assert [] == kinds(room, later=1800, due=room.now)
    (found,) = issues(room, later=1801, due=room.now)
    assert ("no-sign-of-life", True) == (found.kind, "never been seen" in found.message)
    room.hold = "frozen"
    assert [] == kinds(room, later=1801, due=room.now), "what is held is not due"


def test_it_comes_and_the_sign_of_life_is_there() -> None:
    room = working()
    due = room.now
    room.now += 2000
    room.discover(said=BIOS)
    assert [] == kinds(room, due=due)


def test_a_machine_that_hangs_is_an_issue_also_when_its_boot_is_taken_to_be_over() -> None:
    room = working()
    due = room.now - 1
    room.discover(said=IPXE)
    room.happen(BootAdvanced(at=room.now, boot=room.script().boot, phase="kernel", profile="inspect"))
    room.now += 1801
    assert ["no-agent"] == kinds(room, due=due)
    room.happen(*timed_out(room.observed, 1800, room.now))
    for later in (0, 1, 1e6):
        (found,) = issues(room, later, due=due)
        assert ("no-sign-of-life", room.now) == (found.kind, found.since)
        assert found.message.endswith("is due, and it was not heard of for 1800 seconds in phase kernel")
    room.discover(said=BIOS)
    assert [] == kinds(room, due=due)


def test_a_machine_that_was_handed_over_to_its_disk_while_its_work_was_held_is_waited_for_as_one_that_is_off() -> None:
    room = working()
    due, room.hold = room.now - 1, "frozen"
    room.discover(said=IPXE)
    room.script()
    assert room.boot.closed == room.now
    assert [] == kinds(room, 1801, due=due)
    room.hold = ""
    assert [] == kinds(room, 1800, due=due)
    (found,) = issues(room, 1801, due=due)
    assert ("no-sign-of-life", room.now) == (found.kind, found.since)
    assert " ended its last boot " in found.message


def test_an_agent_that_is_silent_and_heard_again() -> None:
    room = working()
    started(room)
    assert ["agent-lost"] == kinds(room, 91)
    (boot,) = room.observed.boots.values()
    room.observed.touch(boot.id, room.now + 90)
    assert [] == kinds(room, 91)


def test_an_action_beyond_its_limit_while_the_agent_is_heard() -> None:
    room = working()
    run = started(room)
    room.happen(ActionStarted(at=room.now, run=run, sequence=1, task="task", action="act", attempt=1))
    (boot,) = room.observed.boots.values()
    room.observed.touch(boot.id, room.now + 60 + OVERDUE)
    assert [] == kinds(room, 60 + OVERDUE)
    (found,) = issues(room, 61 + OVERDUE)
    assert ("action-overdue", room.now + 60 + OVERDUE) == (found.kind, found.since)
    assert found.message.endswith("task/act has 60 s and still runs")


def usually(room: Room, run: str, seconds: float) -> Expectations:
    """So long it took on five other machines of its model."""
    known = Expectations(lambda name: "Board")
    for number in range(5):
        other = deepcopy(room.observed.runs[run])
        other.machine = f"other-{number}"
        other.attempts = [ActionStatus("task", "act", 1, 0, 0.0, "SUCCESS", seconds)]
        observed = Observed(runs={run: other})
        known.learn_all(observed)
    return known


def test_an_action_that_takes_far_longer_than_on_machines_like_it() -> None:
    room = working()
    run = started(room)
    room.happen(ActionStarted(at=room.now, run=run, sequence=1, task="task", action="act", attempt=1))
    known = usually(room, run, 20.0)
    (boot,) = room.observed.boots.values()
    room.observed.touch(boot.id, room.now + 61)
    assert [] == kinds(room, 60, expectations=known)
    (found,) = issues(room, 61, expectations=known)
    assert ("action-overdue", True) == (found.kind, "task/act mostly takes less than 20 s and still runs" in found.message)


def test_a_machine_that_was_told_to_restart_and_does_not_come_back_for_its_work() -> None:
    room = working()
    room.discover(said=IPXE)
    room.happen(BootClosed(at=room.now, boot=room.boot.id, reason=f"{END_OF_WORK}: another try"))
    due = room.now - 5000
    assert [] == kinds(room, PATIENCE["restart"], due=due)
    (found,) = issues(room, PATIENCE["restart"] + 1, due=due)
    assert ("no-sign-of-life", True) == (found.kind, found.message.endswith("and did not come back"))
    room.hold = "frozen"
    assert [] == kinds(room, PATIENCE["restart"] + 1, due=due)


def test_a_machine_that_was_told_to_restart_before_its_work_was_due_is_no_issue_at_once() -> None:
    room = working()
    room.discover(said=IPXE)
    room.happen(BootClosed(at=room.now, boot=room.boot.id, reason=f"{END_OF_WORK}: its work is done"))
    due = room.now + 3 * 86400
    room.now = due
    assert [] == kinds(room, 1800, due=due)
    (found,) = issues(room, 1801, due=due)
    assert ("no-sign-of-life", due, True) == (found.kind, found.since, " was last seen " in found.message)


def test_a_failed_run_until_git_asks_for_another() -> None:
    room = working()
    run = started(room)
    room.happen(RunEnded(at=room.now, run=run, state="FAILED", reason="exit code 3"))
    (found,) = issues(room)
    assert ("run-failed", "workflow install run 1 ended FAILED: exit code 3") == (found.kind, found.message)
    again = Room.of(machine(work=(work(run=2, document=LIMITED),)))
    again.observed = room.observed
    assert [] == kinds(again)


def test_a_success_is_no_issue() -> None:
    room = working()
    room.happen(RunEnded(at=room.now, run=started(room), state="SUCCESS", reason=""))
    assert [] == kinds(room)


def test_a_machine_that_its_disk_does_not_keep() -> None:
    room = Room.of(machine())
    for _ in range(4):
        assert [] == kinds(room)
        room.discover(said=IPXE)
        room.script()
        room.now += 30
    assert ["boot-loop"] == kinds(room)
    assert [] == kinds(room, SOON), "it stays away"


def test_a_machine_that_comes_back_after_its_success() -> None:
    room = working()
    run = started(room)
    room.happen(RunEnded(at=room.now, run=run, state="SUCCESS", reason=""))
    room.happen(BootClosed(at=room.now, boot=room.boot.id, reason=END_OF_WORK))
    room.discover(said=IPXE)
    room.script()
    assert [] == kinds(room), "it was sent to its disk for the first time"
    for expected in ("was handed over to its disk", "for the second time"):
        room.now += 60
        room.discover(said=IPXE)
        (found,) = issues(room)
        assert ("back-after-success", True) == (found.kind, found.message.endswith(expected))
        room.script()
    assert [] == kinds(room, SOON + 1)


def test_a_machine_that_came_back_for_new_work_did_not_come_back_after_its_success() -> None:
    room = Room.of(machine())
    room.discover(said=IPXE)
    room.script()
    room.now += 120
    room.publish(plan(machine(work=(work(document=LIMITED),))))
    run = started(room)
    assert 1 == room.boot.returns
    room.happen(RunEnded(at=room.tick(), run=run, state="SUCCESS", reason=""))
    assert [] == kinds(room)
    room.happen(BootClosed(at=room.tick(), boot=room.boot.id, reason=END_OF_WORK))
    assert [] == kinds(room, 60)


def test_an_offer_that_somebody_else_made_is_taken() -> None:
    room, noticed = working(), Noticed()
    room.discover(said=BIOS)
    noticed.choices.keep(MAC, Choice("10.1.0.9", room.now))
    (found,) = issues(room, noticed=noticed)
    assert ("offer-not-taken", "it took the offer of another DHCP server, 10.1.0.9") == (found.kind, found.message)
    room.discover(said=IPXE)
    assert [] == kinds(room, noticed=noticed), "it runs our iPXE all the same"
    proxy = Room.of(machine(work=(work(),)), site=msgspec.structs.replace(SITE, mode="proxy"))
    proxy.discover(said=BIOS)
    noticed.choices.keep(MAC, Choice("10.1.0.9", proxy.now))
    assert [] == kinds(proxy, noticed=noticed), "addresses are the other one's to give"


def test_an_offer_that_nobody_came_back_for() -> None:
    room, noticed = working(), Noticed()
    room.discover(said=BIOS)
    noticed.answered("node-01", MAC, "OFFER", room.now)
    assert [] == kinds(room, 90, noticed=noticed)
    assert ["offer-not-taken"] == kinds(room, 91, noticed=noticed)
    noticed.answered("node-01", MAC, "ACK", room.now)
    assert ["boot-file-not-fetched"] == kinds(room, 91, noticed=noticed)


def test_firmware_for_which_there_is_no_program() -> None:
    room = working()
    room.discover(said=BIOS)
    assert [] == kinds(room, programs={"undionly.kpxe"})
    (found,) = issues(room, programs=())
    assert ("boot-program-missing", True) == (found.kind, "undionly.kpxe" in found.message)
    room.discover(said=IPXE)
    assert [] == kinds(room, programs=())


def test_a_machine_that_is_refused_an_address_until_it_has_one_or_asks_no_more() -> None:
    room, noticed = working(), Noticed()
    noticed.refused("node-01", "the range is full", room.now - 5)
    noticed.refused("node-01", "the range is full", room.now)
    (found,) = issues(room, noticed=noticed)
    assert ("no-address", room.now - 5, True) == (found.kind, found.since, "the range is full" in found.message)
    assert [] == kinds(room, ASKS_AGAIN + 1, noticed=noticed)
    noticed.answered("node-01", MAC, "OFFER", room.now)
    assert [] == kinds(room, noticed=noticed)


def test_a_clock_that_is_not_ours_while_its_agent_says_so() -> None:
    room, noticed = working(), Noticed()
    started(room)
    (boot,) = room.observed.boots.values()
    for ahead, expected in ((SKEW, []), (-SKEW - 1, ["clock-skew"]), (1e300, ["clock-skew"])):
        noticed.clocks.keep("node-01", (boot.id, ahead))
        assert expected == kinds(room, noticed=noticed)
        assert all(len(each.message) < 80 for each in issues(room, noticed=noticed))
    room.happen(BootClosed(at=room.now, boot=boot.id, reason="over"))
    assert [] == kinds(room, noticed=noticed)


def test_a_disk_that_is_not_there() -> None:
    room = working()
    run = room.observed.runs[started(room)]
    run.machine_document = {"disks": [{"name": "root", "serial": "X"}]}
    reason = "nothing was started: disk root (serial X) is not in this machine; there is no disk at all"
    room.happen(RunEnded(at=room.now, run=run.id, state="FAILED", reason=reason))
    (found,) = issues(room)
    assert ("disk-not-matched", True) == (found.kind, found.message.endswith(reason))


def test_what_is_noticed_is_bounded() -> None:
    recent = Recent[int](most=2)
    for key in "abac":
        recent.keep(key, 1)
    assert [1, None, 1] == [recent.of(key) for key in "abc"]


def test_an_address_that_somebody_else_has() -> None:
    room = Room.of(machine())
    room.dhcp(DECLINE, MAC, {50: ip("10.1.0.11"), 54: ip("10.1.0.1")})
    (found,) = issues(room)
    assert ("address-conflict", True) == (found.kind, "10.1.0.11" in found.message)
    noticed = Noticed()
    noticed.answered("node-01", MAC, "ACK", room.now + 5)
    assert ["address-conflict"] == kinds(room, 10, noticed=noticed)
    assert [] == kinds(room, 6 + STILL, noticed=noticed), "it was given it again, and kept it"


def declining(*ports: Interface) -> Room:
    """The second of two boots of a machine has begun; in the first it was found that its address is somebody else's."""
    room = Room.of(machine("node-01", *ports))
    room.discover(said=BIOS)
    room.dhcp(DECLINE, MAC, {50: ip("10.1.0.11"), 54: ip("10.1.0.1")})
    room.now += 700
    room.discover(said=BIOS)
    return room


def test_an_address_with_which_a_later_boot_came_further_is_its_own_also_after_a_restart_of_the_server() -> None:
    room = declining()
    assert ["address-conflict"] == kinds(room), "firmware asks, and has come no further"
    room.discover(said=IPXE)
    assert [] == kinds(room)
    room.script()
    room.now += 86400
    room.discover(said=BIOS)
    room.observed = fold(room.journal)
    assert [] == kinds(room)
    room.dhcp(DECLINE, MAC, {50: ip("10.1.0.11"), 54: ip("10.1.0.1")})
    assert ["address-conflict"] == kinds(room)


def test_that_one_interface_boots_says_nothing_of_the_address_of_another() -> None:
    room = declining(port(), port(SECOND, "10.1.0.12"))
    room.dhcp(DECLINE, SECOND, {50: ip("10.1.0.12"), 54: ip("10.1.0.1")})
    room.discover(said=IPXE)
    (found,) = issues(room)
    assert ("address-conflict", True) == (found.kind, "10.1.0.12" in found.message)


def test_an_ipxe_of_its_own_that_asks_has_no_address_yet() -> None:
    room = Room.of(machine())
    room.dhcp(DECLINE, MAC, {50: ip("10.1.0.11"), 54: ip("10.1.0.1")})
    room.discover(said=IPXE)
    assert ["address-conflict"] == kinds(room)
    room.script()
    assert [] == kinds(room)


def test_somebody_else_who_wants_to_speak_for_it() -> None:
    room = working()
    started(room)
    (session,) = room.observed.sessions.values()
    contest = Contest(session.id, "10.1.9.9", room.now, room.now, 3)
    assert ["contested"] == kinds(room, contest_of=lambda name: contest)
    older = Contest("older", "10.1.9.9", room.now, room.now, 1)
    assert [] == kinds(room, contest_of=lambda name: older)
    (boot,) = room.observed.boots.values()
    room.observed.touch(boot.id, room.now + STILL + 1)
    assert [] == kinds(room, STILL + 1, contest_of=lambda name: contest), "who gave up does not want to any more"


def site(word: Reconciliation = HEALTHY, now: float = 1000.0, plan: BootPlan | None = None, **heard: Any) -> list[str]:
    return [each.kind for each in of_site(plan, word, Heard(**heard), now)]


def changed(**values: object) -> Reconciliation:
    return replace(HEALTHY, **values)  # type: ignore[arg-type]


def test_what_is_wrong_with_git() -> None:
    assert [] == site(HEALTHY)
    error = {"severity": "error", "file": "a.yaml", "line": 3, "message": "This is wrong."}
    (found,) = of_site(None, changed(head="badbad", problems=[error, error]), Heard(), 1000.0)
    assert ("commit-rejected", "commit badbad: a.yaml:3: This is wrong. and 1 more") == (found.kind, found.message)
    assert [] == site(changed(problems=[error | {"severity": "warning"}]))
    assert [] == site(changed(unavailable="no route"), 1000.0 + GIT_PATIENCE)
    assert ["git-unreachable"] == site(changed(unavailable="no route"), 1001.0 + GIT_PATIENCE)
    assert ["forge-unreachable"] == site(changed(forge="403"))
    held = {"rule": "at most 2", "why": "3 would be", "release": "sign it", "count": 3, "whole": False}
    (found,) = of_site(None, changed(held=(held,)), Heard(), 1000.0)
    assert ("plan-held", "3 machines: policy allows at most 2, and 3 would be; sign it") == (found.kind, found.message)


def test_what_is_wrong_with_the_server() -> None:
    assert ["runs-held"] == site(changed(hold="frozen by me"))
    assert ["plan-not-loaded"] == site(changed(unavailable="damaged"), 1e6, health=lambda: Health(plan="damaged"))
    assert ["journal-failed"] == site(health=lambda: Health(journal="no space left"))
    assert [] == site(health=lambda: Health(room=LEAST_ROOM))
    assert ["state-full"] == site(health=lambda: Health(room=LEAST_ROOM - 1))
    down = {"chat": ("it is down", 1000.0)}
    assert [] == site(now=1000.0 + NOTICE_PATIENCE, noticed=Noticed(undelivered=down))
    assert ["notices-undelivered"] == site(now=1001.0 + NOTICE_PATIENCE, noticed=Noticed(undelivered=down))
    locked = replace(plan(machine()), locked={"database": "no key opens it"})
    (found,) = of_site(locked, HEALTHY, Heard(), 1000.0)
    assert ("secret-unreadable", "secret database: no key opens it") == (found.kind, found.message)


def test_who_is_heard_on_the_wire_until_he_has_been_silent_for_an_hour() -> None:
    rivals, strangers = Rivals(), Strangers()
    rivals.note("10.1.0.9", packet(OFFER, MAC, {}), 5.0)
    assert ["other-dhcp-server"] == site(rivals=rivals.list)
    assert [] == site(now=6.0 + GONE, rivals=rivals.list)
    proxy = plan(machine(), site=msgspec.structs.replace(SITE, mode="proxy"))
    assert [] == site(plan=proxy, rivals=rivals.list), "there has to be another"
    strangers.note(STRANGER, 5.0, "DISCOVER")
    assert ["unknown-machine"] == site(strangers=strangers.list)
    assert [] == site(now=6.0 + GONE, strangers=strangers.list)
    strangers.note(MAC, 5.0, "DISCOVER")
    assert ["unknown-machine"] == site(plan=plan(machine()), strangers=strangers.list), "the other one is in git by now"
