"""The boot plan: everything the servers may answer, frozen, resolved and addressed by its content.

Core. The law: the plan's id is the digest of its manifest, the manifest names its shards by their digests, and nothing that
differs from one compile of the same inventory to the next may enter either. So equal plans have equal ids, a commit that
only touches the README swaps nothing, and one changed machine costs one shard.

The reconciler compiles to these types; the servers only look up. No default, reference or template is left to resolve.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import is_
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from netboot.holds import OPEN, Gate
from netboot.observed import Observed
from netboot.policy import NO_POLICY, Policy
from netboot.sealed import PullSecret, Secret, held_by, named_by
from netboot.trust import OFF, Trust
from netboot.work import Work

FORMAT = 1
"""Raised when a field changes its meaning; a field that a server does not know it refuses by itself."""

T = TypeVar("T")
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
"""SHA-256 in lower-case hex."""
Handover = Literal["auto", "exit", "sanboot", "grub", "no-boot-file"]
Unknown = Literal["ignore", "wait"]
Mode = Literal["reservation", "proxy", "auto-proxy", "off"]
MetadataTokens = Literal["optional", "required"]


class _Part(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a plan is made of. Defaults are not written, so that a new field with a default changes no id."""


class Site(_Part, frozen=True):
    name: str
    domain: str = ""
    server: str = ""
    """Address machines reach this server at; "": found from the listening interface."""
    mode: Mode = "reservation"
    unknown: Unknown = "ignore"
    boot_timeout: int = 1800
    """Seconds of silence after which an open boot is closed."""
    upstreams: tuple[str, ...] = ()
    """Resolvers that DNS asks for names of others, in order of preference; none: those are refused."""
    metadata_tokens: MetadataTokens = "optional"
    """Whether the EC2 style metadata is given without a token too."""
    vendor_data: str = ""
    """Of every machine that has none of its own: it may be long, and is the same for most."""
    pull_secrets: tuple[PullSecret, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    """CIDRs of those whose X-Forwarded-For counts."""
    trust: Trust = OFF
    policy: Policy = NO_POLICY


class Subnet(_Part, frozen=True):
    name: str
    cidr: str
    options: bytes = b""
    """Packed DHCP options (RFC 2132 TLVs in ascending order) for an address of the dynamic range."""
    range: tuple[str, str] | None = None
    """First and last address for unknown machines, inclusive."""


class Artifact(_Part, frozen=True):
    """A file a machine boots. `url` is set instead of the digest when the inventory gave none: then it is not verified."""

    path: str
    sha256: str = ""
    size: int = 0
    url: str = ""


class Profile(_Part, frozen=True):
    """One of: kernel (with initrds and command line), chain, script."""

    name: str
    kernel: str = ""
    """Path: the key into `BootPlan.artifacts`, as each of `initrd`."""
    initrd: tuple[str, ...] = ()
    cmdline: str = ""
    chain: str = ""
    script: str = ""
    pxelinux: str = ""
    """What PXELINUX and U-Boot are told in place of one's own words for the kernel."""


class Interface(_Part, frozen=True):
    mac: str
    """Lower case with colons."""
    address: str = ""
    hostname: str = ""
    subnet: str = ""
    options: bytes = b""
    """Packed DHCP options, resolved from site, subnet and interface."""
    dhcp: bool = True
    netboot: bool = True
    vlan: int = 0
    """The tag (IEEE 802.1Q) of its network's frames; 0: none."""


class Bond(_Part, frozen=True):
    """Ports that act as one. Each interface of it has the bond's address."""

    name: str
    mode: str
    """As Linux names it."""
    interfaces: tuple[str, ...]
    """MACs."""


class Disk(_Part, frozen=True):
    name: str
    path: str = ""
    serial: str = ""
    wwn: str = ""
    size: str = ""


class RaspberryPi(_Part, frozen=True):
    serial: str
    """Eight lower-case hex digits."""
    firmware: str = ""
    """Folder of its files: what stands before their names in `BootPlan.artifacts`."""
    config: str = ""
    """Its config.txt; "": the folder's."""


class Metadata(_Part, frozen=True):
    """What the machine's own system is told on request."""

    instance_id: str = ""
    """Another one makes cloud-init configure the system anew; "": the machine's name."""
    public_keys: tuple[str, ...] = ()
    """Lines of authorized_keys(5)."""
    user_data: str = ""
    vendor_data: str | None = None
    """None: the site's."""


class Machine(_Part, frozen=True):
    name: str
    arch: str
    interfaces: tuple[Interface, ...]
    labels: dict[str, str] = {}
    idle: str = "disk"
    """`disk`, `wait` or `profile:<name>`."""
    handover: Handover = "auto"
    disks: tuple[Disk, ...] = ()
    work: tuple[Work, ...] = ()  # in the order they are to run
    loader: str = ""
    """A row of `loader.LOADERS`, a file that the operator put there, or "" for the default."""
    storage: dict[str, Any] = {}
    """How its disks are laid out, in Tinkerbell's shape; handed to its agent as it stands."""
    bonds: tuple[Bond, ...] = ()
    rpi: RaspberryPi | None = None
    metadata: Metadata | None = None
    protect: bool = False
    """It never runs a destructive action."""

    @property
    def macs(self) -> tuple[str, ...]:
        return tuple(interface.mac for interface in self.interfaces)


class Manifest(_Part, frozen=True):
    """`plans/<id>/manifest.json`. The lists are in order of name, or of path."""

    format: int
    """Always written: what it is in the bytes, not what the reader takes for granted, says whether they can be read."""
    site: Site
    subnets: tuple[Subnet, ...]
    profiles: tuple[Profile, ...]
    artifacts: tuple[Artifact, ...]
    shards: dict[str, Digest]
    """Bucket (two hex digits of the digest of the machine's name) → SHA-256 of the shard."""
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class Shard:
    """`plans/shards/<digest>`: the machines of one bucket, in order of name. Plans with equal shards share the object."""

    digest: str
    machines: tuple[Machine, ...]


@dataclass(frozen=True, slots=True)
class Binding:
    """What a MAC means in this plan."""

    machine: Machine
    interface: Interface


@dataclass(frozen=True, slots=True, eq=False)
class BootPlan:
    """Plans are equal when their ids are: the id stands for all of the content."""

    id: str
    site: Site
    subnets: Mapping[str, Subnet]
    profiles: Mapping[str, Profile]
    artifacts: Mapping[str, Artifact]
    shards: Mapping[str, Shard]
    machines: Mapping[str, Machine]
    by_mac: Mapping[str, Binding]
    by_address: Mapping[str, Binding]
    by_serial: Mapping[str, Machine]
    """Raspberry Pis."""
    secrets: Mapping[str, Secret]
    """As ciphertext."""
    locked: Mapping[str, str] = field(default_factory=dict)
    """Those of them that this server cannot read, each with why: no part of the plan, but what came of loading it here."""
    gate: Gate = OPEN
    """What holds its runs: no part of it either."""

    def holds(self, machine: str, work: Work, observed: Observed) -> str:
        """Why no run of this work may start on this machine now, or ""."""
        locked = self.locked and held_by(named_by(work.document, self.site.pull_secrets), self.locked)
        return self.gate.holds(machine, work, observed) or locked or ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BootPlan) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True)
