"""Compile: an inventory becomes a boot plan, with the place every value came from.

Core. References and templates are resolved here, once per commit, so that serving is a look-up. A `Compiler` remembers what
it made of each machine and hands back the identical value while nothing that machine is made of changed: one changed file in
a repository of ten thousand machines costs one machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from netboot import plan as boot
from netboot.ipxe import objection
from netboot.work import Work
from reconciler.artifact_refs import artifacts_of, key_of
from reconciler.bonding import acting
from reconciler.images import Held, Images, images_of
from reconciler.inventory import Hardware, Interface, Inventory, Profile, Site, WorkflowDoc
from reconciler.metadata import metadata_of
from reconciler.options import interface_options, range_options
from reconciler.plain import plain
from reconciler.problems import Problem
from reconciler.provenance import Places, places_of, subnet_places
from reconciler.relay import Relay, hand_out, is_relay, with_parts
from reconciler.render import Rendered, networks, render
from reconciler.secret_refs import SecretKeys, check_pull_secrets, secret_keys


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the values of every machine came from, in parts that unchanged machines share between revisions."""

    buckets: Mapping[str, str]
    """Bucket → digest of its shard."""
    shards: Mapping[str, bytes]
    """Every shard by digest, encoded when it is asked for, as those of a plan."""
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
    relays: tuple[Relay, ...]
    """Its workflows that other machines have a part in: they are not in `machine`."""
    places: Places
    problems: tuple[Problem, ...]
    rendered: Mapping[str, tuple[tuple[object, ...], Rendered]]
    """Workflow → what it was rendered from, its networks last, and the rendering: the dear part, which most changes of the site
    leave alone.
    """


