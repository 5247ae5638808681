"""Validation: what it takes more than one document to see.

Core. The law: one pass reports every problem, each where somebody can mend it, and a fault is reported once: what a broken
or unreadable document may have said counts as said, so that it does not make the sound ones look wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from reconciler.addressing import Complain, Networks, check_site
from reconciler.formats import FileContent, words
from reconciler.inventory import (
    Hardware,
    Interface,
    Inventory,
    Object,
    Profile,
    SecretDoc,
    Site,
    TemplateDoc,
    WorkflowDoc,
    select,
)
from reconciler.problems import Problem, Severity
from reconciler.shape import Suggestions, shown

T = TypeVar("T", Site, Hardware, Profile, TemplateDoc, WorkflowDoc, SecretDoc)

_KINDS: Mapping[type[Object], str] = {
    Site: "Site",
    Hardware: "Hardware",
    Profile: "Profile",
    TemplateDoc: "Template",
    WorkflowDoc: "Workflow",
    SecretDoc: "Secret",
}


@dataclass(slots=True)
class Findings:
    """What the files say, taken together, and what is wrong with it."""

    objects: list[Object] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    broken: set[tuple[str, str]] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, files: Iterable[FileContent]) -> Findings:
        findings = cls()
        for file in files:
            findings.objects += file.objects
            findings.problems += file.problems
            findings.broken |= file.broken
            findings.unread |= file.unread
        return findings

    def add(self, about: Object, path: str, code: str, message: str, severity: Severity = "error") -> None:
        self.problems.append(Problem(*about.where(path), path, code, severity, message))

    def complain(self, about: Object) -> Complain:
        """Adding problems of one object."""
        return lambda path, code, message: self.add(about, path, code, message)

    def may_exist(self, kind: str, name: str) -> bool:
        """Whether something that could not be read may be the object."""
        return (kind, name) in self.broken or (bool(self.unread) and words(name) <= self.unread)

    def may_hold(self, kind: str) -> bool:
        """Whether something that could not be read may be of a kind."""
        return any(broken == kind for broken, _ in self.broken) or kind in self.unread


@dataclass(frozen=True, slots=True)
class _Named:
    """Everything by name, in order of name."""

    hardware: Mapping[str, Hardware]
    profiles: Mapping[str, Profile]
    templates: Mapping[str, TemplateDoc]
    workflows: Mapping[str, WorkflowDoc]
    secrets: Mapping[str, SecretDoc]
    by_label: Mapping[tuple[str, str], frozenset[str]]


def validate(findings: Findings, revision: str) -> Inventory | None:
    """Adds everything that is wrong across documents to the findings. None when there is no site to speak of."""
    hardware = _by_name(findings, Hardware)
    named = _Named(
        hardware,
        profiles=_by_name(findings, Profile),
        templates=_by_name(findings, TemplateDoc),
        workflows=_by_name(findings, WorkflowDoc),
        secrets=_by_name(findings, SecretDoc),
        by_label=_by_label(hardware.values()),
    )
    site = _the_site(findings)
    _check_ports(site, named.hardware.values(), findings)
    _check_references(named, findings)
    if site is None:
        return None
    check_site(site, findings.complain(site))
    _check_networks(site, named.hardware.values(), findings)
    _check_artifacts(site, named.profiles.values(), findings)
    return Inventory(
        site,
        named.hardware,
        named.profiles,
        named.templates,
        named.workflows,
        named.secrets,
        revision=revision,
        by_label=named.by_label,
    )


# Names -----------------------------------------------------------------------------------------------------------------


def _by_name(findings: Findings, kind: type[T]) -> dict[str, T]:
    """All objects of a kind; the first of a name stands, the others are problems."""
    named: dict[str, T] = {}
    for each in findings.objects:
        if isinstance(each, kind) and named.setdefault(each.name, each) is not each:
            path = "metadata.name" if "metadata" in each.source else "name"
            first = named[each.name].where(path)
            message = f"There is a {_KINDS[kind]} named {each.name!r} already, in {first}: give this one another name."
            findings.add(each, path, "duplicate-name", message)
    return dict(sorted(named.items()))


def _by_label(hardware: Iterable[Hardware]) -> dict[tuple[str, str], frozenset[str]]:
    names: dict[tuple[str, str], list[str]] = {}
    for each in hardware:
        for label in each.labels.items():
            names.setdefault(label, []).append(each.name)
    return {label: frozenset(bearers) for label, bearers in names.items()}


def _the_site(findings: Findings) -> Site | None:
    sites = [each for each in findings.objects if isinstance(each, Site)]
    for other in sites[1:]:
        message = f"There is a Site already, in {sites[0].place}: an inventory has one; merge the two."
        findings.add(other, "", "second-site", message)
    if not sites and not findings.may_hold("Site"):
        message = "There is no Site: add a document with 'kind: Site'; `gitboot detect` prints one for this host."
        findings.problems.append(Problem("", 0, 0, "", "missing-site", "error", message))
    return sites[0] if sites else None


# Ports: what no two machines may share ---------------------------------------------------------------------------------


def _check_ports(site: Site | None, hardware: Iterable[Hardware], findings: Findings) -> None:
    macs: dict[str, tuple[Object, str]] = {}
    addresses: dict[int, tuple[Object, str]] = {}
    serials: dict[str, tuple[Object, str]] = {}
    names: dict[tuple[str, str | None], tuple[Object, str]] = {}
    domain = _domains(site)
    if site is not None and site.server is not None:
        addresses[int(site.server)] = site, "spec.server"
    for each in hardware:
        if each.rpi:
            _claim(serials, each.rpi.serial, each, "spec.rpi.serial", "duplicate-serial", each.rpi.serial, findings)
        for index, port in enumerate(each.interfaces):
            path = f"spec.interfaces[{index}]"
            _claim(macs, port.mac, each, f"{path}.mac", "duplicate-mac", port.mac, findings)
            if port.address is not None:
                _claim(addresses, int(port.address), each, f"{path}.address", "duplicate-address", port.address, findings)
            if port.hostname is not None:
                name = port.hostname, domain(port)
                if names.get(name, (None, ""))[0] is not each:  # one machine may bear one name on several ports
                    _claim(names, name, each, f"{path}.hostname", "duplicate-hostname", port.hostname, findings)
        for index, bond in enumerate(each.bonds):
            if bond.address is not None:
                path = f"spec.bonds[{index}].address"
                _claim(addresses, int(bond.address), each, path, "duplicate-address", bond.address, findings)


K = TypeVar("K")


def _claim(
    taken: dict[K, tuple[Object, str]], key: K, claimant: Object, path: str, code: str, shown: object, findings: Findings
) -> None:
    owner, at = taken.setdefault(key, (claimant, path))
    if owner is not claimant or at != path:
        whose = "the server" if isinstance(owner, Site) else repr(owner.name)
        message = f"{shown} is taken by {whose}, in {owner.where(at)}: correct one of the two."
        findings.add(claimant, path, code, message)


def _domains(site: Site | None) -> Callable[[Interface], str | None]:
    """The domain of a port. Its subnet is looked for only when that makes a difference."""
    if site is None:
        return lambda port: port.domain
    different = len({subnet.domain for subnet in site.subnets}) > 1
    usual = site.subnets[0].domain if site.subnets else site.domain

    def domain(port: Interface) -> str | None:
        subnet = site.subnet_of(port) if different and port.domain is None else None
        return port.domain or (subnet.domain if subnet else usual)

    return domain


def _check_networks(site: Site, hardware: Iterable[Hardware], findings: Findings) -> None:
    networks = Networks(site)
    if site.dhcp_mode == "reservation" and not site.subnets and hardware:
        message = "Machines have no network to get addresses in: add 'subnets', or leave DHCP to others with mode 'off'."
        findings.add(site, "spec", "no-subnet", message)
    for each in hardware:
        networks.check(each, findings.complain(each))


# References ------------------------------------------------------------------------------------------------------------


def _check_references(named: _Named, findings: Findings) -> None:
    by_kind: Mapping[str, Mapping[str, object]]
    by_kind = {"Hardware": named.hardware, "Profile": named.profiles, "Template": named.templates}
    suggestions = {kind: Suggestions(known) for kind, known in by_kind.items()}

    def refer(about: Object, path: str, kind: str, name: str | None) -> None:
        if name is not None and name not in by_kind[kind] and not findings.may_exist(kind, name):
            hint = suggestions[kind](name) or ": add one, or correct the name."
            findings.add(about, path, "unknown-reference", f"There is no {kind} named {shown(name)}{hint}")

    for machine in named.hardware.values():
        refer(machine, "spec.profile", "Profile", machine.profile)
        refer(machine, "spec.idle", "Profile", machine.idle_profile)
    for workflow in named.workflows.values():
        refer(workflow, "spec.template", "Template", workflow.template)
        refer(workflow, "spec.hardware", "Hardware", workflow.hardware)
        refer(workflow, "spec.profile", "Profile", workflow.profile)
        _check_selection(workflow, named, findings)


def _check_selection(workflow: WorkflowDoc, named: _Named, findings: Findings) -> None:
    """Whether the workflow has machines, and they something to boot its work in."""
    machines = select(workflow, named.hardware, named.by_label)
    if workflow.match_labels is not None and not machines and not findings.may_hold("Hardware"):
        message = "No machine bears all of these labels, so that nothing is done: correct them, or label a machine."
        findings.add(workflow, "spec.hardware.matchLabels", "empty-selection", message, "warning")
    bare = [] if workflow.profile else [name for name in machines if named.hardware[name].profile is None]
    if bare:
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        message = f"{bare[0]!r}{more} has nothing to boot this work in: name a 'profile' here or there."
        findings.add(workflow, "spec.hardware", "no-profile", message)


def _check_artifacts(site: Site, profiles: Iterable[Profile], findings: Findings) -> None:
    severity: Severity = "error" if site.unverified == "reject" else "warning"
    for profile in profiles:
        artifacts = [("spec.kernel", profile.kernel)]
        artifacts += [(f"spec.initrd[{index}]", initrd) for index, initrd in enumerate(profile.initrd)]
        for path, artifact in artifacts:
            if artifact is not None and artifact.url is not None and artifact.sha256 is None:
                message = f"Nobody can tell whether {artifact.url} is the right file: add its 'sha256'."
                findings.add(profile, path, "unverified-artifact", message, severity)
