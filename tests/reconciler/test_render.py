"""A template, a machine and a workflow become the document the agent carries out, or problems with their lines."""

from __future__ import annotations

from typing import Any

import pytest

from agent.workflow import from_json
from reconciler.render import Rendered, networks, render
from tests.reconciler.inventories import BARE, EXAMPLE, RICH, SOUND, TEMPLATE, read

WORK = {"workflow.yaml": SOUND["workflow.yaml"].replace("template: look,", "template: look, hardwareMap: {disk: /dev/sda},")}


def rendered(template: str, **files: str) -> Rendered:
    """`template`, rendered for node-01 by the workflow look-at-01."""
    inventory = read({**SOUND, **WORK, "template.yaml": template, **files})
    workflow, hardware = inventory.workflows["look-at-01"], inventory.hardware["node-01"]
    return render(inventory.templates[workflow.template], hardware, workflow, networks(inventory.site, hardware))


def document(template: str, **files: str) -> dict[str, Any]:
    found = rendered(template, **files)
    assert found.document is not None, found.problems
    return found.document


def image(text: str) -> str:
    """What an expression says as the image of the one action."""
    return str(document(TEMPLATE.replace("look:v1", text))["tasks"][0]["actions"][0]["image"])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("{{ .disk }}", "/dev/sda"),
        ("{{ .device_1 }}", "52:54:00:12:34:01"),
        ("{{ .hardware.metadata.name }}", "node-01"),
        ("{{ .hardware.metadata.labels.rack }}", "r1"),
        ("{{ .hardware.spec.arch }}", "x86_64"),
        ("{{ (index .hardware.spec.interfaces 0).address }}", "10.1.0.11"),
        ("{{ (index .Hardware.Interfaces 0).DHCP.MAC }}", "52:54:00:12:34:01"),
        ("{{ (index .Hardware.Interfaces 0).DHCP.IP.Netmask }}", "255.255.0.0"),
        ("{{ (index .Hardware.Interfaces 0).DHCP.IP.Gateway }}", "10.1.0.1"),
        ("{{ len .Hardware.Disks }}", "0"),
    ],
)
def test_a_template_sees_its_machine_and_its_hardware_map(expression: str, expected: str) -> None:
    assert expected.lstrip("/") == image(expression.replace("{{ .disk", "{{ trimPrefix `/` .disk"))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("{{ .disks.logs }}", "/dev/disk/by-gitboot/logs"),
        ("{{ index .Hardware.Disks 1 }}", "/dev/disk/by-gitboot/data"),
        ("{{ formatPartition (index .Hardware.Disks 0) 3 }}", "/dev/disk/by-gitboot/root-part3"),
        ("{{ (index .hardware.spec.disks 2).path }}", "/dev/vdb"),
        ("{{ (index .hardware.spec.interfaces 4).address }}", "10.2.0.6"),
        ("{{ (index .hardware.spec.interfaces 0).netmask }}", "255.255.0.0"),
        ("{{ (index .hardware.spec.interfaces 2).vlan }}", "42"),
        ("{{ (index .hardware.spec.interfaces 2).dhcp }}", "false"),
        ("{{ (index .hardware.spec.bonds 0).name }}", "bond0"),
        ("{{ (index .Hardware.Interfaces 2).DHCP.VLANID }}", "42"),
        ("{{ (index .Hardware.Interfaces 4).DHCP.IP.Address }}", "10.2.0.6"),
        ("{{ (index .hardware.spec.storage.raid 0).name }}", "md0"),
        ("{{ (index (index .hardware.spec.storage.disks 0).partitions 0).size }}", "1048576"),
    ],
)
def test_a_template_sees_disks_as_links_that_the_agent_makes_and_ports_as_they_act(expression: str, expected: str) -> None:
    inventory = read(
        {**RICH, "templates/structured.yaml": TEMPLATE.replace("look:v1", f"x{expression}").replace("look}", "debian}")}
    )
    workflow, hardware = inventory.workflows["install"], inventory.hardware["node-01"]
    found = render(inventory.templates["debian"], hardware, workflow, networks(inventory.site, hardware))
    assert found.document is not None, found.problems
    assert f"x{expected}" == found.document["tasks"][0]["actions"][0]["image"]


def test_what_tasks_say_is_merged_into_their_actions_as_tinkerbell_does() -> None:
    inventory = read(RICH)
    workflow, hardware = inventory.workflows["install"], inventory.hardware["node-01"]
    found = render(inventory.templates["debian"], hardware, workflow, networks(inventory.site, hardware))
    assert found.document is not None
    run = from_json(found.document)
    action = run.action("install", "stream")
    assert ("debian", 1800, "52:54:00:12:34:ab") == (run.name, run.global_timeout, run.tasks[0].worker)
    assert ("/dev:/dev", "/lib/firmware:/lib/firmware:ro") == action.volumes
    assert {"MODE": "0644", "COMPRESSED": "true", "DISK": "/dev/sda", "VERSION": "3.86"} == action.environment
    assert (("stream", "--retries", "3"), 600, 2) == (action.command, action.timeout, action.retries)
    assert (("report", "failure"), ("report", "timeout")) == (action.on_failure, action.on_timeout)
    assert ("host", 90) == (run.action("install", "restart").pid, run.action("install", "restart").timeout)