class Compiler:
    """Compiles one inventory after another, reusing what did not change."""

    def __init__(self) -> None:
        self._made: dict[str, _Made] = {}
        self._plan: boot.BootPlan | None = None
        self._images: Images | None = None
        self._secrets = SecretKeys({})
        self._parts: dict[str, tuple[tuple[Places, ...], str]] = {}

    def compile(
        self,
        inventory: Inventory,
        artifacts: Mapping[str, boot.Artifact] | None = None,
        archives: Mapping[str, Held] | None = None,
    ) -> Compiled:
        """`artifacts`: what is in the artefact folder, by path, and `archives`, what those of them hold that hold images; None
        when it is not known here (`gitboot check`).
        """
        found, problems = artifacts_of(inventory, artifacts)
        problems += _unspeakable(inventory)
        images, faults = images_of(inventory, archives)
        problems += faults
        self._images = self._images if images == self._images else images
        secrets = secret_keys(inventory)
        self._secrets = self._secrets if secrets == self._secrets else secrets
        problems += check_pull_secrets(inventory, secrets)
        site, subnets = inventory.site, subnet_places(inventory.site)
        wanted = _assignments(inventory)
        made = {
            name: self._machine(inventory, hardware, wanted.get(name, ()), subnets)
            for name, hardware in inventory.hardware.items()
        }
        self._made = made
        for each in made.values():
            problems.extend(each.problems)
        parts, foreign = hand_out((relay for each in made.values() for relay in each.relays), inventory, _work)
        problems.extend(foreign)
        made = {name: _joined(inventory, each, parts[name]) if name in parts else each for name, each in made.items()}
        provenance = self._provenance(made)
        if any(problem.severity == "error" for problem in problems):
            return Compiled(None, provenance, tuple(sorted(set(problems))))
        dump = boot.dump(
            _site(site),
            [_subnet(site, index) for index in range(len(site.subnets))],
            _profiles(inventory, made),
            found,
            [each.machine for each in made.values()],
            self._plan,
            [each.sealed for each in inventory.secrets.values()],
        )
        self._plan = dump.plan
        return Compiled(dump, provenance, tuple(sorted(set(problems))))

    def remember(self, inventory: Inventory, plan: boot.BootPlan, archives: Mapping[str, Held] | None) -> None:
        """Take for granted that this is what the inventory compiles to, with these archives; where values came from is not
        known then. Workflows of several machines are made anew: a plan does not say whose they were before they were divided.
        """
        self._plan, self._images, self._secrets = plan, images_of(inventory, archives)[0], secret_keys(inventory)
        wanted = _assignments(inventory)
        carried = {name: tuple(work.workflow for work in machine.work) for name, machine in plan.machines.items()}
        divided = {work.workflow for machine in plan.machines.values() for work in machine.work if work.part or work.before}
        for name in inventory.hardware:
            asked = tuple(workflow.name for workflow in wanted.get(name, ()))
            if asked != carried.get(name):
                divided.update({*asked, *carried.get(name, ())})
        for name, hardware in inventory.hardware.items():
            workflows = wanted.get(name, ())
            if divided.isdisjoint(workflow.name for workflow in workflows) and divided.isdisjoint(carried.get(name, ())):
                sources = self._sources(inventory, hardware, workflows)
                self._made[name] = _Made(sources, plan.machines[name], (), {}, (), {})

    def _sources(self, inventory: Inventory, hardware: Hardware, workflows: tuple[WorkflowDoc, ...]) -> tuple[object, ...]:
        """All that a machine is made of. A profile is not but for what it decides: its kernel is another's business."""
        profile = inventory.profiles.get(hardware.profile or "")
        decides = profile is not None and profile.handover is not None and hardware.handover == "auto"
        templates = (inventory.templates[workflow.template] for workflow in workflows)
        return (inventory.site, self._images, self._secrets, hardware, profile if decides else None, *workflows, *templates)

    def _machine(
        self, inventory: Inventory, hardware: Hardware, workflows: tuple[WorkflowDoc, ...], subnets: Mapping[str, Places]
    ) -> _Made:
        profile = inventory.profiles.get(hardware.profile or "")
        templates = tuple(inventory.templates[workflow.template] for workflow in workflows)
        sources = self._sources(inventory, hardware, workflows)
        before = self._made.get(hardware.name)
        if before is not None and _identical(before.sources, sources):
            return before
        rendered = {workflow.name: _render(inventory, hardware, workflow, before) for workflow in workflows}
        problems = [problem for _, each in rendered.values() for problem in each.problems]
        work, relays = [], []
        for workflow, template in zip(workflows, templates, strict=True):
            document = rendered[workflow.name][1].document
            if document is not None and self._images is not None:
                document, about = self._images.resolved(document, template)
                problems += [*about, *self._secrets.missing(document, template)]
                if is_relay(document, hardware):
                    relays.append(Relay(workflow, hardware, template, document))
                else:
                    work.append(_work(workflow, hardware, document))
        machine = _hardware(inventory.site, hardware, profile, tuple(work))
        places = places_of(inventory, hardware, profile, workflows, subnets)
        return _Made(sources, machine, tuple(relays), places, tuple(problems), rendered)

    def _provenance(self, made: Mapping[str, _Made]) -> Provenance:
        """A part is encoded again when a machine in it was made again, for its digest."""
        buckets: dict[str, list[str]] = {}
        for name in sorted(made):
            buckets.setdefault(boot.bucket(name), []).append(name)
        parts: dict[str, tuple[tuple[Places, ...], str]] = {}
        values: dict[str, object] = {}
        for key, names in sorted(buckets.items()):
            places = tuple(made[name].places for name in names)
            before = self._parts.get(key)
            value = dict(zip(names, places, strict=True))
            known = before is not None and _identical(before[0], places)
            parts[key] = before if before is not None and known else (places, boot.digest_of(boot.encode(value)))
            values[parts[key][1]] = value
        self._parts = parts
        digests = {key: digest for key, (_, digest) in parts.items()}
        return Provenance(digests, boot.Encoded(values), {name: each.places for name, each in made.items()})


def _render(
    inventory: Inventory, hardware: Hardware, workflow: WorkflowDoc, before: _Made | None
) -> tuple[tuple[object, ...], Rendered]:
    template = inventory.templates[workflow.template]
    ports = networks(inventory.site, hardware)
    sources = (template, hardware, workflow)
    known = before.rendered.get(workflow.name) if before is not None else None
    if known is not None and known[0][-1] == ports and _identical(known[0][:-1], sources):
        return known
    return (*sources, ports), render(template, hardware, workflow, ports)


def _work(workflow: WorkflowDoc, hardware: Hardware, document: dict[str, object]) -> Work:
    return plain(
        Work(
            workflow=workflow.name,
            run=workflow.run,
            repeat=workflow.repeat,
            resets=workflow.resets,
            overwrites=workflow.overwrites,
            retry=workflow.retry,
            on_failure=workflow.on_failure,
            pending_timeout=workflow.pending_timeout,
            cancel=workflow.cancel,
            profile=workflow.profile or hardware.profile or "",
            document=document,
        )
    )


