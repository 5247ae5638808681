"""The inventory: everything one commit says, as frozen values.

Core. What is here is whole and normalised: values are parsed, defaults are applied, names are unique, references lead
somewhere (`reconciler.validate` saw to it before an `Inventory` was made). Addresses are `ipaddress` objects, MACs are lower
case with colons, durations are seconds. An unchanged file gives the identical objects on the next read, so that whoever
works them up may remember by identity. Two objects are equal when they say the same, wherever they say it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Literal

from netboot.policy import Policy
from netboot.sealed import PullSecret
from netboot.sealed import Secret as Sealed
from netboot.trust import Trust
from reconciler.places import Path, Place, Source

__all__ = [
    "Arch",
    "ArtifactRef",
    "Bond",
    "DhcpMode",
    "Disk",
    "Handover",
    "Hardware",
    "Idle",
    "ImageSettings",
    "Interface",
    "Inventory",
    "Object",
    "Place",
    "Profile",
    "RaspberryPi",
    "Repeat",
    "SecretDoc",
    "Site",
    "Source",
    "Subnet",
    "TemplateDoc",
    "Unknown",
    "Unverified",
    "WorkflowDoc",
]

Arch = Literal["x86_64", "aarch64"]
DhcpMode = Literal["reservation", "proxy", "auto-proxy", "off"]
Unknown = Literal["ignore", "wait"]
Unverified = Literal["warn", "reject"]
Idle = Literal["disk", "wait", "profile"]
Handover = Literal["auto", "exit", "sanboot", "grub", "no-boot-file"]
Repeat = Literal["once", "everyBoot"]
MetadataTokens = Literal["optional", "required"]
OnFailure = Literal["rescue", "reboot", "poweroff"]


@dataclass(frozen=True, slots=True)
class _Object:
    """What every document of the inventory has: a name, and a place for each of its values."""

    name: str
    source: Source = field(compare=False, repr=False)

    @property
    def place(self) -> Place:
        """Where the document begins."""
        return self.source.at(())

    def where(self, path: str | Path) -> Place:
        """Where a value was written, as `spec.interfaces[0].mac`; for a default, where the nearest thing around it was."""
        return self.source.at(path)


@dataclass(frozen=True, slots=True)
class Subnet:
    """One IPv4 network and what DHCP says in it. Found in its site under `spec.subnets[n]`."""

    name: str
    cidr: IPv4Network
    gateway: IPv4Address | None
    name_servers: tuple[IPv4Address, ...]
    time_servers: tuple[IPv4Address, ...]
    lease_time: int
    """Seconds; 24 hours unless said."""
    range: tuple[IPv4Address, IPv4Address] | None
    """First and last address for machines without a reservation, both included."""
    domain: str | None
    """The site's domain unless said."""
    options: Mapping[str, object]
    """DHCP options by number or name, values as written, already seen to be encodable."""


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """Where container images come from. Found in its site under `spec.images`."""

    prefix: str = ""
    """Ends with a slash unless it is empty."""
    archives: tuple[str, ...] = ()
    """Paths in the artefact folder."""
    insecure_registries: tuple[str, ...] = ()
    pull_secrets: tuple[PullSecret, ...] = ()
    require_digest: bool = False


