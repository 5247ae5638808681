"""Compile: an inventory becomes a boot plan, with the place every value came from.

Core. References and templates are resolved here, once per commit, so that serving is a look-up. A `Compiler` remembers what
it made of each machine and hands back the identical value while nothing that machine is made of changed: one changed file in
a repository of ten thousand machines costs one machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec

from netboot import plan as boot
from netboot.runs import Work
from reconciler.inventory import ArtifactRef, Hardware, Interface, Inventory, Place, Profile, Site, WorkflowDoc
from reconciler.options import interface_options, range_options
from reconciler.problems import Problem
from reconciler.render import Rendered, render

Places = Mapping[str, tuple[str, int]]
"""Value, as `interfaces[0].address` → file and line it was written on."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the values of every machine came from, in parts that unchanged machines share between revisions."""

    buckets: Mapping[str, str]
    """Bucket → digest of its shard."""
    shards: Mapping[str, bytes]
    """By digest; only those not handed out before."""
    machines: Mapping[str, Places]


@dataclass(frozen=True, slots=True)
class Compiled:
    dump: boot.Dump | None
    """None when there is an error among the problems."""
    provenance: Provenance
    problems: tuple[Problem, ...]


class _Made(NamedTuple):
    """One machine as compiled, and the objects it was compiled from (held, so that their identities stay theirs)."""

    sources: tuple[object, ...]
    machine: boot.Machine
    places: Places
    problems: tuple[Problem, ...]


class Compiler:
    """Compiles one inventory after another, reusing what did not change."""

    def __init__(self) -> None:
        self._made: dict[str, _Made] = {}
        self._rendered: dict[tuple[str, str], tuple[tuple[object, ...], Rendered]] = {}
        self._plan: boot.BootPlan | None = None
        self._places: dict[str, tuple[tuple[Places, ...], str]] = {}

    def compile(self, inventory: Inventory, artifacts: Mapping[str, boot.Artifact] | None = None) -> Compiled:
        """`artifacts`: what is in the artefact folder, by path; None when it is not known here (`gitboot check`)."""
        found, problems = _artifacts(inventory, artifacts)
        wanted = _assignments(inventory)
        made = {name: self._machine(inventory, hardware, wanted.get(name, ())) for name, hardware in inventory.hardware.items()}
        self._made = made
        for each in made.values():
            problems.extend(each.problems)
        provenance = self._provenance(made)
        if any(problem.severity == "error" for problem in problems):
            return Compiled(None, provenance, tuple(sorted(problems)))
        site = inventory.site
        dump = boot.dump(
            _site(site),
            [_subnet(site, index) for index in range(len(site.subnets))],
            [_profile(profile) for profile in inventory.profiles.values()],
            found,
            [each.machine for each in made.values()],
            self._plan,
        )
        self._plan = dump.plan
        return Compiled(dump, provenance, tuple(sorted(problems)))

    def _machine(self, inventory: Inventory, hardware: Hardware, workflows: tuple[WorkflowDoc, ...]) -> _Made:
        profile = inventory.profiles.get(hardware.profile or "")
        templates = tuple(inventory.templates[workflow.template] for workflow in workflows)
        sources = (inventory.site, hardware, profile, *workflows, *templates)
        before = self._made.get(hardware.name)
        if before is not None and _identical(before.sources, sources):
            return before
        rendered = [self._render(inventory, hardware, workflow) for workflow in workflows]
        work = tuple(
            Work(
                workflow=workflow.name,
                run=workflow.run,
                repeat=workflow.repeat,
                resets=workflow.resets,
                profile=workflow.profile or hardware.profile or "",
                document=each.document,
            )
            for workflow, each in zip(workflows, rendered, strict=True)
            if each.document is not None
        )
        problems = [problem for each in rendered for problem in each.problems]
        problems += [_no_profile(workflow, hardware) for workflow in workflows if not (workflow.profile or hardware.profile)]
        machine = _hardware(inventory.site, hardware, profile, work)
        return _Made(sources, machine, _places(inventory, hardware, workflows), tuple(problems))

    def _render(self, inventory: Inventory, hardware: Hardware, workflow: WorkflowDoc) -> Rendered:
        """The dear part of a machine, so remembered apart: a change of the site renders nothing anew."""
        template = inventory.templates[workflow.template]
        sources = (template, hardware, workflow)
        key = (workflow.name, hardware.name)
        before = self._rendered.get(key)
        if before is not None and _identical(before[0], sources):
            return before[1]
        rendered = render(template, hardware, workflow)
        self._rendered[key] = (sources, rendered)
        return rendered

    def _provenance(self, made: Mapping[str, _Made]) -> Provenance:
        buckets: dict[str, list[str]] = {}
        for name in sorted(made):
            buckets.setdefault(boot.bucket(name), []).append(name)
        shards: dict[str, bytes] = {}
        known: dict[str, tuple[tuple[Places, ...], str]] = {}
        for key, names in buckets.items():
            parts = tuple(made[name].places for name in names)
            before = self._places.get(key)
            if before is not None and _identical(before[0], parts):
                known[key] = before
                continue
            data = msgspec.json.encode(dict(zip(names, parts, strict=True)))
            known[key] = (parts, hashlib.sha256(data).hexdigest())
            shards[known[key][1]] = data
        self._places = known
        digests = {key: digest for key, (_, digest) in known.items()}
        return Provenance(digests, shards, {name: each.places for name, each in made.items()})


def _identical(before: tuple[object, ...], now: tuple[object, ...]) -> bool:
    return len(before) == len(now) and all(a is b for a, b in zip(before, now, strict=True))