class Dump:
    """A plan as the bytes to store: `plans/<id>/manifest.json` and `plans/shards/<digest>`."""

    plan: BootPlan
    manifest: bytes

    @property
    def shards(self) -> Mapping[str, bytes]:
        """Every shard by digest, encoded when it is asked for: whoever stores a plan fetches what the store lacks. What was
        compiled before says nothing about that, for a store may have failed, lost or dropped it since.
        """
        return Encoded({shard.digest: shard.machines for shard in self.plan.shards.values()})


class Encoded(Mapping[str, bytes]):
    """Values by the digest of their encoding, encoded anew whenever one is read: an encoding costs less than keeping it."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def __getitem__(self, digest: str) -> bytes:
        return encode(self._values[digest])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class _Format(msgspec.Struct, frozen=True):
    format: int = 0


_format_decoder = msgspec.json.Decoder(_Format)
_manifest_decoder = msgspec.json.Decoder(Manifest)
_shard_decoder = msgspec.json.Decoder(tuple[Machine, ...])
_encoder = msgspec.json.Encoder(order="deterministic")


def encode(value: object) -> bytes:
    """The one JSON encoding of a part of a plan: keys sorted, no spaces."""
    return _encoder.encode(value)


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def bucket(name: str) -> str:
    """The shard a machine lives in: its name alone decides, so that a change elsewhere never moves it."""
    return hashlib.sha256(name.encode()).hexdigest()[:2]


def dump(
    site: Site,
    subnets: Iterable[Subnet],
    profiles: Iterable[Profile],
    artifacts: Iterable[Artifact],
    machines: Iterable[Machine],
    previous: BootPlan | None = None,
    secrets: Iterable[Secret] = (),
) -> Dump:
    """Freeze a plan, sharing with `previous` what did not change: the result is the same plan without it, only later."""
    buckets: dict[str, list[Machine]] = {}
    for machine in sorted(machines, key=lambda machine: machine.name):
        buckets.setdefault(bucket(machine.name), []).append(machine)
    before = previous.shards if previous else {}
    shards = {key: _shard(tuple(members), before.get(key)) for key, members in sorted(buckets.items())}
    manifest = Manifest(
        format=FORMAT,
        site=site,
        subnets=tuple(sorted(subnets, key=lambda subnet: subnet.name)),
        profiles=tuple(sorted(profiles, key=lambda profile: profile.name)),
        artifacts=tuple(sorted(artifacts, key=lambda artifact: artifact.path)),
        shards={key: shard.digest for key, shard in shards.items()},
        secrets=tuple(sorted(secrets, key=lambda secret: secret.name)),
    )
    data = encode(manifest)
    return Dump(_index(digest_of(data), manifest, shards), data)


def load(manifest: bytes, read_shard: Callable[[str], bytes], previous: BootPlan | None = None) -> BootPlan:
    """Read a stored plan, sharing what did not change with `previous`.

    Raises ValueError when the bytes are not a plan of this format or a shard is not what its digest says, and whatever
    `read_shard` (digest → bytes) raises.
    """
    document = _manifest(manifest)
    known = {shard.digest: shard for shard in previous.shards.values()} if previous else {}
    shards = {key: known.get(digest) or _read_shard(digest, read_shard) for key, digest in document.shards.items()}
    return _index(digest_of(manifest), document, shards)


def manifest_shards(manifest: bytes) -> set[str]:
    """The digests of the shards a stored manifest names. Raises ValueError when it is not a manifest of this format."""
    return set(_manifest(manifest).shards.values())


def manifest_artifacts(manifest: bytes) -> set[str]:
    """The digests of the artefacts a stored manifest names. Raises ValueError as `manifest_shards`."""
    return {artifact.sha256 for artifact in _manifest(manifest).artifacts if artifact.sha256}


def _manifest(data: bytes) -> Manifest:
    """The format is judged first: another format's fields would only look like damage."""
    found = _decode(_format_decoder, data, "the manifest").format
    if found != FORMAT:
        raise ValueError(f"the plan has format {found}; this gitboot reads format {FORMAT}")
    return _decode(_manifest_decoder, data, "the manifest")