@dataclass(frozen=True, slots=True)
class Site(_Object):
    """What holds for the whole site. There is exactly one in an inventory."""

    domain: str | None
    server: IPv4Address | None
    """The address machines reach this server at; None: found from the listening interface."""
    dhcp_mode: DhcpMode
    unknown: Unknown
    """What a machine that is not in the inventory gets."""
    subnets: tuple[Subnet, ...]
    unverified: Unverified
    """What an artefact URL without a sha256 means for the commit."""
    boot_timeout: int
    """Seconds after which a boot that went quiet is closed; 30 minutes unless said."""
    upstreams: tuple[IPv4Address, ...]
    """Resolvers for names of others, in order of preference; none unless said."""
    trusted_proxies: tuple[IPv4Network, ...]
    images: ImageSettings
    metadata_tokens: MetadataTokens
    """Whether metadata is given without a token too."""
    public_keys: tuple[str, ...]
    """Of machines that do not say their own; the same holds for `vendor_data`, as written."""
    vendor_data: str
    trust: Trust
    policy: Policy

    _by_first: tuple[tuple[int, int], ...] = field(init=False, compare=False, repr=False)
    """First address and index of each subnet, ascending: ten thousand machines ask, and a site may have a thousand subnets."""

    def __post_init__(self) -> None:
        order = sorted((int(subnet.cidr.network_address), index) for index, subnet in enumerate(self.subnets))
        object.__setattr__(self, "_by_first", tuple(order))

    def subnet_of(self, interface: Interface) -> Subnet | None:
        """The subnet an interface belongs to: the one it names, the one its address lies in, or the only one there is."""
        if interface.subnet is not None:
            return next((subnet for subnet in self.subnets if subnet.name == interface.subnet), None)
        if interface.address is not None:
            return self.subnet_around(interface.address)
        return self.subnets[0] if len(self.subnets) == 1 else None

    def subnet_around(self, address: IPv4Address) -> Subnet | None:
        """The subnet an address lies in."""
        position = bisect_right(self._by_first, (int(address), len(self.subnets))) - 1
        if position < 0:
            return None
        subnet = self.subnets[self._by_first[position][1]]
        return subnet if address <= subnet.cidr.broadcast_address else None


@dataclass(frozen=True, slots=True)
class Interface:
    """One network port. Found in its hardware under `spec.interfaces[n]`."""

    mac: str
    """As `52:54:00:12:34:01`."""
    address: IPv4Address | None
    """None: from the subnet's range."""
    hostname: str | None
    subnet: str | None
    """Only when said; `Site.subnet_of` finds it otherwise."""
    gateway: IPv4Address | None
    """This and the next four: None or empty means as the subnet has it."""
    name_servers: tuple[IPv4Address, ...] | None
    lease_time: int | None
    domain: str | None
    options: Mapping[str, object]
    dhcp: bool
    """Whether its DHCP requests are answered."""
    netboot: bool
    """Whether it is told what to boot."""
    vlan: int
    """0: its frames bear no tag."""


@dataclass(frozen=True, slots=True)
class Bond:
    """Ports of one machine that act as one, with one address. Found in its hardware under `spec.bonds[n]`."""

    name: str
    mode: str
    interfaces: tuple[str, ...]
    """MACs. The first port's settings are those of all."""
    address: IPv4Address | None
    """As an interface's."""


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk by what it is recognised by; everything given must match. Found under `spec.disks[n]`."""

    name: str
    path: str | None
    serial: str | None
    wwn: str | None
    size: int | None
    """Bytes."""


@dataclass(frozen=True, slots=True)
class RaspberryPi:
    """How a Raspberry Pi asks for its firmware, and what that is. Found under `spec.rpi`."""

    serial: str
    """Eight lower-case hex digits."""
    firmware: str | None
    """Folder in the artefact folder."""
    config: str | None
    """config.txt, as written."""


@dataclass(frozen=True, slots=True)
class Hardware(_Object):
    """One machine."""

    labels: Mapping[str, str]
    arch: Arch
    profile: str | None
    """What a run boots in, unless the workflow names another."""
    idle: Idle
    """What the machine does without work."""
    idle_profile: str | None
    """The profile's name when `idle` is "profile"."""
    handover: Handover
    """How it goes to its disk."""
    loader: str
    """What its firmware is sent: `auto`, a row of `netboot.loader.LOADERS`, or a file name."""
    interfaces: tuple[Interface, ...]
    """As written: `bonding.acting` has them as they act."""
    disks: tuple[Disk, ...]
    bonds: tuple[Bond, ...]
    storage: Mapping[str, Any]
    """How the disks are laid out, in Tinkerbell's shape; sizes are numbers. Empty when nothing is said."""
    rpi: RaspberryPi | None
    instance_id: str | None
    """This and the next three are what its system is told; None: the machine's name."""
    public_keys: tuple[str, ...] | None
    """This and `vendor_data`: None when they are the site's."""
    user_data: str
    vendor_data: str | None
    protect: bool


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """A file that machines boot: a path in the artefact folder, or a URL. Exactly one of `path` and `url` is set."""

    path: str | None
    url: str | None
    sha256: str | None
    """Lower-case hex; only with a URL, and None there when it is unverified."""


