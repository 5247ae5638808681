"""What a machine does next and why; and which plan a boot keeps to, whatever is pushed meanwhile."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from netboot.boot import Plans, Step, in_progress, next_step
from netboot.dhcp import Ignore, Reply
from netboot.events import BootAdvanced, BootClosed, BootOpened, RunEnd, RunEnded
from netboot.observed import Observed
from netboot.runs import Claimed, Nothing
from netboot.scripts import NoScript
from netboot.unasked import timed_out
from netboot.work import Work
from tests.netboot.plan_example import BIOS, IPXE, MAC, SECOND, SITE, SYSTEM, Room, machine, plan, port, work

WORKING = machine(work=(work(),))
IDLE, WAITING, DISKLESS = machine(), machine(idle="wait"), machine(idle="profile:diskless")


def kind(step: Step) -> str:
    return type(step).__name__


def step(room: Room, boot: str = "") -> Step:
    current = room.plans.current
    return next_step(current, current.machines["node-01"], room.observed, room.hold, boot)


def ended(room: Room, state: RunEnd, asked: Work, reason: str = "") -> None:
    """node-01 has carried `asked` out, and is told to restart."""
    boot = room.script().boot
    claimed = room.claim(boot, asked)
    assert isinstance(claimed, Claimed)
    room.happen(RunEnded(at=room.tick(), run=claimed.run, state=state, reason=reason))
    room.claim(boot, None)


def begun(room: Room, asked: Work | None = None) -> tuple[str, str]:
    """node-01 booted and its agent has claimed: (boot, run)."""
    room.discover(said=IPXE)
    boot = room.script().boot
    claimed = room.claim(boot, asked or work())
    assert isinstance(claimed, Claimed)
    return boot, claimed.run


# What it does next -----------------------------------------------------------------------------------------------------

STATES: dict[str, tuple[RunEnd | None, str]] = {
    "never run": (None, ""),
    "in progress": (None, ""),
    "SUCCESS": ("SUCCESS", ""),
    "FAILED": ("FAILED", "task/act: exit code 1"),
    "TIMEOUT": ("TIMEOUT", "no end within 60 s"),
    "CANCELLED": ("CANCELLED", "somebody said so"),
}
STEPS = [
    ("never run", "", "RunWork", "runs workflow install run 1 in profile inspect"),
    (
        "never run",
        "frozen by ann",
        "ToDisk",
        "workflow install run 1 is due but held: frozen by ann; its idle state is the disk",
    ),
    ("in progress", "", "RunWork", "goes on with workflow install run 1 in profile inspect"),
    ("in progress", "frozen by ann", "RunWork", "goes on with workflow install run 1 in profile inspect"),
    ("SUCCESS", "", "ToDisk", "workflow install run 1 ended SUCCESS; its idle state is the disk"),
    ("SUCCESS", "frozen by ann", "ToDisk", "workflow install run 1 ended SUCCESS; its idle state is the disk"),
    ("FAILED", "", "ToDisk", "workflow install run 1 ended FAILED (task/act: exit code 1); its idle state is the disk"),
    ("TIMEOUT", "", "ToDisk", "workflow install run 1 ended TIMEOUT (no end within 60 s); its idle state is the disk"),
    ("CANCELLED", "", "ToDisk", "workflow install run 1 ended CANCELLED (somebody said so); its idle state is the disk"),
]


@pytest.mark.parametrize(("state", "hold", "expected", "why"), STEPS)
def test_a_machine_works_until_its_work_has_ended(state: str, hold: str, expected: str, why: str) -> None:
    room = Room.of(WORKING)
    end, reason = STATES[state]
    if end:
        ended(room, end, work(), reason)
    elif state == "in progress":
        begun(room)
    room.hold = hold
    assert (expected, why) == (kind(step(room)), step(room).why)


@pytest.mark.parametrize(
    ("idle", "expected", "why"),
    [
        ("disk", "ToDisk", "git names no work for it; its idle state is the disk"),
        ("wait", "Stay", "git names no work for it; its idle state is to wait"),
        ("profile:diskless", "Diskless", "git names no work for it; its idle state is profile diskless"),
    ],
)
def test_a_machine_without_work_is_idle_as_git_says(idle: str, expected: str, why: str) -> None:
    found = step(Room.of(machine(idle=idle)))
    assert (expected, why) == (kind(found), found.why)


def test_work_runs_in_order_and_stops_at_the_first_that_failed() -> None:
    room = Room.of(machine(work=(work("a"), work("b"))))
    assert "runs workflow a run 1" in step(room).why
    ended(room, "SUCCESS", work("a"))
    assert "runs workflow b run 1" in step(room).why
    ended(room, "FAILED", work("b"), "no disk")
    room.publish(plan(machine(work=(work("a"), work("b"), work("c")))))
    assert "workflow b run 1 ended FAILED (no disk)" in step(room).why


def test_what_was_begun_is_finished_before_work_that_was_put_in_front_of_it() -> None:
    room = Room.of(machine(work=(work("b"),)))
    begun(room, work("b"))
    room.publish(plan(machine(work=(work("a"), work("b")))))
    room.discover(said=IPXE)  # reset: a new boot with the new plan
    assert "goes on with workflow b run 1" in room.script().why
    assert [] == [event for event in room.journal if isinstance(event, RunEnded)]


def test_a_run_is_known_by_any_mac_and_by_the_name() -> None:
    room = Room.of(WORKING)
    ended(room, "SUCCESS", work())
    for known in (machine("renamed", work=(work(),)), machine("node-01", port(SECOND), work=(work(),))):
        assert "ToDisk" == kind(next_step(plan(known), known, room.observed, "", ""))
    stranger = machine("renamed", port(SECOND), work=(work(),))
    assert "RunWork" == kind(next_step(plan(stranger), stranger, room.observed, "", ""))


def test_the_next_run_number_is_new_work() -> None:
    room = Room.of(WORKING)
    ended(room, "FAILED", work())
    room.publish(plan(machine(work=(work(run=2),))))
    assert "runs workflow install run 2" in step(room).why


# everyBoot -------------------------------------------------------------------------------------------------------------

EVERY = work("check", repeat="everyBoot")


def test_work_of_every_boot_runs_once_in_each_and_then_lets_the_machine_go_to_its_disk() -> None:
    room = Room.of(machine(work=(EVERY,)))
    room.discover(said=IPXE)
    for _ in range(3):
        assert "runs workflow check" in room.script().why
        ended(room, "SUCCESS", EVERY)
        room.discover(said=IPXE)  # the agent restarted the machine, which is still the same boot: else it never got further
        assert "workflow check run 1 ended SUCCESS; its idle state is the disk" == room.script().why
        room.discover(said=IPXE)  # somebody pressed the button
    assert 3 == len(room.observed.runs)


def test_work_of_every_boot_is_due_for_a_machine_that_is_not_booting() -> None:
    room = Room.of(machine(work=(EVERY,)))
    ended(room, "SUCCESS", EVERY)
    assert "RunWork" == kind(step(room))
    assert "ToDisk" == kind(step(room, room.boot.id))


def test_a_run_of_long_ago_is_no_run_of_this_boot() -> None:
    room = Room.of(machine(work=(work("check"),)))
    ended(room, "SUCCESS", work("check"))
    room.publish(plan(machine(work=(EVERY,))))
    assert "RunWork" == kind(step(room))


def test_a_push_elsewhere_does_not_repeat_the_work_of_every_boot_on_a_machine_that_waits() -> None:
    room = Room.of(machine(work=(EVERY,), idle="wait"))
    ended(room, "SUCCESS", EVERY)
    first = room.script()
    assert "its idle state is to wait" in first.why
    room.publish(plan(machine(work=(EVERY,), idle="wait"), cmdline="quiet"))
    again = room.script()
    assert (first.why, first.boot) == (again.why, again.boot)
    assert room.plans.current.id == room.boot.plan


def test_a_reset_during_work_of_every_boot_ends_that_run_and_begins_another() -> None:
    room = Room.of(machine(work=(EVERY,)))
    _, run = begun(room, EVERY)
    room.now += 31
    room.discover(said=IPXE)
    assert "runs workflow check" in room.script().why
    assert ("FAILED", "the machine was reset during this run") == (
        room.observed.runs[run].state,
        room.observed.runs[run].reason,
    )


# Which boot a question belongs to ------------------------------------------------------------------------------------------


def opened(room: Room) -> list[str]:
    return [event.boot for event in room.journal if isinstance(event, BootOpened)]


def reach(room: Room, phase: str) -> str:
    """Takes node-01's boot to a phase; its id."""
    room.discover(said=BIOS)
    if phase != "firmware":
        room.discover(said=IPXE)
    if phase in ("script", "kernel", "agent"):
        room.script()
    if phase in ("kernel", "agent"):
        room.happen(BootAdvanced(at=room.tick(), boot=room.boot.id, phase=phase))  # type: ignore[arg-type]
    assert phase == room.boot.phase
    return str(room.boot.id)