def _assignments(inventory: Inventory) -> dict[str, tuple[WorkflowDoc, ...]]:
    """The workflows of each machine, in order of their names, which is the order they run in."""
    wanted: dict[str, tuple[WorkflowDoc, ...]] = {}
    for workflow in inventory.workflows.values():
        for hardware in inventory.machines(workflow):
            wanted[hardware.name] = (*wanted.get(hardware.name, ()), workflow)
    return wanted


def _site(site: Site) -> boot.Site:
    return boot.Site(
        name=site.name,
        domain=site.domain or "",
        server=str(site.server or ""),
        mode=site.dhcp_mode,
        unknown=site.unknown,
        boot_timeout=site.boot_timeout,
    )


def _subnet(site: Site, index: int) -> boot.Subnet:
    subnet = site.subnets[index]
    return boot.Subnet(
        name=subnet.name,
        cidr=str(subnet.cidr),
        options=range_options(site, subnet),
        range=(str(subnet.range[0]), str(subnet.range[1])) if subnet.range else None,
    )


def _profile(profile: Profile) -> boot.Profile:
    return boot.Profile(
        name=profile.name,
        kernel=_key(profile.kernel) if profile.kernel else "",
        initrd=tuple(_key(initrd) for initrd in profile.initrd),
        cmdline=profile.cmdline,
        chain=profile.chain or "",
        script=profile.script or "",
    )


def _key(reference: ArtifactRef) -> str:
    return reference.path or reference.url or ""


def _hardware(site: Site, hardware: Hardware, profile: Profile | None, work: tuple[Work, ...]) -> boot.Machine:
    handover = hardware.handover
    if handover == "auto" and profile is not None and profile.handover is not None:
        handover = profile.handover
    return boot.Machine(
        name=hardware.name,
        arch=hardware.arch,
        labels=dict(sorted(hardware.labels.items())),
        interfaces=tuple(_interface(site, hardware, index) for index in range(len(hardware.interfaces))),
        idle=f"profile:{hardware.idle_profile}" if hardware.idle == "profile" else hardware.idle,
        handover=handover,
        disks=tuple(
            boot.Disk(disk.name, disk.path or "", disk.serial or "", disk.wwn or "", str(disk.size or ""))
            for disk in hardware.disks
        ),
        work=work,
    )


def _interface(site: Site, hardware: Hardware, index: int) -> boot.Interface:
    """The first interface answers to the machine's name unless it was given another."""
    interface: Interface = hardware.interfaces[index]
    if interface.hostname is None and index == 0:
        interface = replace(interface, hostname=hardware.name)
    subnet = site.subnet_of(interface)
    return boot.Interface(
        mac=interface.mac,
        address=str(interface.address or ""),
        hostname=interface.hostname or "",
        subnet=subnet.name if subnet else "",
        options=interface_options(site, subnet, interface) if subnet else b"",
        dhcp=interface.dhcp,
        netboot=interface.netboot,
    )


def _artifacts(inventory: Inventory, found: Mapping[str, boot.Artifact] | None) -> tuple[list[boot.Artifact], list[Problem]]:
    """Every file some profile names, once; a file that is not in the folder is an error of the line that names it."""
    artifacts: dict[str, boot.Artifact] = {}
    problems: list[Problem] = []
    for profile in inventory.profiles.values():
        named = [(f"spec.initrd[{index}]", initrd) for index, initrd in enumerate(profile.initrd)]
        if profile.kernel is not None:
            named.insert(0, ("spec.kernel", profile.kernel))
        for path, reference in named:
            key = _key(reference)
            if reference.url is not None and reference.sha256 is None:
                artifacts[key] = boot.Artifact(key, url=reference.url)
            elif found is None:
                artifacts[key] = boot.Artifact(key, sha256=reference.sha256 or "")
            elif key in found:
                artifacts[key] = found[key]
            else:
                problems.append(_missing(profile.where(path), path, key))
    return list(artifacts.values()), problems


def _missing(place: Place, path: str, key: str) -> Problem:
    message = f"the artefact {key!r} is not in the server's artefact folder; put it there or correct the path"
    return Problem(place.file, place.line, place.column, path, "missing-artifact", "error", message)


def _no_profile(workflow: WorkflowDoc, hardware: Hardware) -> Problem:
    place = workflow.where("spec.hardware")
    message = (
        f"{hardware.name} has no profile to run {workflow.name} in; "
        f"set spec.profile of the Hardware ({hardware.place}) or of this Workflow"
    )
    return Problem(place.file, place.line, place.column, "spec.hardware", "no-profile", "error", message)


def _places(inventory: Inventory, hardware: Hardware, workflows: Iterable[WorkflowDoc]) -> Places:
    """File and line of everything that makes this machine what it is."""
    paths = ["arch", "profile", "idle", "handover"]
    for index, _ in enumerate(hardware.interfaces):
        paths += [f"interfaces[{index}].{name}" for name in ("mac", "address", "hostname")]
    places = {path: hardware.where(f"spec.{path}")[:2] for path in paths}
    for index, interface in enumerate(hardware.interfaces):
        subnet = inventory.site.subnet_of(interface)
        if subnet is not None:
            number = inventory.site.subnets.index(subnet)
            places[f"interfaces[{index}].subnet"] = inventory.site.where(f"spec.subnets[{number}]")[:2]
    for workflow in workflows:
        places[f"work[{workflow.name}]"] = workflow.place[:2]
        places[f"work[{workflow.name}].run"] = workflow.where("spec.run")[:2]
        places[f"work[{workflow.name}].template"] = inventory.templates[workflow.template].place[:2]
    return places
