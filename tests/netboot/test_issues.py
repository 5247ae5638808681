"""Every issue comes with what it tells of, and goes when that is cured."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from agent.workflow import Action, Task, Workflow, to_json
from netboot.dhcp_packet import DECLINE
from netboot.events import ActionStarted, BootAdvanced, RunEnded
from netboot.issue_kinds import CATALOGUE, Name
from netboot.issues import GIT_PATIENCE, OVERDUE, STOPPED, Issue, of_machine, of_site
from netboot.reconcile_document import Reconciliation
from netboot.records import Contest
from netboot.runs import Claimed
from tests.netboot.plan_example import BIOS, IPXE, MAC, Room, ip, machine, work

HEALTHY = Reconciliation("https://git.example/site", head="c0ffee", revision="c0ffee", plan="p1", last_success=1000.0)
LIMITED = to_json(Workflow("install", (Task("task", "node-01", (Action("act", "image", timeout=60),)),)))


def issues(room: Room, later: float = 0.0, due: float = 0.0, contest: Contest | None = None) -> list[Issue]:
    (each,) = room.plans.current.machines.values()
    return list(of_machine(room.plans, each, room.observed, room.hold, room.now + later, due, contest))


def kinds(room: Room, later: float = 0.0, due: float = 0.0, contest: Contest | None = None) -> list[str]:
    return [each.kind for each in issues(room, later, due, contest)]


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
    kind, patience, _ = STOPPED[phase]  # type: ignore[index]
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
    assert ("action-overdue", room.now + 60) == (found.kind, found.since)


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


def test_an_address_that_somebody_else_has() -> None:
    room = Room.of(machine())
    room.dhcp(DECLINE, MAC, {50: ip("10.1.0.11"), 54: ip("10.1.0.1")})
    (found,) = issues(room)
    assert ("address-conflict", True) == (found.kind, "10.1.0.11" in found.message)


def test_somebody_else_who_wants_to_speak_for_it() -> None:
    room = working()
    started(room)
    (session,) = room.observed.sessions.values()
    contest = Contest(session.id, "10.1.9.9", room.now, room.now, 3)
    assert ["contested"] == kinds(room, contest=contest)
    assert [] == kinds(room, contest=Contest("older", "10.1.9.9", room.now, room.now, 1))


def site(word: Reconciliation, now: float = 1000.0, **heard: dict[str, float]) -> list[str]:
    return [each.kind for each in of_site(word, heard.get("rivals", {}), heard.get("strangers", {}), now)]


def changed(**values: object) -> Reconciliation:
    return replace(HEALTHY, **values)  # type: ignore[arg-type]


def test_what_is_wrong_with_the_site() -> None:
    assert [] == site(HEALTHY)
    error = {"severity": "error", "file": "a.yaml", "line": 3, "message": "This is wrong."}
    (found,) = of_site(changed(head="badbad", problems=[error, error]), {}, {}, 1000.0)
    assert ("commit-rejected", "commit badbad: a.yaml:3: This is wrong. and 1 more") == (found.kind, found.message)
    assert [] == site(changed(problems=[error | {"severity": "warning"}]))
    assert [] == site(changed(unavailable="no route"), 1000.0 + GIT_PATIENCE)
    assert ["git-unreachable"] == site(changed(unavailable="no route"), 1001.0 + GIT_PATIENCE)
    assert ["runs-held"] == site(changed(hold="frozen by me"))
    assert ["other-dhcp-server"] == site(HEALTHY, rivals={"10.1.0.9": 5.0})
    assert ["unknown-machine"] == site(HEALTHY, strangers={"52:54:00:aa:aa:aa": 5.0})