QUESTIONS = [
    # phase, who asks, changed: whether another plan is current; then whether a boot opens, and why the old one closed
    ("firmware", "BIOS", False, ""),
    ("firmware", "IPXE", False, ""),
    ("firmware", "IPXE", True, ""),
    ("firmware", "script", True, ""),
    ("ipxe", "BIOS", False, "the machine began to boot anew in phase ipxe"),
    ("ipxe", "IPXE", True, ""),
    ("ipxe", "script", True, ""),
    ("script", "BIOS", False, "the machine began to boot anew in phase script"),
    ("script", "IPXE", True, "the machine began to boot anew in phase script"),
    ("script", "script", False, ""),
    ("script", "script", True, ""),
    ("kernel", "IPXE", False, "the machine began to boot anew in phase kernel"),
    ("kernel", "script", True, ""),
    ("agent", "IPXE", False, "the machine began to boot anew in phase agent"),
    ("agent", "script", True, "not heard of for 1 seconds in phase agent, then its script was fetched"),
    *((phase, "SYSTEM", True, "") for phase in ("firmware", "ipxe", "script", "kernel", "agent")),
    *((phase, "REQUEST", True, "") for phase in ("firmware", "ipxe", "script", "kernel", "agent")),
]


@pytest.mark.parametrize(("phase", "asks", "changed", "closed"), QUESTIONS)
def test_a_machine_with_work_stays_in_its_boot_until_it_is_seen_to_begin_again(
    phase: str, asks: str, changed: bool, closed: str
) -> None:
    room = Room.of(WORKING)
    boot, first = reach(room, phase), room.plans.current
    if changed:
        room.publish(plan(WORKING, cmdline="quiet"))
    ask(room, asks)
    if not closed:
        assert ([boot], first.id) == (opened(room), room.boot.plan)
        return
    assert 2 == len(opened(room))
    assert [closed] == [event.reason for event in room.journal if isinstance(event, BootClosed)]
    assert room.plans.current.id == room.boot.plan