@dataclass(frozen=True, slots=True)
class Profile(_Object):
    """What to boot. Exactly one of `kernel`, `chain` and `script` is set."""

    kernel: ArtifactRef | None
    initrd: tuple[ArtifactRef, ...]
    cmdline: str
    """One line, no control characters."""
    chain: str | None
    script: str | None
    """iPXE, as written."""
    pxelinux: str | None
    """For PXELINUX and U-Boot, as written; in place of what `kernel` says."""
    handover: Handover | None
    """For machines whose own is `auto`."""

    @property
    def references(self) -> tuple[ArtifactRef, ...]:
        """Every file it names, the kernel first."""
        return (*((self.kernel,) if self.kernel else ()), *self.initrd)


@dataclass(frozen=True, slots=True)
class TemplateDoc(_Object):
    """A workflow document before it is rendered. Exactly one of `text` and `document` is set."""

    text: str | None
    """Bare files and `spec.data`: the whole text is a Go template."""
    document: Mapping[str, object] | None
    """The structured form: `spec` as written, whose text leaves may hold `{{ }}`; found under `spec`."""
    text_line: int = field(default=1, compare=False)
    """The line of the file in which `text` begins, from 1."""
    text_column: int = field(default=1, compare=False)
    """The column in which its lines begin, from 1."""

    def place_in_text(self, line: int, column: int) -> Place:
        """Where in the file a line and column of `text` (from 1) are."""
        return Place(self.source.file, self.text_line + line - 1, self.text_column + column - 1)


@dataclass(frozen=True, slots=True)
class WorkflowDoc(_Object):
    """Which template is carried out on which machines. Exactly one of `hardware` and `match_labels` is set."""

    template: str
    hardware: str | None
    match_labels: Mapping[str, str] | None
    """All of these labels; never empty."""
    hardware_map: Mapping[str, str]
    run: int
    repeat: Repeat
    resets: int
    """How often a task is begun anew after its machine was reset."""
    retry: int
    """How often a run that failed is tried again as a whole."""
    on_failure: OnFailure
    pending_timeout: int
    """Seconds from the machine's boot within which a run must have begun; 0: unlimited."""
    cancel: bool
    profile: str | None
    """What its runs boot in; None: the machine's own."""
    overwrites: tuple[str, ...]
    """Workflows whose installations it may replace; `*`: any."""


@dataclass(frozen=True, slots=True)
class SecretDoc(_Object):
    """Values that only the server can read."""

    sealed: Sealed
    """As the plan has them."""


Object = Site | Hardware | Profile | TemplateDoc | WorkflowDoc | SecretDoc
"""Whatever one document says."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """One commit, whole. Every mapping is by name, in order of name."""

    site: Site
    hardware: Mapping[str, Hardware]
    profiles: Mapping[str, Profile]
    templates: Mapping[str, TemplateDoc]
    workflows: Mapping[str, WorkflowDoc]
    secrets: Mapping[str, SecretDoc]
    revision: str
    """The commit's full object id, or "" for a plain folder."""
    by_label: Mapping[tuple[str, str], frozenset[str]] = field(compare=False, repr=False)
    """Names of the machines that bear a label (key, value)."""

    @property
    def firmware(self) -> Mapping[str, Hardware]:
        """Folders of firmware in the artefact folder, each with the first machine that names it."""
        named = [(each.rpi.firmware, each) for each in self.hardware.values() if each.rpi and each.rpi.firmware]
        return dict(reversed(named))

    def machines(self, workflow: WorkflowDoc) -> tuple[Hardware, ...]:
        """The machines a workflow is for, in order of name."""
        return tuple(self.hardware[name] for name in select(workflow, self.hardware, self.by_label))


def select(
    workflow: WorkflowDoc, hardware: Mapping[str, Hardware], by_label: Mapping[tuple[str, str], frozenset[str]]
) -> tuple[str, ...]:
    """The names of the machines a workflow is for, in order; () when there are none."""
    if workflow.match_labels is None:
        return (workflow.hardware,) if workflow.hardware is not None and workflow.hardware in hardware else ()
    bearers = [by_label.get(label, frozenset()) for label in workflow.match_labels.items()]
    return tuple(sorted(frozenset.intersection(*bearers)))
