"""Render: a template, a machine and a workflow become the document that the agent will carry out.

Core. Rendering happens at commit: a template that does not render rejects the commit and never reaches a machine. The data a
template sees is plain: the workflow's `hardwareMap` at the root (with `device_1`, the machine's first MAC, unless said), the
machine's document as `hardware`, and as `Hardware` in Tinkerbell's older spelling. docs/templates.md shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from agent.workflow import Action, Secret, Task, Workflow, to_json
from reconciler.bonding import acting
from reconciler.formats.document import parse_workflow_document
from reconciler.inventory import Hardware, Interface, Place, Site, Subnet, TemplateDoc, WorkflowDoc
from reconciler.places import Path, path_text
from reconciler.problems import Problem
from reconciler.storage import by_name
from reconciler.template import Template, TemplateError, compile_template


class Network(NamedTuple):
    """What a template sees of an interface's subnet: a change of anything else there renders nothing anew."""

    netmask: str = ""
    gateway: str = ""
    name_servers: tuple[str, ...] = ()


def networks(site: Site, hardware: Hardware) -> tuple[Network, ...]:
    """For each interface of a machine."""
    return tuple(_network(site.subnet_of(interface), interface) for interface in acting(hardware))


def _network(subnet: Subnet | None, interface: Interface) -> Network:
    gateway = interface.gateway or (subnet.gateway if subnet else None)
    servers = interface.name_servers if interface.name_servers is not None else subnet.name_servers if subnet else ()
    return Network(str(subnet.cidr.netmask) if subnet else "", str(gateway or ""), tuple(map(str, servers)))


@dataclass(frozen=True, slots=True)
class Rendered:
    """`document` is `agent.workflow.to_json(Workflow)`, or None when there is an error among the problems."""

    document: dict[str, Any] | None
    problems: tuple[Problem, ...]


def render(template: TemplateDoc, hardware: Hardware, workflow: WorkflowDoc, ports: tuple[Network, ...]) -> Rendered:
    """Every problem names the template's line; what depends on the machine names the machine too. `ports`: its `networks`."""
    data, failures = template_data(hardware, workflow, ports), list[Problem]()
    form = _leaves if template.text is None else _text
    rendered = form(template, data, hardware, failures)
    if failures:
        return Rendered(None, tuple(failures))
    document, problems = parse_workflow_document(rendered, template)
    if document is None:
        return Rendered(None, problems)
    plain = msgspec.json.encode(to_json(_workflow(document, hardware)))
    return Rendered(
        msgspec.json.decode(plain), problems
    )  # lists where there were tuples, as whoever loads the plan will see it


def template_data(hardware: Hardware, workflow: WorkflowDoc, ports: tuple[Network, ...]) -> dict[str, object]:
    """Plain maps, lists, texts and numbers; nothing else ever reaches a template.

    A disk is the link that the agent makes for it, which is right whatever it is recognised by; the path that a person wrote is
    in `hardware.spec.disks`.
    """
    return {
        "device_1": hardware.interfaces[0].mac,
        "disks": {disk.name: by_name(disk.name) for disk in hardware.disks},
        **workflow.hardware_map,
        "hardware": _document(hardware, ports),
        "Hardware": {
            "Disks": [by_name(disk.name) for disk in hardware.disks],
            "Interfaces": [
                {"DHCP": _dhcp(hardware, interface, network)}
                for interface, network in zip(acting(hardware), ports, strict=True)
            ],
        },
    }