def ask(room: Room, how: str) -> Any:
    if how == "script":
        return room.fetch()
    if how == "REQUEST":
        return room.request("10.1.0.11", said=IPXE)
    return room.discover(said={"BIOS": BIOS, "IPXE": IPXE, "SYSTEM": SYSTEM}[how])


@pytest.mark.parametrize("how", ["SYSTEM", "REQUEST"])
def test_neither_a_request_nor_an_operating_system_opens_a_boot(how: str) -> None:
    room = Room.of(WORKING)
    assert isinstance(ask(room, how).outcome, Reply)
    assert [] == opened(room)


@pytest.mark.parametrize(("how", "phase"), [("BIOS", "firmware"), ("IPXE", "ipxe"), ("script", "script")])
def test_the_first_question_of_firmware_opens_a_boot_pinned_to_the_current_plan(how: str, phase: str) -> None:
    room = Room.of(WORKING)
    ask(room, how)
    assert (phase, room.plans.current.id) == (room.boot.phase, room.boot.plan)


def test_any_interface_joins_the_boot_of_its_machine() -> None:
    two = machine("node-01", port(), port(SECOND, "10.1.0.12"), work=(work(),))
    room = Room.of(two)
    room.discover(said=BIOS)
    room.discover(SECOND, said=BIOS)
    assert 1 == len(opened(room))
    assert opened(room) == [room.script(SECOND).boot]


def test_facts_about_the_firmware_are_kept_from_each_step() -> None:
    room = Room.of(WORKING)
    room.discover(said=BIOS)
    assert "pxe" == room.boot.client["kind"]
    room.discover(said=IPXE)
    assert ("ipxe", "iPXE") == (room.boot.client["kind"], room.boot.client["userClass"])


# The pin -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed", [machine("renamed", work=(work(),)), machine("node-09", port(SECOND, "10.1.0.99"))], ids=["renamed", "removed"]
)
def test_a_boot_keeps_its_plan_though_its_machine_is_renamed_or_removed(changed: Any) -> None:
    room = Room.of(WORKING)
    room.discover(said=BIOS)
    room.publish(plan(changed))
    offer = room.discover(said=IPXE)
    assert ("node-01", "boot-1") == (offer.machine, offer.boot)
    script = room.script()
    assert ("node-01", "boot-1") == (script.machine, script.boot)
    assert isinstance(room.claim("boot-1", work()), Claimed)
    assert "node-01" == room.request("10.1.0.11").machine


