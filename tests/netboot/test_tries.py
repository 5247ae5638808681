"""One machine boots another commit once: at its next boot, whoever pushes what, and no further."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netboot.boot import Plans, Tried
from netboot.events import BootClosed, RunEnded, Trying
from netboot.observed import fold
from netboot.plan import BootPlan
from netboot.runs import Claimed, Nothing
from netboot.tries import Asked, Judged
from netboot.try_status import try_document, up_to_date
from tests.netboot.plan_example import BIOS, IPXE, MAC, SECOND, Room, machine, plan, port, work

SERVED = machine(work=(work(),))
NEWER = machine(work=(work(run=2),))
OTHER = machine("node-02", port(SECOND, "10.1.0.12"), work=(work("other"),))


def room(served: BootPlan, tried: BootPlan, rehearse: bool = False) -> Room:
    """node-01 has done what is served, and is to try something else."""
    found = Room(Plans(served, {}))
    if served.machines["node-01"].work:
        run_to_its_end(found)
    attempt(found, tried, rehearse)
    return found


def attempt(here: Room, tried: BootPlan, rehearse: bool = False, name: str = "t1") -> None:
    """As `follow` does when there is word of a try."""
    trying = Tried("node-01", Trying(name, "c" * 40, "pr-17", "ann", rehearse), tried)
    here.plans = replace(here.plans, pinned={**here.plans.pinned, tried.id: tried}, tried={MAC: trying})


def run_to_its_end(here: Room, state: Any = "SUCCESS", said: dict[int, bytes] = IPXE) -> str:
    """node-01 boots and carries out what it is given; the boot's id."""
    here.discover(said=said)
    boot = here.script().boot
    claimed = here.agent_asks(boot=boot)
    assert isinstance(claimed, Claimed), claimed
    here.happen(RunEnded(at=here.tick(), run=claimed.run, state=state, reason=""))
    here.agent_asks(boot=boot)
    return boot


def told(here: Room) -> Any:
    document = try_document("node-01", None, here.observed)
    assert document
    return document


def test_the_next_boot_is_by_the_commit_to_be_tried_and_the_one_after_it_is_not() -> None:
    here = room(plan(SERVED, OTHER), tried := plan(NEWER, OTHER))
    boot = run_to_its_end(here)
    assert (tried.id, "t1") == (here.observed.boots[boot].plan, here.boot.trying.id)
    assert ["SUCCESS"] == [run["state"] for run in told(here)["runs"]]
    assert ("over", "success", 2) == (told(here)["state"], told(here)["result"], told(here)["runs"][0]["number"])

    here.discover(said=BIOS)
    assert "ended SUCCESS" in here.script().why
    assert (here.plans.current.id, None) == (here.boot.plan, here.boot.trying)


def test_nobody_else_boots_by_it() -> None:
    here = room(plan(SERVED, OTHER), plan(NEWER, machine("node-02", port(SECOND, "10.1.0.12"), work=(work("worse"),))))
    here.discover(mac=SECOND, said=IPXE)
    assert "runs workflow other run 1" in here.script(SECOND).why


def test_a_push_meanwhile_changes_nothing_for_the_boot_that_tries() -> None:
    here = room(plan(SERVED), plan(NEWER))
    here.discover(said=IPXE)
    here.publish(plan(machine(work=(work(run=3),))))
    assert "runs workflow install run 2" in here.script().why


def test_a_canary_s_run_counts_when_its_commit_is_merged() -> None:
    here = room(plan(SERVED), plan(NEWER))
    run_to_its_end(here)
    here.publish(plan(NEWER))
    here.discover(said=IPXE)
    assert "workflow install run 2 ended SUCCESS" in here.script().why


def test_a_boot_that_came_to_no_script_leaves_the_try_for_the_next() -> None:
    here = room(plan(SERVED), plan(NEWER))
    here.discover(said=BIOS)
    here.happen(BootClosed(at=here.tick(), boot=here.boot.id, reason="not heard of for 1800 seconds"))
    assert "waiting" == told(here)["state"]
    here.discover(said=IPXE)
    assert "runs workflow install run 2" in here.script().why


def test_a_machine_that_hangs_in_what_it_tries_is_back_with_the_next_boot() -> None:
    here = room(plan(SERVED), plan(NEWER))
    here.discover(said=IPXE)
    here.script()
    here.discover(said=BIOS)
    assert "workflow install run 1 ended SUCCESS" in here.script().why
    assert ("over", "failure") == (told(here)["state"], told(here)["result"])
    assert "no run began" in told(here)["said"]


def test_what_is_in_progress_is_finished_before_anything_is_tried() -> None:
    here = Room(Plans(plan(SERVED), {}))
    here.discover(said=IPXE)
    assert isinstance(here.agent_asks(boot=here.script().boot), Claimed)
    attempt(here, plan(NEWER))
    here.discover(said=BIOS)
    assert "goes on with workflow install run 1" in here.script().why


