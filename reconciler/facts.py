"""Facts: everything a plan would have a machine be sent, as named settings a person can read.

Core. The law: facts are complete and in one form, so that two plans are equal exactly when their facts are; and what `facts_of`
hands out can be shown, for passwords and tokens are masked in it. Names are what people say, in the order in which a machine
meets them: how it is asked for, its addresses and DHCP options, its boot file, what it boots, DNS, metadata, disks, work.

A setting that nobody gave is absent. Where there are several of a kind, the name ends with which one is meant: `address
52:54:00:12:34:01`, `option 15 (domain-name) 52:54:00:12:34:01`, `workflow install action os/wipe env DISK`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from netboot.dhcp_options import decode, encode, label, unpack
from netboot.dns_zone import names_of
from netboot.kernel_network import network_words
from netboot.loader import PI_FILE, file_of
from netboot.masks import masked
from netboot.metadata import Told, ec2
from netboot.plan import Artifact, BootPlan, Interface, Machine, Profile, digest_of
from netboot.plan import encode as as_bytes
from netboot.work import Work

Facts = dict[str, str]
_FIRMWARE = {"x86_64": {"BIOS": 0, "UEFI": 7}, "aarch64": {"UEFI": 11}}
"""Architecture of a machine → its firmwares, each with the number it says in option 93."""
_WORDS = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
"""Of a command line, as the kernel has them: blanks in double quotes part none."""
_SHOWN_BY_EC2 = ("hostname", "instance-id", "placement", "public-keys", "tags", "user-data")
"""The rest of what EC2 style metadata has is said by the addresses."""


def facts_of(plan: BootPlan, machine: Machine) -> Facts:
    """Of one machine of this plan, with what its profiles and the site add, masked."""
    return {name: masked(name, value) for name, value in raw_facts(plan, machine).items()}


def raw_facts(plan: BootPlan, machine: Machine) -> Facts:
    """As `facts_of`, with everything in clear: to compare, never to show."""
    return {**own_facts(plan, machine), **booted_facts(plan, machine)}


def own_facts(plan: BootPlan, machine: Machine) -> Facts:
    """Those that no profile and no artefact has a part in."""
    return dict(_filled(_own(plan, machine)))


def booted_facts(plan: BootPlan, machine: Machine) -> Facts:
    """Those that come from the profiles it may boot in, and from files."""
    facts: Facts = {}
    for name in profiles_of(machine):
        profile = plan.profiles[name]
        facts |= profile_facts(plan, profile)
        for each in machine.interfaces:
            if each.netboot and (words := network_words(machine, each.mac, profile.cmdline)):
                facts[f"profile {name} kernel network {each.mac}"] = " ".join(words)
    if machine.rpi and machine.rpi.firmware:
        folder = f"{machine.rpi.firmware}/"
        files = ((path.removeprefix(folder), each) for path, each in plan.artifacts.items() if path.startswith(folder))
        facts |= _filled((f"firmware file {name}", _file(each)) for name, each in files)
    return facts


def profiles_of(machine: Machine) -> tuple[str, ...]:
    """What it may be booted in: idle first, then for its work."""
    idle = machine.idle.partition("profile:")[2]
    return tuple(dict.fromkeys(filter(None, (idle, *(work.profile for work in machine.work)))))


def profile_facts(plan: BootPlan, profile: Profile) -> Facts:
    """What a loader is told to boot. Arguments of the kernel stand alone too, for that is how people speak of them."""
    begin = f"profile {profile.name}"
    arguments: dict[str, list[str]] = {}
    for word in _WORDS.findall(profile.cmdline):
        name, equals, value = word.partition("=")
        arguments.setdefault(name, []).append(value if equals else "set")
    files = [("kernel", profile.kernel), *((f"initrd {at}", path) for at, path in enumerate(profile.initrd))]
    return dict(
        _filled(
            [
                *((f"{begin} {what}", _file(plan.artifacts.get(path), path)) for what, path in files if path),
                *((f"{begin} kernel argument {name}", " ".join(values)) for name, values in arguments.items()),
                (f"{begin} kernel command line", profile.cmdline),
                (f"{begin} chain", profile.chain),
                (f"{begin} script", profile.script),
                (f"{begin} pxelinux", profile.pxelinux),
            ]
        )
    )


def site_facts(plan: BootPlan) -> Facts:
    """What is no machine's alone. Profiles are here as well as with the machines that boot them."""
    return {name: masked(name, value) for name, value in raw_site_facts(plan).items()}