def test_the_boot_after_a_renaming_bears_the_new_name() -> None:
    room = Room.of(WORKING)
    reach(room, "script")
    room.publish(plan(machine("renamed", work=(work(),))))
    assert "renamed" == room.discover(said=IPXE).machine
    boot = room.observed.open_boot(MAC)
    assert boot is not None
    assert ("renamed", room.plans.current.id) == (boot.machine, boot.plan)


def test_a_machine_that_git_dropped_is_a_stranger_once_it_boots_anew() -> None:
    room = Room.of(WORKING)
    reach(room, "script")
    room.publish(plan(site=msgspec.structs.replace(SITE, unknown="ignore")))
    answered = room.discover(said=IPXE)
    assert ("", Ignore(f"unknown machine {MAC}")) == (answered.machine, answered.outcome)
    assert room.observed.open_boot(MAC) is None
    assert isinstance(room.fetch(), NoScript)


def test_a_machine_that_git_told_meanwhile_not_to_netboot_gets_an_address_and_no_boot() -> None:
    room = Room.of(WORKING)
    reach(room, "script")
    room.publish(plan(machine("node-01", port(netboot=False))))
    answered = room.discover(said=IPXE)
    assert isinstance(answered.outcome, Reply)
    assert b"boot.ipxe" not in answered.outcome.data
    assert room.observed.open_boot(MAC) is None


def test_a_pinned_plan_that_is_gone_is_replaced_by_the_current_one() -> None:
    room = Room.of(WORKING)
    room.discover(said=IPXE)
    room.plans = Plans(plan(WORKING, cmdline="quiet"), {})
    assert room.plans.current == in_progress(room.plans, room.observed, MAC).plan


# Waiting, and the agent beside a stranger ----------------------------------------------------------------------------------


def test_a_machine_that_waits_gets_a_new_plan_at_its_next_poll_and_nothing_is_journalled_before() -> None:
    room = Room.of(WAITING)
    room.discover(said=IPXE)
    room.script()
    before = len(room.journal)
    assert "its idle state is to wait" in room.script().why
    assert before == len(room.journal)
    room.publish(plan(machine(work=(work(),), idle="wait")))
    assert "runs workflow install run 1" in room.script().why
    assert (room.plans.current.id, "ipxe") == (room.boot.plan, room.boot.client["kind"])


def test_a_machine_that_waits_goes_when_the_hold_is_lifted() -> None:
    room = Room.of(machine(work=(work(),), idle="wait"))
    room.hold = "frozen by ann"
    assert "held: frozen by ann; its idle state is to wait" in room.script().why
    room.hold = ""
    assert "runs workflow install run 1" in room.script().why


def test_a_machine_that_waits_and_is_renamed_waits_under_its_new_name() -> None:
    room = Room.of(WAITING)
    first = room.script().boot
    room.publish(plan(machine("renamed", idle="wait")))
    script = room.script()
    assert "renamed" == script.machine
    assert first != script.boot  # a name given to another machine may not lead to this boot


@pytest.mark.parametrize("cmdline", ["", "quiet"], ids=["same", "changed"])
def test_a_diskless_machine_that_asks_for_its_script_again_was_reset_and_gets_the_current_plan(cmdline: str) -> None:
    room = Room.of(DISKLESS)
    boot = reach(room, "kernel")
    room.publish(plan(DISKLESS, cmdline=cmdline))
    assert boot != room.script().boot
    assert room.plans.current.id == room.boot.plan


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("asks", ["BIOS", "IPXE", "SYSTEM", "script"])
def test_what_anybody_can_send_while_a_session_lives_changes_nothing(changed: bool, finished: bool, asks: str) -> None:
    room = Room.of(WORKING)
    boot, run = begun(room)
    if finished:  # and the agent has not yet asked what comes next
        room.happen(RunEnded(at=room.tick(), run=run, state="SUCCESS", reason=""))
    if changed:
        room.publish(plan(IDLE))
    before = len(room.journal)
    ask(room, asks)
    assert boot == room.script().boot
    assert before == len(room.journal)
    room.now += 31
    ask(room, asks)
    assert ((boot == room.script().boot), before == len(room.journal)) == (False, False), "it is dead now"


