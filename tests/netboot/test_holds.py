"""Holds: what is held does not start, whichever way it is asked for, and everything else goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netboot.boot import Plans, Step, ToDisk, next_step
from netboot.events import RunEnd, RunEnded
from netboot.holds import OPEN, Gate, Hold, Holds, decode_holds, encode_holds, gate
from netboot.plan import BootPlan
from netboot.policy import DAYS, Policy, Rolling, Window
from netboot.runs import Claimed, Nothing
from tests.netboot.plan_example import IPXE, MAC, SECOND, Room, machine, plan, port, work

THIRD = "52:54:00:12:34:03"
HELD = Hold("destructive", "at most 10 machines destructive per site", "it is 50", "sign", {"node-01": (("install", 1),)})


def fleet(*, rolling: Rolling | None = None, held: tuple[Hold, ...] = (), **more: Any) -> Room:
    """Three machines that are to run `install`."""
    macs = {"node-01": MAC, "node-02": SECOND, "node-03": THIRD}
    machines = [machine(name, port(mac, f"10.1.0.1{n}"), work=(work(**more),)) for n, (name, mac) in enumerate(macs.items(), 1)]
    current = plan(*machines)
    policies = (Policy(rolling=rolling),) if rolling else ()
    return Room(Plans(holding(current, *held, policies=policies), {}))


def holding(current: BootPlan, *held: Hold, policies: tuple[Policy, ...] = ()) -> BootPlan:
    return replace(current, gate=gate(Holds(current.id, held=held, policies=policies)))


def step(room: Room, name: str = "node-01") -> Step:
    current = room.plans.current
    return next_step(current, current.machines[name], room.observed, room.hold, "")


def begun(room: Room, mac: str) -> str:
    """The machine's boot, and its agent asked once."""
    room.discover(mac, IPXE)
    room.script(mac)
    boot = room.observed.open_boot(mac)
    assert boot is not None
    return boot.id


def asks(room: Room, boot: str) -> Claimed | Nothing:
    return room.agent_asks(f"os-{boot}", boot)


def ends(room: Room, claimed: Claimed | Nothing, state: RunEnd = "SUCCESS") -> None:
    assert isinstance(claimed, Claimed)
    room.happen(RunEnded(at=room.tick(), run=claimed.run, state=state, reason="as the test says"))


# The file -----------------------------------------------------------------------------------------------------------------


def test_holds_are_read_as_they_were_written() -> None:
    holds = Holds("p", "c", (HELD,), (Policy(windows=(Window(DAYS, 0, 60),)),))
    assert holds == decode_holds(encode_holds(holds), "p")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "missing"),
        (b"", "damaged"),
        (b"{", "damaged"),
        (b'{"plan": 1}', "damaged"),
        (b'{"plan": "p", "held": [{}]}', "damaged"),
        (b'{"plan": "\xff"}', "damaged"),
        (b"[" * 100_000, "damaged"),
        (encode_holds(Holds("q")), "of another plan"),
    ],
)
def test_holds_that_cannot_be_read_hold_everything(data: bytes | None, why: str) -> None:
    holds = decode_holds(data, "p")
    assert why in holds.everything
    assert holds.everything == gate(holds).holds("any", work(), Room.of().observed)


def test_where_nothing_is_held_there_is_no_gate() -> None:
    assert gate(Holds("p", "c")) is OPEN


# Its effect ---------------------------------------------------------------------------------------------------------------


def test_a_held_run_does_not_start_and_the_machine_does_its_idle_thing_with_the_rule_as_reason() -> None:
    room = fleet(held=(HELD,))
    found = step(room)
    assert isinstance(found, ToDisk)
    assert "install run 1 is due but held: policy allows at most 10 machines destructive per site, and it is 50" in found.why
    assert "RunWork" == type(step(room, "node-02")).__name__, "the rest of the commit has its effect"


def test_another_number_of_the_same_workflow_is_another_run() -> None:
    assert "RunWork" == type(step(fleet(held=(HELD,), run=2))).__name__