def raw_site_facts(plan: BootPlan) -> Facts:
    site = msgspec.to_builtins(plan.site)
    vendor_data, trust = site.pop("vendor_data", ""), site.pop("trust", {})
    signers = {each.pop("name"): each for each in trust.pop("signers", ())}
    pulls = {each.pop("registry"): each for each in site.pop("pull_secrets", ())}
    facts = dict(_flat("site", site))
    facts |= _filled([("site vendor data", vendor_data)])
    facts |= dict(_flat("site trust", trust)) if trust else {}
    for name, signer in signers.items():
        facts |= _flat(f"site signer {name}", signer)
    for registry, pull in pulls.items():
        facts[f"site login of {registry}"] = f"secret {pull['name']}/{pull['key']}"
    for subnet in plan.subnets.values():
        facts |= _filled(
            [
                (f"subnet {subnet.name} network", subnet.cidr),
                (f"subnet {subnet.name} range", "-".join(subnet.range or ())),
                *((f"subnet {subnet.name} {name}", value) for name, value in _options(subnet.options)),
            ]
        )
    for profile in plan.profiles.values():
        facts[f"profile {profile.name}"] = "chain" if profile.chain else "script" if profile.script else "kernel"
        facts |= profile_facts(plan, profile)
    facts |= {f"artifact {path}": _file(artifact) for path, artifact in plan.artifacts.items()}
    facts |= {f"secret {name}": f"sealed, {digest_of(as_bytes(secret))}" for name, secret in plan.secrets.items()}
    return facts


# A machine's own ---------------------------------------------------------------------------------------------------------


def _own(plan: BootPlan, machine: Machine) -> Iterator[tuple[str, str]]:
    """An empty value is none."""
    yield "architecture", machine.arch
    yield "interfaces", _listed(machine.macs)
    for interface in machine.interfaces:
        yield from _interface(plan, interface)
    for bond in machine.bonds:
        yield f"bond {bond.name}", f"{bond.mode} of {_listed(bond.interfaces)}"
    yield from _boot_files(machine)
    if machine.rpi:
        yield "Raspberry Pi", machine.rpi.serial
        yield "Raspberry Pi firmware", machine.rpi.firmware
        yield "Raspberry Pi config.txt", machine.rpi.config
    yield "idle", machine.idle
    yield "handover", machine.handover
    yield "protected", "yes" if machine.protect else ""
    yield "server", plan.site.server
    yield from _names(plan, machine)
    yield from _metadata(plan, machine)
    for key, value in machine.labels.items():
        yield f"label {key}", _said(value)
    for disk in machine.disks:
        yield f"disk {disk.name}", shlex.join(f"{key}={value}" for key, value in msgspec.to_builtins(disk).items())
    yield from _flat("storage", machine.storage) if machine.storage else ()
    for work in machine.work:
        yield from work_facts(work)


def _interface(plan: BootPlan, interface: Interface) -> Iterator[tuple[str, str]]:
    mac = interface.mac
    yield f"DHCP {mac}", plan.site.mode if interface.dhcp else "no"
    yield f"network boot {mac}", "yes" if interface.netboot else "no"
    yield f"address {mac}", interface.address
    yield f"subnet {mac}", interface.subnet
    yield f"host name {mac}", interface.hostname
    yield f"VLAN {mac}", str(interface.vlan or "")
    for name, value in _options(interface.options):
        yield f"{name} {mac}", value


def _options(packed: bytes) -> Iterator[tuple[str, str]]:
    for code, data in unpack(packed).items():
        yield f"option {label(code)}", _option(code, data)


@lru_cache(maxsize=4096)
def _option(code: int, data: bytes) -> str:
    """As a person writes it; as bytes too, where that would be sent as others."""
    value = decode(code, data)
    try:
        exact = encode(code, value)[1] == data
    except ValueError:  # one that the server itself answers: it has one form
        exact = True
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if exact else f"{text} ({data.hex(':')})"


def _boot_files(machine: Machine) -> Iterator[tuple[str, str]]:
    yield "loader", machine.loader
    if any(each.netboot for each in machine.interfaces):
        for firmware, arch in _FIRMWARE.get(machine.arch, {}).items():
            yield f"boot file {firmware}", PI_FILE if machine.rpi else file_of(machine.loader, arch) or ""


def _names(plan: BootPlan, machine: Machine) -> Iterator[tuple[str, str]]:
    found: dict[str, list[str]] = {}
    for name, address in names_of(machine, plan.site.domain):
        found.setdefault(f"DNS {name} A", []).append(address)
        found.setdefault(f"DNS {address} PTR", []).append(name)
    yield from ((name, _listed(dict.fromkeys(values))) for name, values in found.items())


