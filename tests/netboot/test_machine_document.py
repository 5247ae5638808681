"""What a run is told about its machine: everything the plan knows, nothing empty, and never anything newer than the run."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator

import schemas
from netboot.dhcp_options import encode, pack
from netboot.machine_document import machine_document
from netboot.plan import Bond, Disk
from netboot.runs import Claimed
from tests.netboot.plan_example import MAC, SECOND, machine, plan, port, work
from tests.netboot.story import Story
from tests.netboot.story import work as asked

STORAGE = {"disks": [{"device": "/dev/disk/by-gitboot/root", "wipe_table": True}]}
SAID: dict[str, Any] = {
    "classless-static-route": ["10.9.0.0/16 10.1.0.2"],
    "routers": ["10.1.0.1", "10.1.0.2"], "domain-name-servers": ["10.1.0.1", "10.1.0.3"], "domain-name": "lab.example",
}  # fmt: skip


def valid(document: dict[str, Any]) -> dict[str, Any]:
    run = {"id": "r1", "workflow": work().document, "sequence": 0, "resume": None, "done": [], "started": 0.0}
    Draft202012Validator(schemas.load("agent-claim")).validate(json.loads(json.dumps({"run": {**run, "machine": document}})))
    return document


def test_it_says_what_the_plan_and_dhcp_say() -> None:
    options = pack(dict(encode(name, value) for name, value in SAID.items()))
    disk = Disk("root", serial="S3Z9NB0K", size="480103981056")
    node = machine(
        "node-01",
        port(MAC, hostname="node-01", options=options),
        labels={"rack": "r1"},
        disks=(disk,),
        storage=STORAGE,
    )
    document = machine_document(plan(node), node, "r1", work(run=3, overwrites=("debian-11",)))
    expected = {
        "site": "home",
        "name": "node-01",
        "arch": "x86_64",
        "labels": {"rack": "r1"},
        "run": {"id": "r1", "workflow": "install", "number": 3, "overwrites": ["debian-11"]},
        "interfaces": [
            {
                "mac": MAC,
                "address": "10.1.0.11",
                "prefix": 16,
                "gateway": "10.1.0.1",
                "routes": [{"to": "10.9.0.0/16", "via": "10.1.0.2"}],
                "nameServers": ["10.1.0.1", "10.1.0.3"],
                "hostname": "node-01",
                "domain": "lab.example",
            }
        ],
        "disks": [{"name": "root", "serial": "S3Z9NB0K", "size": "480103981056"}],
        "storage": STORAGE,
    }
    assert expected == valid(document)


def test_ports_that_are_tagged_static_or_in_a_bond_are_so_in_the_document() -> None:
    bond = Bond("bond0", "802.3ad", (MAC, SECOND))
    node = machine("node-01", port(MAC, vlan=42, dhcp=False), port(SECOND), bonds=(bond,))
    document = valid(machine_document(plan(node), node, "r1", work()))
    assert [{"name": "bond0", "mode": "802.3ad", "interfaces": [MAC, SECOND]}] == document["bonds"]
    assert [(42, True), (None, None)] == [(each.get("vlan"), each.get("static")) for each in document["interfaces"]]


def test_what_is_empty_is_left_out() -> None:
    node = machine("node-01", port(SECOND, address="", subnet="", options=b""))
    expected = {
        "site": "home",
        "name": "node-01",
        "arch": "x86_64",
        "run": {"id": "r1", "workflow": "install", "number": 1},
        "interfaces": [{"mac": SECOND}],
    }
    assert expected == valid(machine_document(plan(node), node, "r1", work()))


def test_a_part_of_a_workflow_of_several_machines_is_told_which_one_it_is() -> None:
    document = valid(machine_document(plan(machine("node-01")), machine("node-01"), "r1", work(part=2)))
    assert {"id": "r1", "workflow": "install", "number": 1, "part": 2} == document["run"]


def test_a_run_keeps_to_the_document_it_began_with_over_every_restart() -> None:
    story = Story().new_site()
    boot = story.boot()
    first = story.claim(boot, asked=asked(), machine={"name": "node-01", "storage": {"disks": []}})
    again = story.claim(boot, asked=asked(), machine={"name": "renamed"})
    story.observed = type(story.observed)()
    for event in story.journal:
        story.observed.apply(event)
    replayed = story.claim(boot, asked=asked())
    expected = {"name": "node-01", "storage": {"disks": []}}
    assert [expected] * 3 == [each.answer["machine"] for each in (first, again, replayed) if isinstance(each, Claimed)]
