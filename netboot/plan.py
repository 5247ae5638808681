"""The boot plan: everything the servers may answer, frozen, resolved and addressed by its content.

Core. The law: the plan's id is the digest of its manifest, the manifest names its shards by their digests, and nothing that
differs from one compile of the same inventory to the next may enter either. So equal plans have equal ids, a commit that
only touches the README swaps nothing, and one changed machine costs one shard.

The reconciler compiles to these types; the servers only look up. No default, reference or template is left to resolve.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from netboot.runs import Work

FORMAT = 1
"""Raised when an older server could not read a newer plan."""

Handover = Literal["auto", "exit", "sanboot", "no-boot-file"]
Unknown = Literal["ignore", "wait"]
Mode = Literal["reservation", "proxy", "auto-proxy", "off"]


class Site(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    domain: str = ""
    server: str = ""
    """Address machines reach this server at; "" when it is to be found from the listening interface."""
    mode: Mode = "reservation"
    unknown: Unknown = "ignore"
    boot_timeout: int = 1800
    """Seconds of silence after which an open boot is closed."""


class Subnet(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    cidr: str
    options: bytes = b""
    """Packed DHCP options (RFC 2132 TLVs in ascending order) for an address of the dynamic range."""
    range: tuple[str, str] | None = None
    """First and last address for unknown machines, inclusive."""


class Artifact(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file a machine boots. `url` is set instead of the digest when the inventory gave none: then it is not verified."""

    path: str
    sha256: str = ""
    size: int = 0
    url: str = ""


class Profile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of: kernel (with initrds and command line), chain, script."""

    name: str
    kernel: str = ""
    """Path: the key into `BootPlan.artifacts`, as each of `initrd`."""
    initrd: tuple[str, ...] = ()
    cmdline: str = ""
    chain: str = ""
    script: str = ""


class Interface(msgspec.Struct, frozen=True, omit_defaults=True):
    mac: str
    """Lower case with colons."""
    address: str = ""
    hostname: str = ""
    subnet: str = ""
    options: bytes = b""
    """Packed DHCP options, resolved from site, subnet and interface."""
    dhcp: bool = True
    netboot: bool = True


class Disk(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    path: str = ""
    serial: str = ""
    wwn: str = ""
    size: str = ""


class Machine(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    arch: str
    interfaces: tuple[Interface, ...]
    labels: dict[str, str] = {}
    idle: str = "disk"
    """`disk`, `wait` or `profile:<name>`."""
    handover: Handover = "auto"
    disks: tuple[Disk, ...] = ()
    work: tuple[Work, ...] = ()
    """In the order they are to run."""

    @property
    def macs(self) -> tuple[str, ...]:
        return tuple(interface.mac for interface in self.interfaces)


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    site: Site
    subnets: tuple[Subnet, ...]
    profiles: tuple[Profile, ...]
    artifacts: tuple[Artifact, ...]
    shards: dict[str, str]
    """Bucket (two hex digits of the digest of the machine's name) → SHA-256 of the shard."""
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Shard:
    digest: str
    machines: tuple[Machine, ...]


@dataclass(frozen=True, slots=True)
class Binding:
    """What a MAC means in this plan."""

    machine: Machine
    interface: Interface


@dataclass(frozen=True, slots=True)
class BootPlan:
    id: str
    site: Site
    subnets: Mapping[str, Subnet]
    profiles: Mapping[str, Profile]
    artifacts: Mapping[str, Artifact]
    shards: Mapping[str, Shard]
    machines: Mapping[str, Machine]
    by_mac: Mapping[str, Binding]
    by_address: Mapping[str, Binding]


@dataclass(frozen=True, slots=True)
class Dump:
    """A plan as the bytes to store: `plans/<id>/manifest.json` and `plans/shards/<digest>`."""

    plan: BootPlan
    manifest: bytes
    shards: Mapping[str, bytes]
    """By digest; only those the previous plan did not have."""


_manifest_decoder = msgspec.json.Decoder(Manifest)
_shard_decoder = msgspec.json.Decoder(tuple[Machine, ...])
_encoder = msgspec.json.Encoder(order="deterministic")


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
) -> Dump:
    """Freeze a plan. Shards whose machines are those of `previous` are shared with it and not encoded again."""
    buckets: dict[str, list[Machine]] = {}
    for machine in sorted(machines, key=lambda machine: machine.name):
        buckets.setdefault(bucket(machine.name), []).append(machine)
    shards: dict[str, Shard] = {}
    written: dict[str, bytes] = {}
    for key, members in sorted(buckets.items()):
        old = previous.shards.get(key) if previous else None
        if old is not None and _same(old.machines, members):
            shards[key] = old
            continue
        data = _encoder.encode(members)
        shards[key] = Shard(hashlib.sha256(data).hexdigest(), tuple(members))
        written[shards[key].digest] = data
    manifest = _encoder.encode(
        Manifest(
            site,
            tuple(sorted(subnets, key=lambda subnet: subnet.name)),
            tuple(sorted(profiles, key=lambda profile: profile.name)),
            tuple(sorted(artifacts, key=lambda artifact: artifact.path)),
            {key: shard.digest for key, shard in shards.items()},
        )
    )
    return Dump(_index(manifest, _manifest_decoder.decode(manifest), shards), manifest, written)


def load(manifest: bytes, read_shard: Callable[[str], bytes], previous: BootPlan | None = None) -> BootPlan:
    """Read a stored plan, sharing what did not change with `previous`.

    Raises ValueError when the bytes are not a plan of this format or a shard is not what its digest says, and whatever
    `read_shard` (digest → bytes) raises.
    """
    document = _manifest_decoder.decode(manifest)
    if document.format != FORMAT:
        raise ValueError(f"the plan has format {document.format}; this gitboot reads format {FORMAT}")
    known = {shard.digest: shard for shard in previous.shards.values()} if previous else {}
    shards = {key: known.get(digest) or _read_shard(digest, read_shard) for key, digest in document.shards.items()}
    return _index(manifest, document, shards)


def manifest_shards(manifest: bytes) -> set[str]:
    """The digests a stored manifest names. Raises ValueError when it is not a manifest."""
    return set(_manifest_decoder.decode(manifest).shards.values())


def _read_shard(digest: str, read: Callable[[str], bytes]) -> Shard:
    data = read(digest)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"shard {digest} is damaged: its content has another digest")
    return Shard(digest, _shard_decoder.decode(data))


def _same(old: tuple[Machine, ...], new: list[Machine]) -> bool:
    """Identity first: the compiler hands back the same object for a machine that did not change."""
    return len(old) == len(new) and all(a is b or a == b for a, b in zip(old, new, strict=True))


def _index(manifest: bytes, document: Manifest, shards: Mapping[str, Shard]) -> BootPlan:
    machines: dict[str, Machine] = {}
    by_mac: dict[str, Binding] = {}
    by_address: dict[str, Binding] = {}
    for shard in shards.values():
        for machine in shard.machines:
            machines[machine.name] = machine
            for interface in machine.interfaces:
                binding = by_mac[interface.mac] = Binding(machine, interface)
                if interface.address:
                    by_address[interface.address] = binding
    return BootPlan(
        id=hashlib.sha256(manifest).hexdigest(),
        site=document.site,
        subnets={subnet.name: subnet for subnet in document.subnets},
        profiles={profile.name: profile for profile in document.profiles},
        artifacts={artifact.path: artifact for artifact in document.artifacts},
        shards=dict(shards),
        machines=machines,
        by_mac=by_mac,
        by_address=by_address,
    )
