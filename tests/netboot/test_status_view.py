"""The status as paths and bytes: what there is, what it says, and that it is what its schemas promise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import schemas
from netboot.boot import Plans
from netboot.heard import Heard
from netboot.reconcile_document import Reconciliation
from netboot.status_view import View, all_paths
from netboot.strangers import Stranger
from tests.netboot.plan_example import IPXE, STRANGER, Room, machine, plan, port, work

WORKING = machine(work=(work(),))
HEALTHY = Reconciliation("https://git.example/site", head="c0ffee", revision="c0ffee", plan="p1")


def seen(room: Room, path: str, view: View | None = None, word: Reconciliation = HEALTHY, plans: Plans | None = None) -> Any:
    """The document at a path, or None."""
    data = (view or View()).render(path, plans or room.plans, room.observed, word, Heard(), room.now)
    return json.loads(data) if data is not None else None


def test_every_path_that_is_listed_has_a_document_and_is_in_the_index() -> None:
    room = Room.of(WORKING, machine("node-02", port("52:54:00:00:00:02", "10.1.0.12")))
    paths = all_paths(room.plans.current, room.observed)
    assert {
        "reconcile.json",
        "index.json",
        "served.json",
        "tries.json",
        "hardware/node-01.json",
        "hardware/node-02.json",
        "workflows/install.json",
    } == set(paths)
    documents = {path: seen(room, path) for path in paths}
    assert all(documents.values())
    assert [f"/status/{path}" for path in (*paths, "fleet.json", "issues.json")] == documents["index.json"]["documents"]
    assert room.plans.current.id == documents["index.json"]["plan"]


@pytest.mark.parametrize(
    "path",
    [
        "", "hardware/", "hardware/node-09.json", "hardware/node-01", "hardware/../reconcile.json", "workflows/nope.json",
        "workflows/", "other/node-01.json", "hardware/node-01.json/x", "/etc/passwd", "workflows/install",
    ],
)  # fmt: skip
def test_what_does_not_exist_has_no_document(path: str) -> None:
    assert seen(Room.of(WORKING), path) is None


def test_before_the_first_plan_there_is_only_the_word_of_the_reconciler() -> None:
    for path, expected in (("reconcile.json", True), ("index.json", False), ("hardware/node-01.json", False)):
        data = View().render(path, None, Room.of().observed, HEALTHY, Heard(), 1.0)
        assert expected == (data is not None)


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("reconcile.json", "reconcile"),
        ("hardware/node-01.json", "hardware"),
        ("workflows/install.json", "workflow"),
        ("served.json", "served"),
        ("tries.json", "tries"),
    ],
)
def test_documents_are_what_their_schemas_say(path: str, schema: str) -> None:
    room = Room.of(WORKING)
    room.discover(said=IPXE)
    room.claim(room.script().boot, work())
    room.now += 100
    found = list(Draft202012Validator(schemas.load(f"status-{schema}")).iter_errors(seen(room, path)))
    assert [] == [error.message for error in found]


@pytest.mark.parametrize(
    ("known", "hold", "action", "expected"),
    [
        (WORKING, "", "run", "runs workflow install run 1 in profile inspect"),
        (
            WORKING,
            "frozen by ann",
            "disk",
            "boots its disk: workflow install run 1 is due but held: frozen by ann; its idle state is the disk",
        ),
        (machine(), "", "disk", "boots its disk: git names no work for it; its idle state is the disk"),
        (machine(idle="wait"), "", "wait", "waits: git names no work for it; its idle state is to wait"),
        (
            machine(idle="profile:diskless"),
            "",
            "diskless",
            "boots diskless: git names no work for it; its idle state is profile diskless",
        ),
    ],
)
def test_a_machine_s_status_says_what_it_would_do_and_why(known: Any, hold: str, action: str, expected: str) -> None:
    status = seen(Room.of(known), "hardware/node-01.json", word=Reconciliation("git", hold=hold))
    assert (expected, action) == (status["next"], status["step"]["action"])
    assert ("install", 1) == (status["step"]["workflow"], status["step"]["run"]) or action != "run"


def test_what_it_would_do_is_by_the_current_plan_though_its_boot_keeps_to_an_older_one() -> None:
    room = Room.of(machine())
    room.discover(said=IPXE)
    old = room.plans.current.id
    room.publish(plan(WORKING))
    status = seen(room, "hardware/node-01.json")
    assert ("run", old) == (status["step"]["action"], status["boot"]["plan"])
    assert room.plans.current.id == status["plan"]


def test_a_workflow_that_git_dropped_keeps_its_past() -> None:
    room = Room.of(WORKING)
    room.claim(room.script().boot, work())
    assert ["node-01"] == [each["machine"] for each in seen(room, "workflows/install.json")["machines"]]
    room.publish(plan(machine()))
    status = seen(room, "workflows/install.json")
    assert ([], ["RUNNING"]) == (status["machines"], [run["state"] for run in status["runs"]])
    assert "workflows/install.json" in all_paths(room.plans.current, room.observed)


def test_a_workflow_of_many_machines_lists_them_in_order() -> None:
    names = [f"node-{number:02}" for number in range(9)]
    many = (machine(name, port(f"52:54:00:00:00:{name[-2:]}", f"10.1.0.{name[-2:]}"), work=(work(),)) for name in names)
    status = seen(Room.of(*many), "workflows/install.json")
    assert names == [each["machine"] for each in status["machines"]]


def test_a_condition_keeps_the_time_since_when_it_is_so() -> None:
    room, view = Room.of(WORKING), View()
    first = {each["type"]: each for each in seen(room, "reconcile.json", view)["conditions"]}
    room.now += 100
    rejected = Reconciliation("git", head="bad", revision="c0ffee", problems=[{"severity": "error"}])
    second = {each["type"]: each for each in seen(room, "reconcile.json", view, rejected)["conditions"]}
    assert first["RunsHeld"]["lastTransitionTime"] == second["RunsHeld"]["lastTransitionTime"]
    assert first["Ready"]["lastTransitionTime"] != second["Ready"]["lastTransitionTime"]


def test_strangers_are_listed_until_git_names_them() -> None:
    room = Room.of(WORKING)
    strangers = [Stranger(STRANGER, 1.0, 2.0, 3, "DISCOVER"), Stranger("52:54:00:12:34:01", 1.0, 2.0, 3, "DISCOVER")]
    data = View().render("reconcile.json", room.plans, room.observed, HEALTHY, Heard(lambda: strangers), room.now)
    assert data is not None
    assert [STRANGER] == [each["mac"] for each in json.loads(data)["unknown"]]