def _decode(decoder: msgspec.json.Decoder[T], data: bytes, what: str) -> T:
    try:
        return decoder.decode(data)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"{what} cannot be read: {error}") from None


def _read_shard(digest: str, read: Callable[[str], bytes]) -> Shard:
    data = read(digest)
    if digest_of(data) != digest:
        raise ValueError(f"shard {digest} is damaged: its content has another digest")
    return Shard(digest, _decode(_shard_decoder, data, f"shard {digest}"))


def _shard(members: tuple[Machine, ...], old: Shard | None) -> Shard:
    """The old shard, if it is the same. Only identity and bytes are trusted: `1 == True`, but not in an id."""
    if old is not None and len(old.machines) == len(members) and all(map(is_, old.machines, members)):
        return old
    digest = digest_of(encode(members))
    return old if old is not None and old.digest == digest else Shard(digest, members)


def _index(plan_id: str, document: Manifest, shards: Mapping[str, Shard]) -> BootPlan:
    machines: dict[str, Machine] = {}
    by_mac: dict[str, Binding] = {}
    by_address: dict[str, Binding] = {}
    by_serial: dict[str, Machine] = {}
    for shard in shards.values():
        for machine in shard.machines:
            machines[machine.name] = machine
            if machine.rpi:
                by_serial[machine.rpi.serial] = machine
            for interface in machine.interfaces:
                binding = by_mac[interface.mac] = Binding(machine, interface)
                if interface.address:
                    by_address[interface.address] = binding
    return BootPlan(
        id=plan_id,
        site=document.site,
        subnets={subnet.name: subnet for subnet in document.subnets},
        profiles={profile.name: profile for profile in document.profiles},
        artifacts={artifact.path: artifact for artifact in document.artifacts},
        shards=dict(shards),
        machines=machines,
        by_mac=by_mac,
        by_address=by_address,
        by_serial=by_serial,
        secrets={secret.name: secret for secret in document.secrets},
    )