def test_an_agent_not_heard_of_for_half_a_minute_is_gone_when_its_machine_asks_for_a_script() -> None:
    room = Room.of(WORKING)
    boot, _ = begun(room)
    room.now += 31
    assert boot != room.script().boot
    closed = next(event for event in room.journal if isinstance(event, BootClosed))
    assert "not heard of for 33 seconds in phase agent, then its script was fetched" == closed.reason


def test_an_agent_whose_server_was_away_is_not_gone_when_anybody_fetches_the_script() -> None:
    room = Room.of(WORKING)
    boot, run = begun(room)
    room.publish(plan(IDLE))
    room.now += 7200
    room.observed.listening = room.now  # it was down all the while, and has just begun to listen
    assert () == timed_out(room.observed, 1800, room.now + 1)
    assert boot == room.script().boot
    assert "RUNNING" == room.observed.runs[run].state
    room.now += 31
    assert boot != room.script().boot
    assert "CANCELLED" == room.observed.runs[run].state


def test_a_run_that_the_new_plan_does_not_name_ends_when_the_machine_is_sent_elsewhere() -> None:
    room = Room.of(WORKING)
    _, run = begun(room)
    room.publish(plan(IDLE))
    room.now += 31
    room.discover(said=IPXE)
    assert "RUNNING" == room.observed.runs[run].state  # a packet alone proves nothing
    assert "booting from the local disk" in room.script().text
    status = room.observed.runs[run]
    reason = f"the machine booted again and plan {room.plans.current.id} does not ask for this run any more"
    assert ("CANCELLED", reason) == (status.state, status.reason)


def test_a_run_that_the_new_plan_still_names_goes_on() -> None:
    room = Room.of(WORKING)
    _, run = begun(room)
    room.publish(plan(WORKING, cmdline="quiet"))
    room.discover(said=IPXE)
    assert "goes on with workflow install run 1" in room.script().why
    assert "RUNNING" == room.observed.runs[run].state


# Ends ----------------------------------------------------------------------------------------------------------------------


def test_a_boot_ends_at_the_disk_and_the_next_question_opens_another() -> None:
    room = Room.of(IDLE)
    room.discover(said=IPXE)
    room.script()
    assert ("disk", "handed over to the disk: git names no work for it; its idle state is the disk") == (
        room.boot.phase,
        room.boot.reason,
    )
    assert set() == room.observed.pinned_plans()
    room.script()
    assert 2 == len(opened(room))


def test_a_machine_told_by_silence_goes_to_its_disk_without_ever_fetching_a_script() -> None:
    room = Room.of(machine(handover="no-boot-file"))
    answered = room.discover(said=BIOS)
    assert isinstance(answered.outcome, Reply)
    assert b"undionly" not in answered.outcome.data
    assert ("disk", True) == (room.boot.phase, room.boot.closed is not None)


def test_the_agent_whose_work_is_done_ends_its_boot() -> None:
    room = Room.of(WORKING)
    boot, run = begun(room)
    room.happen(RunEnded(at=room.tick(), run=run, state="SUCCESS", reason=""))
    assert isinstance(room.claim(boot, None), Nothing)
    assert room.boot.closed is not None


def test_a_boot_that_went_quiet_is_over_and_says_where_it_stood() -> None:
    room = Room.of(WORKING)
    boot = reach(room, "kernel")
    assert () == timed_out(room.observed, 1800, room.now + 1800)
    expected = BootClosed(at=room.now + 1801, boot=boot, reason="not heard of for 1800 seconds in phase kernel")
    assert (expected,) == timed_out(room.observed, 1800, room.now + 1801)


def test_a_late_question_of_a_quiet_boot_opens_another() -> None:
    for ask_late in ("BIOS", "script"):
        room = Room.of(WORKING)
        reach(room, "firmware")
        room.now += 1801
        ask(room, ask_late)
        assert 2 == len(opened(room))
        assert any("not heard of for 1802 seconds" in event.reason for event in room.journal if isinstance(event, BootClosed))


def test_what_was_observed_can_be_folded_again_from_the_events_of_every_story_above() -> None:
    room = Room.of(machine(work=(EVERY,), idle="wait"))
    ended(room, "SUCCESS", EVERY)
    room.script()
    room.publish(plan(machine(work=(EVERY,), idle="wait"), cmdline="quiet"))
    room.script()
    room.discover(said=IPXE)
    again = Observed()
    for event in room.journal:
        again.apply(event)
    assert room.observed == again