def _joined(inventory: Inventory, made: _Made, parts: tuple[Work, ...]) -> _Made:
    """A machine with its parts in what several machines do."""
    places = {f"work[{work.workflow}]": inventory.workflows[work.workflow].place[:2] for work in parts}
    return made._replace(machine=with_parts(made.machine, parts), places={**made.places, **places})


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
    return plain(
        boot.Site(
            name=site.name,
            domain=site.domain or "",
            server=str(site.server or ""),
            mode=site.dhcp_mode,
            unknown="wait" if site.dhcp_mode == "auto-proxy" else site.unknown,
            boot_timeout=site.boot_timeout,
            upstreams=tuple(map(str, site.upstreams)),
            metadata_tokens=site.metadata_tokens,
            vendor_data=site.vendor_data,
            pull_secrets=site.images.pull_secrets,
            trusted_proxies=tuple(map(str, site.trusted_proxies)),
            trust=site.trust,
            policy=site.policy,
        )
    )


def _subnet(site: Site, index: int) -> boot.Subnet:
    subnet = site.subnets[index]
    return plain(
        boot.Subnet(
            name=subnet.name,
            cidr=str(subnet.cidr),
            options=range_options(site, subnet),
            range=(str(subnet.range[0]), str(subnet.range[1])) if subnet.range else None,
        )
    )


def _profiles(inventory: Inventory, made: Mapping[str, _Made]) -> list[boot.Profile]:
    """The kernels in which work is done are told of registries without certificates: their engine must know when it starts."""
    insecure = ",".join(inventory.site.images.insecure_registries)
    workplaces = {work.profile for each in made.values() for work in each.machine.work}
    profiles = []
    for profile in inventory.profiles.values():
        if insecure and profile.kernel and profile.name in workplaces:
            word = f"gitboot.insecure_registries={insecure}"
            profile = replace(profile, cmdline=f"{profile.cmdline} {word}".strip())
        profiles.append(_profile(profile))
    return profiles


def _profile(profile: Profile) -> boot.Profile:
    return plain(
        boot.Profile(
            name=profile.name,
            kernel=key_of(profile.kernel) if profile.kernel else "",
            initrd=tuple(key_of(initrd) for initrd in profile.initrd),
            cmdline=profile.cmdline,
            chain=profile.chain or "",
            script=profile.script or "",
            pxelinux=profile.pxelinux or "",
        )
    )


def _hardware(site: Site, hardware: Hardware, profile: Profile | None, work: tuple[Work, ...]) -> boot.Machine:
    handover = hardware.handover
    if handover == "auto" and profile is not None and profile.handover is not None:
        handover = profile.handover
    return plain(
        boot.Machine(
            name=hardware.name,
            arch=hardware.arch,
            labels=dict(sorted(hardware.labels.items())),
            interfaces=tuple(_interface(site, interface) for interface in acting(hardware)),
            idle=f"profile:{hardware.idle_profile}" if hardware.idle == "profile" else hardware.idle,
            handover=handover,
            loader="" if hardware.loader == "auto" else hardware.loader,
            disks=tuple(
                boot.Disk(disk.name, disk.path or "", disk.serial or "", disk.wwn or "", str(disk.size or ""))
                for disk in hardware.disks
            ),
            rpi=boot.RaspberryPi(pi.serial, pi.firmware or "", pi.config or "") if (pi := hardware.rpi) else None,
            work=work,
            bonds=tuple(boot.Bond(bond.name, bond.mode, bond.interfaces) for bond in hardware.bonds),
            storage=dict(hardware.storage),
            metadata=metadata_of(site, hardware),
            protect=hardware.protect,
        )
    )


def _interface(site: Site, interface: Interface) -> boot.Interface:
    subnet = site.subnet_of(interface)
    return boot.Interface(
        mac=interface.mac,
        address=str(interface.address or ""),
        hostname=interface.hostname or "",
        subnet=subnet.name if subnet else "",
        options=interface_options(site, subnet, interface) if subnet else b"",
        dhcp=interface.dhcp,
        netboot=interface.netboot,
        vlan=interface.vlan,
    )


def _unspeakable(inventory: Inventory) -> list[Problem]:
    """Command lines that iPXE cannot hand on."""
    problems = []
    for profile in inventory.profiles.values():
        if why := objection(profile.cmdline):
            message = f"No kernel would see all of this: {why}. Write it without."
            problems.append(Problem(*profile.where("spec.cmdline"), "spec.cmdline", "bad-value", "error", message))
    return problems