def test_a_machine_that_waits_goes_over_to_it_without_being_reset() -> None:
    served = plan(machine(idle="wait"))
    here = room(served, plan(machine(idle="wait", work=(work(),))))
    here.plans = Plans(served, {})
    assert "waits" not in here.script().why
    attempt(here, plan(machine(idle="wait", work=(work(),))))
    assert "runs workflow install run 1" in here.script().why


def test_a_machine_that_idles_in_its_system_hears_of_it() -> None:
    here = Room(Plans(plan(machine(idle="profile:inspect")), {}))
    here.discover(said=IPXE)
    boot = here.script().boot
    quiet = here.agent_asks(boot=boot)
    assert isinstance(quiet, Nothing)
    assert "wait" == quiet.then
    attempt(here, plan(machine(idle="profile:inspect", work=(work(),))), rehearse=True)
    here.hold = "frozen"
    news = here.agent_asks(boot=boot)
    assert isinstance(news, Nothing)
    assert ("reboot", True) == (news.then, "there is a new plan" in news.reason)
    here.discover(said=IPXE)
    assert "t1" == here.boot.trying.id
    assert boot != here.boot.id, "what everyBoot runs are known by"


def test_a_hold_holds_a_canary_and_no_rehearsal() -> None:
    for rehearse, expected in ((False, "is due but held: frozen"), (True, "runs workflow install run 2")):
        here = room(plan(SERVED), plan(NEWER), rehearse)
        here.hold = "frozen by ann"
        here.discover(said=IPXE)
        assert expected in here.script().why


def test_a_rehearsal_begins_no_run_whatever_its_agent_asks_for() -> None:
    here = room(plan(SERVED), plan(NEWER), rehearse=True)
    here.discover(said=IPXE)
    answer = here.agent_asks(boot=here.script().boot)
    assert isinstance(answer, Nothing)
    assert [1] == [run.number for run in here.observed.runs.values()]


def test_a_restart_forgets_neither_that_a_try_is_under_way_nor_that_it_is_spent() -> None:
    here = room(plan(SERVED), plan(NEWER))
    here.discover(said=IPXE)
    here.script()
    assert here.observed == fold(here.journal)
    here.observed = fold(here.journal)
    assert "t1" == here.boot.trying.id
    here.discover(said=BIOS)
    here.observed = fold(here.journal)
    assert here.boot.trying is None


def test_where_nothing_is_due_the_try_says_so() -> None:
    here = room(plan(SERVED), plan(SERVED), rehearse=True)
    here.discover(said=IPXE)
    here.script()
    assert ("over", "success") == (told(here)["state"], told(here)["result"])
    assert "there was nothing to be done: handed over to the disk: workflow install run 1 ended SUCCESS" in told(here)["said"]


ASKED = Asked("t2", "node-01", "pr-17", True, "ann", 1.0)


def problem(severity: str, message: str) -> dict[str, Any]:
    return {"file": "a.yaml", "line": 7, "severity": severity, "message": message}


@pytest.mark.parametrize(
    ("judged", "state", "result", "said"),
    [
        (Judged(ASKED, "c" * 40, "p" * 64), "waiting", None, "which then rehearses commit cccccccccccc"),
        (
            Judged(ASKED, "c" * 40, problems=[problem("warning", "Hm."), problem("error", "No.")]),
            "refused",
            "failure",
            "commit cccccccccccc has 2 problems; a.yaml:7: No.",
        ),
        (Judged(ASKED, "c" * 40, refused="no machine node-01"), "refused", "failure", "no machine node-01"),
        (Judged(ASKED, unavailable="git is down"), "looking", None, "git is down"),
    ],
)
def test_what_is_asked_for_is_told_before_the_machine_boots(judged: Judged, state: str, result: str, said: str) -> None:
    here = room(plan(SERVED), plan(NEWER))
    run_to_its_end(here)
    document = try_document("node-01", judged, here.observed)
    assert document
    assert (state, result) == (document["state"], document["result"])
    assert said in document["said"]


def test_who_has_just_asked_is_told_of_that_and_not_of_the_try_before() -> None:
    """The servers write what they know from time to time; what git said is there at once."""
    shown = {"ref": "old", "revision": "b" * 40, "said": ""}
    before = [
        {**shown, "machine": "node-01", "id": "t1", "state": "waiting"},
        {**shown, "machine": "node-02", "id": "t3", "state": "over"},
        {**shown, "machine": "node-03", "id": "t4", "state": "refused"},
        {**shown, "machine": "node-04", "id": "t5", "state": "waiting"},
    ]
    judged = [Judged(ASKED, "c" * 40, "p" * 64), Judged(Asked("t5", "node-04", "old", False, "ann", 1.0), "b" * 40, "p" * 64)]
    now = [(each["machine"], each["id"], each["state"]) for each in up_to_date(before, judged)]
    assert [("node-01", "t2", "waiting"), ("node-02", "t3", "over"), ("node-04", "t5", "waiting")] == now
