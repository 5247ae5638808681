"""Provenance: file and line of everything that makes a machine what it is.

Core. The law: a value has the place of the one document that decided it (an interface's own setting beats its subnet's,
which beats the site's), and a default has the place of the nearest thing around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.inventory import Hardware, Interface, Inventory, Profile, Site, Subnet, WorkflowDoc
from reconciler.places import Path, Source

Places = Mapping[str, tuple[str, int]]
"""Value, as `interfaces[0].address` → file and line it was written on."""

_INHERITED = ("gateway", "nameServers", "leaseTime", "domain")
"""What an interface may say in place of its subnet."""


def subnet_places(site: Site) -> dict[str, Places]:
    """Subnet → where the settings of its interfaces come from unless they say otherwise. Work shared by all machines."""
    return {subnet.name: dict(_of_subnet(site, subnet, ("spec", "subnets", at))) for at, subnet in enumerate(site.subnets)}


def _of_subnet(site: Site, subnet: Subnet, path: Path) -> Iterable[tuple[str, tuple[str, int]]]:
    source = site.source
    yield "subnet", _line(source, path)
    for name in (*_INHERITED, "timeServers"):
        yield name, _line(source, (*path, name))
    if not _said(source, (*path, "domain")):
        yield "domain", _line(source, ("spec", "domain"))
    for option in subnet.options:
        yield f"options.{option}", _line(source, (*path, "options", option))


def places_of(
    inventory: Inventory,
    hardware: Hardware,
    profile: Profile | None,
    workflows: Iterable[WorkflowDoc],
    subnets: Mapping[str, Places],
) -> Places:
    """`profile`: the machine's own; `subnets`: `subnet_places` of the inventory's site."""
    source = hardware.source
    places = {name: _line(source, ("spec", name)) for name in ("arch", "profile", "idle", "handover", "loader")}
    places["name"] = _line(source, ("metadata", "name"))
    if hardware.protect:
        places["protect"] = _line(source, ("spec", "protect"))
    if hardware.handover == "auto" and profile is not None and profile.handover is not None:
        places["handover"] = _line(profile.source, ("spec", "handover"))
    for label in hardware.labels:
        places[f"labels.{label}"] = _line(source, ("metadata", "labels", label))
    for index in range(len(hardware.disks)):
        places[f"disks[{index}]"] = _line(source, ("spec", "disks", index))
    for part in hardware.storage:
        places[f"storage.{part}"] = _line(source, ("spec", "storage", part))
    for index, interface in enumerate(hardware.interfaces):
        subnet = inventory.site.subnet_of(interface)
        inherited = subnets[subnet.name] if subnet is not None else {}
        for name, place in _of_interface(hardware, interface, ("spec", "interfaces", index), inherited):
            places[f"interfaces[{index}].{name}"] = place
    places |= _of_bonds(hardware)
    places |= _of_metadata(source)
    for workflow in workflows:
        for name, place in _of_work(inventory, hardware, workflow):
            places[f"work[{workflow.name}]{name}"] = place
    return places


def _of_interface(
    hardware: Hardware, interface: Interface, path: Path, inherited: Places
) -> Iterable[tuple[str, tuple[str, int]]]:
    source = hardware.source
    yield from inherited.items()
    for name in ("mac", "address", "hostname", "dhcp", "netboot", "vlan"):
        yield name, _line(source, (*path, name))
    for name in _INHERITED:
        if _said(source, (*path, name)):
            yield name, _line(source, (*path, name))
    for option in interface.options:
        yield f"options.{option}", _line(source, (*path, "options", option))


def _of_bonds(hardware: Hardware) -> Places:
    """Of each bond, and of the address that it gives its ports."""
    places: dict[str, tuple[str, int]] = {}
    ports = {port.mac: index for index, port in enumerate(hardware.interfaces)}
    for index, bond in enumerate(hardware.bonds):
        path: Path = ("spec", "bonds", index)
        places[f"bonds[{index}]"] = _line(hardware.source, path)
        address = _line(hardware.source, (*path, "address"))
        places |= {f"interfaces[{ports[mac]}].address": address for mac in bond.interfaces}
    return places


def _of_metadata(source: Source) -> Places:
    paths = (("metadata", "instanceId"), ("metadata", "publicKeys"), ("userData",), ("vendorData",))
    return {".".join(path): _line(source, ("spec", *path)) for path in paths if _said(source, ("spec", *path))}


def _of_work(inventory: Inventory, hardware: Hardware, workflow: WorkflowDoc) -> Iterable[tuple[str, tuple[str, int]]]:
    yield "", workflow.place[:2]
    for name in ("run", "repeat", "resets", "overwrites"):
        yield f".{name}", _line(workflow.source, ("spec", name))
    for name in ("retry", "onFailure", "pendingTimeout", "cancel"):
        if _said(workflow.source, ("spec", name)):
            yield f".{name}", _line(workflow.source, ("spec", name))
    for name in workflow.hardware_map:
        yield f".hardwareMap.{name}", _line(workflow.source, ("spec", "hardwareMap", name))
    yield ".profile", _line(workflow.source if workflow.profile else hardware.source, ("spec", "profile"))
    yield ".template", inventory.templates[workflow.template].place[:2]


def _line(source: Source, path: Path) -> tuple[str, int]:
    place = source.at(path)
    return place.file, place.line


def _said(source: Source, path: Path) -> bool:
    """Whether a value was written: one that was not has the place of what is around it."""
    return source.at(path) != source.at(path[:-1])