def _metadata(plan: BootPlan, machine: Machine) -> Iterator[tuple[str, str]]:
    told = Told(plan, machine, machine.interfaces[0])
    tree = ec2(told, "")
    for path, value in tree.items():
        place = path.removeprefix("meta-data/")
        folder = f"{path}/"
        if place.split("/")[0] in _SHOWN_BY_EC2 and not any(other.startswith(folder) for other in tree):
            yield f"metadata /latest/{path}", value
    own = machine.metadata
    yield "metadata instance id", own.instance_id if own else ""
    yield "metadata vendor data", told.vendor_data
    yield "metadata vendor data of", "the machine" if own and own.vendor_data is not None else ""


# Work --------------------------------------------------------------------------------------------------------------------


def work_facts(work: Work) -> Iterator[tuple[str, str]]:
    """Of one workflow, or one part of it. Actions are known by their names: one that is put before others renames none."""
    begin = f"workflow {work.workflow}" + (f" part {work.part}" if work.part else "")
    said = msgspec.to_builtins(work)
    before = said.pop("before", None)
    rest = {key.replace("_", " "): value for key, value in said.items() if key not in ("workflow", "part", "document")}
    yield from _flat(begin, rest)
    if before:
        yield (
            f"{begin} waits for",
            f"task {before['task']} on {before['machine']} ({_listed(before['macs'])}), part {before['part']}",
        )
    document = dict(work.document)
    tasks = document.pop("tasks")
    yield from _flat(f"{begin} document", {key.replace("_", " "): value for key, value in document.items() if value})
    yield f"{begin} actions", _listed(_place(task, action) for task in tasks for action in task["actions"])
    for task in tasks:
        yield f"{begin} task {_word(task['name'])} worker", task["worker"]
        for action in task["actions"]:
            yield from _action(f"{begin} action {_place(task, action)}", action)


def _place(task: Mapping[str, Any], action: Mapping[str, Any]) -> str:
    return f"{_word(task['name'])}/{_word(action['name'])}"


def _action(begin: str, action: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Defaults are left out."""
    yield f"{begin} image", action["image"]
    if archive := action.get("archive"):
        yield f"{begin} archive", f"{archive['url']} ({archive['size']} bytes)"
    for key in ("command", "on_failure", "on_timeout"):
        yield f"{begin} {key.replace('_', ' ')}", shlex.join(action.get(key, ()))
    for key in ("timeout", "retries", "pid", "login"):
        yield f"{begin} {key}", str(action.get(key) or "")
    yield f"{begin} if", action.get("if", "success").replace("success", "")
    yield f"{begin} volumes", _listed(action.get("volumes", ()))
    for name, value in action.get("environment", {}).items():
        yield f"{begin} env {name}", value or "(empty)"
    secrets = action.get("secrets", ())
    for each in secrets:
        where = f"env {each['env']}" if each.get("env") else f"file {each.get('file')}"
        yield f"{begin} secret {where}", f"secret {each['name']}/{each['key']}"
    if len(secrets) > 1:
        yield f"{begin} secrets", _listed(each.get("env") or each.get("file", "") for each in secrets)


# Text --------------------------------------------------------------------------------------------------------------------


def _filled(facts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in facts if value)


def _file(artifact: Artifact | None, path: str = "") -> str:
    """`path`: what to call it; "" where the name says it."""
    if artifact is None:
        return path
    known = [f"sha256 {artifact.sha256}"] if artifact.sha256 else []
    known += [f"{artifact.size} bytes"] if artifact.size else []
    known += [f"from {artifact.url}"] if artifact.url not in ("", path) else []
    if not path:
        return ", ".join(known) or "unverified"
    return f"{path} ({', '.join(known)})" if known else path


def _flat(begin: str, value: object) -> Iterator[tuple[str, str]]:
    """Every leaf below a value of JSON by its place; what is empty is a leaf."""
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _flat(f"{begin} {str(key).replace('_', ' ')}", below)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value and isinstance(value[0], Mapping | list | tuple):
        for at, below in enumerate(value):
            yield from _flat(f"{begin}[{at}]", below)
    else:
        yield begin, _said(value)


def _said(value: object) -> str:
    """A leaf as a person writes it; in JSON where that could be taken for another."""
    if isinstance(value, str):
        return value if value and _is_plain(value) else json.dumps(value)
    if isinstance(value, list | tuple) and value and all(isinstance(each, str) for each in value):
        return _listed(value)
    return "yes" if value is True else "no" if value is False else json.dumps(value)


def _is_plain(text: str) -> bool:
    """Whether nobody would read it as a number, a list, or what else JSON has."""
    return not re.match(r'[-0-9.]+$|[\["{]|(yes|no|true|false|null)$', text) and ", " not in text


def _listed(items: Iterable[str]) -> str:
    texts = list(items)
    plain = all(text and "," not in text and not text.startswith("[") for text in texts)
    return ", ".join(texts) if plain else json.dumps(texts)


def _word(name: str) -> str:
    return name if re.fullmatch(r"[^\s/\"]+", name) else json.dumps(name)
