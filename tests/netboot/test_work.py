"""A workflow that machines hand over from one to the next: no part before its turn, whatever happens in whatever order."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netboot.events import RunEnd
from netboot.observed import fold
from netboot.plan import BootPlan
from netboot.records import RunStatus
from netboot.reports import Ended, Finished, Report, Started
from netboot.runs import Accepted, Claimed, Nothing, report
from netboot.unasked import not_begun
from netboot.work import Before, Readiness, Work, readiness
from tests.netboot.plan_example import IPXE, MAC, SECOND, Room, machine, plan, port, work

NAMES, MACS = ("node-01", "node-02"), {"node-01": MAC, "node-02": SECOND}
PARTS = ("node-01", "node-02", "node-01")
"""Who carries out which part."""


def parts(name: str, run: int, retry: int) -> tuple[Work, ...]:
    found = []
    for number, owner in enumerate(PARTS):
        before = Before(PARTS[number - 1], (MACS[PARTS[number - 1]],), number - 1, "task") if number else None
        if owner == name:
            found.append(msgspec.structs.replace(work(run=run, retry=retry), part=number, before=before))
    return tuple(found)


def site(run: int = 1, retry: int = 0, **more: str) -> BootPlan:
    first = machine("node-01", work=parts("node-01", run, retry))
    second = machine("node-02", port(SECOND, "10.1.0.12"), work=parts("node-02", run, retry))
    return plan(first, second, **more)  # type: ignore[arg-type]  # `cmdline`


@dataclass
class Race:
    """Two machines and their agents; each knows nothing of the other."""

    room: Room
    runs: dict[str, str] = field(default_factory=dict)
    systems: dict[str, int] = field(default_factory=dict)
    """How often each machine has started."""

    def power_on(self, name: str) -> None:
        self.room.now += 31  # longer than a session lives without a word
        self.room.discover(MACS[name], said=IPXE)
        self.room.script(MACS[name])
        self.runs.pop(name, None)
        self.systems[name] = self.systems.get(name, 0) + 1

    def claim(self, name: str) -> Claimed | Nothing | None:
        boot = self.room.observed.last_boot_of(name)
        if boot is None:
            return None
        decision = self.room.agent_asks(f"os-{self.systems[name]}", boot.id)
        if isinstance(decision, Claimed):
            self.runs[name] = decision.run
        return decision

    def part(self, number: int) -> RunStatus | None:
        owner = PARTS[number]
        return self.room.observed.run_of("install", owner, (MACS[owner],), 1, part=number)

    def carry_out(self, name: str, state: RunEnd) -> None:
        """The run of this machine, if it has one, comes to its end."""
        run = self.room.observed.runs.get(self.runs.get(name, ""))
        if run is None or not run.active:
            return
        succeeds = state == "SUCCESS"
        said: list[Report] = [Started(task="task", action="act", attempt=1)] if not run.attempts else []
        said += (
            [Ended(task="task", action="act", attempt=1, state="SUCCESS" if succeeds else "FAILED")] if not run.done() else []
        )
        said.append(Finished(state="SUCCESS" if succeeds else "FAILED"))
        for each in said:
            decision = report(self.room.observed, run.boot, run.id, run.sequence + 1, each, self.room.tick())
            assert isinstance(decision, Accepted), decision
            self.room.happen(*decision.events)


def race(retry: int = 0) -> Race:
    return Race(Room.of(*site(retry=retry).machines.values()))


def go(both: Race, name: str, state: RunEnd = "SUCCESS") -> Claimed | Nothing | None:
    decision = both.claim(name)
    both.carry_out(name, state)
    return decision


def test_machines_hand_over_to_one_another_and_each_waits_in_its_system_until_its_turn() -> None:
    both = race()
    for name in NAMES:
        both.power_on(name)
    early = both.claim("node-02")
    assert isinstance(early, Nothing)
    assert ("wait", "waits for task task of workflow install run 1 on node-01") == (early.then, early.reason)
    assert isinstance(go(both, "node-01"), Claimed)
    between = both.claim("node-01")
    assert isinstance(between, Nothing)
    assert ("wait", "waits for task task of workflow install run 1 on node-02") == (between.then, between.reason)
    assert isinstance(go(both, "node-02"), Claimed)
    assert isinstance(go(both, "node-01"), Claimed)
    assert ["SUCCESS"] * 3 == [run.state for run in both.room.observed.runs.values()]
    ends = [both.claim(name) for name in NAMES]
    assert ["reboot", "reboot"] == [end.then for end in ends if isinstance(end, Nothing)]


def test_after_a_failure_no_later_part_begins_and_the_machine_that_waited_for_it_restarts() -> None:
    both = race()
    for name in NAMES:
        both.power_on(name)
    both.claim("node-02")
    go(both, "node-01", "FAILED")
    late = both.claim("node-02")
    assert isinstance(late, Nothing)
    assert "reboot" == late.then
    both.power_on("node-02")
    boot = both.room.observed.last_boot_of("node-02")
    assert boot is not None
    assert "does not go on here: task task of workflow install run 1 on node-01 ended FAILED" in boot.reason
    assert 1 == len(both.room.observed.runs)


def test_a_part_waits_for_the_next_try_of_the_one_before() -> None:
    both = race(retry=1)
    for name in NAMES:
        both.power_on(name)
    go(both, "node-01", "FAILED")
    waiting = both.claim("node-02")
    assert isinstance(waiting, Nothing)
    assert "wait" == waiting.then


def test_a_machine_that_waits_for_its_turn_keeps_waiting_through_pushes_that_do_not_concern_it() -> None:
    both = race()
    both.power_on("node-02")
    for served, then in ((site(cmdline="something else"), "wait"), (site(run=2), "reboot")):
        both.room.publish(served)
        answer = both.claim("node-02")
        assert isinstance(answer, Nothing)
        assert then == answer.then


def test_whoever_waits_for_its_turn_is_not_late() -> None:
    late = msgspec.structs.replace(parts("node-02", 1, 0)[0], pending_timeout=60)
    room = Room.of(machine(work=parts("node-01", 1, 0)), machine("node-02", port(SECOND, "10.1.0.12"), work=(late,)))
    both = Race(room)
    both.power_on("node-02")
    assert () == not_begun(room.plans, room.observed, room.now + 999, room.fresh)


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "CANCELLED"])
def test_a_part_never_follows_one_that_failed_for_good(state: RunEnd) -> None:
    both = race()
    both.power_on("node-01")
    both.claim("node-01")
    run = both.part(0)
    assert run is not None
    run.state = state
    found = readiness(both.room.observed, "install", 1, parts("node-02", 1, 0)[0].before)
    assert Readiness(f"task task of workflow install run 1 on node-01 ended {state}", never=True) == found


moves = st.tuples(st.sampled_from(["power on", "claim", "claim", "SUCCESS", "SUCCESS", "FAILED"]), st.sampled_from(NAMES))


@settings(max_examples=200)
@given(st.integers(0, 1), st.lists(moves, max_size=40))
def test_no_part_begins_before_the_one_before_it_has_succeeded(retry: int, story: list[tuple[str, str]]) -> None:
    both = race(retry)
    for move, name in story:
        if move == "power on":
            both.power_on(name)
        elif move == "claim":
            both.claim(name)
        else:
            both.carry_out(name, "SUCCESS" if move == "SUCCESS" else "FAILED")
        for number in range(1, len(PARTS)):
            if later := both.part(number):
                earlier = both.part(number - 1)
                assert earlier is not None
                assert "SUCCESS" == earlier.state
                assert earlier.ended is not None
                assert earlier.ended <= later.started
    assert fold(both.room.journal) == both.room.observed
    numbers = [(run.part, run.number_of_try) for run in both.room.observed.runs.values()]
    assert len(set(numbers)) == len(numbers)
