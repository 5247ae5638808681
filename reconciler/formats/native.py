"""The native format: a `gitboot/v1` document becomes one object of the inventory.

Core. The law: a document whose shape is right becomes its object, with every value parsed and every default applied; any
other becomes problems, all of them. Only what one document shows by itself is judged here; what it takes two to see is
`reconciler.validate`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from netboot.dhcp_options import encode
from netboot.sealed import PullSecret
from reconciler import values
from reconciler.bonding import check_bonds
from reconciler.formats.document import check_names, check_syntax
from reconciler.formats.sealed import secret
from reconciler.inventory import (
    ArtifactRef,
    Bond,
    Disk,
    Hardware,
    ImageSettings,
    Interface,
    Object,
    Profile,
    RaspberryPi,
    Site,
    Subnet,
    TemplateDoc,
    WorkflowDoc,
)
from reconciler.metadata import check_metadata
from reconciler.openssh import public_key
from reconciler.places import Path, Source
from reconciler.policy_setting import check_policy, policy_of
from reconciler.shape import Complaints, Shape, check
from reconciler.signers import check_trust, trust_of
from reconciler.storage import check_storage
from reconciler.storage import lowered as lowered_storage

API_VERSION = "gitboot/v1"
KINDS: Mapping[str, Shape] = {
    "Site": "site",
    "Hardware": "hardware",
    "Profile": "profile",
    "Template": "template",
    "Workflow": "workflow",
    "Secret": "secret",
}

EncodeOption = Callable[[int | str, object], tuple[int, bytes]]
"""Code and bytes of a DHCP option, or ValueError with a sentence."""

Map = Mapping[str, Any]


def lower(
    document: dict[str, Any], source: Source, complaints: Complaints, encode_option: EncodeOption = encode
) -> Object | None:
    """The object of a document whose `kind` is one of KINDS, or None and complaints."""
    kind = document["kind"]
    shape = KINDS[kind]
    if kind == "Secret":
        return secret(document, source, complaints)
    if kind == "Template" and isinstance(spec := document.get("spec"), dict) and "data" in spec:
        shape = "template-data"
    check(shape, document, complaints, source.written)
    if complaints.errors:
        return None
    lowered: Object = _LOWER[kind](document["metadata"], document["spec"], source)
    _check_local(lowered, complaints, encode_option)
    return None if complaints.errors else lowered


# Site ------------------------------------------------------------------------------------------------------------------


def _site(metadata: Map, spec: Map, source: Source) -> Site:
    domain = _optional(values.domain, spec, "domain")
    return Site(
        metadata["name"],
        source,
        domain=domain,
        server=_optional(values.ipv4, spec, "server"),
        dhcp_mode=spec.get("dhcp", {}).get("mode", "reservation"),
        unknown=spec.get("unknown", "ignore"),
        subnets=tuple(_subnet(subnet, domain) for subnet in spec.get("subnets", ())),
        unverified=spec.get("artifacts", {}).get("unverified", "warn"),
        boot_timeout=values.duration(spec.get("bootTimeout", "30m")),
        upstreams=tuple(map(values.ipv4, spec.get("dns", {}).get("upstreams", ()))),
        trusted_proxies=tuple(map(values.cidr, spec.get("trustedProxies", ()))),
        images=_images(spec.get("images", {})),
        metadata_tokens=spec.get("metadata", {}).get("tokens", "optional"),
        public_keys=_public_keys(spec) or (),
        vendor_data=spec.get("vendorData", ""),
        trust=trust_of(spec.get("trust", {})),
        policy=policy_of(spec.get("policy", {})),
    )


def _public_keys(spec: Map) -> tuple[str, ...] | None:
    keys = spec.get("metadata", {}).get("publicKeys")
    return None if keys is None else tuple(map(public_key, keys))


def _images(spec: Map) -> ImageSettings:
    prefix = spec.get("prefix", "").rstrip("/")
    archives, insecure = spec.get("archives", ()), spec.get("insecureRegistries", ())
    logins = (PullSecret(each["registry"], **each["secretRef"]) for each in spec.get("pullSecrets", ()))
    digests = spec.get("requireDigest", False)
    return ImageSettings(prefix and f"{prefix}/", tuple(dict.fromkeys(archives)), tuple(insecure), tuple(logins), digests)


def _subnet(spec: Map, domain: str | None) -> Subnet:
    return Subnet(
        spec["name"],
        cidr=values.cidr(spec["cidr"]),
        gateway=_optional(values.ipv4, spec, "gateway"),
        name_servers=tuple(map(values.ipv4, spec.get("nameServers", ()))),
        time_servers=tuple(map(values.ipv4, spec.get("timeServers", ()))),
        lease_time=values.duration(spec.get("leaseTime", "24h")),
        range=(values.ipv4(spec["range"][0]), values.ipv4(spec["range"][1])) if "range" in spec else None,
        domain=_optional(values.domain, spec, "domain") or domain,
        options=spec.get("options", {}),
    )


# Hardware --------------------------------------------------------------------------------------------------------------


def _hardware(metadata: Map, spec: Map, source: Source) -> Hardware:
    idle, profile = values.idle(spec.get("idle", "disk"))
    return Hardware(
        metadata["name"],
        source,
        labels=metadata.get("labels", {}),
        arch=spec.get("arch", "x86_64"),
        profile=spec.get("profile"),
        idle=idle,
        idle_profile=profile,
        handover=spec.get("handover", "auto"),
        loader=spec.get("loader", "auto"),
        interfaces=tuple(map(_interface, spec["interfaces"])),
        disks=tuple(map(_disk, spec.get("disks", ()))),
        bonds=tuple(map(_bond, spec.get("bonds", ()))),
        storage=lowered_storage(spec.get("storage", {})),
        rpi=_optional(_rpi, spec, "rpi"),
        instance_id=spec.get("metadata", {}).get("instanceId"),
        public_keys=_public_keys(spec),
        user_data=spec.get("userData", ""),
        vendor_data=spec.get("vendorData"),
        protect=spec.get("protect", False),
    )


def _rpi(spec: Map) -> RaspberryPi:
    return RaspberryPi(values.serial(spec["serial"]), spec.get("firmware"), spec.get("config"))


def _interface(spec: Map) -> Interface:
    return Interface(
        values.mac(spec["mac"]),
        address=_optional(values.ipv4, spec, "address"),
        hostname=_optional(values.domain, spec, "hostname"),
        subnet=spec.get("subnet"),
        gateway=_optional(values.ipv4, spec, "gateway"),
        name_servers=tuple(map(values.ipv4, spec["nameServers"])) if "nameServers" in spec else None,
        lease_time=_optional(values.duration, spec, "leaseTime"),
        domain=_optional(values.domain, spec, "domain"),
        options=spec.get("options", {}),
        dhcp=spec.get("dhcp", True),
        netboot=spec.get("netboot", True),
        vlan=spec.get("vlan", 0),
    )


def _bond(spec: Map) -> Bond:
    macs = tuple(map(values.mac, spec["interfaces"]))
    return Bond(spec["name"], spec.get("mode", "active-backup"), macs, _optional(values.ipv4, spec, "address"))


def _disk(spec: Map) -> Disk:
    return Disk(spec["name"], spec.get("path"), spec.get("serial"), spec.get("wwn"), _optional(values.size, spec, "size"))


# Profile, Template, Workflow -------------------------------------------------------------------------------------------


def _profile(metadata: Map, spec: Map, source: Source) -> Profile:
    return Profile(
        metadata["name"],
        source,
        kernel=_optional(_artifact, spec, "kernel"),
        initrd=tuple(map(_artifact, spec.get("initrd", ()))),
        cmdline=values.cmdline(spec.get("cmdline", "")),
        chain=spec.get("chain"),
        script=spec.get("script"),
        pxelinux=spec.get("pxelinux"),
        handover=spec.get("handover"),
    )


def _artifact(spec: str | Map) -> ArtifactRef:
    if isinstance(spec, str):
        return ArtifactRef(path=spec, url=None, sha256=None)
    return ArtifactRef(path=None, url=spec["url"], sha256=_optional(values.sha256, spec, "sha256"))


def _template(metadata: Map, spec: Map, source: Source) -> TemplateDoc:
    if "data" not in spec:
        return TemplateDoc(metadata["name"], source, text=None, document=spec)
    begin = source.text("spec.data")
    return TemplateDoc(metadata["name"], source, spec["data"], None, text_line=begin.line, text_column=begin.column)


def _workflow(metadata: Map, spec: Map, source: Source) -> WorkflowDoc:
    hardware = spec["hardware"]
    return WorkflowDoc(
        metadata["name"],
        source,
        template=spec["template"],
        hardware=hardware if isinstance(hardware, str) else None,
        match_labels=None if isinstance(hardware, str) else hardware["matchLabels"],
        hardware_map=spec.get("hardwareMap", {}),
        run=spec.get("run", 1),
        repeat=spec.get("repeat", "once"),
        resets=spec.get("resets", 0),
        retry=spec.get("retry", 0),
        on_failure=spec.get("onFailure", "rescue"),
        pending_timeout=values.limit(spec.get("pendingTimeout", 0)),
        cancel=spec.get("cancel", False),
        profile=spec.get("profile"),
        overwrites=tuple(spec.get("overwrites", ())),
    )


_LOWER: Mapping[str, Callable[[Map, Map, Source], Any]] = {
    "Site": _site,
    "Hardware": _hardware,
    "Profile": _profile,
    "Template": _template,
    "Workflow": _workflow,
}


def _optional(parse: Callable[[Any], Any], spec: Map, field: str) -> Any:
    return parse(spec[field]) if field in spec else None


# What one document shows by itself -------------------------------------------------------------------------------------


def _check_local(lowered: Object, complaints: Complaints, encode_option: EncodeOption) -> None:
    match lowered:
        case Site(subnets=subnets):
            check_metadata(lowered, complaints)
            check_names([subnet.name for subnet in subnets], ("spec", "subnets"), "subnet", complaints)
            _check_options([subnet.options for subnet in subnets], ("spec", "subnets"), complaints, encode_option)
            check_names([signer.name for signer in lowered.trust.signers], ("spec", "trust", "signers"), "signer", complaints)
            check_trust(lowered.trust, ("spec", "trust"), complaints)
            check_policy(lowered.policy, lowered.trust, ("spec", "policy"), complaints)
        case Hardware(interfaces=interfaces, disks=disks, bonds=bonds):
            check_names([disk.name for disk in disks], ("spec", "disks"), "disk", complaints)
            check_names([bond.name for bond in bonds], ("spec", "bonds"), "bond", complaints)
            check_bonds(lowered, complaints)
            check_metadata(lowered, complaints)
            check_storage(lowered.storage, [disk.name for disk in disks], complaints)
            _check_options([port.options for port in interfaces], ("spec", "interfaces"), complaints, encode_option)
        case TemplateDoc():
            check_syntax(lowered, complaints)


def _check_options(each: Iterable[Map], path: Path, complaints: Complaints, encode_option: EncodeOption) -> None:
    for index, options in enumerate(each):
        seen: dict[int, str] = {}
        for name, value in options.items():
            at = (*path, index, "options", name)
            try:
                code, _ = encode_option(name, value)
            except ValueError as error:
                complaints.at(at, "bad-option", f"{str(error)[:1].upper()}{str(error)[1:400]}.")
                continue
            if code in seen:
                complaints.at_key(at, "duplicate-option", f"'{seen[code]}' and '{name}' are the same DHCP option: keep one.")
            seen[code] = name