def _document(hardware: Hardware, ports: tuple[Network, ...]) -> dict[str, object]:
    """The machine as its document says it, defaults filled in; what was not said and has no default is not there."""
    spec = {
        "arch": hardware.arch,
        "profile": hardware.profile,
        "interfaces": [_port(interface, network) for interface, network in zip(acting(hardware), ports, strict=True)],
        "bonds": [
            _without_none(
                name=bond.name,
                mode=bond.mode,
                interfaces=list(bond.interfaces),
                address=bond.address and str(bond.address),
            )
            for bond in hardware.bonds
        ],
        "disks": [
            _without_none(name=disk.name, path=disk.path, serial=disk.serial, wwn=disk.wwn, size=disk.size)
            for disk in hardware.disks
        ],
        "storage": hardware.storage or None,
    }
    return {"metadata": {"name": hardware.name, "labels": dict(hardware.labels)}, "spec": _without_none(**spec)}


def _port(interface: Interface, network: Network) -> dict[str, object]:
    return _without_none(
        mac=interface.mac,
        address=interface.address and str(interface.address),
        netmask=network.netmask or None,
        gateway=network.gateway or None,
        nameServers=list(network.name_servers),
        hostname=interface.hostname,
        subnet=interface.subnet,
        vlan=interface.vlan or None,
        dhcp=interface.dhcp,
    )


def _without_none(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _dhcp(hardware: Hardware, interface: Interface, network: Network) -> dict[str, object]:
    """Tinkerbell's older spelling; "" for what is not known."""
    address = {"Address": str(interface.address or ""), "Netmask": network.netmask, "Gateway": network.gateway}
    return {
        "MAC": interface.mac,
        "Arch": hardware.arch,
        "Hostname": interface.hostname or "",
        "IP": address,
        "NameServers": list(network.name_servers),
        "VLANID": str(interface.vlan or ""),
    }


def _text(template: TemplateDoc, data: Mapping[str, object], hardware: Hardware, failures: list[Problem]) -> str:
    try:
        return _compiled(template.text or "").render(data)
    except TemplateError as error:
        path = "spec.data" if "spec" in template.source else ""
        failures.append(_failure(template.place_in_text(error.line, error.column), path, error, hardware))
        return ""


def _leaves(template: TemplateDoc, data: Mapping[str, object], hardware: Hardware, failures: list[Problem]) -> dict[str, Any]:
    """The document with every text rendered, and every text that does not render among the failures."""

    def walk(value: object, path: Path) -> object:
        if isinstance(value, Mapping):
            return {key: walk(each, (*path, key)) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [walk(each, (*path, index)) for index, each in enumerate(value)]
        if not isinstance(value, str) or "{{" not in value:
            return value
        try:
            return _compiled(value).render(data)
        except TemplateError as error:
            failures.append(_failure(template.where(path), path_text(path), error, hardware))
            return ""

    return {key: walk(each, ("spec", key)) for key, each in (template.document or {}).items()}


def _failure(place: Place, path: str, error: TemplateError, hardware: Hardware) -> Problem:
    message = f"The template does not render for {hardware.name}: {error.message}."
    return Problem(*place, path, "template-render", "error", message)


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Template:
    return compile_template(text)


def _workflow(document: Mapping[str, Any], hardware: Hardware) -> Workflow:
    """The agent's form: task volumes come first, task environment is beaten by the action's, as Tinkerbell has it."""
    tasks = tuple(
        Task(
            name=task["name"],
            worker=task["worker"] or hardware.name,
            actions=tuple(_action(task, action) for action in task["actions"]),
        )
        for task in document["tasks"]
    )
    return Workflow(name=document["name"], tasks=tasks, global_timeout=document["global_timeout"] or 0, then=document["then"])


def _action(task: Mapping[str, Any], action: Mapping[str, Any]) -> Action:
    return Action(
        name=action["name"],
        image=action["image"],
        command=tuple(action["command"]),
        timeout=action["timeout"] or 0,
        volumes=(*task["volumes"], *action["volumes"]),
        environment={**task["environment"], **action["environment"]},
        pid=action["pid"] or "",
        retries=action["retries"],
        if_=action["if"],
        on_failure=tuple(action["on-failure"]),
        on_timeout=tuple(action["on-timeout"]),
        secrets=tuple(Secret(**each) for each in action["secrets"]),
    )