def test_an_action_s_environment_beats_its_task_s() -> None:
    text = TEMPLATE.replace("    actions:", "    environment: {A: task, B: task}\n    actions:").replace(
        "timeout: 60", "timeout: 60, environment: {B: action}"
    )
    assert {"A": "task", "B": "action"} == document(text)["tasks"][0]["actions"][0]["environment"]


def test_a_task_without_a_worker_is_the_machine_s() -> None:
    assert "node-01" == document(TEMPLATE)["tasks"][0]["worker"]


@pytest.mark.parametrize("worker", ["node-01", "52:54:00:12:34:01", "52-54-00-12-34-01", "525400123401", "{{ .device_1 }}"])
def test_a_worker_is_a_name_or_a_mac_in_any_notation(worker: str) -> None:
    assert rendered(TEMPLATE.replace("    actions:", f'    worker: "{worker}"\n    actions:')).document is not None


def test_every_text_that_does_not_render_is_named_with_its_line() -> None:
    text = TEMPLATE.replace('image: "look:v1"', 'image: "{{ .nope }}"').replace(
        "    - {name", "    - {name: second, image: x, timeout: 60, command: ['{{ .neither }}']}\n    - {name"
    )
    found = rendered(text)
    assert found.document is None
    assert [
        ("template.yaml", 8, "template-render", "spec.tasks[0].actions[0].command[0]"),
        ("template.yaml", 9, "template-render", "spec.tasks[0].actions[1].image"),
    ] == [(problem.file, problem.line, problem.code, problem.path) for problem in found.problems]
    assert all(problem.message.startswith("The template does not render for node-01: ") for problem in found.problems)


def test_a_bare_template_that_does_not_render_is_named_with_its_line() -> None:
    files = {"workflow.yaml": SOUND["workflow.yaml"].replace("template: look", "template: bare")}
    (problem,) = rendered(BARE.replace("look:v1", "{{ .nope }}"), **files).problems
    assert ("template.yaml", 7, "template-render") == (problem.file, problem.line, problem.code)


def test_what_renders_to_no_workflow_is_a_problem() -> None:
    found = rendered(TEMPLATE.replace("timeout: 60", 'timeout: "{{ .disk }}"'))
    assert (None, ["bad-value"]) == (found.document, [problem.code for problem in found.problems])


def test_a_warning_rejects_nothing() -> None:
    found = rendered(TEMPLATE.replace(", timeout: 60", ""))
    assert found.document is not None
    assert [("no-timeout", "warning")] == [(problem.code, problem.severity) for problem in found.problems]


ARTICLE = """\
version: "0.1"
name: ubuntu_provisioning
global_timeout: 6000
tasks:
- name: "os-installation"
  worker: "{{.device_1}}"
  volumes:
  - /dev:/dev
  - /dev/console:/dev/console
  - /lib/firmware:/lib/firmware:ro
  actions:
  - name: "disk-wipe"
    image: disk-wipe:v3
    timeout: 90
  - name: "disk-partition"
    image: disk-partition:v3
    timeout: 600
    environment:
      MIRROR_HOST: 192.168.2.2
    volumes:
    - /statedir:/statedir
  - name: "install-root-fs"
    image: install-root-fs:v3
    timeout: 600
    environment:
      MIRROR_HOST: 192.168.2.3
  - name: "install-grub"
    image: install-grub:v3
    timeout: 600
    environment:
      MIRROR_HOST: 192.168.2.3
    volumes:
    - /statedir:/statedir
"""
"""The workflow of the article that gitboot began with."""


def test_the_article_s_workflow_renders_as_it_stands() -> None:
    work = SOUND["workflow.yaml"].replace(
        "template: look,", 'template: ubuntu_provisioning, hardwareMap: {device_1: "52:54:00:12:34:01"},'
    )
    found = rendered(ARTICLE, **{"workflow.yaml": work})
    assert ((), True) == (found.problems, found.document is not None)
    run = from_json(found.document or {})
    (task,) = run.tasks
    assert ("ubuntu_provisioning", 6000, "52:54:00:12:34:01") == (run.name, run.global_timeout, task.worker)
    assert [("disk-wipe:v3", 90), ("disk-partition:v3", 600), ("install-root-fs:v3", 600), ("install-grub:v3", 600)] == [
        (action.image, action.timeout) for action in task.actions
    ]
    shared = ("/dev:/dev", "/dev/console:/dev/console", "/lib/firmware:/lib/firmware:ro")
    assert (*shared, "/statedir:/statedir") == task.actions[1].volumes
    assert {"MIRROR_HOST": "192.168.2.3"} == task.actions[3].environment


def test_the_example_ships_the_article_s_workflow_as_it_stands() -> None:
    assert (EXAMPLE / "templates/ubuntu_provisioning.yaml").read_text().endswith(ARTICLE)