def test_a_run_in_progress_goes_on_whatever_is_held_since() -> None:
    room = fleet()
    boot = begun(room, MAC)
    assert isinstance(asks(room, boot), Claimed)
    room.publish(holding(room.plans.current, HELD))
    assert isinstance(room.agent_asks(f"os-{boot}", boot), Claimed)
    assert "goes on" in step(room).why


def test_an_agent_that_asks_is_held_until_the_hold_is_released() -> None:
    room = fleet()
    boot = begun(room, MAC)
    free = room.plans.current
    room.publish(holding(free, HELD))
    answer = asks(room, boot)
    assert isinstance(answer, Nothing)
    assert "wait" == answer.then
    assert "at most 10" in answer.reason
    room.publish(free)
    assert isinstance(asks(room, boot), Claimed)


def test_a_boot_keeps_the_holds_of_the_plan_that_it_is_pinned_to() -> None:
    room = fleet()
    boot = begun(room, MAC)
    room.publish(holding(room.plans.current, HELD))
    room.publish(plan(*room.plans.current.machines.values(), cmdline="quiet"))
    assert room.plans.current.gate is OPEN
    answer = asks(room, boot)
    assert isinstance(answer, Nothing)
    assert "at most 10" in answer.reason


def test_holds_that_are_unknown_hold_every_new_run() -> None:
    room = fleet()
    current = room.plans.current
    room.plans = Plans(replace(current, gate=Gate(everything="nobody knows")), {})
    assert ["nobody knows" in step(room, name).why for name in current.machines] == [True, True, True]


# Rolling ------------------------------------------------------------------------------------------------------------------


def test_at_most_so_many_machines_at_a_time_and_the_next_when_one_has_ended() -> None:
    room = fleet(rolling=Rolling(at_once=2))
    boots = [begun(room, mac) for mac in (MAC, SECOND, THIRD)]
    first, second, third = (asks(room, boot) for boot in boots)
    assert ("Claimed", "Claimed", "Nothing") == tuple(type(each).__name__ for each in (first, second, third))
    assert isinstance(third, Nothing)
    assert "wait" == third.then
    assert "is at work on 2 machines, and may be on 2 at a time" in third.reason
    assert isinstance(asks(room, boots[0]), Claimed), "whoever has begun goes on"
    ends(room, first)
    assert isinstance(asks(room, boots[2]), Claimed)


def test_another_run_of_the_workflow_does_not_count() -> None:
    room = fleet(rolling=Rolling(at_once=1))
    assert isinstance(asks(room, begun(room, MAC)), Claimed)
    assert "held" in step(room, "node-02").why
    again = fleet(rolling=Rolling(at_once=1), run=2).plans.current
    room.publish(again)
    assert "RunWork" == type(step(room, "node-02")).__name__


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT"])
def test_after_so_many_failures_it_starts_on_no_other(state: RunEnd) -> None:
    room = fleet(rolling=Rolling(stop_after=2))
    ends(room, asks(room, begun(room, MAC)), state)
    assert "RunWork" == type(step(room, "node-02")).__name__
    ends(room, asks(room, begun(room, SECOND)), state)
    assert "failed on 2 machines (node-01, node-02), and starts on no other after 2" in step(room, "node-03").why
    room.publish(fleet(rolling=Rolling(stop_after=2), run=2).plans.current)
    assert "RunWork" == type(step(room, "node-03")).__name__, "a raised run begins anew"


def test_a_failure_counts_once_no_try_is_left() -> None:
    room = fleet(rolling=Rolling(stop_after=1), retry=1)
    boot = begun(room, MAC)
    ends(room, asks(room, boot), "FAILED")
    assert isinstance(asks(room, boot), Nothing), "it restarts, for the next try"
    assert "RunWork" == type(step(room, "node-02")).__name__
    ends(room, room.agent_asks("os-again", begun(room, MAC)), "FAILED")
    assert "starts on no other" in step(room, "node-02").why
    assert {"node-01"} == room.observed.failed_on("install", 1)


def test_success_and_cancellation_are_no_failures() -> None:
    room = fleet(rolling=Rolling(stop_after=1))
    ends(room, asks(room, begun(room, MAC)), "SUCCESS")
    ends(room, asks(room, begun(room, SECOND)), "CANCELLED")
    assert "RunWork" == type(step(room, "node-03")).__name__
