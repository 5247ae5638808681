"""What a person or a script reads about machines, workflows and the site."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema
import pytest

from agent.workflow import Action, Task, Workflow
from netboot.endings import LOST
from netboot.events import BootAdvanced, BootClosed, LeaseBound
from netboot.observed import Observed
from netboot.run_documents import Document
from netboot.status_documents import (
    Carrier,
    DesiredHardware,
    DesiredWorkflow,
    hardware_document,
    paths_of,
    to_bytes,
    workflow_document,
)
from netboot.work import Before
from tests.netboot.story import MAC, SECOND_MAC, Story, begun, work

NODE = DesiredHardware("node-01", (MAC,), ("10.1.0.11",), "x86_64", "plan-1", "runs workflow install", boot_timeout=60.0)
INSTALLS = DesiredWorkflow(1, "once", (Carrier("node-01", (MAC,)), Carrier("node-02", (SECOND_MAC,))))


def valid(kind: str, document: Document) -> Document:
    schema = json.loads(resources.files("schemas").joinpath(f"status-{kind}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads(to_bytes(document)))
    return document


def condition(document: Document, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in document["conditions"] if each["type"] == kind)
    return found


def truths(document: Document) -> dict[str, str]:
    return {each["type"]: each["status"] for each in document["conditions"]}


# Hardware


def test_a_machine_never_seen_says_what_it_would_do() -> None:
    document = valid("hardware", hardware_document(NODE, Observed()))
    assert (None, None, None, "runs workflow install") == tuple(document[key] for key in ("boot", "run", "lastSeen", "next"))
    assert condition(document, "Booting")["message"] == "it has never been seen"


def test_what_never_happened_has_no_time() -> None:
    for document in (hardware_document(NODE, Observed()), workflow_document("install", Observed(), INSTALLS)):
        assert [None] * len(document["conditions"]) == [each["lastTransitionTime"] for each in document["conditions"]]


def test_an_open_boot_says_what_it_waits_for_and_until_when() -> None:
    story = Story()
    boot = story.boot(client={"arch": "7"})
    story.happen(BootAdvanced(at=1010.0, boot=boot, phase="ipxe", reason="user class iPXE"))
    document = valid("hardware", hardware_document(NODE, story.observed))
    assert {
        "phase": "ipxe",
        "reason": "user class iPXE",
        "expected": "iPXE fetches the boot script",
        "deadline": "1970-01-01T00:17:50.000Z",
        "client": {"arch": "7"},
        "phases": {"firmware": "1970-01-01T00:16:41.000Z", "ipxe": "1970-01-01T00:16:50.000Z"},
    }.items() <= document["boot"].items()
    assert condition(document, "Booting") == {
        "type": "Booting",
        "status": "True",
        "reason": "BootOpen",
        "message": "phase ipxe: user class iPXE",
        "lastTransitionTime": "1970-01-01T00:16:41.000Z",
    }


def test_a_closed_boot_waits_for_nothing() -> None:
    story = Story()
    story.happen(BootClosed(at=story.tick(), boot=story.boot(), reason="handed over to the disk"))
    document = valid("hardware", hardware_document(NODE, story.observed))
    assert ("", None, "handed over to the disk") == tuple(document["boot"][key] for key in ("expected", "deadline", "reason"))


def test_a_run_in_progress_is_shown_whole_with_the_machine() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    document = valid("hardware", hardware_document(NODE, story.observed))
    assert (run, "RUNNING") == (document["run"]["id"], document["run"]["tasks"][0]["actions"][0]["state"])
    assert {"Ready": "Unknown", "Reconciling": "True", "Stalled": "False", "Booting": "True"}.items() <= truths(
        document
    ).items()


def test_a_run_that_failed_stalls_its_machine_and_says_why() -> None:
    story, boot, run = begun()
    story.finish(boot, run, "FAILED", "disk/wipe: exit code 1")
    document = valid("hardware", hardware_document(NODE, story.observed))
    assert {"Ready": "False", "Reconciling": "False", "Stalled": "True", "Booting": "True"}.items() <= truths(document).items()
    assert condition(document, "Ready")["message"] == "workflow install run 1: FAILED (disk/wipe: exit code 1)"


def goes_to_its_disk(story: Story, after: float) -> None:
    """`after` seconds since it last did."""
    story.now += after
    boot = story.boot()
    story.happen(BootAdvanced(at=story.tick(), boot=boot, phase="disk", reason="its idle state is the disk"))
    story.happen(BootClosed(at=story.tick(), boot=boot, reason="handed over to the disk"))


@pytest.mark.parametrize(
    ("pauses", "loop"),
    [
        ((0, 60, 60), "False"),  # somebody restarted it twice
        ((0, 60, 60, 60), "True"),
        ((0, 60, 3600, 60, 60), "False"),  # it ran for an hour meanwhile
        ((0, 60, 3600, 60, 60, 60), "True"),
    ],
)
def test_a_machine_that_comes_back_from_its_disk_over_and_over_is_told_of(pauses: tuple[int, ...], loop: str) -> None:
    story, boot, run = begun()
    story.install(boot, run)
    for pause in pauses:
        goes_to_its_disk(story, pause)
    document = valid("hardware", hardware_document(NODE, story.observed))
    assert ("SUCCESS", loop) == (document["run"]["state"], condition(document, "BootLoop")["status"])


def test_a_lost_agent_is_a_condition_and_shows_wherever_its_run_does() -> None:
    story, boot, _ = begun()
    story.observed.touch(boot, 2000.0)
    late = 2000.0 + LOST + 1
    document = valid("hardware", hardware_document(NODE, story.observed, now=late))
    assert ("True", "1970-01-01T00:33:20.000Z") == (
        condition(document, "AgentLost")["status"],
        condition(document, "AgentLost")["lastTransitionTime"],
    )
    assert ("RUNNING", "1970-01-01T00:33:20.000Z") == (document["run"]["state"], document["run"]["lostSince"])
    listed = valid("workflow", workflow_document("install", story.observed, INSTALLS, late))
    assert "its agent was last heard of at 1970-01-01T00:33:20.000Z" in listed["machines"][0]["reason"]


def test_a_boot_that_must_begin_its_work_by_some_time_says_so() -> None:
    story = Story()
    boot = story.boot()
    story.observed.touch(boot, 9000.0)
    document = hardware_document(replace(NODE, pending_timeout=30.0), story.observed)
    assert "1970-01-01T00:17:11.000Z" == document["boot"]["deadline"]
    story.happen(BootAdvanced(at=9001.0, boot=boot, phase="agent"))
    document = hardware_document(replace(NODE, pending_timeout=30.0), story.observed)
    assert "1970-01-01T02:31:01.000Z" == document["boot"]["deadline"]


def test_a_run_that_is_to_be_tried_again_is_pending_and_does_not_stall() -> None:
    story, boot, run = begun(retry=1, on_failure="poweroff")
    story.finish(boot, run, "FAILED", "no disk")
    document = valid("hardware", hardware_document(NODE, story.observed))
    assert {"Ready": "Unknown", "Reconciling": "True", "Stalled": "False"}.items() <= truths(document).items()
    assert (1, 2, "reboot") == tuple(document["run"][key] for key in ("try", "tries", "then"))
    listed = valid("workflow", workflow_document("install", story.observed, INSTALLS))
    assert ("PENDING", True) == (
        listed["machines"][0]["state"],
        "try 1 of 2 ended FAILED (no disk)" in listed["machines"][0]["reason"],
    )
    again = story.claimed(story.boot(), "os-2", work(retry=1, on_failure="poweroff"))["id"]
    story.finish(story.observed.runs[again].boot, again, "FAILED", "no disk again")
    document = valid("hardware", hardware_document(NODE, story.observed))
    assert (2, 2, "poweroff", "FAILED") == tuple(document["run"][key] for key in ("try", "tries", "then", "state"))
    assert "True" == truths(document)["Stalled"]


def test_work_that_git_cancelled_before_it_began_is_cancelled() -> None:
    document = valid("workflow", workflow_document("install", Observed(), replace(INSTALLS, cancel=True)))
    assert ("CANCELLED", {"CANCELLED": 2}) == (document["state"], document["counts"])


def test_the_parts_of_a_workflow_are_shown_in_order_with_what_each_waits_for() -> None:
    before = Before("node-01", (MAC,), 0, "configure")
    shared = replace(INSTALLS, machines=(Carrier("node-01", (MAC,)), Carrier("node-02", (SECOND_MAC,), 1, before)))
    story, boot, run = begun()
    document = valid("workflow", workflow_document("install", story.observed, shared))
    assert [("node-01", "RUNNING"), ("node-02", "PENDING")] == [
        (each["machine"], each["state"]) for each in document["machines"]
    ]
    assert "waits for task configure of workflow install run 1 on node-01" == document["machines"][1]["reason"]
    story.finish(boot, run, "FAILED", "no disk")
    document = valid("workflow", workflow_document("install", story.observed, shared))
    assert ("CANCELLED", "task configure of workflow install run 1 on node-01 ended FAILED") == (
        document["machines"][1]["state"],
        document["machines"][1]["reason"],
    )


def test_leases_are_shown_with_the_machine() -> None:
    story = Story()
    story.happen(LeaseBound(at=1.0, mac=MAC, address="10.1.200.7"))
    assert {MAC: "10.1.200.7"} == hardware_document(NODE, story.observed)["leases"]


# Workflows


def test_a_workflow_has_the_state_of_its_worst_machine_and_every_run_whole() -> None:
    story, boot, run = begun()
    document = valid("workflow", workflow_document("install", story.observed, INSTALLS))
    assert ("RUNNING", {"RUNNING": 1, "PENDING": 1}) == (document["state"], document["counts"])
    assert [run] == [each["id"] for each in document["runs"]]
    assert document["machines"][1] == {
        "machine": "node-02",
        "state": "PENDING",
        "reason": "the machine has not booted for this run",
        "run": None,
    }
    story.finish(boot, run, "TIMEOUT", "too long")
    document = valid("workflow", workflow_document("install", story.observed, INSTALLS))
    assert ("TIMEOUT", "1 PENDING, 1 TIMEOUT") == (document["state"], condition(document, "Stalled")["message"])


def test_a_workflow_that_succeeded_everywhere_is_ready() -> None:
    story, boot, run = begun()
    story.install(boot, run)
    document = workflow_document("install", story.observed, replace(INSTALLS, machines=INSTALLS.machines[:1]))
    assert ("SUCCESS", "True") == (valid("workflow", document)["state"], condition(document, "Ready")["status"])


def test_an_every_boot_workflow_shows_the_run_of_the_last_boot() -> None:
    story, boot, run = begun(repeat="everyBoot")
    every = DesiredWorkflow(1, "everyBoot", (Carrier("node-01", (MAC,)),))
    story.install(boot, run)
    assert workflow_document("install", story.observed, every)["state"] == "SUCCESS"
    story.boot()
    document = valid("workflow", workflow_document("install", story.observed, every))
    assert ("PENDING", [run]) == (document["state"], [each["id"] for each in document["runs"]])


def test_a_workflow_git_no_longer_names_keeps_its_past() -> None:
    story, _, run = begun()
    document = valid("workflow", workflow_document("install", story.observed, None))
    assert (None, [], [run]) == (document["run"], document["machines"], [each["id"] for each in document["runs"]])


def test_no_document_shows_what_an_action_was_given() -> None:
    secret = Action("wipe", "image", ("--password=hunter2",), environment={"TOKEN": "hunter2"}, on_failure=("hunter2",))
    story = Story().new_site()
    boot = story.boot()
    story.claimed(boot, asked=work(Workflow("install", (Task("disk", "node-01", (secret,)),))))
    for document in (hardware_document(NODE, story.observed), workflow_document("install", story.observed, INSTALLS)):
        assert b"hunter2" not in to_bytes(document)


# Which documents an event changes


def test_an_event_changes_the_documents_of_its_machine_and_workflow() -> None:
    story, _, _ = begun()
    opened, started = story.journal[1], story.journal[-1]
    assert {"hardware/node-01.json"} == paths_of(opened, story.observed)
    assert {"hardware/node-01.json", "workflows/install.json"} == paths_of(started, story.observed)
    assert set() == paths_of(story.journal[0], story.observed)


def test_a_renamed_machines_run_changes_the_document_of_its_present_name() -> None:
    story, boot, run = begun(resets=1)
    story.start(boot, run, "disk", "wipe")
    second = story.boot("renamed")
    story.claim(second, "os-2", work(resets=1))
    story.start(second, run, "disk", "wipe")
    assert {"hardware/renamed.json", "workflows/install.json"} == paths_of(story.journal[-1], story.observed)
